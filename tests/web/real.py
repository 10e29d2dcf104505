"""The application over a real engine and a real ledger, with a transport that does what the test says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bridge.core.feed import (
    ApprovalAsked,
    ApprovalOption,
    Ended,
    MessageRecorded,
    PromptRecorded,
    SessionKnown,
    TextDelta,
)
from bridge.core.feed import (
    Engine as KiroEngine,
)
from bridge.core.records import KiroConversation, PastTurn
from bridge.engine.approvals import Approvals
from bridge.engine.book import SessionBook
from bridge.engine.folders import Folders
from bridge.errors import RequestRefused
from bridge.web.app import create_app
from bridge.web.assembly import EngineService
from bridge.web.service import WebConfig
from bridge.web.session_service import SessionService
from tests.engine.conftest import Bench

from .memory import EchoStreams

ASKED = ApprovalAsked(
    "approval:1",
    "Run ls",
    (
        ApprovalOption("yes", "Yes", "allow_once"),
        ApprovalOption("always", "Always", "allow_always"),
        ApprovalOption("no", "No", "reject_once"),
    ),
    text="ls -l",
)
THEIRS = KiroConversation("v2", "theirs", "", "Their title", 1_800_000_000.0, 1)


class Elsewhere:
    """Conversations of Kiro's: one, in the folder `cwd`."""

    def __init__(self, cwd: str) -> None:
        self.found = KiroConversation(**{**vars(THEIRS), "cwd": cwd})
        self.deleted: list[str] = []
        self.refuses = False

    def listed(self, cwd: str | None) -> list[KiroConversation]:
        return [self.found] if cwd in (None, self.found.cwd) else []

    def find(self, engine: KiroEngine, kiro_id: str) -> KiroConversation | None:
        return self.found if (engine, kiro_id) == (self.found.engine, self.found.kiro_id) else None

    def past(self, found: KiroConversation) -> tuple[Sequence[PastTurn], int]:
        events = (PromptRecorded("p", "their prompt"), MessageRecorded("m", "their answer"))
        return [PastTurn("their prompt", 1.0, 2.0, events[1:])], 0

    def delete(self, engine: KiroEngine, kiro_id: str, cwd: str) -> None:
        if self.refuses:
            raise RequestRefused("It cannot.", "Do it yourself.", code="kiro_delete_unavailable")
        self.deleted.append(kiro_id)


class RealApp:
    """An application in `folder`, its engine started."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.bench = Bench(self.work)
        self.engine = self.bench.start()
        self.puppet = self.bench.puppet
        self.elsewhere = Elsewhere(str(self.work))
        approvals = Approvals(self.engine, self.bench.ledger)
        self.book = SessionBook(
            self.engine, self.bench.ledger, self.elsewhere, Folders(folder / "sessions", [folder / "allowed"])
        )
        config = WebConfig(("localhost",), (), "/chat", folder / "uploads", "1.2.3")
        app = create_app(EngineService(self.engine, self.bench.ledger, approvals), config)
        app.extensions["streams"] = EchoStreams()
        app.extensions["session_service"] = SessionService(self.engine, self.book, approvals, self.bench.ledger)
        self.client = app.test_client()

    @property
    def primary(self) -> str:
        return self.engine.primary

    def asks(self) -> int:
        """Have Kiro ask in the primary session; return the id of the item."""
        self.engine.submit("do it")
        self.puppet.say(SessionKnown("k-1", "v2"), TextDelta("I will."), ASKED)
        self.bench.until(lambda: self.engine.status().phase == "waiting")
        items = self.bench.ledger.items(self.primary)
        return next(stored.id for stored in items if stored.item.kind == "approval")

    def finish(self) -> None:
        self.puppet.say(Ended("completed"))
        self.bench.settled()

    def close(self) -> None:
        self.bench.close()
