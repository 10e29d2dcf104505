"""A chat service that keeps everything in memory: small, but it behaves.

Invariant: ids and sequence numbers only grow; a turn ends when `finish` or `cancel` says so.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from flask import Flask, Request, Response

from bridge.core.agentapi import turn_messages
from bridge.core.items import Item
from bridge.core.records import TURN_OVER, Session, StoredItem, Turn
from bridge.engine import SessionFacts
from bridge.errors import AgentBusy, RawRefused, UnknownSession
from bridge.web.app import create_app
from bridge.web.service import ChatMessage, ItemPage, ServiceStatus, WebConfig
from bridge.web.wire import plain_facts

NOW = 1_800_000_000.25
PRIMARY = "s-1"


class MemoryChat:
    """Implements `bridge.web.service.ChatService` for one session."""

    def __init__(self) -> None:
        self.now_status = ServiceStatus("ready", "stable", True)
        self.turns: list[Turn] = []
        self.stored: list[StoredItem] = []
        self.failure: Exception | None = None

    def status(self) -> ServiceStatus:
        """See `ChatService`."""
        return self.now_status

    def messages(self) -> list[ChatMessage]:
        """See `ChatService`."""
        if self.failure:
            raise self.failure
        found = []
        for turn in self.turns:
            found += turn_messages(turn, (stored.item for stored in self.stored if stored.turn_id == turn.id))
        return found

    def submit(self, text: str, *, session_id: str | None = None) -> Turn:
        """See `ChatService`."""
        self.session(session_id or PRIMARY)
        if self.failure:
            raise self.failure
        if self.turns and self.turns[-1].state not in TURN_OVER:
            raise AgentBusy("A turn is running.", "Wait for it, or stop it.")
        number = len(self.turns)
        self.turns.append(Turn(number + 1, PRIMARY, 2 * number, text, "running", NOW, changed_at=NOW))
        return self.turns[-1]

    def cancel(self, *, session_id: str | None = None) -> bool:
        """See `ChatService`."""
        self.session(session_id or PRIMARY)
        running = bool(self.turns) and self.turns[-1].state not in TURN_OVER
        if running:
            self.turns[-1] = dataclasses.replace(self.turns[-1], state="cancelled", ended_at=NOW)
        return running

    def answer_key(self, key: str) -> None:
        """See `ChatService`."""
        raise RawRefused(f"{key!r} answers a request for approval, and none is pending.", "Send a prompt.")

    def facts(self, session: Session) -> SessionFacts:
        """See `ChatService`."""
        return plain_facts(session)

    def sessions(self, *, archived: bool | None = None) -> list[Session]:
        """See `ChatService`."""
        return [] if archived else [self.session(PRIMARY)]

    def session(self, session_id: str) -> Session:
        """See `ChatService`."""
        if session_id != PRIMARY:
            raise UnknownSession(f"No session has the id {session_id}.", "List them with GET /api/v1/sessions.")
        return Session(PRIMARY, "/srv/project", "A title", "v2", None, NOW, NOW)

    def primary(self) -> str | None:
        """See `ChatService`."""
        return PRIMARY

    def items(self, session_id: str, *, before: int | None, limit: int) -> ItemPage:
        """See `ChatService`."""
        self.session(session_id)
        older = [item for item in self.stored if before is None or item.id < before]
        page = older[-limit:]
        wanted = {item.turn_id for item in page}
        turns = [turn for turn in self.turns if turn.id in wanted]
        return ItemPage(page, turns, len(self.stored), len(older) > len(page))

    def say(self, text: str, **data: Any) -> StoredItem:
        """Add a text item to the last turn."""
        number = len(self.stored) + 1
        item = Item(f"k{number}", "text", number, text, data, final=True, recorded=True)
        self.stored.append(StoredItem(number, PRIMARY, self.turns[-1].id, item, NOW, NOW, number))
        return self.stored[-1]

    def finish(self) -> None:
        """End the running turn well."""
        self.turns[-1] = dataclasses.replace(self.turns[-1], state="completed", ended_at=NOW)


class EchoStreams:
    """Implements `bridge.web.service.Streams` by saying what it was asked."""

    def agentapi(self, request: Request) -> Response:
        """See `Streams`."""
        return Response(f": agentapi {request.path}\n\n", content_type="text/event-stream")

    def screen(self, request: Request) -> Response:
        """See `Streams`."""
        return Response(f": screen {request.path}\n\n", content_type="text/event-stream")

    def session(self, request: Request, session_id: str, last_seq: int | None) -> Response:
        """See `Streams`."""
        return Response(f": session {session_id} {last_seq}\n\n", content_type="text/event-stream")

    def overview(self, request: Request, last_seq: int | None) -> Response:
        """See `Streams`."""
        return Response(f": overview {last_seq}\n\n", content_type="text/event-stream")

    def rendered(self, request: Request, session_id: str, last_seq: int | None, everything: bool) -> Response:
        """See `Streams`."""
        return Response(f": rendered {session_id} {last_seq} {everything}\n\n", content_type="text/event-stream")


def make_app(chat: MemoryChat, uploads: Path, **changes: Any) -> Flask:
    """Return the application over `chat`, with the default lists of AgentAPI unless `changes` say otherwise."""
    config = WebConfig(
        allowed_hosts=("localhost", "127.0.0.1", "[::1]"),
        allowed_origins=("http://localhost:3284", "http://localhost:3000"),
        chat_base_path="/chat",
        upload_root=uploads,
        version="1.2.3",
    )
    app = create_app(chat, dataclasses.replace(config, **changes))
    app.extensions["streams"] = EchoStreams()
    return app
