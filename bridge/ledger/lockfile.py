"""The lock that makes one process the owner of a ledger.

Invariant: the lock lives as long as the open file, so it ends with its process however that dies; the file
itself stays, because removing it would let two owners hold two different files. A child that the owner was just
starting when it died holds the file until it has become another program: that moment is waited out.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from bridge.errors import LedgerLocked

_PATIENCE = 5.0
"""Seconds to wait for the lock of an owner that is dead."""

_PAUSE = 0.01


class LockFile:
    """An exclusive lock on `path`, which holds the owner's process id and a line end."""

    def __init__(self, path: Path) -> None:
        """Take the lock, at once unless its owner is dead. Raises `LedgerLocked` naming the owner, or `OSError`."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(path)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(self._fd)
            raise

    def _take(self, path: Path) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
                if not _is_dead(owner) or time.monotonic() > deadline:
                    raise _taken(path, owner) from None
            time.sleep(_PAUSE)

    def release(self) -> None:
        """Give the lock back. A process forked meanwhile does not keep it. Call it once."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)


def _is_dead(owner: str) -> bool:
    """Return whether the process that wrote its id is gone, or only waits to be collected."""
    if not owner.isdigit() or int(owner) == os.getpid():
        return False
    try:
        os.kill(int(owner), 0)
        state = Path("/proc", owner, "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return state[:1] == ["Z"]


def _taken(path: Path, owner: str) -> LedgerLocked:
    who = f"process {owner}" if owner.isdigit() else "another process"
    return LedgerLocked(
        f"The ledger is in use by {who} (lock file {path}), and two bridges must not write to one ledger.",
        "Stop that bridge, or give this one another ledger file.",
    )
