"""The one way events come into being: written to the ledger, then told to the hub, in the order of their sequence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Literal

from bridge.core.items import Change, SessionLearned, TextAppended
from bridge.core.records import Event, Session, SessionOptions, Turn
from bridge.engine.hub import Hub
from bridge.ledger import Ledger

_NO_WISHES = SessionOptions()


class Journal:
    """Couples ledger and hub under one lock, so that no subscriber sees a later event before an earlier one."""

    def __init__(self, ledger: Ledger, hub: Hub) -> None:
        self._ledger = ledger
        self._hub = hub
        self._lock = threading.Lock()

    def create_session(
        self,
        cwd: str,
        *,
        title: str = "",
        options: SessionOptions = _NO_WISHES,
        context: tuple[str, str] | None = None,
    ) -> Session:
        """Make a session for `cwd` and announce it; see `Ledger.create_session`."""
        with self._lock:
            session, event = self._ledger.create_session(cwd, title=title, options=options, context=context)
            self._hub.publish([event])
        return session

    def accept(
        self, session: Session, prompt: str, origin: Literal["user", "initial"], title: str, sent: str = ""
    ) -> Turn:
        """Make a prompt durable as a new turn. `title` names the session if it has no name yet.

        Raises LedgerError when the prompt could not be written; nothing was accepted then.
        """
        with self._lock:
            turn, events = self._ledger.accept(session.id, prompt, origin=origin, sent=sent)
            self._hub.publish([*events, *self._named(session, turn, title)])
        return turn

    def accept_queued(
        self, session: Session, sent: Callable[[str], str], title_of: Callable[[str], str]
    ) -> Turn | None:
        """Make a turn of the next prompt of the session's queue; None when none is to be sent."""
        with self._lock:
            taken = self._ledger.accept_queued(session.id, sent)
            if taken is None:
                return None
            turn, events = taken
            self._hub.publish([*events, *self._named(session, turn, title_of(turn.prompt))])
        return turn

    def _named(self, session: Session, turn: Turn, title: str) -> list[Event]:
        if session.title or not title:
            return []
        return self._ledger.apply(turn.id, [SessionLearned(title=title)])

    def tell(self, change: Callable[[], Sequence[Event]]) -> None:
        """Have the ledger changed by `change`, and announce the events that it returns."""
        with self._lock:
            self._hub.publish(change())

    def start(self, turn_id: int) -> None:
        """Mark a turn as running."""
        with self._lock:
            self._hub.publish([self._ledger.start(turn_id)])

    def apply(self, turn_id: int, changes: Sequence[Change], written: Callable[[], None] | None = None) -> None:
        """Write the changes of a turn in one transaction, call `written`, and announce them.

        Raises LedgerError; nothing is half done then.
        """
        if not changes:
            return
        with self._lock:
            events = self._ledger.apply(turn_id, joined(changes))
            if written is not None:
                written()
            self._hub.publish(events)


def joined(changes: Sequence[Change]) -> list[Change]:
    """Return the changes with neighbouring pieces of one text put together."""
    result: list[Change] = []
    run: list[TextAppended] = []
    for change in changes:
        if isinstance(change, TextAppended) and (not run or run[0].key == change.key):
            run.append(change)
            continue
        result += _one_piece(run)
        run = [change] if isinstance(change, TextAppended) else []
        if not run:
            result.append(change)
    return result + _one_piece(run)


def _one_piece(run: list[TextAppended]) -> list[Change]:
    if len(run) < 2:
        return list(run)
    return [TextAppended(run[0].key, run[0].offset, "".join(piece.text for piece in run))]
