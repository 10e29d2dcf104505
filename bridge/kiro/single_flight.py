"""The same question to kiro-cli is asked by one program at a time; who asks it meanwhile gets that answer too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from bridge.core.ports import Cancellation

_LOOK = 0.05
"""Seconds between two looks at whether one that waits is to stop."""

T = TypeVar("T")


class _Flight:
    def __init__(self) -> None:
        self.over = threading.Event()
        self.answers: list[Any] = []


class SingleFlight:
    """Questions under way, by key. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}

    def ask(self, key: str, question: Callable[[], T], control: Cancellation | None) -> T:
        """Return the answer to `question`, of the thread that asks it already if there is one.

        An answer that was cut short by a cancellation is nobody else's. Raises what `question` raises.
        """
        while True:
            with self._lock:
                flight = self._flights.get(key)
                if flight is None:
                    mine = self._flights[key] = _Flight()
                    break
            while not flight.over.wait(_LOOK):
                if _cancelled(control):
                    return question()
            if flight.answers:
                return cast(T, flight.answers[0])
        try:
            own = question()
            if not _cancelled(control):
                mine.answers.append(own)
            return own
        finally:
            with self._lock:
                del self._flights[key]
            mine.over.set()


def _cancelled(control: Cancellation | None) -> bool:
    return control is not None and control.cancelled()
