"""What a stopped turn left running.

Invariant: only processes of our own run are looked at, and only those that began after the turn did: the servers that a
session has had since its start are not the turn's.
"""

from __future__ import annotations

import os
import time

from bridge.kiro.survivors import run_members

_STEP = 0.02


class Strays:
    """Counts from its making: the beginning of the turn."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._began: float | None = None
        if hasattr(time, "CLOCK_BOOTTIME"):
            self._began = time.clock_gettime(time.CLOCK_BOOTTIME) - _tick()

    def stay(self, patience: float) -> bool:
        """Return whether something that the turn started still runs after `patience` seconds."""
        deadline = time.monotonic() + patience
        while self._any():
            if time.monotonic() >= deadline:
                return True
            time.sleep(_STEP)
        return False

    def _any(self) -> bool:
        began = self._began
        return began is not None and any(_started(pid) >= began for pid in run_members(self._run_id))


def _tick() -> float:
    """Return the seconds by which start times are rounded down."""
    return 1.0 / os.sysconf("SC_CLK_TCK")


def _started(pid: int) -> float:
    """Return when a process began, in seconds since the machine did; -1 for one that is gone (proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return int(fields[19]) * _tick()
    except (OSError, ValueError, IndexError):
        return -1.0
