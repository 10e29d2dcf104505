"""Where sessions meet Kiro's own stores: what the routes of sessions ask, put together.

Invariant: built once beside the engine; what reads Kiro's stores is imported when somebody first asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge.core.feed import Engine as KiroEngine
from bridge.core.records import KiroConversation, PastTurn, SessionOptions
from bridge.engine import Engine
from bridge.engine.approvals import Approvals
from bridge.engine.book import SessionBook
from bridge.engine.conversations import Conversations
from bridge.engine.folders import Folders
from bridge.engine.upkeep import Upkeep
from bridge.ledger import Ledger
from bridge.web.session_service import SessionService

if TYPE_CHECKING:
    from bridge.settings import Settings


def wishes_of(settings: Settings) -> SessionOptions:
    """Return what the settings ask of Kiro for a session that has no wishes of its own."""
    listed = settings.trust_tools or ()
    return SessionOptions(
        model=settings.model or "",
        agent=settings.agent or "",
        effort=settings.effort or "",
        trust="all" if settings.trust_all_tools else "listed" if listed else "ask",
        trust_tools=listed,
    )


class SessionParts:
    """The book of sessions, approvals, upkeep, and the service over them."""

    def __init__(self, settings: Settings, engine: Engine, ledger: Ledger) -> None:
        book = SessionBook(
            engine, ledger, _LateConversations(settings), Folders(settings.sessions_root, settings.allowed_folders)
        )
        self.approvals = Approvals(engine, ledger)
        self.upkeep = Upkeep(engine, ledger, book.adoption)
        self.service = SessionService(engine, book, self.approvals, ledger)


class _LateConversations:
    """Kiro's own conversations (`bridge.engine.conversations.Conversations`), found when they are asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: Conversations | None = None

    def listed(self, cwd: str | None) -> list[KiroConversation]:
        """Return the newest conversations."""
        return self._conversations().listed(cwd)

    def find(self, engine: KiroEngine, kiro_id: str) -> KiroConversation | None:
        """Return the conversation of that id."""
        return self._conversations().find(engine, kiro_id)

    def past(self, found: KiroConversation) -> tuple[Sequence[PastTurn], int]:
        """Return what a conversation holds."""
        return self._conversations().past(found)

    def delete(self, engine: KiroEngine, kiro_id: str, cwd: str) -> None:
        """Have kiro-cli delete a conversation."""
        self._conversations().delete(engine, kiro_id, cwd)

    def _conversations(self) -> Conversations:
        if self._found is None:
            from bridge.kiro.elsewhere import make_conversations

            self._found = make_conversations(
                os.environ,
                database=self._settings.kiro_database,
                v2_sessions=self._settings.kiro_v2_sessions,
                v3_sessions=self._settings.kiro_v3_sessions,
                kiro_cli=self._settings.kiro_cli_path,
                cache_file=self._settings.state_dir / "kiro-cli.json",
            )
        return self._found
