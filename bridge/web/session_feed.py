"""The events of all sessions as frames that their subscribers share.

Invariants: used from the broadcaster's thread alone. An event is encoded once, whoever gets it. A subscriber that has
fallen behind what is kept is served out of the ledger, with every changed item whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.records import Event
from bridge.ledger import Ledger
from bridge.web.rendered_feed import RenderedFeed
from bridge.web.sse import frame
from bridge.web.wire import EventJson, event_json

KEPT_BYTES = 4_000_000
LEDGER_PAGE = 200


@dataclass(frozen=True)
class Batch:
    """Frames for one subscriber, and the sequence up to which it has everything once it has them."""

    data: bytes
    seq: int


class SessionFeed:
    """Keeps recent events encoded, for all sessions; `rendered` keeps them as the chat page wants them."""

    def __init__(self, ledger: Ledger, last_seq: int, as_json: EventJson = event_json) -> None:
        self._ledger = ledger
        self._frames: deque[tuple[int, str, bytes]] = deque()
        self._bytes = 0
        self._floor = last_seq
        self.last_seq = last_seq
        self._as_json = as_json
        self.rendered = RenderedFeed(ledger, last_seq, as_json=as_json)

    def take(self, events: Sequence[Event]) -> None:
        """Take the events that follow those taken before."""
        self.rendered.take(events)
        for event in events:
            data = self._frame(event)
            self._frames.append((event.seq, event.session_id, data))
            self._bytes += len(data)
            self.last_seq = event.seq
        while self._bytes > KEPT_BYTES and self._frames:
            seq, _, data = self._frames.popleft()
            self._bytes -= len(data)
            self._floor = seq

    def skip_to(self, seq: int) -> None:
        """Events up to `seq` were missed: whoever needs them gets them out of the ledger."""
        self.rendered.skip_to(seq)
        self._frames.clear()
        self._bytes = 0
        self._floor = self.last_seq = seq

    def after(self, session_id: str, seq: int) -> Batch:
        """Return what a subscriber that has everything up to `seq` needs next; no data when there is nothing."""
        if seq >= self._floor:
            return self._recent(session_id, seq)
        events = self._ledger.events_after(seq, session_id=session_id, limit=LEDGER_PAGE)
        reached = events[-1].seq if len(events) == LEDGER_PAGE else max(self._floor, *(e.seq for e in events), seq)
        return Batch(b"".join(map(self._frame, events)), reached)

    def _recent(self, session_id: str, seq: int) -> Batch:
        news: list[bytes] = []
        for number, owner, data in reversed(self._frames):
            if number <= seq:
                break
            if owner == session_id:
                news.append(data)
        news.reverse()
        return Batch(b"".join(news), max(seq, self.last_seq))

    def _frame(self, event: Event) -> bytes:
        """Return an event with its sequence as the id that `Last-Event-ID` gives back."""
        name, data = self._as_json(event)
        return frame(name, data, event.seq)
