"""How many turns run at the same time.

Invariant: never more than `most`, but for those that are only begun to be ended; the others begin in the order in which
they came.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

Begin = Callable[[], None]


class Slots:
    """Begins turns when there is room for them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._running = 0
        self._waiting: deque[Begin] = deque()

    def enter(self, begin: Begin) -> None:
        """Call `begin` now, or when others have left."""
        with self._lock:
            if self._running >= self._most:
                self._waiting.append(begin)
                return
            self._running += 1
        begin()

    def hurry(self, begin: Begin) -> None:
        """Call `begin` now if it still waits: what it begins is to be ended at once."""
        with self._lock:
            if begin not in self._waiting:
                return
            self._waiting.remove(begin)
            self._running += 1
        begin()

    def waits(self, begin: Begin) -> bool:
        """Return whether `begin` was not called yet."""
        with self._lock:
            return begin in self._waiting

    def leave(self) -> None:
        """Note that a turn which was begun is over."""
        with self._lock:
            self._running -= 1
            begin = self._waiting.popleft() if self._waiting and self._running < self._most else None
            if begin is not None:
                self._running += 1
        if begin is not None:
            begin()
