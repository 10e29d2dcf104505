"""What a call costs does not grow with what the ledger already holds."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bridge.core.items import Item, ItemPut, ItemRemoved, SessionLearned, TextAppended, TurnEnded
from bridge.core.records import KiroConversation, SessionChange, SessionOptions
from bridge.ledger import ImportedMessage, ImportedTurn, Ledger, connections

TURNS = 10_000
SMALL = (
    *("SCAN sessions", "SCAN sqlite_sequence", "SCAN sqlite_master", "SCAN pragma_module_list"),
    *("SCAN to_index", "SCAN f VIRTUAL TABLE", "item_search_config", "USING INDEX turns_unfinished", "CONSTANT ROW"),
)
"""Plans that walk through a table or index that does not grow with the history."""


def use_everything(ledger: Ledger) -> None:
    """Call each method that reads or writes."""
    session, _ = ledger.create_session("/a")
    turn, _ = ledger.accept(session.id, "hello")
    ledger.start(turn.id)
    ledger.remember(turn.id, {"a": 1})
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1)), ItemPut(Item("n", "text", 2)), SessionLearned(title="T")])
    ledger.apply(turn.id, [TextAppended("m", 0, "a"), ItemPut(Item("o", "text", 2), old_key="n"), ItemRemoved("o")])
    [_, last] = ledger.turn_items(turn.id)
    ledger.items(session.id)
    ledger.items(session.id, before=last.id)
    ledger.item(last.id)
    ledger.keys(session.id, ["m", "x"])
    ledger.events_after(0)
    ledger.events_after(0, session_id=session.id)
    ledger.last_seq()
    ledger.turn(turn.id)
    ledger.turns(session.id, before=turn.id, limit=5)
    ledger.active_turn(session.id)
    ledger.unfinished()
    ledger.session(session.id)
    ledger.sessions()
    ledger.apply(turn.id, [TurnEnded("completed")])
    ledger.import_messages(session.id, [ImportedMessage(8, "user", "u", 1.0), ImportedMessage(9, "agent", "a", 2.0)])
    ledger.set_meta("a", "b")
    ledger.meta("a")
    use_sessions(ledger, session.id)


def use_sessions(ledger: Ledger, session_id: str) -> None:
    """Call what is there for several sessions."""
    ledger.change_session(session_id, SessionChange(title="T", pinned=True, options=SessionOptions(model="m")))
    first, _ = ledger.enqueue(session_id, "one")
    second, _ = ledger.enqueue(session_id, "two", first=True)
    ledger.change_queued(session_id, first, text="three", place=0)
    ledger.remove_queued(session_id, second)
    ledger.hold_queue(session_id, "why")
    ledger.hold_queue(session_id, "")
    ledger.waiting_queues()
    ledger.accept_queued(session_id, lambda _: "")
    while ledger.index():
        pass
    assert ledger.search("hel", 5)
    other = ledger.adopt_session(KiroConversation("v2", "k", "/a", "Theirs", 5.0))
    ledger.import_turns(other.id, [ImportedTurn("p", [Item("x", "text", 1, "y", final=True)], 1.0, 2.0)])
    ledger.adopted(other.id)
    ledger.unfinished_adoptions()
    ledger.session_of_kiro("v2", "k")
    ledger.context(other.id)
    ledger.queue(other.id)
    ledger.overview_after(0)
    ledger.delete_session(other.id)
    while ledger.purge():
        pass


def test_no_statement_scans_a_table_that_grows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: set[str] = set()
    plain = connections.connect

    def connect(path: Path, options: str = "mode=rw") -> sqlite3.Connection:
        connection = plain(path, options)
        connection.set_trace_callback(statements.add)
        return connection

    Ledger.open(path).close()
    monkeypatch.setattr(connections, "connect", connect)
    with closing(Ledger.open(path)) as ledger:
        use_everything(ledger)
    asked = sorted(one for one in statements if one.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")))
    assert len(asked) > 40
    with closing(sqlite3.connect(path)) as connection:
        plans = [(row[3], one) for one in asked for row in connection.execute(f"EXPLAIN QUERY PLAN {one}")]
    slow = [plan for plan in plans if plan[0].startswith("SCAN") and not any(one in plan[0] for one in SMALL)]
    assert slow == [], slow
    sorting = [plan for plan in plans if "TEMP B-TREE" in plan[0] and "sessions" not in plan[1]]
    assert sorting == []


@pytest.fixture(scope="module")
def long_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a closed ledger with one session of 10,000 turns and as many answers, and a short one."""
    path = tmp_path_factory.mktemp("long") / "ledger.sqlite3"
    with closing(Ledger.open(path)) as ledger:
        ledger.create_session("/a", session_id="long")
        roles = ("user", "agent")
        ledger.import_messages(
            "long", [ImportedMessage(n, roles[n % 2], f"{n} " * 20, float(n)) for n in range(2 * TURNS)]
        )
        ledger.create_session("/b", session_id="short")
        ledger.accept("short", "hello")
    return path


def bytes_read() -> int:
    """Return how many bytes this process has asked the system for."""
    with open("/proc/self/io", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("rchar:")).split()[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts bytes in /proc")
def test_opening_and_paging_read_little_of_a_long_history(long_history: Path) -> None:
    assert long_history.stat().st_size > 5_000_000
    calls: dict[str, Callable[[Ledger], object]] = {
        "unfinished": lambda ledger: ledger.unfinished(),
        "active": lambda ledger: ledger.active_turn("long"),
        "turns": lambda ledger: ledger.turns("long", limit=20),
        "items": lambda ledger: ledger.items("long", limit=50),
        "middle": lambda ledger: ledger.items("long", before=TURNS, limit=50),
        "events": lambda ledger: ledger.events_after(3 * TURNS - 50),
        "events of the other": lambda ledger: ledger.events_after(0, session_id="short"),
        "accept": lambda ledger: ledger.accept("short", "hello"),
        "keys": lambda ledger: ledger.keys("long", ["import:1", "import:9999", "nothing"]),
    }
    cost = {}
    before = bytes_read()
    with closing(Ledger.open(long_history)) as ledger:
        cost["open"] = bytes_read() - before
        for name, call in calls.items():
            before = bytes_read()
            assert call(ledger) is not None or name == "active"
            cost[name] = bytes_read() - before
    assert {name: read for name, read in cost.items() if read > 200_000} == {}


def test_a_long_history_is_whole(long_history: Path) -> None:
    with closing(Ledger.open(long_history)) as ledger:
        events = ledger.events_after(0, session_id="long", limit=10 * TURNS)
        assert len(events) == 1 + 3 * TURNS
        assert len(ledger.turns("long", before=TURNS + 1)) == TURNS


def test_appending_writes_in_proportion_to_what_is_appended(path: Path) -> None:
    """The log of a ledger tells how much was written: SQLite keeps it until the file is closed or it has 1000 pages."""
    wal = path.with_name(path.name + "-wal")
    written = []
    for size in (1_000, 2_000_000):
        with closing(Ledger.open(path)) as ledger:
            session, _ = ledger.create_session("/a")
            turn, _ = ledger.accept(session.id, "p" * size)
            ledger.remember(turn.id, {"mark": "m" * size})
            ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "t" * size, {"data": "d" * size}))])
        with closing(Ledger.open(path)) as ledger:
            offset, before = size, wal.stat().st_size
            for _ in range(20):
                ledger.apply(turn.id, [TextAppended("m", offset, "x" * 40)])
                offset += 40
            written.append(wal.stat().st_size - before)
    assert written[1] <= 2 * written[0]


def test_events_and_chunks_do_not_pile_up(path: Path) -> None:
    with closing(Ledger.open(path)) as ledger:
        session, _ = ledger.create_session("/a")
        turn, _ = ledger.accept(session.id, "hello")
        ledger.apply(turn.id, [ItemPut(Item("m", "text", 1)), ItemPut(Item("n", "text", 2))])
        for number in range(300):
            ledger.apply(turn.id, [TextAppended("m", number, "x"), TextAppended("n", number, "x")])
        ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "x" * 300, final=True)), TurnEnded("completed")])
        assert len(ledger.events_after(0, limit=1000)) == 6
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("SELECT count(*) FROM events").fetchone() == (6,)
        assert plain.execute("SELECT count(*) FROM chunks").fetchone() == (0,)


def test_what_must_survive_the_machine_is_synchronised(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, made = connections.connect, []

    def connect(path: Path, options: str = "mode=rw") -> sqlite3.Connection:
        made.append(plain(path, options))
        return made[-1]

    monkeypatch.setattr(connections, "connect", connect)
    with closing(Ledger.open(path)) as ledger:
        writing = made[-1]

        def level(call: Callable[[], object]) -> int:
            call()
            return int(writing.execute("PRAGMA synchronous").fetchone()[0])

        session, _ = ledger.create_session("/a")
        turn, _ = ledger.accept(session.id, "hello")
        full, normal = 2, 1
        assert level(lambda: ledger.start(turn.id)) == normal
        assert level(lambda: ledger.remember(turn.id, {})) == full
        assert level(lambda: ledger.apply(turn.id, [ItemPut(Item("m", "text", 1))])) == normal
        assert level(lambda: ledger.apply(turn.id, [TextAppended("m", 0, "x"), TurnEnded("completed")])) == full
        assert level(lambda: ledger.apply(turn.id, [ItemPut(Item("n", "text", 2))])) == normal
        assert level(lambda: ledger.accept(session.id, "hello")) == full
        assert writing.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert writing.execute("PRAGMA foreign_keys").fetchone()[0] == 1
