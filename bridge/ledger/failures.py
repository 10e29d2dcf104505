"""What SQLite and the file system say, told as the bridge's own errors.

Invariant: nothing outside this room ever sees a `sqlite3.Error`; each error names the file and what to do.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge.errors import LedgerCorrupt, LedgerError, LedgerFull, LedgerTooNew

MOVE_ASIDE = (
    "Move it aside, together with its -wal and -shm files, and start the bridge again: it then begins a new "
    "ledger. Kiro's own conversations are not touched."
)
_CORRUPT = ("malformed", "not a database", "malformed database schema", "unsupported file format")


def corrupt(path: Path, found: str) -> LedgerCorrupt:
    """Return the error for a file that is no ledger any more; `found` says what SQLite found."""
    return LedgerCorrupt(f"The ledger {path} cannot be used: {found}. Nothing was written to it.", MOVE_ASIDE)


def too_new(path: Path, found: int, known: int) -> LedgerTooNew:
    """Return the error for a file of schema version `found`, where this bridge knows up to `known`."""
    return LedgerTooNew(
        f"The ledger {path} was written by a newer bridge (schema {found}, this bridge knows up to {known}). "
        "Nothing was changed in it.",
        "Start the newer bridge again, or give this one another ledger file.",
    )


def closed(path: Path) -> LedgerError:
    """Return the error for using a ledger that has been closed."""
    return LedgerError(f"The ledger {path} is closed.", "The bridge is shutting down: start it again.")


def moved(path: Path) -> LedgerError:
    """Return the error for a ledger whose file was moved, replaced or deleted under the running bridge."""
    return LedgerError(
        f"The ledger {path} was moved, replaced or deleted under the running bridge, which can keep nothing now.",
        "Put the file back or leave it away, then restart the bridge.",
        code="ledger_moved",
    )


def explain(error: sqlite3.Error, path: Path) -> LedgerError:
    """Return the bridge's error for what SQLite said about `path`.

    SQLite's result codes are not on the exception before Python 3.11, hence the look at its fixed texts
    (sqlite3_errstr).
    """
    text = str(error)
    if "disk is full" in text or (text == "disk I/O error" and _no_space(path)):
        return LedgerFull(
            f"The disk that holds the ledger {path} is full, so nothing more can be kept.",
            "Free some space there; the bridge goes on by itself, no restart is needed.",
        )
    if any(sign in text for sign in _CORRUPT):
        return corrupt(path, f"SQLite says '{text}'")
    if "locked" in text:
        return LedgerError(
            f"Another program holds the ledger {path} locked.",
            "End the program that has it open (a database browser, a backup) and try again.",
            code="ledger_busy",
        )
    if "unable to open" in text or "readonly" in text:
        return LedgerError(
            f"The ledger {path} cannot be opened for writing ({text}).",
            "Check that the file and its directory exist and belong to the user who runs the bridge.",
        )
    return LedgerError(f"The ledger {path} failed: {text}.", "Check the disk, then restart the bridge.")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn any `sqlite3.Error` or `OSError` of the block into a `LedgerError` about `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except OSError as error:
        raise LedgerError(
            f"The ledger {path} cannot be used: {error.strerror or error}.",
            "Check that its directory is on a local disk and belongs to the user who runs the bridge.",
        ) from error


def _no_space(path: Path) -> bool:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < 1 << 20
