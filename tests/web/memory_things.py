"""Kiro's own things, files and diagnostics over a service in memory: real files, a Kiro that is made up.

Invariant: what is made up says the same each time.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from flask import Flask, Response

from bridge.core.ports import Choice, Command, McpServerState, Surface, TransportKind
from bridge.core.records import StoredItem, Turn
from bridge.diagnostics.check import Check
from bridge.diagnostics.doctor import Report
from bridge.diagnostics.machine import Room
from bridge.diagnostics.meter import Sample
from bridge.diagnostics.processes import Usage
from bridge.errors import RequestRefused
from bridge.kiro.offers import Offers
from bridge.kiro.session_configuration import SessionConfiguration
from bridge.web.file_service import SessionFiles
from bridge.web.kiro_service import KiroService
from bridge.web.schemas import SCHEMAS
from bridge.web.service import ChatService

from .schema_check import violations

SURFACE = Surface(
    agents=(Choice("dev", "dev", "Develops", True),),
    models=(Choice("auto", "Auto", current=True),),
    commands=(Command("/context", "Show the context", "[show]", True),),
    mcp_servers=(McpServerState("docs", "needs_login", None, "", "https://login.example.com/x"),),
    features=frozenset({"commands", "approvals"}),
)


def conforming(app: Flask) -> Flask:
    """Return the application with every JSON reply checked against the schema that it names."""

    @app.after_request
    def check(response: Response) -> Response:
        if response.is_json and not response.is_streamed:
            body = response.get_json()
            name = body["$schema"].rpartition("/")[2].removesuffix(".json")
            assert violations(SCHEMAS[name], body) == [], body
        return response

    return app


class MadeUpKiro:
    """Offers `surface` in every session, and has one command."""

    def __init__(self, chat: ChatService) -> None:
        self._chat = chat
        self.surface_now = SURFACE

    def surface(self, session_id: str) -> tuple[TransportKind, Surface]:
        """See `Surfaces`."""
        self._chat.session(session_id)
        return "acp", self.surface_now

    def command(self, session_id: str, name: str, argument: str) -> str:
        """See `Surfaces`."""
        self._chat.session(session_id)
        if name != "/context":
            raise RequestRefused(f"Kiro has no command {name}.", "List them.", code="unknown_command")
        return f"{name} {argument}".strip()


class MemoryHistory:
    """The turns of a service in memory, and texts by name."""

    def __init__(self, chat: Any) -> None:
        self._chat = chat
        self._notes: dict[str, str] = {}

    def conversation(self, session_id: str, *, after: int = 0, limit: int = 100) -> list[tuple[Turn, list[StoredItem]]]:
        """See `History`."""
        turns = [turn for turn in self._chat.turns if turn.id > after][:limit]
        return [(turn, [item for item in self._chat.stored if item.turn_id == turn.id]) for turn in turns]

    def meta(self, name: str) -> str | None:
        """See `Notes`."""
        return self._notes.get(name)

    def set_meta(self, name: str, value: str) -> None:
        """See `Notes`."""
        self._notes[name] = value


class MadeUpDoctor:
    """Finds the same things each time."""

    def report(self) -> Report:
        """See `Doctor`."""
        return Report(
            (Check("kiro-cli", "ok", "/bin/kiro-cli"), Check("login", "failed", "Logged out.", "Log in.")), 5.0
        )


class MadeUpMeter:
    """Measures the same each time; a new number whenever it is asked."""

    def __init__(self) -> None:
        self._number = 0

    def latest(self) -> tuple[int, Sample | None]:
        """See `Meter`."""
        self._number += 1
        used = Usage(12.5, 1000, 2)
        return self._number, Sample(time.time(), used, used, Room(10, 5), Room(20, 2))


class MemoryThings:
    """What the views find as `app.extensions["things"]`. Kiro's files are those of `home`."""

    def __init__(self, chat: ChatService, home: Path) -> None:
        environ = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
        self.surfaces = MadeUpKiro(chat)
        self.history = MemoryHistory(chat)
        self.files = SessionFiles(chat, self.history)
        self.doctor = MadeUpDoctor()
        self.meter = MadeUpMeter()
        self._environ = environ
        self._chat = chat

    @property
    def kiro(self) -> KiroService:
        """Return the service; its list of offers is never asked, as the made up Kiro tells everything."""
        return KiroService(self._chat, self.surfaces, SessionConfiguration(self._environ, _NoOffers(), ""))


class _NoOffers(Offers):
    def __init__(self) -> None:
        pass

    def of(self, cwd: str, patience: float = 0.0) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
        """Return nothing."""
        return (), ()
