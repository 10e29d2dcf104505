"""An ACP transport on a scratch home, driven as the engine drives it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from bridge.core.feed import ApprovalAsked, Ended, Engine, FeedEvent, SessionKnown
from bridge.core.items import Item, ItemPut, ItemRemoved, TextAppended
from bridge.core.ports import ApprovalAnswer, PromptRequest, Steer, Transport
from bridge.core.records import SessionOptions
from bridge.core.turn import TurnMachine
from bridge.engine.control import Control
from bridge.kiro.acp_launch import Wish
from bridge.kiro.acp_opening import Patience
from bridge.kiro.acp_places import Places
from bridge.kiro.acp_run import TurnRules
from bridge.kiro.acp_seat import Seat
from bridge.kiro.acp_transport import AcpTransport
from bridge.kiro.command import LaunchOptions
from bridge.kiro.headless import HeadlessTransport
from bridge.kiro.installation import Installation
from bridge.kiro.locations import find_locations
from tests.conftest import Standin

Answering = Callable[[ApprovalAsked], "str | None"]
"""From what Kiro asks to the id of an option, None for no answer."""


def by_kind(kind: str) -> Answering:
    """Answer with the first option of a kind."""
    return lambda asked: next(option.id for option in asked.options if option.kind == kind)


class Conversation:
    """What the engine does with a transport: one turn after the other, `kiro_id` and `engine` kept in between."""

    def __init__(self, transport: AcpTransport, seat: Seat, cwd: str) -> None:
        self.transport: Transport = transport
        self.seat = seat
        self.cwd = cwd
        self.kiro_id: str | None = None
        self.engine: Engine | None = None
        self.options = SessionOptions()
        self.control: Control | None = None
        self.marks: list[dict[str, Any]] = []
        self.items: list[Item] = []
        self.texts: list[str] = []
        self._turns = 0

    @property
    def pid(self) -> int | None:
        """The process that is kept, None while there is none."""
        agent = self.seat.agent
        return None if agent is None or agent.finished else agent.child.pid

    def run(
        self,
        prompt: str,
        *,
        answer: Answering | None = None,
        when: Callable[[FeedEvent, Control], None] | None = None,
        cancel_after: float | None = None,
    ) -> list[FeedEvent]:
        """Run a prompt to its end and return its events. `when` sees each event as it comes, and may act."""
        control = self.control = Control(lambda mark: self.marks.append(dict(mark)), lambda: self.options)
        self._turns += 1
        asked = Item("prompt", "prompt", 0, prompt, final=True)
        machine, self.items = TurnMachine(str(self._turns), [asked]), [asked]
        timer = threading.Timer(cancel_after, control.cancel) if cancel_after is not None else None
        events: list[FeedEvent] = []
        try:
            if timer is not None:
                timer.start()
            for batch in self.transport.run(self.request(prompt), control):
                assert batch, "a batch is never empty"
                for event in batch:
                    events.append(event)
                    self._heard(event, control, machine, answer, when)
        finally:
            if timer is not None:
                timer.cancel()
                timer.join()
            control.close()
        assert [type(event) for event in events].count(Ended) == 1 and isinstance(events[-1], Ended)
        return events

    def request(self, prompt: str) -> PromptRequest:
        """The request for a prompt."""
        return PromptRequest(prompt, self.cwd, self.kiro_id, self.engine, time.time(), self.options)

    def outcome(self, prompt: str, **ways: Any) -> Ended:
        """Run a prompt and return how it ended."""
        last = self.run(prompt, **ways)[-1]
        assert isinstance(last, Ended)
        return last

    def answer_text(self) -> str:
        """What the main agent said in the last turn, as it stands in its items."""
        said = [item for item in self.items if item.kind == "text" and "agent" not in item.data]
        return "\n".join(item.text for item in said)

    def of_kind(self, kind: str) -> list[Item]:
        """The items of a kind of the last turn, in order."""
        return [item for item in self.items if item.kind == kind]

    def _heard(
        self,
        event: FeedEvent,
        control: Control,
        machine: TurnMachine,
        answer: Answering | None,
        when: Callable[[FeedEvent, Control], None] | None,
    ) -> None:
        if isinstance(event, SessionKnown):
            self.kiro_id, self.engine = event.kiro_id, event.engine
        known = {item.key: item for item in self.items}
        for change in machine.apply(event):
            if isinstance(change, ItemPut):
                known.pop(change.old_key or "", None)
                known[change.item.key] = change.item
            elif isinstance(change, TextAppended):
                item = known[change.key]
                assert change.offset == len(item.text)
                known[change.key] = replace(item, text=item.text + change.text)
            elif isinstance(change, ItemRemoved):
                known.pop(change.key)
        self.items = sorted(known.values(), key=lambda item: item.position)
        if isinstance(event, ApprovalAsked) and answer is not None:
            chosen = answer(event)
            if chosen is not None:
                control.tell(ApprovalAnswer(event.key, chosen))
        if when is not None:
            when(event, control)


@dataclass
class Making:
    """Makes conversations, all closed at the end of the test."""

    standin: Standin
    tmp_path: Path
    undo: list[Callable[[], None]] = field(default_factory=list)

    def __call__(
        self,
        engine: Literal["auto", "v1", "v2", "v3"] = "v2",
        *,
        binary: Path | None = None,
        version: str = "2.28.0",
        places: Places | None = None,
        idle: float = 600.0,
        grace: float = 3.0,
        approval_timeout: float = 0.0,
        patience: Patience | None = None,
        wish: Wish = "acp",
        options: LaunchOptions | None = None,
        folder: str = "work",
        **extra: str,
    ) -> Conversation:
        work = self.tmp_path / folder
        work.mkdir(exist_ok=True)
        environ = {
            **os.environ,
            **self.standin.env,
            "KIRO_STANDIN_VERSION": version,
            "KIRO_STANDIN_TOKEN_DELAY": "0",
            **extra,
        }
        chosen = replace(options or LaunchOptions(), engine=engine)
        installation = Installation(environ, chosen, explicit=str(binary or self.standin.path), wish=wish)
        locations = find_locations(environ)
        shared = places or Places(4, self.tmp_path / "places")
        seat = Seat(shared, idle=idle, stop_grace=grace, patience=patience)
        transport = AcpTransport(
            installation,
            locations,
            chosen,
            seat,
            shared,
            HeadlessTransport(installation, locations, chosen, stop_grace=grace),
            wish=wish,
            rules=TurnRules(grace, approval_timeout),
        )
        self.undo += [transport.close, installation.close]
        return Conversation(transport, seat, os.path.realpath(work))

    def places(self, limit: int) -> Places:
        """A number of places to be shared."""
        return Places(limit, self.tmp_path / "shared-places")


@pytest.fixture
def conversation(standin: Standin, tmp_path: Path) -> Iterator[Making]:
    """Make conversations: `conversation("v3", version=…, **environment)`."""
    making = Making(standin, tmp_path)
    yield making
    for undo in making.undo:
        undo()


@pytest.fixture
def often(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """Choose between a small number and the full one of `--long`."""
    return lambda short, full: full if request.config.getoption("--long", default=False) else short


__all__ = ["Answering", "ApprovalAnswer", "Conversation", "Making", "Steer", "by_kind"]
