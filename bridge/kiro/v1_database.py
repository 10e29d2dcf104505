"""Kiro's SQLite database, opened for reading only.

Invariant: nothing is written, and no lock is held between calls. A row's columns behind `value` are never asked for
without need: SQLite has to walk through the whole value to reach them, so `updated_at` comes out of the covering index
`idx_conversations_v2_key_updated` (facts/kiro-cli.md 2).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from bridge.errors import BridgeError

Condition = Literal["missing", "locked", "unreadable", "damaged"]

NEWEST_SQL = "SELECT rowid, updated_at FROM conversations_v2 WHERE key = ? ORDER BY updated_at DESC LIMIT ?"
LISTED_SQL = "SELECT rowid, key, updated_at FROM conversations_v2 ORDER BY updated_at DESC LIMIT ?"
FOLDER_SQL = "SELECT rowid, key, updated_at FROM conversations_v2 WHERE key = ? ORDER BY updated_at DESC LIMIT ?"
UPDATED_SQL = "SELECT updated_at FROM conversations_v2 WHERE key = ? AND +rowid = ? ORDER BY updated_at DESC LIMIT 1"
ROWID_SQL = "SELECT rowid, key FROM conversations_v2 WHERE key = ? AND conversation_id = ?"
ANY_ROWID_SQL = "SELECT rowid, key FROM conversations_v2 WHERE conversation_id = ?"
ID_SQL = "SELECT conversation_id FROM conversations_v2 WHERE rowid = ?"
VALUE_SQL = "SELECT value FROM conversations_v2 WHERE rowid = ?"
LEGACY_SQL = "SELECT value FROM conversations WHERE key = ?"


class DatabaseTrouble(BridgeError):
    """The database cannot be read now; `condition` says why."""

    code = "kiro_database"

    def __init__(self, condition: Condition, cause: str) -> None:
        super().__init__(cause)
        self.condition = condition


class Database:
    """One connection, kept while the file at `path` stays the same. All methods but `close` raise DatabaseTrouble."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._wait_ms = -1
        self._opened = 0
        self._tables: frozenset[str] = frozenset()

    def ready(self, wait_ms: int) -> bool:
        """Open the database if need be; return whether it is another file than before.

        A locked database is waited for at most `wait_ms` milliseconds by what follows.
        """
        try:
            about = os.stat(self._path)
        except FileNotFoundError:
            self.close()
            raise DatabaseTrouble("missing", "There is no database.") from None
        except (OSError, ValueError) as error:
            self.close()
            raise DatabaseTrouble("unreadable", str(error)) from None
        file = about.st_dev, about.st_ino
        replaced = self._file is not None and file != self._file
        if replaced or self._connection is None:
            self.close()
            self._open()
        self._file = file
        if wait_ms != self._wait_ms:
            self._rows(f"PRAGMA busy_timeout = {int(wait_ms)}")
            self._wait_ms = wait_ms
        return replaced

    def _open(self) -> None:
        address = f"file:{quote(str(self._path.absolute()))}?mode=ro"
        try:
            connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, ValueError) as error:
            raise DatabaseTrouble("unreadable", str(error)) from None
        connection.text_factory = bytes
        self._connection, self._wait_ms = connection, -1
        self._opened += 1

    def version(self) -> tuple[int, int]:
        """Return a pair that changes when another connection has committed something, or ours is a new one."""
        return self._opened, int(self._rows("PRAGMA data_version")[0][0])

    def find_tables(self) -> None:
        """Learn which tables there are; they come with Kiro's first start."""
        found = self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        self._tables = frozenset(_text(row[0]) for row in found)

    def newest(self, key: str, limit: int) -> list[tuple[int, int]]:
        """Return (rowid, updated_at in milliseconds) of the folder's conversations, newest first."""
        rows = self._rows(NEWEST_SQL, (key, limit)) if "conversations_v2" in self._tables else []
        return [(rowid, updated if isinstance(updated, int) else 0) for rowid, updated in rows]

    def listed(self, key: str | None, limit: int) -> list[tuple[int, str, int]]:
        """Return (rowid, folder, updated_at in milliseconds), newest first, of a folder or of all."""
        if "conversations_v2" not in self._tables:
            return []
        rows = self._rows(LISTED_SQL if key is None else FOLDER_SQL, (limit,) if key is None else (key, limit))
        return [(rowid, _text(name), updated if isinstance(updated, int) else 0) for rowid, name, updated in rows]

    def place(self, key: str, conversation_id: str) -> tuple[int, str] | None:
        """Return rowid and key of a conversation, the one under `key` first: it can stand under several."""
        if "conversations_v2" not in self._tables:
            return None
        rows = self._rows(ROWID_SQL, (key, conversation_id)) or self._rows(ANY_ROWID_SQL, (conversation_id,))
        rowid, name = max(rows, default=(None, None))
        return (rowid, _text(name)) if rowid is not None else None

    def updated_at(self, key: str, rowid: int) -> int | None:
        """Return when the row was written, in milliseconds; None when it is gone."""
        rows = self._rows(UPDATED_SQL, (key, rowid))
        return rows[0][0] if rows and isinstance(rows[0][0], int) else (0 if rows else None)

    def conversation_id(self, rowid: int) -> str | None:
        """Return the conversation that the row holds."""
        rows = self._rows(ID_SQL, (rowid,))
        return _text(rows[0][0]) if rows else None

    def value(self, rowid: int) -> bytes | None:
        """Return the row's value."""
        return _value(self._rows(VALUE_SQL, (rowid,)))

    def legacy_value(self, key: str) -> bytes | None:
        """Return the folder's value in the older table, which holds one conversation per folder."""
        return _value(self._rows(LEGACY_SQL, (key,))) if "conversations" in self._tables else None

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        if self._connection is None:
            raise DatabaseTrouble("missing", "The database is not open.")
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            condition = _condition(str(error))
            if condition != "locked":
                self.close()
            raise DatabaseTrouble(condition, str(error)) from None
        except (ValueError, OverflowError) as error:
            raise DatabaseTrouble("damaged", str(error)) from None

    def close(self) -> None:
        """Close the connection; the next `ready` opens it again."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._tables = None, frozenset()


def _condition(message: str) -> Condition:
    if "locked" in message or "busy" in message:
        return "locked"
    if "unable to open" in message or "readonly" in message or "I/O error" in message:
        return "unreadable"
    return "damaged"


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _value(rows: list[Any]) -> bytes | None:
    """Return the text or blob of the only row; another type is as good as none."""
    return rows[0][0] if rows and isinstance(rows[0][0], bytes) else None
