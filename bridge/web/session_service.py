"""What the routes of sessions ask: the engine, its book of sessions, and the ledger.

Invariant: no method waits for a turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from flask import current_app

from bridge.core.feed import Engine as KiroEngine
from bridge.core.records import Found, KiroConversation, Queue, Session, SessionChange, SessionOptions, StoredItem, Turn
from bridge.engine import Engine, EngineStatus, SessionFacts
from bridge.engine.approvals import Approvals
from bridge.engine.book import SessionBook, UsedFolder
from bridge.engine.doing import Doing
from bridge.ledger import Ledger

Mode = Literal["now", "queue", "steer"]


@dataclass(frozen=True)
class Posted:
    """What became of a prompt: a turn, a place in the queue, or a word to the running turn."""

    turn: Turn | None = None
    queued_id: int | None = None
    steered: bool = False


@dataclass(frozen=True)
class Detail:
    """What a session does."""

    status: EngineStatus
    running: tuple[int, Doing] | None
    approvals: list[StoredItem]
    queued: int


class SessionService:
    """Sessions as the HTTP surface sees them. Errors are those of the parts it asks."""

    def __init__(self, engine: Engine, book: SessionBook, approvals: Approvals, ledger: Ledger) -> None:
        self._engine = engine
        self._book = book
        self._approvals = approvals
        self._ledger = ledger

    def facts(self, session: Session) -> SessionFacts:
        """Return what is true of a session just now."""
        return self._engine.facts(session)

    def create(self, cwd: str | None, title: str, options: SessionOptions, prompt: str) -> Session:
        """Make a session, and send it a prompt if there is one."""
        session = self._book.create(cwd, title, options)
        if prompt:
            self._engine.submit(prompt, session.id)
        return self._engine.session(session.id)

    def change(self, session_id: str, change: SessionChange, wishes: dict[str, Any]) -> Session:
        """Change what is given."""
        return self._book.change(session_id, change, wishes)

    def delete(self, session_id: str, *, kiro: bool) -> None:
        """Delete a session, with `kiro` Kiro's own record too."""
        self._book.delete(session_id, kiro=kiro)

    def fork(self, session_id: str, title: str) -> Session:
        """Make a session that goes on from another one."""
        return self._book.fork(session_id, title)

    def detail(self, session_id: str) -> Detail:
        """Return what a session does."""
        session = self._engine.session(session_id)
        status = self._engine.status(session_id)
        return Detail(status, self._engine.doing(session_id), self._approvals.pending(session_id), session.queued)

    def search(self, query: str, limit: int) -> list[Found]:
        """Return the places where all the words stand."""
        return self._book.search(query, limit)

    def folders(self) -> tuple[str, list[UsedFolder]]:
        """Return where new folders are made, and those that were used."""
        return self._book.folders()

    def elsewhere(self, cwd: str | None) -> list[tuple[KiroConversation, Session | None]]:
        """Return the conversations that were begun elsewhere, with the sessions that continue them."""
        return self._book.elsewhere(cwd)

    def adopt(self, engine: KiroEngine, kiro_id: str) -> Session:
        """Return the session that continues a conversation."""
        return self._book.adopt(engine, kiro_id)

    def post(self, session_id: str, prompt: str, mode: Mode) -> Posted:
        """Send a prompt, queue it, or give it to the running turn."""
        if mode == "steer":
            self._engine.steer(prompt, session_id)
            return Posted(steered=True)
        if mode == "queue":
            return Posted(*self._engine.enqueue(prompt, session_id))
        return Posted(self._engine.submit(prompt, session_id))

    def queue(self, session_id: str) -> Queue:
        """Return the prompts that wait."""
        return self._ledger.queue(session_id)

    def change_queued(self, session_id: str, queued_id: int, text: str | None, place: int | None) -> Queue:
        """Change a prompt that waits; return the queue."""
        self._engine.journal.tell(lambda: self._ledger.change_queued(session_id, queued_id, text=text, place=place))
        return self._ledger.queue(session_id)

    def remove_queued(self, session_id: str, queued_id: int) -> Queue:
        """Take a prompt out of the queue; return it."""
        self._engine.journal.tell(lambda: self._ledger.remove_queued(session_id, queued_id))
        return self._ledger.queue(session_id)

    def resume_queue(self, session_id: str) -> Queue:
        """Have a held queue go on; return it."""
        self._engine.resume_queue(session_id)
        return self._ledger.queue(session_id)

    def answer(self, session_id: str, item_id: int, option: str, reason: str) -> StoredItem:
        """Answer what Kiro waits for."""
        return self._approvals.answer(session_id, item_id, option, reason)


def session_service() -> SessionService:
    """Return the service of the running application."""
    return cast(SessionService, current_app.extensions["session_service"])
