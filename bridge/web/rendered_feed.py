"""Events for the chat page: what people read comes as rendered blocks instead of Markdown, all sessions on one stream.

Invariants: used from the broadcaster's thread alone. Nothing is rendered while no page looks. Text that grows costs
what its last blocks cost, and takes no more than a part of the thread's time: rendering pauses for a multiple of what
it took, and what came meanwhile is one event. The ids of events never go back, whatever was joined.
"""

from __future__ import annotations

import hashlib
import math
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.core.items import Item
from bridge.core.records import DeltaEvent, Event, ItemEvent, RemovedEvent, StoredItem, TurnEvent
from bridge.ledger import Ledger
from bridge.web.markdown import GrowingBlocks, blocks_of
from bridge.web.sse import frame
from bridge.web.wire import EventJson, event_json

KEPT_BYTES = 2_000_000
LEDGER_PAGE = 50
SHORTEST_PAUSE = 0.03
PAUSE_PER_WORK = 4.0
RENDERED = frozenset({"text", "thought"})
"""Kinds of items whose text is Markdown."""


def with_blocks(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as JSON with its `blocks`, where its text is Markdown."""
    return {**item, "blocks": blocks_of(item["text"])} if item["kind"] in RENDERED else dict(item)


@dataclass
class _Growing:
    """A text item whose turn goes on."""

    item_id: int
    turn_id: int
    session_id: str
    text: GrowingBlocks = field(default_factory=GrowingBlocks)
    digest: Any = field(default_factory=hashlib.sha256)
    told: int = 0

    def append(self, text: str) -> None:
        self.digest.update(text.encode("utf-8", "surrogatepass"))
        self.text.append(text)

    def holds(self, item: Item) -> bool:
        """Return whether all that `item` says is what was appended here."""
        if self.text.length != len(item.text):
            return False
        return bool(hashlib.sha256(item.text.encode("utf-8", "surrogatepass")).digest() == self.digest.digest())

    def news(self) -> dict[str, Any]:
        """Return the blocks that may have changed since the last call, as event data."""
        start, self.told = self.told, self.text.settled
        place = {"turn_id": self.turn_id, "item_id": self.item_id}
        return {**place, "from": start, "blocks": self.text.blocks[start:], "length": self.text.length}


class RenderedFeed:
    """Keeps recent events of all sessions as frames with rendered text."""

    def __init__(
        self,
        ledger: Ledger,
        last_seq: int,
        clock: Callable[[], float] = time.monotonic,
        as_json: EventJson = event_json,
    ) -> None:
        self._ledger = ledger
        self._as_json = as_json
        self._clock = clock
        self._frames: deque[tuple[int, str, bool, bytes]] = deque()
        self._bytes = 0
        self._floor = last_seq
        self._growing: dict[int, _Growing] = {}
        self._waiting: dict[int, list[str]] = {}
        self._next_at = 0.0
        self._taken = last_seq
        self._lookers: weakref.WeakSet[RenderedStream] = weakref.WeakSet()
        self.last_seq = last_seq

    def join(self, stream: RenderedStream) -> None:
        """Render from now on, as long as `stream` is there."""
        self._lookers.add(stream)

    def take(self, events: Sequence[Event]) -> None:
        """Take the events that follow those taken before."""
        if not self._lookers:
            self.skip_to(events[-1].seq)
            return
        for event in events:
            if isinstance(event, DeltaEvent):
                self._delta(event)
            else:
                self._flush()
                self._emit(event)
            self._taken = event.seq
        self.refresh()

    def skip_to(self, seq: int) -> None:
        """Events up to `seq` were missed: whoever needs them gets them out of the ledger."""
        self._frames.clear()
        self._growing.clear()
        self._waiting.clear()
        self._bytes = 0
        self._floor = self.last_seq = self._taken = seq

    def due(self) -> float:
        """Return when text that waits is to be rendered, on the monotonic clock."""
        return self._next_at if self._waiting else math.inf

    def refresh(self) -> None:
        """Render what waits, if it is time."""
        began = self._clock()
        if self._waiting and began >= self._next_at:
            self._flush()
        if not self._waiting:
            self.last_seq = self._taken

    def after(self, seq: int, session_id: str, everything: bool) -> tuple[bytes, int]:
        """Return what a subscriber that has everything up to `seq` needs next, and how far it then is.

        `everything` adds what a list of sessions shows: sessions, turns and approvals of the others.
        """
        if seq >= self._floor:
            return self._recent(seq, session_id, everything), max(seq, self.last_seq)
        only = None if everything else session_id
        events = self._ledger.events_after(seq, session_id=only, limit=LEDGER_PAGE)
        reached = events[-1].seq if len(events) == LEDGER_PAGE else max(self._floor, *(e.seq for e in events), seq)
        shown = (e for e in events if e.session_id == session_id or _is_for_lists(e))
        return b"".join(map(self._whole_frame, shown)), reached

    def _recent(self, seq: int, session_id: str, everything: bool) -> bytes:
        news: list[bytes] = []
        for number, owner, for_lists, data in reversed(self._frames):
            if number <= seq:
                break
            if owner == session_id or (everything and for_lists):
                news.append(data)
        news.reverse()
        return b"".join(news)

    def _whole_frame(self, event: Event) -> bytes:
        name, data = self._as_json(event)
        if isinstance(event, ItemEvent):
            data = {**data, "item": with_blocks(data["item"])}
        return frame(name, data, event.seq)

    def _delta(self, event: DeltaEvent) -> None:
        growing = self._growing.get(event.item_id)
        if growing is None:
            growing = self._begin(self._ledger.item(event.item_id))
            if growing is None:
                return
            self._waiting.setdefault(event.item_id, [])
        waiting = self._waiting.setdefault(event.item_id, [])
        known = growing.text.length + sum(map(len, waiting))
        fresh = event.text[max(0, known - event.offset) :]
        if fresh:
            waiting.append(fresh)

    def _begin(self, stored: StoredItem | None) -> _Growing | None:
        if stored is None or stored.item.kind not in RENDERED:
            return None
        growing = _Growing(stored.id, stored.turn_id, stored.session_id)
        growing.append(stored.item.text)
        self._growing[stored.id] = growing
        return growing

    def _flush(self) -> None:
        """Render what waits. The events get the number of the last one taken: whoever has them has all up to there."""
        if not self._waiting:
            return
        began = self._clock()
        waiting, self._waiting = self._waiting, {}
        for item_id, pieces in waiting.items():
            growing = self._growing[item_id]
            growing.append("".join(pieces))
            data = {"seq": self._taken, "session_id": growing.session_id, **growing.news()}
            self._keep(self._taken, growing.session_id, False, frame("blocks", data, self._taken))
        ended = self._clock()
        self._next_at = ended + max(SHORTEST_PAUSE, PAUSE_PER_WORK * (ended - began))
        self.last_seq = self._taken

    def _emit(self, event: Event) -> None:
        name, data = self._as_json(event)
        if isinstance(event, ItemEvent):
            data = {**data, "item": self._rendered(event.item, data["item"])}
        elif isinstance(event, RemovedEvent):
            self._growing.pop(event.item_id, None)
        elif isinstance(event, TurnEvent) and event.turn.ended_at is not None:
            self._growing = {key: one for key, one in self._growing.items() if one.turn_id != event.turn.id}
        self._keep(event.seq, event.session_id, _is_for_lists(event), frame(name, data, event.seq))
        self.last_seq = event.seq

    def _rendered(self, stored: StoredItem, item: Mapping[str, Any]) -> dict[str, Any]:
        if stored.item.kind not in RENDERED:
            return dict(item)
        growing = self._growing.get(stored.id)
        if growing is None or not growing.holds(stored.item):
            growing = self._begin(stored)
        assert growing is not None
        growing.told = growing.text.settled
        if stored.item.final:
            self._growing.pop(stored.id, None)
        return {**item, "blocks": list(growing.text.blocks)}

    def _keep(self, seq: int, session_id: str, for_lists: bool, data: bytes) -> None:
        self._frames.append((seq, session_id, for_lists, data))
        self._bytes += len(data)
        while self._bytes > KEPT_BYTES and len(self._frames) > 1:
            number, _, _, old = self._frames.popleft()
            self._bytes -= len(old)
            self._floor = number


class RenderedStream:
    """A page that follows one session, and with `everything` what a list of all sessions shows."""

    def __init__(self, feed: RenderedFeed, session_id: str, seq: int | None, everything: bool) -> None:
        self._feed = feed
        self._session_id = session_id
        self._everything = everything
        self._seq = feed.last_seq if seq is None else seq
        feed.join(self)

    def take(self) -> bytes:
        """Return the frames after the last ones, a bounded number at a time."""
        self._feed.refresh()
        if self._seq >= self._feed.last_seq:
            return b""
        data, self._seq = self._feed.after(self._seq, self._session_id, self._everything)
        return data


def _is_for_lists(event: Event) -> bool:
    if isinstance(event, ItemEvent):
        return event.item.item.kind == "approval"
    return not isinstance(event, (DeltaEvent, RemovedEvent))
