"""How the ledger's file is opened, written and read.

Invariant: one connection writes, behind a lock; every read sees one committed state on a connection of its
own and never waits for the writer (WAL). `close` of either part leaves no file open.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bridge.errors import LedgerError
from bridge.ledger import failures, schema, search

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another program that has the file locked."""

_IDLE_READERS = 8
_WAL_KEPT = 8 << 20


def connect(path: Path, options: str = "mode=rw") -> sqlite3.Connection:
    """Return a connection in manual transaction mode to a file that must exist. Raises `sqlite3.Error`."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?{options}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT,
    )
    connection.row_factory = sqlite3.Row
    return connection


def prepare(path: Path) -> sqlite3.Connection:
    """Return the writing connection to a usable ledger at `path`, created or migrated where needed.

    The caller holds the lock file. Raises `LedgerTooNew`, `LedgerCorrupt` (the file is then as it was),
    `LedgerFull`, `LedgerError`.
    """
    with failures.explained(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600))
        if not stat.S_ISREG(path.stat().st_mode):
            raise failures.corrupt(path, "it is not a regular file")
        path.chmod(0o600)
        unclean = _check(path)
        connection = connect(path)
        try:
            _configure(connection, path, unclean)
        except BaseException:
            connection.close()
            raise
        return connection


def _check(path: Path) -> bool:
    """Refuse what is not ours without changing a byte; return whether the last owner ended without closing.

    A read-only connection leaves a WAL alone but makes one where there is none, hence `immutable` for that
    case.
    """
    wal = path.with_name(path.name + "-wal")
    unclean = wal.exists() and wal.stat().st_size > 0
    with closing(connect(path, "mode=ro" if unclean else "mode=ro&immutable=1")) as connection:
        schema.check(connection, path, schema.MIGRATIONS)
    return unclean


def _configure(connection: sqlite3.Connection, path: Path, unclean: bool) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise LedgerError(
            f"The file system of {path} cannot keep SQLite's write-ahead log (it offers '{mode}').",
            "Put the ledger on a local disk.",
        )
    if unclean:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise failures.corrupt(path, f"its check says '{found}'")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT}")
    connection.execute("PRAGMA synchronous = FULL")
    schema.migrate(connection, schema.MIGRATIONS)
    search.prepare(connection)


class Writer:
    """The one connection that writes."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Take over `connection`, as `prepare` returned it."""
        self._connection = connection
        self._path = path
        self._lock = threading.Lock()
        self._closed = False
        self._durable = True
        self._inode = path.stat().st_ino

    @contextmanager
    def transaction(self, *, durable: bool = False, references: bool = True) -> Iterator[sqlite3.Connection]:
        """Run the block in one transaction: all of it is stored, or after an exception nothing.

        Any commit survives the death of this process; a `durable` one also survives the machine's. Without
        `references` SQLite does not check foreign keys: the block sees to them. Raises `LedgerFull`, `LedgerCorrupt`,
        `LedgerError` for what SQLite says, and whatever the block raises.
        """
        with self._lock:
            if self._closed:
                raise failures.closed(self._path)
            if durable:
                self._check_place()
            with failures.explained(self._path), self._referring(references), self._begun(durable):
                yield self._connection

    @contextmanager
    def _referring(self, references: bool) -> Iterator[None]:
        if references:
            yield
            return
        self._connection.execute("PRAGMA foreign_keys = OFF")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA foreign_keys = ON")

    @contextmanager
    def _begun(self, durable: bool) -> Iterator[None]:
        if durable != self._durable:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself where the disk is full: this is then without effect.
            self._connection.rollback()
            raise

    def _check_place(self) -> None:
        try:
            there = self._path.stat().st_ino
        except OSError:
            there = -1
        if there != self._inode:
            raise failures.moved(self._path)

    def close(self) -> None:
        """Wait for a running transaction, then close the connection. May be called again."""
        with self._lock:
            self._closed = True
            self._connection.close()


class Readers:
    """Connections that read, each used by one thread at a time and kept for the next."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet: connections to `path` are made when they are needed."""
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._busy = 0
        self._closed = False
        self._changed = threading.Condition()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Give the block a connection that sees one committed state throughout. Raises `LedgerError`."""
        with self._changed:
            if self._closed:
                raise failures.closed(self._path)
            self._busy += 1
            connection = self._idle.pop() if self._idle else None
        healthy = False
        try:
            with failures.explained(self._path):
                connection = connection or self._open()
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
            healthy = True
        finally:
            self._give_back(connection, healthy)

    def _open(self) -> sqlite3.Connection:
        connection = connect(self._path)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _give_back(self, connection: sqlite3.Connection | None, healthy: bool) -> None:
        with self._changed:
            self._busy -= 1
            if healthy and connection and not self._closed and len(self._idle) < _IDLE_READERS:
                self._idle.append(connection)
            elif connection:
                connection.close()
            self._changed.notify_all()

    def close(self) -> None:
        """Refuse new reads, wait for those that run, and close every connection. May be called again."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._busy)
            while self._idle:
                self._idle.pop().close()
