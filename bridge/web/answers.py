"""Long answers: made one at a time, equal ones held once, whoever waits for them.

Invariants: an answer tells how things were at some moment after its request had come. The answers that clients have
not taken yet hold no bytes twice.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass


class Body:
    """The bytes of an answer, for as long as anybody still has to get them."""

    def __init__(self, data: bytes) -> None:
        self.data = data


@dataclass(frozen=True)
class Answer:
    """A reply that was made to the end."""

    status: str
    headers: list[tuple[str, str]]
    body: Body


class Answers:
    """Makes answers for requests that come at the same time."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._begun = 0
        self._last: tuple[Hashable, int, Answer] | None = None
        self._bodies: weakref.WeakSet[Body] = weakref.WeakSet()

    @property
    def waiting(self) -> int:
        """Return how many answers are asked for and not yet made."""
        return self._waiting

    def made(self, request: Hashable, make: Callable[[], Answer]) -> Answer:
        """Return what `make` returns, or what it just returned for an equal request that had to wait like this one.

        One is made at a time: two would take as long, and twice the memory. So of many equal requests that come
        together, all but the first share one answer, whose making began when they had come.
        """
        with self._counting:
            self._waiting += 1
            come = self._begun
        try:
            with self._making:
                if self._last is not None and self._last[0] == request and self._last[1] > come:
                    return self._last[2]
                self._last = None
                self._begun += 1
                answer = make()
                self._last = request, self._begun, answer
                return answer
        finally:
            with self._counting:
                self._waiting -= 1
                if not self._waiting:
                    self._last = None

    def held_once(self, body: Body) -> Body:
        """Return the body with these bytes that is on its way to another client, else this one."""
        with self._counting:
            for other in self._bodies:
                if other.data == body.data:
                    return other
            self._bodies.add(body)
            return body
