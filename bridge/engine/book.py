"""The book of sessions: made, changed, forked, deleted, searched.

Invariant: what is changed here is durable and announced before a method returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bridge.core.feed import Engine as KiroEngine
from bridge.core.records import Event, Found, KiroConversation, Session, SessionChange, SessionOptions
from bridge.core.text import TITLE_LENGTH, first_line
from bridge.engine import forking
from bridge.engine.adoption import Adoption
from bridge.engine.conversations import Conversations
from bridge.engine.engine import Engine
from bridge.engine.folders import Folders
from bridge.errors import RequestRefused
from bridge.ledger import Ledger

_SEARCH_SECONDS = 0.3
"""How long a search may take in first what was said last."""

_FOLDERS_MOST = 100


@dataclass(frozen=True)
class UsedFolder:
    """A folder that sessions work in; `used_at` in seconds since the epoch."""

    path: str
    used_at: float
    sessions: int


class SessionBook:
    """Everything about sessions but their turns. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        conversations: Conversations,
        folders: Folders,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._conversations = conversations
        self._folders = folders
        self._clock = clock
        self.adoption = Adoption(ledger, engine.journal, conversations)

    def create(self, cwd: str | None = None, title: str = "", options: SessionOptions | None = None) -> Session:
        """Make a session in a new folder, or in the one given. Raises RequestRefused, LedgerError."""
        folder = self._folders.new(self._clock()) if cwd is None else self._folders.given(cwd, self._used())
        return self._engine.journal.create_session(folder, title=title, options=options or SessionOptions())

    def change(self, session_id: str, change: SessionChange, wishes: dict[str, Any]) -> Session:
        """Change what is given; `wishes` are fields of SessionOptions. Raises UnknownSession, LedgerError."""

        def apply() -> list[Event]:
            options = replace(self._engine.session(session_id).options, **wishes) if wishes else None
            return self._ledger.change_session(session_id, replace(change, options=options))[1]

        self._engine.journal.tell(apply)
        if change.archived and self._engine.running(session_id) is None:
            self._engine.seats.close(session_id)
        return self._engine.session(session_id)

    def fork(self, session_id: str, title: str = "") -> Session:
        """Make a session in the same folder whose first prompt takes the conversation along. Raises UnknownSession."""
        session = self._engine.session(session_id)
        name = session.title or first_line(session.last_line, TITLE_LENGTH)
        context = (name, forking.transcript(self._ledger, session_id))
        return self._engine.journal.create_session(
            session.cwd, title=title or f"{name[: TITLE_LENGTH - 7]} (fork)", options=session.options, context=context
        )

    def delete(self, session_id: str, *, kiro: bool) -> None:
        """Delete a session, with `kiro` Kiro's own record of it too, which is tried first.

        Raises UnknownSession, AgentBusy, RequestRefused: then nothing of ours was deleted.
        """
        session = self._engine.session(session_id)
        if session_id == self._engine.primary:
            raise RequestRefused(
                "This is the session that AgentAPI's routes show.", "Archive it instead.", code="primary_session"
            )
        self._engine.without_turn(session_id, lambda: None)
        if kiro and session.engine is not None and session.kiro_id is not None:
            self._engine.seats.close(session_id)
            self._conversations.delete(session.engine, session.kiro_id, session.cwd)
        self._engine.without_turn(
            session_id, lambda: self._engine.journal.tell(lambda: self._ledger.delete_session(session_id))
        )
        self._engine.seats.close(session_id)
        while self._ledger.purge():
            pass

    def folders(self) -> tuple[str, list[UsedFolder]]:
        """Return where new folders are made, and the folders sessions work in, the last used first."""
        used: dict[str, UsedFolder] = {}
        for session in sorted(self._ledger.sessions(), key=lambda session: -session.updated_at):
            known = used.get(session.cwd, UsedFolder(session.cwd, session.updated_at, 0))
            used[session.cwd] = replace(known, sessions=known.sessions + 1)
        return str(self._folders.root), list(used.values())[:_FOLDERS_MOST]

    def search(self, query: str, limit: int) -> list[Found]:
        """Return the places where all the words stand. Raises RequestRefused (code `search_unavailable`)."""
        until = time.monotonic() + _SEARCH_SECONDS
        while self._ledger.index() and time.monotonic() < until:
            pass
        return self._ledger.search(query, limit)

    def elsewhere(self, cwd: str | None) -> list[tuple[KiroConversation, Session | None]]:
        """Return the conversations that were begun elsewhere, each with the session that continues it."""
        return self.adoption.listed(cwd)

    def adopt(self, engine: KiroEngine, kiro_id: str) -> Session:
        """Return the session that continues a conversation. Raises RequestRefused, LedgerError."""
        found = self.adoption.find(engine, kiro_id)
        folder = self._folders.given(found.cwd, self._used())
        return self.adoption.adopt(replace(found, cwd=folder))

    def _used(self) -> set[str]:
        return {session.cwd for session in self._ledger.sessions()}
