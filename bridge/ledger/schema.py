"""The tables, and how an older file becomes a newer one.

Invariant: `PRAGMA user_version` is the number of the last migration that was committed; each migration is one
transaction, so a file is always at exactly one version.

What is changed often is small: prompt and mark stand apart from `turns`, the growing text stands in `chunks`,
and the sequence of an item's last change is its row in `events`, so that appending text never rewrites text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from bridge.core.text import first_line
from bridge.ledger import failures

Migration = tuple[int, Callable[[sqlite3.Connection], None]]

APPLICATION_ID = 0x4B42_4C31
"""Tells our files from any other program's SQLite files, such as Kiro's own."""

_OVER = "('completed', 'cancelled', 'failed', 'interrupted')"

_VERSION_1 = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE sessions (
        num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, cwd BLOB NOT NULL, title TEXT NOT NULL,
        engine TEXT, kiro_id TEXT, created_at REAL NOT NULL, updated_at REAL NOT NULL)""",
    """CREATE TABLE turns (
        id INTEGER PRIMARY KEY, session_num INTEGER NOT NULL REFERENCES sessions(num),
        message_id INTEGER NOT NULL UNIQUE, state TEXT NOT NULL, origin TEXT NOT NULL,
        accepted_at REAL NOT NULL, ended_at REAL, changed_at REAL NOT NULL, problem TEXT)""",
    "CREATE INDEX turns_by_session ON turns (session_num)",
    "CREATE INDEX turns_unfinished ON turns (session_num) WHERE ended_at IS NULL",
    """CREATE TRIGGER turns_end_once BEFORE UPDATE OF state, ended_at, problem ON turns
        WHEN OLD.ended_at IS NOT NULL BEGIN SELECT RAISE(ABORT, 'the turn is over'); END""",
    "CREATE TABLE prompts (turn_id INTEGER PRIMARY KEY REFERENCES turns(id), text TEXT NOT NULL)",
    "CREATE TABLE marks (turn_id INTEGER PRIMARY KEY REFERENCES turns(id), mark TEXT NOT NULL)",
    """CREATE TABLE items (
        id INTEGER PRIMARY KEY, session_num INTEGER NOT NULL REFERENCES sessions(num),
        turn_id INTEGER NOT NULL REFERENCES turns(id), position INTEGER NOT NULL, key TEXT,
        kind TEXT NOT NULL, final INTEGER NOT NULL, recorded INTEGER NOT NULL, created_at REAL NOT NULL,
        length INTEGER NOT NULL, data TEXT NOT NULL, text TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX items_by_key ON items (session_num, key) WHERE key IS NOT NULL",
    "CREATE INDEX items_by_place ON items (session_num, turn_id, position) WHERE key IS NOT NULL",
    """CREATE TABLE chunks (
        item_id INTEGER NOT NULL REFERENCES items(id), start INTEGER NOT NULL, finish INTEGER NOT NULL,
        text TEXT NOT NULL, PRIMARY KEY (item_id, start)) WITHOUT ROWID""",
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, session_num INTEGER NOT NULL REFERENCES sessions(num),
        kind TEXT NOT NULL CHECK (kind IN ('session', 'turn', 'item', 'removed')),
        turn_id INTEGER REFERENCES turns(id), item_id INTEGER REFERENCES items(id), state TEXT,
        at REAL NOT NULL)""",
    "CREATE INDEX events_by_session ON events (session_num)",
    "CREATE UNIQUE INDEX events_by_item ON events (item_id) WHERE item_id IS NOT NULL",
    f"CREATE UNIQUE INDEX events_end_once ON events (turn_id) WHERE state IN {_OVER}",
)


LAST_LINE_LENGTH = 160
"""Characters of what was said last that stand with a session."""

_INDEXED_LENGTH = 20_000
"""Characters of an item that can be searched for: a tool's output can be of any length."""

_VERSION_2 = (
    "ALTER TABLE sessions ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE sessions ADD COLUMN archived INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE sessions ADD COLUMN origin TEXT NOT NULL DEFAULT 'bridge'",
    "ALTER TABLE sessions ADD COLUMN options TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE sessions ADD COLUMN named INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE sessions ADD COLUMN last_line TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE sessions ADD COLUMN held TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE sessions ADD COLUMN adopting INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE sessions ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE prompts ADD COLUMN sent TEXT NOT NULL DEFAULT ''",
    """CREATE TABLE queue (
        id INTEGER PRIMARY KEY AUTOINCREMENT, session_num INTEGER NOT NULL REFERENCES sessions(num),
        place INTEGER NOT NULL, created_at REAL NOT NULL, text TEXT NOT NULL)""",
    "CREATE INDEX queue_by_place ON queue (session_num, place)",
    """CREATE TABLE contexts (
        session_num INTEGER PRIMARY KEY REFERENCES sessions(num), title TEXT NOT NULL, text TEXT NOT NULL)""",
    f"""CREATE VIEW search_texts AS SELECT id, substr(text, 1, {_INDEXED_LENGTH}) AS text FROM items""",
    "CREATE TABLE indexed (item_id INTEGER PRIMARY KEY)",
    "CREATE TABLE to_index (turn_id INTEGER PRIMARY KEY)",
    "INSERT INTO to_index SELECT id FROM turns",
)
"""`indexed` holds the items whose text stands in the search index, `to_index` the turns that may have others."""


def _add_sessions(connection: sqlite3.Connection) -> None:
    for statement in _VERSION_2:
        connection.execute(statement)
    last = connection.execute(
        "SELECT s.num, substr(p.text, 1, 2000) FROM sessions s JOIN prompts p"
        " ON p.turn_id = (SELECT max(id) FROM turns WHERE session_num = s.num)"
    ).fetchall()
    connection.executemany(
        "UPDATE sessions SET last_line = ? WHERE num = ?",
        [(first_line(text, LAST_LINE_LENGTH), number) for number, text in last],
    )


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in _VERSION_1:
        connection.execute(statement)


MIGRATIONS: tuple[Migration, ...] = ((1, _create), (2, _add_sessions))


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema version of the file, 0 for a new one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Raise `LedgerTooNew` or `LedgerCorrupt` where the file is not one we may write to. Changes nothing."""
    version, known = version_of(connection), migrations[-1][0]
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    empty = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
    if application != APPLICATION_ID and not (empty and version == 0):
        raise failures.corrupt(path, "it is a database of another program, not a ledger of this bridge")
    if version > known:
        raise failures.too_new(path, version, known)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the file to the newest version, one transaction for each step.

    `migrations` are (version, function) in ascending order. A step that raises leaves the file at the version
    before it. Foreign keys are checked at the end of each step and not enforced within it, so that a step may
    rebuild tables.
    """
    connection.execute("PRAGMA foreign_keys = OFF")
    for version, change in migrations:
        if version <= version_of(connection):
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            change(connection)
            broken = connection.execute("PRAGMA foreign_key_check").fetchone()
            if broken is not None:
                raise sqlite3.IntegrityError(f"migration {version} leaves a dangling row in {broken[0]}")
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
    connection.execute("PRAGMA foreign_keys = ON")
