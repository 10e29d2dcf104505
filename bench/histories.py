"""Opening long sessions, and how a ledger grows."""

from __future__ import annotations

import json
import statistics
import time
from contextlib import closing
from pathlib import Path

from bench.figures import Results
from bench.rows import BRIDGE
from bench.servers import Bridge, Server, running
from bench.wire import Link, Stream
from bridge.core.items import Item, ItemPut, TextAppended, TurnEnded
from bridge.ledger import Ledger

_BACK = 50


def session(home: Path, items: int, rounds: int, results: Results) -> None:
    """Measure a session of so many items; it comes in as AgentAPI's state file."""
    home.mkdir()
    state = home / "state.json"
    _write_state(state, items)
    with running(Bridge("--state-file", str(state)), home) as server:
        server.wait_stable()
    with running(Bridge("--state-file", str(state)), home) as server:
        results.add(BRIDGE, f"state{items}", server.wait_ready() * 1000)
    with running(Bridge(), home) as server:
        results.add(BRIDGE, f"start{items}", server.wait_ready() * 1000)
        _ask(server, items, rounds, results)
    state.unlink()


def _ask(server: Server, items: int, rounds: int, results: Results) -> None:
    link = Link(server.url)
    session_id = json.loads(link.get("/api/v1/sessions")[1])["primary"]
    place = f"/api/v1/sessions/{session_id}"
    for _ in range(rounds):
        took, body = link.get(f"{place}/items?limit=100")
        results.add(BRIDGE, f"page{items}", took * 1000)
        last = json.loads(body)["last_seq"]
        results.add(BRIDGE, f"resume{items}", _stream(server, f"{place}/events", last, b"\nid: %d\n" % last))
    for _ in range(max(2, rounds // 5)):
        results.add(BRIDGE, f"message{items}", link.get("/messages")[0] * 1000)
        results.add(BRIDGE, f"replay{items}", _stream(server, "/events", None, b"status_change"))
    link.close()


def _stream(server: Server, path: str, last: int | None, marker: bytes) -> float:
    began = time.monotonic()
    stream = Stream(server.url, path, None if last is None else {"Last-Event-ID": str(last - _BACK)})
    took = stream.wait(marker) - began
    stream.close()
    return took * 1000


def _write_state(path: Path, items: int) -> None:
    text = "A line of an answer, as long as such lines are. " * 8
    messages = [
        {"id": n, "role": ("user", "agent")[n % 2], "message": f"{n}: {text}", "time": "2026-01-01T00:00:00Z"}
        for n in range(items)
    ]
    path.write_text(json.dumps({"version": 1, "messages": messages, "initial_prompt": "", "initial_prompt_sent": True}))


def growth(home: Path, turns: int, results: Results) -> None:
    """Measure what ordinary turns add to a ledger."""
    home.mkdir()
    path = home / "ledger.sqlite3"
    sizes = []
    for _ in range(3):
        with closing(Ledger.open(path)) as ledger:
            one = ledger.create_session("/")[0]
            for _ in range(turns):
                _turn(ledger, one.id)
        sizes.append(sum(file.stat().st_size for file in home.iterdir()))
    results.add(BRIDGE, "growth", statistics.mean([sizes[1] - sizes[0], sizes[2] - sizes[1]]) / turns / 1000)


def _turn(ledger: Ledger, session_id: str) -> None:
    turn, _ = ledger.accept(session_id, "p" * 200)
    ledger.start(turn.id)
    ledger.remember(turn.id, {"engine": "v2", "run": "0" * 32, "store": {"log": {"offset": 1, "print": "0" * 128}}})
    ledger.apply(turn.id, [ItemPut(Item(f"m{turn.id}", "text", 1))])
    for number in range(40):
        ledger.apply(turn.id, [TextAppended(f"m{turn.id}", number * 50, "x" * 50)])
    ledger.apply(turn.id, [ItemPut(Item(f"m{turn.id}", "text", 1, "x" * 2000, final=True)), TurnEnded("completed")])
