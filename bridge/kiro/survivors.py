"""Finding and ending what is left of a run: members of its session, and processes that left it.

Invariant: no process outside a run is ever signalled. A run's session number is its first process's id,
which the kernel keeps from reuse while that process is not reaped or has session members. A process that
left the session is known by the run's random id in its environment, inherited at birth; before each signal
it is pinned by a pidfd and looked at again.

Only Linux has `/proc`; elsewhere nothing is found and the caller's group signals must do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

from bridge.kiro.environment import RUN_ID

_STEP = 0.01
"""Seconds between two looks at processes that were told to end."""

_KILL_PATIENCE = 2.0
"""Seconds to wait for killed processes to vanish; only one stuck in the kernel takes longer."""


def session_members(session: int) -> list[int]:
    """Return the live processes of a session, its dead leader not counted."""
    return [pid for pid in _processes() if _in_session(pid, session)]


def run_members(run_id: str) -> list[int]:
    """Return the live processes whose environment names the run, in its session or not."""
    return [pid for pid in _processes() if _of_run(pid, run_id)]


def signal_run(run_id: str, number: signal.Signals) -> None:
    """Send a signal to every process of a run."""
    for pid in run_members(run_id):
        _send(pid, number, lambda found: _of_run(found, run_id))


def end_session(session: int, patience: float) -> bool:
    """End a session's live processes: SIGTERM, and SIGKILL after `patience` seconds. Return whether none
    is left.
    """
    return _end(lambda: session_members(session), lambda pid: _in_session(pid, session), patience)


def end_run(run_id: str, patience: float, first: signal.Signals = signal.SIGTERM) -> bool:
    """End every process of a run: `first`, and SIGKILL after `patience` seconds. Return whether none is
    left.
    """
    return _end(lambda: run_members(run_id), lambda pid: _of_run(pid, run_id), patience, first)


def _end(
    find: Callable[[], list[int]],
    belongs: Callable[[int], bool],
    patience: float,
    first: signal.Signals = signal.SIGTERM,
) -> bool:
    started = time.monotonic()
    told: set[int] = set()
    while left := find():
        waited = time.monotonic() - started
        if waited > patience + _KILL_PATIENCE:
            return False
        late = waited > patience
        for pid in left:
            if late or pid not in told:
                _send(pid, signal.SIGKILL if late else first, belongs)
        told.update(left)
        time.sleep(_STEP)
    return True


def _send(pid: int, number: signal.Signals, belongs: Callable[[int], bool]) -> None:
    with contextlib.suppress(OSError):
        pinned = os.pidfd_open(pid)
        try:
            if belongs(pid):
                signal.pidfd_send_signal(pinned, number)
        finally:
            os.close(pinned)


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _in_session(pid: int, session: int) -> bool:
    state = _state(pid)
    return state is not None and state[1] == session


def _of_run(pid: int, run_id: str) -> bool:
    if _state(pid) is None:
        return False
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{RUN_ID}={run_id}".encode() in file.read().split(b"\0")
    except OSError:
        return False


def _state(pid: int) -> tuple[str, int] | None:
    """Return a live process's state letter and session; None for one that is dead or gone
    (proc_pid_stat(5)).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) < 4 or fields[0] in (b"Z", b"X"):
        return None
    return fields[0].decode(), int(fields[3])
