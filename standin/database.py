"""Kiro's SQLite file: schema, migrations, the login rows.

Invariant: the end state of migrations 0 to 9 as in facts/kiro-cli.md 2; the file has mode 0600; the journal mode is
`delete` (14 no. 1) unless KIRO_STANDIN_JOURNAL says `wal` (section 1: both are met). The login rows are no login:
their values only mark what must never be seen elsewhere.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from standin import places

#: Longer than a real program would wait, so that a test alone decides how long the file is locked.
BUSY_SECONDS = 60.0
FAKE_TOKEN = "standin-access-token-that-must-never-be-shown"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS migrations (
  id INTEGER PRIMARY KEY, version INTEGER NOT NULL, migration_time INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS history (id INTEGER PRIMARY KEY, command TEXT, shell TEXT, pid INTEGER, session_id TEXT,
  cwd TEXT, start_time INTEGER, hostname TEXT, exit_code INTEGER, end_time INTEGER, duration INTEGER);
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB);
CREATE TABLE IF NOT EXISTS auth_kv (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS conversations (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS conversations_v2 (key TEXT NOT NULL, conversation_id TEXT NOT NULL, value TEXT NOT NULL,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (key, conversation_id));
CREATE INDEX IF NOT EXISTS idx_conversations_v2_key_updated ON conversations_v2 (key, updated_at DESC);
CREATE INDEX IF NOT EXISTS idx_conversations_v2_updated_at ON conversations_v2 (updated_at);
CREATE TABLE IF NOT EXISTS extracted_kas_versions (version TEXT PRIMARY KEY, last_used_at INTEGER);
"""


def connect(path: Path | None = None) -> sqlite3.Connection:
    """A connection in autocommit mode to the file, which is created with its tables when it is missing."""
    path = path or places.database()
    fresh = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    os.chmod(path, 0o600)
    if os.environ.get("KIRO_STANDIN_JOURNAL") == "wal":
        connection.execute("PRAGMA journal_mode=WAL")
    if fresh or not connection.execute("SELECT 1 FROM sqlite_master WHERE name='extracted_kas_versions'").fetchone():
        _create(connection)
    return connection


def _create(connection: sqlite3.Connection) -> None:
    """Tables, ten migration rows and the login rows in one transaction."""
    connection.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
    now = int(time.time())
    connection.execute("BEGIN IMMEDIATE")
    for version in range(10):
        connection.execute("INSERT OR IGNORE INTO migrations VALUES (?, ?, ?)", (version + 1, version, now))
    token = f'{{"access_token":"{FAKE_TOKEN}","refresh_token":"{FAKE_TOKEN}","expires_at":"2099-01-01T00:00:00Z"}}'
    connection.execute("INSERT OR IGNORE INTO auth_kv VALUES ('kirocli:odic:token', ?)", (token,))
    connection.execute("COMMIT")
