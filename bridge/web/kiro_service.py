"""What Kiro offers in a session, from the running transport and from Kiro's files together.

Invariant: what Kiro says itself wins over what a file or a list says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from flask import current_app

from bridge.core.library import Library, McpScope, McpServer
from bridge.core.ports import Choice, McpServerState, Surface, TransportKind
from bridge.core.records import Session
from bridge.settings.declared import EFFORTS
from bridge.web.service import ChatService

PATIENCE = 3.0
"""Seconds the first question for a folder waits for kiro-cli to list its agents and models."""


class Surfaces(Protocol):
    """The engine, as far as it knows what Kiro offers."""

    def surface(self, session_id: str) -> tuple[TransportKind, Surface]:
        """Return how a session is driven and what Kiro offers there. Raises UnknownSession."""

    def command(self, session_id: str, name: str, argument: str) -> str:
        """Run a slash command between two turns. Raises UnknownSession, AgentBusy, RequestRefused."""


class KiroFiles(Protocol):
    """Kiro's files; see `bridge.kiro.session_configuration`."""

    def mcp_servers(self, cwd: str, agent: str) -> list[McpServer]:
        """Return the MCP servers in the files."""

    def enable(self, cwd: str, agent: str, scope: McpScope, name: str, enabled: bool) -> McpServer:
        """Switch an MCP server on or off."""

    def library(self, cwd: str) -> Library:
        """Return skills, prompts and steering files."""

    def offers(self, cwd: str, patience: float) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
        """Return the agents and models that kiro-cli lists."""


@dataclass(frozen=True)
class Offered:
    """What can be chosen in a session."""

    kind: TransportKind
    session: Session
    surface: Surface
    agents: tuple[Choice, ...]
    models: tuple[Choice, ...]
    efforts: tuple[str, ...]


@dataclass(frozen=True)
class ServerShown:
    """A server of a file with the state that Kiro told of it, if it did."""

    server: McpServer
    state: McpServerState | None


class KiroService:
    """What the routes about Kiro ask. `chat` knows the sessions."""

    def __init__(self, chat: ChatService, surfaces: Surfaces, files: KiroFiles) -> None:
        self._chat = chat
        self._surfaces = surfaces
        self._files = files

    def offered(self, session_id: str) -> Offered:
        """Return what Kiro offers in a session; agents and models from kiro-cli's lists where nothing else tells."""
        session = self._chat.session(session_id)
        kind, surface = self._surfaces.surface(session_id)
        agents, models = surface.agents, surface.models
        if not (agents and models):
            listed_agents, listed_models = self._files.offers(session.cwd, PATIENCE)
            kind, surface = self._surfaces.surface(session_id)  # it may have told them meanwhile
            agents, models = surface.agents or listed_agents, surface.models or listed_models
        efforts = () if kind == "acp" and session.engine == "v3" else EFFORTS
        return Offered(kind, session, surface, agents, models, efforts)

    def command(self, session_id: str, name: str, argument: str) -> str:
        """Run a slash command and return what it says."""
        return self._surfaces.command(session_id, name, argument)

    def mcp_servers(self, session_id: str) -> list[ServerShown]:
        """Return the MCP servers of a session. One that only Kiro knows of is not in a file, and not listed."""
        session, agent, surface = self._place(session_id)
        return _with_states(self._files.mcp_servers(session.cwd, agent), surface)

    def enable(self, session_id: str, scope: McpScope, name: str, enabled: bool) -> ServerShown:
        """Switch an MCP server on or off and return it."""
        session, agent, surface = self._place(session_id)
        changed = self._files.enable(session.cwd, agent, scope, name, enabled)
        return _with_states([changed], surface)[0]

    def library(self, session_id: str) -> Library:
        """Return what a session finds in its folder and in Kiro's own."""
        return self._files.library(self._chat.session(session_id).cwd)

    def _place(self, session_id: str) -> tuple[Session, str, Surface]:
        """Return a session, the agent it runs with as far as that is known, and what Kiro offers."""
        session = self._chat.session(session_id)
        _, surface = self._surfaces.surface(session_id)
        running = next((agent.id for agent in surface.agents if agent.current), "")
        return session, running or session.options.agent, surface


def _with_states(servers: list[McpServer], surface: Surface) -> list[ServerShown]:
    states = {state.name: state for state in surface.mcp_servers}
    return [
        ServerShown(server, states.get(server.name) if server.enabled and not server.note else None)
        for server in servers
    ]


def kiro_service() -> KiroService:
    """Return the service of the running application."""
    return cast(KiroService, current_app.extensions["things"].kiro)
