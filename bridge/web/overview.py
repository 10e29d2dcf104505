"""What a list of all sessions needs to stay true: sessions, the states of turns, and approvals.

Invariant: each group of frames that one event gives ends with the session as it is, and only that last frame has an
`id:`, so that a connection cut between them loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.core.records import Event, ItemEvent, Session, SessionEvent, TurnEvent
from bridge.engine import Hub
from bridge.ledger import Ledger
from bridge.web.sse import frame
from bridge.web.wire import EventJson

_LOOKED_AT = 500


class OverviewStream:
    """A subscriber of the events of all sessions: those after sequence `seq`, or from now on when that is None."""

    def __init__(self, hub: Hub, ledger: Ledger, as_json: EventJson, seq: int | None) -> None:
        self._hub = hub
        self._ledger = ledger
        self._as_json = as_json
        self._seq = hub.last_seq if seq is None else seq

    def take(self) -> bytes:
        """Return the frames after the last ones, a bounded number at a time."""
        if self._seq >= self._hub.last_seq:
            return b""
        news: Sequence[Event] | None = self._hub.since(self._seq)
        if news is None:
            news, reached = self._ledger.overview_after(self._seq, _LOOKED_AT)
        else:
            reached = news[-1].seq if news else self._seq
        data = b"".join(map(self._frames, news))
        self._seq = reached
        return data

    def _frames(self, event: Event) -> bytes:
        if isinstance(event, SessionEvent):
            return self._session_frame(event.session, event.seq)
        if not isinstance(event, TurnEvent) and not (isinstance(event, ItemEvent) and _is_approval(event)):
            return b""
        session = self._ledger.session(event.session_id)
        if session is None:
            return b""
        return frame(*self._as_json(event)) + self._session_frame(session, event.seq)

    def _session_frame(self, session: Session, seq: int) -> bytes:
        return frame(*self._as_json(SessionEvent(seq, session)), event_id=seq)


def _is_approval(event: ItemEvent) -> bool:
    return event.item.item.kind == "approval"
