"""AgentAPI's view of the primary session as event frames that all its subscribers share.

Invariants: used from the broadcaster's thread alone. A message is sent whole under its id whenever it has changed, but
not so often that a subscriber gets more than `BYTES_PER_SECOND`: the bytes of a growing message grow with the time it
takes and not with the square of its length. Its last state is always sent, before `stable`.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bridge.core.agentapi import Message, answer_text, turn_messages
from bridge.core.items import Item
from bridge.core.records import TURN_OVER, DeltaEvent, Event, ItemEvent, RemovedEvent, Turn, TurnEvent
from bridge.ledger import Ledger
from bridge.web.sse import EVENT_LIMIT, frame, text_frame
from bridge.web.wire import local_time, message_update_json

BYTES_PER_SECOND = 64 * 1024
SHORTEST_PAUSE = 0.02
KEPT_FRAMES = 512
REPLAY_PAGE = 50
REPLAY_PIECE = 8192
"""Bytes from which on frames of a replay go out: small enough that others hardly wait, large enough to be few."""

KEPT_WARNINGS = 100


class _Growing:
    """An item of the running turn, with no more of its text than a frame can hold."""

    def __init__(self, item: Item) -> None:
        self._item = item
        self._parts = [item.text[:EVENT_LIMIT]]
        self._size = len(self._parts[0])

    @property
    def position(self) -> int:
        return self._item.position

    def append(self, text: str) -> None:
        if self._size < EVENT_LIMIT:
            self._parts.append(text)
            self._size += len(text)

    def item(self) -> Item:
        self._parts = ["".join(self._parts)]
        return replace(self._item, text=self._parts[0])


@dataclass(frozen=True)
class AgentError:
    """Something that AgentAPI's clients are told once, and every later subscriber again. `level` is theirs."""

    message: str
    level: str
    at: float


class AgentFeed:
    """Turns ledger events of one session into AgentAPI frames."""

    def __init__(self, ledger: Ledger, session_id: str, busy: Callable[[], bool], agent_type: str) -> None:
        self._ledger = ledger
        self._session_id = session_id
        self._busy = busy
        self._agent_type = agent_type
        self._turn: Turn | None = None
        self._items: dict[int, _Growing] = {}
        self._dirty = False
        self._sent_at = 0.0
        self._sent_bytes = 0
        self._sent_text = ""
        self._status = "running"
        self._warnings: deque[AgentError] = deque(maxlen=KEPT_WARNINGS)
        self._frames: deque[bytes] = deque(maxlen=KEPT_FRAMES)
        self.end = 0
        self.screens = 0
        self.reload()

    @property
    def begin(self) -> int:
        """Return the number of the oldest frame that is kept."""
        return self.end - len(self._frames)

    def frames(self, start: int) -> bytes:
        """Return the frames from number `start` on, joined."""
        return b"".join(itertools.islice(self._frames, start - self.begin, None))

    def screen(self) -> bytes:
        """Return the frame of `/internal/screen`: the current or last answer, as AgentAPI's ACP mode has it."""
        return text_frame("screen", {"screen": self._sent_text}, "screen")

    def warn(self, message: str, level: str, at: float) -> None:
        """Tell every subscriber, now and later, something that went wrong outside a turn."""
        warning = AgentError(message, level, at)
        self._warnings.append(warning)
        self._emit(_warning_frame(warning))

    def reload(self) -> None:
        """Take the running turn from the ledger: at the start, or after events were missed."""
        turn = self._ledger.active_turn(self._session_id)
        self._turn, self._items = turn, {}
        if turn is not None:
            for stored in self._ledger.turn_items(turn.id):
                self._items[stored.id] = _Growing(stored.item)
            self._dirty = True
        self._set_status()

    def take(self, events: Sequence[Event]) -> None:
        """Take the events that follow those taken before."""
        for event in events:
            if event.session_id == self._session_id:
                self._take_one(event)
        self._set_status()

    def due(self) -> float | None:
        """Return when a changed message is to be sent, on the monotonic clock; None when nothing waits."""
        if not self._dirty:
            return None
        return self._sent_at + max(SHORTEST_PAUSE, self._sent_bytes / BYTES_PER_SECOND)

    def refresh(self, now: float) -> None:
        """Send what is due at `now`, and a status that changed."""
        due = self.due()
        if due is not None and due <= now:
            self._send_answer(now)
        self._set_status()

    def replay(self) -> Iterator[bytes]:
        """Return the frames a new subscriber begins with, a piece at a time (facts/agentapi-contract.md 2.3).

        After the last piece the subscriber goes on with `frames(end)`, `end` as it is then. Turns may end between two
        pieces, so the ledger is asked again after each pause.
        """
        after = 0
        piece: list[bytes] = []
        size = 0
        paused = True
        while paused:
            page = self._ledger.conversation(self._session_id, after=after, limit=REPLAY_PAGE)
            running = self._turn.id if self._turn is not None else None
            over = [(turn, items) for turn, items in page if turn.id != running and turn.state in TURN_OVER]
            paused = len(over) == REPLAY_PAGE
            for turn, items in over:
                for message in turn_messages(turn, (stored.item for stored in items)):
                    piece.append(_message_frame(message))
                    size += len(piece[-1])
                after = turn.id
                if size >= REPLAY_PIECE:
                    yield b"".join(piece)
                    piece, size, paused = [], 0, True
        if self._turn is not None:
            piece += map(_message_frame, turn_messages(self._turn, self._ordered()))
        yield b"".join(piece) + self._status_frame() + b"".join(map(_warning_frame, self._warnings))

    def _take_one(self, event: Event) -> None:
        if isinstance(event, TurnEvent):
            self._turn_changed(event.turn)
        elif self._turn is None:
            return
        elif isinstance(event, DeltaEvent):
            growing = self._items.get(event.item_id)
            if growing is not None:
                growing.append(event.text)
                self._dirty = True
        elif isinstance(event, ItemEvent) and event.item.turn_id == self._turn.id:
            self._items[event.item.id] = _Growing(event.item.item)
            self._dirty = True
        elif isinstance(event, RemovedEvent):
            self._dirty |= self._items.pop(event.item_id, None) is not None

    def _turn_changed(self, turn: Turn) -> None:
        if turn.state == "accepted":
            self._turn, self._items = turn, {}
            self._sent_text = ""
            self.screens += 1
            self._set_status(running=True)
            for message in turn_messages(turn, ()):
                self._emit(_message_frame(message))
        elif self._turn is None or turn.id != self._turn.id:
            return
        else:
            self._turn = turn
            if turn.state in TURN_OVER:
                self._send_answer(time.monotonic())
                self._turn, self._items, self._dirty = None, {}, False

    def _ordered(self) -> list[Item]:
        return [growing.item() for growing in sorted(self._items.values(), key=lambda growing: growing.position)]

    def _send_answer(self, now: float) -> None:
        turn = self._turn
        if turn is None:
            return
        text = answer_text(turn, self._ordered())[:EVENT_LIMIT]
        self._dirty = False
        self._sent_at = now
        if text == self._sent_text:
            return
        self._sent_text = text
        self.screens += 1
        data = _message_frame(Message(turn.message_id + 1, "agent", text, turn.accepted_at))
        self._sent_bytes = len(data)
        self._emit(data)

    def _set_status(self, running: bool | None = None) -> None:
        busy = running if running is not None else self._busy()
        status = "running" if busy else "stable"
        if status != self._status and not (status == "stable" and self._turn is not None):
            self._status = status
            self._emit(self._status_frame())

    def _status_frame(self) -> bytes:
        return frame("status_change", {"status": self._status, "agent_type": self._agent_type})

    def _emit(self, data: bytes) -> None:
        self._frames.append(data)
        self.end += 1


def _message_frame(message: Message) -> bytes:
    return text_frame("message_update", message_update_json(message), "message")


def _warning_frame(warning: AgentError) -> bytes:
    data = {"message": warning.message, "level": warning.level, "time": local_time(warning.at)}
    return text_frame("agent_error", data, "message")
