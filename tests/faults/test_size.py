"""One answer of 50 MB, and a session of 10,000 turns."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
import requests

from bridge.core.items import Item, ItemPut, TurnEnded
from bridge.ledger import Ledger
from tests.faults.conftest import Case
from tests.faults.followers import Follower
from tests.faults.harness import FaultBridge, prompt
from tests.whole.conftest import ENGINES, WAIT

FRAME_LIMIT = 120 * 1024


@pytest.mark.parametrize("name", ["v2", "v1"])
def test_a_huge_answer(bridge: FaultBridge, case: Case, name: str) -> None:
    size = case.times(4_000_000, 50 * 1024 * 1024)
    bridge.env.update(ENGINES[name])
    bridge.start()
    bridge.send("!standin text first")
    bridge.settled()
    before = bridge.usage()
    began, worst = time.monotonic(), 0.0
    assert bridge.send(f"!standin size {size}")
    while bridge.get("/status")["status"] == "running":
        worst = max(worst, bridge.time_status())
    took = time.monotonic() - began
    during = bridge.usage()
    answer = bridge.answer()
    assert bridge.turns()[-1]["state"] == "completed", bridge.turns()[-1]
    assert len(answer) == size and answer == expected(size)
    longest = longest_frame(bridge)
    assert longest < FRAME_LIMIT
    after = bridge.no_leak_since(before)
    assert during.highest < 150 + 12 * size / 1e6
    case.tell(
        size_mb=size / 1e6, turn_s=took, worst_status_s=worst, rss_turn_peak_mb=round(during.highest),
        longest_frame=longest, **after.beside(before),
    )  # fmt: skip


def expected(size: int) -> str:
    """Return what the stand-in says when it is asked for so many bytes, as an answer without its outer spaces."""
    return "".join(f"{offset:015d}\n" for offset in range(0, size + 16, 16))[:size]


def longest_frame(bridge: FaultBridge) -> int:
    """Return the size of the longest event with which `/events` begins."""
    longest, event, seen = 0, 0, set()
    with requests.get(bridge.url + "/events", stream=True, timeout=WAIT) as reply:
        for line in reply.iter_lines(chunk_size=1 << 16):
            event += len(line) + 1
            if line.startswith(b"data: {"):
                seen.add(json.loads(line[6:]).get("id"))
            if not line:
                longest, event = max(longest, event), 0
                if 3 in seen:
                    return longest
    raise AssertionError("the answer never came")


def test_a_session_of_many_turns(bridge: FaultBridge, case: Case) -> None:
    turns = case.times(1000, 10_000)
    bridge.start()
    session = bridge.session()
    bridge.stop()
    fill(bridge, session, turns)
    began = time.monotonic()
    bridge.start()
    start = time.monotonic() - began
    before = bridge.usage()
    began = time.monotonic()
    messages = bridge.messages()
    all_messages = time.monotonic() - began
    assert [message["id"] for message in messages] == list(range(2 * turns))
    began = time.monotonic()
    page = bridge.get(f"/api/v1/sessions/{session}/items?limit=100")
    items = time.monotonic() - began
    assert len(page["items"]) == 100 and page["more"]
    began = time.monotonic()
    follower = Follower(bridge, "all of it")
    follower.visit(1 << 40, until=page["last_seq"])
    replay = time.monotonic() - began
    assert len(follower.items) == 2 * turns and len(follower.turns) == turns
    began = time.monotonic()
    count_agentapi(bridge, 2 * turns)
    events = time.monotonic() - began
    began = time.monotonic()
    assert bridge.send(prompt(turns, case.chance))
    accept = time.monotonic() - began
    bridge.verify()
    held = bridge.no_leak_since(before)
    case.tell(
        turns=turns, start_s=start, messages_s=all_messages, items_page_s=items, session_replay_s=replay,
        events_replay_s=events, accept_s=accept, **held.beside(before),
    )  # fmt: skip


def fill(bridge: FaultBridge, session: str, turns: int) -> None:
    """Put that many finished turns into the ledger, as the bridge itself would, but where a durable commit is quick."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        path = shutil.copy(bridge.ledger_path(), folder)
        write_turns(bridge, Path(path), session, turns)
        shutil.copy(path, bridge.ledger_path())


def write_turns(bridge: FaultBridge, path: Path, session: str, turns: int) -> None:
    with closing(Ledger.open(path)) as ledger:
        for number in range(turns):
            text = f"Question {number}."
            turn, _ = ledger.accept(session, text)
            ledger.start(turn.id)
            answer = Item(f"message-{number}", "text", 1, f"Answer {number}. " * 10, final=True, recorded=True)
            ledger.apply(turn.id, [ItemPut(prompt_item(turn.id, text)), ItemPut(answer), TurnEnded("completed")])
            bridge.accepted.append(text)


def prompt_item(turn_id: int, text: str) -> Item:
    return Item(f"prompt:{turn_id}", "prompt", 0, text, final=True, recorded=True)


def count_agentapi(bridge: FaultBridge, messages: int) -> None:
    """Read `/events` until it has told of so many messages."""
    seen = 0
    with requests.get(bridge.url + "/events", stream=True, timeout=WAIT) as reply:
        for line in reply.iter_lines(chunk_size=1 << 16):
            seen += line == b"event: message_update"
            if seen >= messages:
                return
