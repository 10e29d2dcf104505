"""Handing on events as they come, but not each for itself.

Invariant: the first is handed on at once, then a batch at most every `PACE` seconds; the order stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from bridge.core.feed import FeedEvent, TextDelta

PACE = 0.02

POLL = 0.012
"""Seconds between two looks at the store of a turn that runs (docs/decisions/0005-polling-stores.md)."""

POLL_SHARE = 8
"""A look may take one part in this of the time."""


class Batches:
    """Gathers events until they are due."""

    def __init__(self) -> None:
        self._pending: list[FeedEvent] = []
        self._handed_on = float("-inf")

    def push(self, events: Iterable[FeedEvent]) -> None:
        """Take further events."""
        self._pending += events

    @property
    def due(self) -> float:
        """Return when the next batch is due, monotonic seconds; infinite while there is nothing to hand on."""
        return self._handed_on + PACE if self._pending else float("inf")

    @property
    def ready(self) -> bool:
        """Return whether a batch is due now."""
        return time.monotonic() >= self.due

    def take(self) -> list[FeedEvent]:
        """Return what is pending, with neighbouring pieces of the same text joined."""
        batch = list(joined(self._pending))
        self._pending = []
        self._handed_on = time.monotonic()
        return batch


def joined(events: Sequence[FeedEvent]) -> Iterator[FeedEvent]:
    """Yield the events with neighbouring deltas of one message as one."""
    first: TextDelta | None = None
    texts: list[str] = []
    for event in events:
        if isinstance(event, TextDelta) and first is not None and replace(event, text=first.text) == first:
            texts.append(event.text)
            continue
        if first is not None:
            yield replace(first, text="".join(texts))
        first = event if isinstance(event, TextDelta) else None
        texts = [event.text] if isinstance(event, TextDelta) else []
        if first is None:
            yield event
    if first is not None:
        yield replace(first, text="".join(texts))
