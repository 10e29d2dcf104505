"""The lock that makes one process the owner of a ledger.

Invariant: the lock lives as long as the open file, so it ends with its process however that dies; the file
itself stays, because removing it would let two owners hold two different files.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bridge.errors import LedgerLocked


class LockFile:
    """An exclusive lock on `path`, which holds the owner's process id and a line end."""

    def __init__(self, path: Path) -> None:
        """Take the lock at once. Raises `LedgerLocked` naming the owner, or `OSError`."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise _taken(path, owner) from None
        except OSError:
            os.close(self._fd)
            raise

    def release(self) -> None:
        """Give the lock back. A process forked meanwhile does not keep it. Call it once."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)


def _taken(path: Path, owner: str) -> LedgerLocked:
    who = f"process {owner}" if owner.isdigit() else "another process"
    return LedgerLocked(
        f"The ledger is in use by {who} (lock file {path}), and two bridges must not write to one ledger.",
        "Stop that bridge, or give this one another ledger file.",
    )
