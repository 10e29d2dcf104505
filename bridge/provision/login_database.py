"""The login in Kiro's SQLite file: which rows it is, and how it gets from one file into another.

Invariant: conversations are never touched, and the login is replaced in one transaction. Values are moved, never
looked at, but for the time a token ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from bridge.files import make_private_directory
from bridge.provision.progress import ProvisionError

_BUSY_SECONDS = 15.0
_LOGIN_STATE = "key LIKE '%profile%' OR key LIKE 'auth.%'"
"""The rows of `state` that belong to a login: profile, start address and region (facts/kiro-cli.md 10)."""
_TOKEN = "key LIKE '%:token'"
_LOGIN = (("auth_kv", "1"), ("state", _LOGIN_STATE))


def check(database: Path) -> None:
    """See that the file is a database of Kiro's with a login in it. Raises `ProvisionError`."""
    with _reading(database) as connection:
        missing = {"auth_kv", "migrations"} - _tables(connection)
        if missing:
            raise _unusable(f"there is no table {min(missing)} in it")
        if not connection.execute(f"SELECT 1 FROM auth_kv WHERE {_TOKEN} LIMIT 1").fetchone():
            raise _unusable("nobody is logged in in it")


def has_tables(database: Path) -> bool:
    """Return whether the file is a database that Kiro has used. Raises `ProvisionError` for one that is damaged."""
    with _reading(database) as connection:
        return {"auth_kv", "state"} <= _tables(connection)


def ends(database: Path) -> str:
    """Return when the login's last token ends, as ISO 8601 text to be compared; empty when there is none."""
    found = [""]
    with _reading(database) as connection:
        for (value,) in connection.execute(f"SELECT value FROM auth_kv WHERE {_TOKEN}"):
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                text = json.loads(value).get("expires_at")
                found.append(text if isinstance(text, str) and re.match(r"\d{4}-\d\d-\d\dT", text) else "")
    return max(found)


def move_into_place(source: Path, target: Path) -> None:
    """Make the database at `source`, on the same file system, the one at `target`. Raises `OSError`, `ProvisionError`.

    What stands in its write-ahead log is brought in first.
    """
    with _errors(source), contextlib.closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    make_private_directory(target.parent)
    source.chmod(0o600)
    os.replace(source, target)


def replace_login(source: Path, target: Path) -> None:
    """Replace the login in `target` by the one in `source`; everything else stays. Raises `ProvisionError`."""
    with _reading(source) as other:
        rows = {
            table: other.execute(f"SELECT key, value FROM {table} WHERE {which}").fetchall()
            for table, which in _LOGIN
            if table in _tables(other)
        }
    with _errors(target), contextlib.closing(_connect(target)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table, which in _LOGIN:
            connection.execute(f"DELETE FROM {table} WHERE {which}")
            connection.executemany(f"INSERT OR REPLACE INTO {table} (key, value) VALUES (?, ?)", rows.get(table, []))
        connection.execute("COMMIT")
    target.chmod(0o600)


def copy_login(source: Path, target: Path) -> None:
    """Make a new database at `target` with the schema, the migrations and the login of `source`, nothing else.

    Raises `ProvisionError`.
    """
    with _reading(source) as other, _errors(target), contextlib.closing(_connect(target)) as connection:
        schema = other.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type DESC"
        )
        for (sql,) in schema.fetchall():
            connection.execute(sql)
        connection.execute("BEGIN")
        for table, which in (("migrations", "1"), *_LOGIN):
            if table not in _tables(other):
                continue
            cursor = other.execute(f"SELECT * FROM {table} WHERE {which}")
            places = ", ".join("?" for _ in cursor.description)
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", cursor)
        connection.execute("COMMIT")
        connection.execute("VACUUM")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with (
        _errors(path),
        contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
        ) as connection,
    ):
        connection.execute("PRAGMA trusted_schema=OFF")
        yield connection


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" not in str(error) and "busy" not in str(error):
            raise _unusable(str(error)) from None
        raise ProvisionError(
            f"The database {path} is in use by another program and could not be changed.",
            "End kiro-cli in this workspace, then start the workspace again.",
            code="login_busy",
        ) from None
    except sqlite3.DatabaseError as error:
        raise _unusable(str(error)) from None


def _unusable(cause: str) -> ProvisionError:
    return ProvisionError(
        f"The login cannot be used: {cause}.",
        "Log in with `kiro-cli login` where it comes from, then pack it again with `kiro-bridge pack-login`.",
        code="login_unusable",
    )
