"""What the HTTP surface asks of the rest: the chat service and the makers of event streams.

Invariant: every method answers from memory or the ledger and never waits for a turn; only `submit` waits, for the
ledger's commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

from flask import Request, Response, current_app

from bridge.core.agentapi import Message
from bridge.core.records import Session, StoredItem, Turn
from bridge.engine import SessionFacts
from bridge.errors import Problem

Phase = Literal["starting", "ready", "working", "waiting", "failed"]
AgentStatus = Literal["running", "stable"]

ChatMessage = Message
"""One message as AgentAPI shows it."""


@dataclass(frozen=True)
class ServiceStatus:
    """How the primary session is. `problem` says why `ready` is false."""

    phase: Phase
    agentapi_status: AgentStatus
    ready: bool
    problem: Problem | None = None


@dataclass(frozen=True)
class ItemPage:
    """A piece of a session's history, oldest item first, with the turns its items belong to.

    `more` tells that older items exist; a client that follows the events after `last_seq` misses nothing.
    """

    items: list[StoredItem]
    turns: list[Turn]
    last_seq: int
    more: bool


class ChatService(Protocol):
    """The engine as the HTTP surface sees it. `session_id` None means the primary session."""

    def status(self) -> ServiceStatus:
        """Return the status of the primary session."""

    def messages(self) -> list[ChatMessage]:
        """Return the primary session as AgentAPI messages, oldest first."""

    def submit(self, text: str, *, session_id: str | None = None) -> Turn:
        """Accept a prompt and return its turn once it is durable.

        Raises `EmptyPrompt`, `AgentBusy`, `UnknownSession` or a `LedgerError`.
        """

    def cancel(self, *, session_id: str | None = None) -> bool:
        """Ask the running turn to stop; False when none runs. Raises `UnknownSession`."""

    def answer_key(self, key: str) -> None:
        """Answer what the primary session waits for by one of AgentAPI's raw keys. Raises RawRefused."""

    def facts(self, session: Session) -> SessionFacts:
        """Return what is true of a session just now."""

    def sessions(self, *, archived: bool | None = None) -> list[Session]:
        """Return every session, or those that are archived or not, pinned ones first, then the last changed."""

    def session(self, session_id: str) -> Session:
        """Return one session; raises `UnknownSession`."""

    def primary(self) -> str | None:
        """Return the id of the primary session, None while there is none."""

    def items(self, session_id: str, *, before: int | None, limit: int) -> ItemPage:
        """Return the last `limit` items, or those right before item id `before`. Raises `UnknownSession`."""


class Streams(Protocol):
    """Makers of the `text/event-stream` responses; registered as `app.extensions["streams"]`."""

    def agentapi(self, request: Request) -> Response:
        """Answer `GET /events` (contract 2)."""

    def screen(self, request: Request) -> Response:
        """Answer `GET /internal/screen` (contract 2.5): the text of the current or last answer."""

    def session(self, request: Request, session_id: str, last_seq: int | None) -> Response:
        """Answer the events of one session after `last_seq`; None means from now on. The session exists."""

    def overview(self, request: Request, last_seq: int | None) -> Response:
        """Answer what a list of all sessions needs of the events after `last_seq`; None means from now on."""

    def rendered(self, request: Request, session_id: str, last_seq: int | None, everything: bool) -> Response:
        """Answer the same with rendered text; `everything` adds sessions, turns and approvals of all sessions."""


@dataclass(frozen=True)
class WebConfig:
    """What the HTTP surface is told at start.

    `allowed_hosts` and `allowed_origins` as AgentAPI takes them (contract 5.2), `chat_base_path` the path under which
    browsers reach `/chat`, `upload_root` a directory for uploads that outlives the process, `bodies_at_once` how many
    requests may be received at the same time.
    """

    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    chat_base_path: str
    upload_root: Path
    version: str
    agent_type: str = "custom"
    transport: str = "acp"
    bodies_at_once: int = 16


def chat() -> ChatService:
    """Return the service of the running application."""
    return cast(ChatService, current_app.extensions["chat_service"])


def config() -> WebConfig:
    """Return the configuration of the running application."""
    return cast(WebConfig, current_app.extensions["web_config"])


def streams() -> Streams:
    """Return the stream makers of the running application."""
    return cast(Streams, current_app.extensions["streams"])
