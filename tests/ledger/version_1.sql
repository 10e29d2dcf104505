PRAGMA application_id = 1262636081;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE chunks (
        item_id INTEGER NOT NULL REFERENCES items(id), start INTEGER NOT NULL, finish INTEGER NOT NULL,
        text TEXT NOT NULL, PRIMARY KEY (item_id, start)) WITHOUT ROWID;
CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, session_num INTEGER NOT NULL REFERENCES sessions(num),
        kind TEXT NOT NULL CHECK (kind IN ('session', 'turn', 'item', 'removed')),
        turn_id INTEGER REFERENCES turns(id), item_id INTEGER REFERENCES items(id), state TEXT,
        at REAL NOT NULL);
INSERT INTO "events" VALUES(1,1,'session',NULL,NULL,NULL,1780000001.0);
INSERT INTO "events" VALUES(2,1,'turn',1,NULL,'accepted',1780000002.0);
INSERT INTO "events" VALUES(3,1,'item',1,1,NULL,1780000002.0);
INSERT INTO "events" VALUES(4,1,'turn',1,NULL,'running',1780000003.0);
INSERT INTO "events" VALUES(5,1,'session',NULL,NULL,NULL,1780000005.0);
INSERT INTO "events" VALUES(8,1,'item',1,3,NULL,1780000006.0);
INSERT INTO "events" VALUES(10,1,'removed',1,4,NULL,1780000007.0);
INSERT INTO "events" VALUES(11,1,'item',1,2,NULL,1780000007.0);
INSERT INTO "events" VALUES(12,1,'turn',1,NULL,'completed',1780000007.0);
INSERT INTO "events" VALUES(13,1,'turn',2,NULL,'accepted',1780000008.0);
INSERT INTO "events" VALUES(14,1,'item',2,5,NULL,1780000008.0);
INSERT INTO "events" VALUES(15,1,'turn',2,NULL,'running',1780000009.0);
INSERT INTO "events" VALUES(16,1,'item',2,6,NULL,1780000010.0);
INSERT INTO "events" VALUES(17,2,'session',NULL,NULL,NULL,1780000011.0);
CREATE TABLE items (
        id INTEGER PRIMARY KEY, session_num INTEGER NOT NULL REFERENCES sessions(num),
        turn_id INTEGER NOT NULL REFERENCES turns(id), position INTEGER NOT NULL, key TEXT,
        kind TEXT NOT NULL, final INTEGER NOT NULL, recorded INTEGER NOT NULL, created_at REAL NOT NULL,
        length INTEGER NOT NULL, data TEXT NOT NULL, text TEXT NOT NULL);
INSERT INTO "items" VALUES(1,1,1,0,'prompt:1','prompt',1,0,1780000002.0,23,'{}','Count the herons
please');
INSERT INTO "items" VALUES(2,1,1,1,'m-1','text',1,1,1780000005.0,23,'{}','There are seven herons.');
INSERT INTO "items" VALUES(3,1,1,2,'t-1','tool',1,1,1780000006.0,9,'{"name":"shell","status":"completed"}','heron.txt');
INSERT INTO "items" VALUES(4,1,1,3,NULL,'text',1,0,1780000007.0,0,'{}','');
INSERT INTO "items" VALUES(5,1,2,0,'prompt:2','prompt',1,0,1780000008.0,15,'{}','And the storks?');
INSERT INTO "items" VALUES(6,1,2,1,'m-3','text',0,0,1780000010.0,11,'{}','Let me look');
CREATE TABLE marks (turn_id INTEGER PRIMARY KEY REFERENCES turns(id), mark TEXT NOT NULL);
INSERT INTO "marks" VALUES(1,'{"engine":"v2"}');
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('primary:/srv/work','first');
CREATE TABLE prompts (turn_id INTEGER PRIMARY KEY REFERENCES turns(id), text TEXT NOT NULL);
INSERT INTO "prompts" VALUES(1,'Count the herons
please');
INSERT INTO "prompts" VALUES(2,'And the storks?');
CREATE TABLE sessions (
        num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, cwd BLOB NOT NULL, title TEXT NOT NULL,
        engine TEXT, kiro_id TEXT, created_at REAL NOT NULL, updated_at REAL NOT NULL);
INSERT INTO "sessions" VALUES(1,'first',X'2F7372762F776F726B','Herons','v2','k-1',1780000001.0,1780000008.0);
INSERT INTO "sessions" VALUES(2,'second',X'2F7372762F6F74686572','',NULL,NULL,1780000011.0,1780000011.0);
CREATE TABLE turns (
        id INTEGER PRIMARY KEY, session_num INTEGER NOT NULL REFERENCES sessions(num),
        message_id INTEGER NOT NULL UNIQUE, state TEXT NOT NULL, origin TEXT NOT NULL,
        accepted_at REAL NOT NULL, ended_at REAL, changed_at REAL NOT NULL, problem TEXT);
INSERT INTO "turns" VALUES(1,1,0,'completed','user',1780000002.0,1780000007.0,1780000007.0,NULL);
INSERT INTO "turns" VALUES(2,1,2,'running','user',1780000008.0,NULL,1780000010.0,NULL);
CREATE INDEX turns_by_session ON turns (session_num);
CREATE INDEX turns_unfinished ON turns (session_num) WHERE ended_at IS NULL;
CREATE TRIGGER turns_end_once BEFORE UPDATE OF state, ended_at, problem ON turns
        WHEN OLD.ended_at IS NOT NULL BEGIN SELECT RAISE(ABORT, 'the turn is over'); END;
CREATE UNIQUE INDEX items_by_key ON items (session_num, key) WHERE key IS NOT NULL;
CREATE INDEX items_by_place ON items (session_num, turn_id, position) WHERE key IS NOT NULL;
CREATE INDEX events_by_session ON events (session_num);
CREATE UNIQUE INDEX events_by_item ON events (item_id) WHERE item_id IS NOT NULL;
CREATE UNIQUE INDEX events_end_once ON events (turn_id) WHERE state IN ('completed', 'cancelled', 'failed', 'interrupted');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',17);
COMMIT;
