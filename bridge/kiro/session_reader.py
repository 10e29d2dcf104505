"""Following one session that is kept as files; what v2 and v3 have in common.

Invariant: the side document is looked at before the log, because Kiro writes it after the log: whatever it says about
the end of a turn, the lines of that turn have then been told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from bridge.core.feed import Engine, FeedEvent, Notice, SessionKnown
from bridge.kiro import loose
from bridge.kiro.history import Told, TurnEvidence, TurnStart, TurnWatch
from bridge.kiro.session_files import Layout, Record, Session, SessionSearch

_VANISHED = "Kiro's file of this conversation has vanished. What was read of it stays."
_UNREADABLE = "Kiro's file of this conversation cannot be read. Check that the bridge may read the file {path}."
_REWRITTEN = "Kiro rewrote its file of this conversation. What was shown stays."
_DAMAGED = "Kiro's file {path} is damaged; title and usage of this conversation may be missing."
_BAD_LINES = "{count} line(s) in Kiro's file of this conversation cannot be read and are passed over: {path}."


class TurnRecords(Protocol):
    """What the records of an engine mean. `watch` is kept up to date by `take` and `side`."""

    watch: TurnWatch
    told: Told
    joined_late: bool
    """Whether the log holds earlier turns that are not read."""

    def begins(self, data: loose.JsonDict) -> bool:
        """Return whether a record is our prompt, or one that was told already."""

    def take(self, record: Record) -> list[FeedEvent]:
        """Return what a record of the log tells."""

    def settle(self) -> list[FeedEvent]:
        """Return what the records taken so far tell together; called after each look at the log."""

    def side(self, value: loose.JsonDict) -> list[FeedEvent]:
        """Return what the side document tells about our turn."""

    def note_side(self, value: loose.JsonDict) -> dict[str, Any]:
        """Take what stands in the side document at the baseline as known; return it JSON-ready, small."""

    def take_note(self, note: Mapping[str, Any]) -> None:
        """Take what `note_side` returned in another process."""


class SessionReader:
    """Follows one session; implements `bridge.core.ports.StoreReader`. Subclasses say what the engine's files mean."""

    engine: Engine

    def __init__(
        self,
        layout: Layout,
        turn: TurnRecords,
        cwd: str,
        start: TurnStart,
        kiro_id: str | None,
        clock: Callable[[], float],
    ) -> None:
        self._turn = turn
        self._told = turn.told
        self._search = SessionSearch(layout, os.path.realpath(cwd), start, turn.begins, clock)
        self._id = kiro_id
        self._certain = False
        self._session: Session | None = None

    def baseline(self) -> Mapping[str, Any]:
        """Note what the store holds; see `StoreReader.baseline`."""
        mark: dict[str, Any] = {"engine": self.engine, "kiro_id": self._id, "recent": self._search.note_present()}
        session = self._search.of_id(self._id) if self._id is not None else None
        if session is not None:
            self._session = session
            session.log.skipping = False
            session.log.tail.go_to_end()
            self._begin_at(session, session.log.tail.mark())
            mark["log"] = session.log.tail.mark()
            mark["side"] = self._turn.note_side(session.side.value or {})
        return mark

    def _begin_at(self, session: Session, mark: Mapping[str, Any]) -> None:
        session.log.skipping = False
        self._turn.joined_late = bool(loose.whole(mark.get("offset")))

    def resume_from(self, mark: Mapping[str, Any]) -> None:
        """Take the state of a `baseline` of another process."""
        self._search.take_present(loose.rows(mark.get("recent")))
        marked = loose.name(mark.get("kiro_id"))
        self._id = self._id or marked
        if self._id is None or marked != self._id or "log" not in mark:
            return
        self._session = self._search.of_id(self._id)
        if self._session is not None:
            place = loose.table(mark.get("log"))
            self._session.log.tail.go_to(place)
            self._begin_at(self._session, place)
            self._turn.take_note(loose.table(mark.get("side")))

    def follow(self, kiro_id: str) -> None:
        """Follow the session `kiro_id` and no other."""
        self._certain = True
        if kiro_id != self._id:
            self._switch_to(kiro_id, None)

    def _switch_to(self, kiro_id: str, session: Session | None) -> None:
        self._id, self._session = kiro_id, session
        self._turn.watch.restart()
        self._turn.joined_late = session is not None

    def poll(self, *, final: bool = False) -> Sequence[FeedEvent]:
        """Return what is new; see `StoreReader.poll`."""
        events: list[FeedEvent] = []
        if self._id is not None and self._session is None:
            self._session = self._search.of_id(self._id)
            self._turn.joined_late = self._session is not None and self._session.log.skipping
        if self._session is not None:
            events += self._look(self._session, final)
        if not self._certain and not self._turn.watch.ours_seen:
            found = self._search.found(but=self._id, final=final)
            if found is not None:
                session, records = found
                self._switch_to(session.place.id, session)
                events += self._taken(session, records, final)
        return events

    def _look(self, session: Session, final: bool) -> list[FeedEvent]:
        session.side.refresh()
        return self._taken(session, session.log.records(final=final), final)

    def _taken(self, session: Session, records: Iterable[Record], final: bool) -> list[FeedEvent]:
        events = self._told.fresh(self._beside(session, final))
        present: set[str] = set()
        restarted = False
        for record in records:
            if session.log.rewritten and not restarted:
                restarted = True
                self._turn.watch.restart()
            taken = self._turn.take(record)
            present.update(key for event in taken if (key := getattr(event, "key", None)) is not None)
            events += self._told.fresh(taken)
        if session.log.rewritten:
            if not restarted:
                self._turn.watch.restart()
            events += self._told.fresh([Notice(f"{self.engine}:rewritten", _REWRITTEN, "warning")])
            events += self._told.removed(present, "Kiro rewrote its history.")
        events += self._told.fresh(self._turn.settle())
        if session.side.value is not None:
            events += self._told.fresh(self._turn.side(session.side.value))
        events += self._told.fresh(self._troubles(session, final))
        return self._told.fresh([SessionKnown(session.place.id, self.engine)]) + events if events else []

    def _beside(self, session: Session, final: bool) -> list[FeedEvent]:
        """Return what files beside the log tell."""
        return []

    def _troubles(self, session: Session, final: bool) -> list[FeedEvent]:
        events: list[FeedEvent] = []
        log, path = session.log, session.place.log
        if log.tail.trouble == "vanished":
            events.append(Notice(f"{self.engine}:vanished", _VANISHED, "warning"))
        elif log.tail.trouble == "unreadable":
            events.append(Notice(f"{self.engine}:unreadable", _UNREADABLE.format(path=path), "warning"))
        if log.bad_lines:
            text = _BAD_LINES.format(count=log.bad_lines, path=path)
            events.append(Notice(f"{self.engine}:bad_lines", text, "warning"))
        if final and session.side.trouble == "damaged":
            text = _DAMAGED.format(path=session.place.side)
            events.append(Notice(f"{self.engine}:damaged", text, "warning"))
        return events

    def finished(self) -> bool:
        """Return whether the model finished its answer to our prompt."""
        return self.evidence().finished

    def evidence(self) -> TurnEvidence:
        """Return what the session's files prove about our prompt."""
        return self._turn.watch.evidence()

    def close(self) -> None:
        """Nothing is kept open between polls."""
