"""The owner of a ledger is killed at any moment: what it acknowledged is there, and numbers go on."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.ledger import Ledger, schema

ROUNDS = 15
WRITER = Path(__file__).with_name("write_until_killed.py")
ROOT = Path(schema.__file__).parents[2]


@dataclass
class Acknowledged:
    """What the writers said that was stored, over all rounds."""

    prompts: dict[int, str] = field(default_factory=dict)
    texts: dict[tuple[int, str], str] = field(default_factory=dict)
    marks: dict[int, dict[str, Any]] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    turn_ids: list[int] = field(default_factory=list)
    message_ids: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def take(self, said: dict[str, Any]) -> None:
        """Note one line of a writer."""
        self.numbers += said["numbers"]
        turn = said["turn"]
        if said["did"] == "accept":
            self.prompts[turn] = said["prompt"]
            self.turn_ids.append(turn)
            self.message_ids.append(said["message_id"])
        elif said["did"] == "remember":
            self.marks[turn] = said["mark"]
        elif said["did"] == "apply":
            self.texts[turn, said["key"]] = said["text"]
        else:
            self.ended.add(turn)

    def check(self, ledger: Ledger) -> None:
        """Compare with what the ledger holds. It may hold the one step more that was stored and not said."""
        for number, prompt in self.prompts.items():
            turn = ledger.turn(number)
            assert turn and turn.prompt == prompt
            assert turn.mark == self.marks.get(number, turn.mark)
            assert turn.ended_at is not None or number not in self.ended
        for (number, key), text in self.texts.items():
            [found] = [stored.item.text for stored in ledger.turn_items(number) if stored.item.key == key]
            assert found.startswith(text)
        assert self.numbers == sorted(set(self.numbers))
        assert self.turn_ids == sorted(set(self.turn_ids))
        assert self.message_ids == sorted(set(self.message_ids))
        assert ledger.last_seq() >= self.numbers[-1]


def lines_until_killed(path: Path, count: int) -> Iterator[dict[str, Any]]:
    """Yield what a writer acknowledges, killed after `count` lines, in whatever it is doing then."""
    command = [sys.executable, str(WRITER), str(path)]
    with subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        try:
            said = [writer.stdout.readline() for _ in range(count)]
        finally:
            writer.kill()
        said += writer.stdout.readlines()
    for line in said:
        if line.endswith(b"\n"):
            yield json.loads(line)


def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    chance, acknowledged, cut = random.Random(9), Acknowledged(), 0
    for _ in range(ROUNDS):
        for said in lines_until_killed(path, chance.randrange(1, 120)):
            acknowledged.take(said)
        with closing(Ledger.open(path)) as ledger:
            acknowledged.check(ledger)
            cut += bool(ledger.unfinished())
    assert cut, "no round was killed within a turn"
