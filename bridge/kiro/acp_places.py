"""How many ACP processes there may be, and which must go for another one.

Invariant: at most `limit` processes hold a place. One that works or waits for a person is never ended for another. A
file per process names its run, so that what a killed bridge left behind is found at the next start.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bridge.core.ports import Cancellation
from bridge.kiro.survivors import end_run

_STEP = 0.1


class Places:
    """Gives out places. Safe for several threads. `folder` keeps the names of the runs; it is made when needed."""

    def __init__(self, limit: int, folder: Path) -> None:
        self._limit = limit
        self._folder = folder
        self._lock = threading.Lock()
        self._taken: dict[str, Callable[[], bool]] = {}
        self._asking: dict[str, str] = {}

    def end_leftovers(self, grace: float) -> None:
        """End the processes that an earlier bridge on the same ledger left behind."""
        for path in list(self._folder.iterdir()) if self._folder.is_dir() else []:
            end_run(path.name, grace)
            path.unlink(missing_ok=True)

    def refuses(self, engine: str) -> str | None:
        """Return why an engine is not driven over ACP any more, None when it may be."""
        return self._asking.get(engine)

    def refuse(self, engine: str, why: str) -> None:
        """Drive an engine over ACP no more, in any session."""
        self._asking[engine] = why

    @property
    def limit(self) -> int:
        """Return how many processes there may be."""
        return self._limit

    def take(
        self, run_id: str, suspend: Callable[[], bool], control: Cancellation | None, *, wait: bool = True
    ) -> bool:
        """Take a place; False when there is none and we do not wait, or when `control` says to stop meanwhile.

        `suspend` ends the holder's process if it is idle, gives the place back, and tells whether it did; it is called
        from other threads.
        """
        while True:
            with self._lock:
                if len(self._taken) < self._limit:
                    self._taken[run_id] = suspend
                    self._note(run_id)
                    return True
                holders = list(self._taken.values())
            if control is not None and control.cancelled():
                return False
            if not any(suspended() for suspended in holders):
                if not wait:
                    return False
                time.sleep(_STEP)

    def used(self, run_id: str) -> None:
        """Take that a process was used just now: the one that was idle longest goes first."""
        with self._lock:
            if run_id in self._taken:
                self._taken[run_id] = self._taken.pop(run_id)

    def give(self, run_id: str) -> None:
        """Take a place back."""
        with self._lock:
            self._taken.pop(run_id, None)
        with contextlib.suppress(OSError):
            (self._folder / run_id).unlink(missing_ok=True)

    def _note(self, run_id: str) -> None:
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._folder / run_id).touch(mode=0o600)
