"""A way to interrupt what runs in the background when its owner is closed."""

from __future__ import annotations

import os


class Ending:
    """A `Cancellation` (bridge.core.ports) that happens once."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._begun = False

    def wake_fd(self) -> int:
        """Return the descriptor that is readable once it has begun."""
        return self._read

    def cancelled(self) -> bool:
        """Return whether it has begun."""
        return self._begun

    def begin(self) -> None:
        """Interrupt what is under way; beginning twice changes nothing."""
        if not self._begun:
            self._begun = True
            os.write(self._write, b"x")

    def release(self) -> None:
        """Close the descriptors, once nothing waits for them; again: nothing."""
        for fd in (self._read, self._write):
            if fd >= 0:
                os.close(fd)
        self._read = self._write = -1
