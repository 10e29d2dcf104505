"""How a running turn is told something: to stop, an answer, a message."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.core.ports import TurnMessage
from bridge.core.records import SessionOptions


class Control:
    """The `TurnControl` of one turn. `cancel` and `tell` may be called from any thread, also after the end."""

    def __init__(
        self, remember: Callable[[Mapping[str, Any]], None], options: Callable[[], SessionOptions] = SessionOptions
    ) -> None:
        self._remember = remember
        self._options = options
        self._lock = threading.Lock()
        self._cancelled = False
        self._messages: list[TurnMessage] = []
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def wake_fd(self) -> int:
        """Return the descriptor that is readable while something is to be taken, and once the turn is to be stopped."""
        return self._read

    def cancelled(self) -> bool:
        """Return whether the turn is to be stopped."""
        return self._cancelled

    def take(self) -> Sequence[TurnMessage]:
        """Return what was said to the turn since the last call, in order."""
        with self._lock:
            messages, self._messages = self._messages, []
            if messages and not self._cancelled and self._read >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._read, 4096)
        return messages

    def options(self) -> SessionOptions:
        """Return the session's wishes as they are now."""
        return self._options()

    def remember(self, mark: Mapping[str, Any]) -> None:
        """Keep `mark` durably with the turn."""
        self._remember(mark)

    def cancel(self) -> None:
        """Ask the turn to stop; asking twice changes nothing."""
        with self._lock:
            self._cancelled = True
            self._wake()

    def tell(self, message: TurnMessage) -> None:
        """Hand the turn an answer or a message."""
        with self._lock:
            self._messages.append(message)
            self._wake()

    def _wake(self) -> None:
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
