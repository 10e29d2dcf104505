"""Many sessions, and search over much text."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

from bench.figures import Results
from bench.rows import BRIDGE
from bench.servers import Bridge, running
from bench.wire import Link
from bridge.core.items import Item, ItemPut, TurnEnded
from bridge.ledger import ImportedMessage, Ledger

_TEXT = "A line of an answer, as long as such lines are. " * 8
_RARE = 100
_PAGE = 30
"""How many places a search gives unless it is told otherwise."""


def measure(home: Path, count: int, items: int, rounds: int, results: Results) -> None:
    """Measure the list of `count` sessions, each with a turn, and searches over `items` items in one of them."""
    home.mkdir()
    ledger = home / "ledger.sqlite3"
    _fill(ledger, count, items)
    with running(Bridge("--ledger", str(ledger)), home) as server:
        server.wait_stable()
        link = Link(server.url)
        for _ in range(rounds):
            _ask(link, f"sessions{count}", "/api/v1/sessions", "sessions", count, results)
            _ask(link, f"rare{items}", "/api/v1/search?q=needle", "results", min(_PAGE, items // _RARE), results)
            _ask(link, f"common{items}", "/api/v1/search?q=answer+lines", "results", min(_PAGE, items), results)
        link.close()


def _ask(link: Link, row: str, path: str, field: str, wanted: int, results: Results) -> None:
    took, body = link.get(path)
    results.add(BRIDGE, row, took * 1000)
    if len(json.loads(body)[field]) != wanted:
        raise RuntimeError(f"GET {path} gave {len(json.loads(body)[field])} {field}, not {wanted}")


def _fill(path: Path, count: int, items: int) -> None:
    """Write a ledger whose items are all in the search index. One session of the `count` is the bridge's own."""
    cwd, now = str(path.parent), time.time()
    with closing(Ledger.open(path)) as ledger:
        large = ledger.create_session(cwd, title="The large one")[0]
        messages = [
            ImportedMessage(n, ("user", "agent")[n % 2], f"{_TEXT}{'needle' if n % _RARE == 0 else n}", now)
            for n in range(items)
        ]
        ledger.import_messages(large.id, messages)
        for number in range(count - 2):
            session = ledger.create_session(cwd, title=f"Number {number}")[0]
            turn, _ = ledger.accept(session.id, "Please do this.")
            ledger.start(turn.id)
            done = Item(f"m{turn.id}", "text", 1, "It is done.", final=True)
            ledger.apply(turn.id, [ItemPut(done), TurnEnded("completed")])
        while ledger.index():
            pass
