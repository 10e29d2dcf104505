"""The place where subscribers wait: a small shared ring of recent events.

Invariant: nothing is kept for any one subscriber. Each remembers its own last sequence and asks for what follows; one
that has fallen behind the ring asks the ledger.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from bridge.core.records import DeltaEvent, Event, ItemEvent

Wake = Callable[[], None]

_EVENT_WEIGHT = 400


class Hub:
    """Holds the last events in memory and wakes whoever listens.

    `last_seq` is the ledger's last sequence at start. The ring holds at most `max_events` events of about `max_chars`
    characters.
    """

    def __init__(self, last_seq: int, *, max_events: int = 4096, max_chars: int = 4_000_000) -> None:
        self._lock = threading.Lock()
        self._ring: deque[Event] = deque()
        self._weight = 0
        self._floor = last_seq
        self._last = last_seq
        self._max_events = max_events
        self._max_chars = max_chars
        self._listeners: tuple[Wake, ...] = ()

    @property
    def last_seq(self) -> int:
        """Return the sequence of the newest event that was published."""
        return self._last

    def publish(self, events: Sequence[Event]) -> None:
        """Add events, in the order of their sequence, and wake the listeners. Called by one writer at a time."""
        if events:
            with self._lock:
                for event in events:
                    self._ring.append(event)
                    self._weight += _weight(event)
                self._last = events[-1].seq
                self._trim()
        self.wake()

    def wake(self) -> None:
        """Wake the listeners although no event was added: something else that they show has changed."""
        for listener in self._listeners:
            listener()

    def since(self, seq: int) -> list[Event] | None:
        """Return the events after `seq`, or None when the ring no longer reaches back that far."""
        with self._lock:
            if seq < self._floor:
                return None
            news: list[Event] = []
            for event in reversed(self._ring):
                if event.seq <= seq:
                    break
                news.append(event)
        news.reverse()
        return news

    def listen(self, wake: Wake) -> Callable[[], None]:
        """Have `wake` called after each publication; returns a function that ends it. `wake` must not block."""
        with self._lock:
            self._listeners = (*self._listeners, wake)

        def stop() -> None:
            with self._lock:
                self._listeners = tuple(other for other in self._listeners if other is not wake)

        return stop

    def _trim(self) -> None:
        while len(self._ring) > self._max_events or (self._weight > self._max_chars and len(self._ring) > 1):
            event = self._ring.popleft()
            self._weight -= _weight(event)
            self._floor = event.seq


def _weight(event: Event) -> int:
    if isinstance(event, ItemEvent):
        return _EVENT_WEIGHT + len(event.item.item.text)
    if isinstance(event, DeltaEvent):
        return _EVENT_WEIGHT + len(event.text)
    return _EVENT_WEIGHT
