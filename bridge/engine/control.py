"""How a running turn is told to stop."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any


class Control:
    """The `TurnControl` of one turn. `cancel` may be called from any thread, also after the end."""

    def __init__(self, remember: Callable[[Mapping[str, Any]], None]) -> None:
        self._remember = remember
        self._lock = threading.Lock()
        self._cancelled = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def wake_fd(self) -> int:
        """Return the descriptor that is readable once the turn is to be stopped."""
        return self._read

    def cancelled(self) -> bool:
        """Return whether the turn is to be stopped."""
        return self._cancelled

    def remember(self, mark: Mapping[str, Any]) -> None:
        """Keep `mark` durably with the turn."""
        self._remember(mark)

    def cancel(self) -> None:
        """Ask the turn to stop; asking twice changes nothing."""
        with self._lock:
            self._cancelled = True
            if self._write >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._write, b"x")

    def close(self) -> None:
        """Release the descriptors."""
        with self._lock:
            for fd in (self._read, self._write):
                if fd >= 0:
                    os.close(fd)
            self._read = self._write = -1
