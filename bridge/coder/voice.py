"""How a report reaches Coder: what every way of telling has in common.

Invariant: a voice never waits longer than it is told to, and says why when it could not tell.
"""

from __future__ import annotations

from typing import Protocol

from bridge.coder.rules import Report


class Untold(Exception):
    """A report did not reach Coder; the text says why."""


class Voice(Protocol):
    """One way of telling Coder. Used from one thread."""

    @property
    def name(self) -> str:
        """Return what the log calls it."""

    def tell(self, report: Report, timeout: float) -> None:
        """Tell Coder, within about `timeout` seconds. Raises `Untold`."""

    def close(self) -> None:
        """Release everything, in bounded time. Nothing is told afterwards."""
