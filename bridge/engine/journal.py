"""The one way events come into being: written to the ledger, then told to the hub, in the order of their sequence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Literal

from bridge.core.items import Change, SessionLearned, TextAppended
from bridge.core.records import Event, Session, Turn
from bridge.engine.hub import Hub
from bridge.ledger import Ledger


class Journal:
    """Couples ledger and hub under one lock, so that no subscriber sees a later event before an earlier one."""

    def __init__(self, ledger: Ledger, hub: Hub) -> None:
        self._ledger = ledger
        self._hub = hub
        self._lock = threading.Lock()

    def create_session(self, cwd: str) -> Session:
        """Make a session for `cwd` and announce it."""
        with self._lock:
            session, event = self._ledger.create_session(cwd)
            self._hub.publish([event])
        return session

    def accept(self, session: Session, prompt: str, origin: Literal["user", "initial"], title: str) -> Turn:
        """Make a prompt durable as a new turn. `title` names the session if it has no name yet.

        Raises LedgerError when the prompt could not be written; nothing was accepted then.
        """
        with self._lock:
            turn, events = self._ledger.accept(session.id, prompt, origin=origin)
            if not session.title and title:
                events = [*events, *self._ledger.apply(turn.id, [SessionLearned(title=title)])]
            self._hub.publish(events)
        return turn

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

    def publish(self, events: Sequence[Event]) -> None:
        """Announce events that the ledger made in another way."""
        with self._lock:
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
