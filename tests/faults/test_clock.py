"""The wall clock is set back or forth while turns run: no turn, item or number depends on it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.core.agentapi import turn_messages
from bridge.core.records import Session
from bridge.engine import Engine, Hub
from bridge.kiro.command import LaunchOptions
from bridge.kiro.headless import HeadlessTransport
from bridge.kiro.installation import Installation
from bridge.kiro.locations import find_locations
from bridge.ledger import Ledger
from tests.conftest import Standin
from tests.faults.conftest import Case
from tests.faults.harness import prompt
from tests.faults.invariants import Memory, verify
from tests.whole.conftest import ENGINES, until

HOUR = 3600.0


class Clock:
    """The wall clock as the bridge reads it; Kiro reads the machine's."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Room:
    """An engine with the real transport, under a clock that can be set."""

    def __init__(self, folder: Path, standin: Standin, engine: str) -> None:
        self.clock = Clock()
        self.ledger_path = folder / "ledger.sqlite3"
        self.ledger = Ledger.open(self.ledger_path, self.clock)
        options = LaunchOptions(engine=engine, trust_all_tools=True)  # type: ignore[arg-type]
        self._installation = Installation(os.environ, options, explicit=str(standin.path), cache_file=folder / "cache")
        locations = find_locations(os.environ)

        def transport(_session: Session) -> HeadlessTransport:
            return HeadlessTransport(self._installation, locations, options, stop_grace=1.0, clock=self.clock)

        work = folder / "work"
        work.mkdir()
        self.engine = Engine(self.ledger, Hub(self.ledger.last_seq()), transport, workdir=str(work), clock=self.clock)
        self.engine.start()
        assert self.engine.wait_started(60)

    def messages(self) -> list[dict[str, object]]:
        found = self.ledger.conversation(self.engine.primary, limit=1000)
        told = [one for turn, items in found for one in turn_messages(turn, (stored.item for stored in items))]
        return [{"id": one.id, "role": one.role, "content": one.text} for one in told]

    def close(self) -> None:
        self.engine.stop()
        self._installation.close()
        self.ledger.close()


@pytest.fixture(params=["v1-old", "v1", "v2-text", "v2", "v3"])
def room(request: pytest.FixtureRequest, tmp_path: Path, standin: Standin) -> Iterator[Room]:
    env = ENGINES[request.param]
    os.environ.update({**standin.env, **env})
    made = Room(tmp_path, standin, env.get("KIRO_BRIDGE_ENGINE", "auto"))
    yield made
    made.close()


def test_clock_is_set_while_turns_run(room: Room, own_home: Path, case: Case) -> None:
    rounds = case.times(1, 10)
    memory, sent = Memory(), []
    for number in range(3 * rounds):
        first, then = case.chance.choice([(HOUR, 0.0), (0.0, HOUR), (0.0, -HOUR), (30 * HOUR, -HOUR)])
        if number == 0:
            first, then = HOUR, 0.0
        room.clock.ahead = first
        sent.append(prompt(number, case.chance))
        turn = room.engine.submit(sent[-1])
        room.clock.ahead = then
        until(lambda: not room.engine.busy(), "the turn ends")
        ended = room.ledger.turn(turn.id)
        assert ended is not None and ended.state == "completed", (first, then, ended)
        texts = [one.item for one in room.ledger.turn_items(turn.id) if one.item.kind in ("text", "tool")]
        assert len(texts) == 3 and all(item.recorded for item in texts), (first, then, texts)
        verify(room.ledger_path, own_home, sent, [], memory, room.messages())
    case.tell(turns=3 * rounds)
