"""The file fails while it is in use: full disk, foreign lock, deletion, damage. And many threads at once."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from bridge.core.items import Change, Item, ItemPut, TextAppended, TurnEnded
from bridge.core.records import Event, Session
from bridge.errors import LedgerCorrupt, LedgerError, LedgerFull
from bridge.ledger import Ledger, connections, failures

FILL_A_DISK = Path(__file__).with_name("fill_a_disk.py")
ROOT = Path(failures.__file__).parents[2]


def own_file_system() -> list[str] | None:
    """Return a command that runs another where it may mount a file system of its own, or None."""
    if not shutil.which("unshare"):
        return None
    command = ["unshare", "--user", "--map-root-user", "--mount"]
    tried = subprocess.run(
        [*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, timeout=60, check=False
    )
    return command if tried.returncode == 0 else None


def test_a_full_disk_is_told_and_nothing_is_half_done(tmp_path: Path) -> None:
    command = own_file_system()
    if command is None:
        pytest.skip("no file system of our own can be mounted here")
    script = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" "$3" "$1"'
    done = subprocess.run(
        [*command, "sh", "-ec", script, "sh", str(tmp_path), sys.executable, str(FILL_A_DISK)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ledger_full\nall kept\n", "")


def test_a_ledger_that_may_not_grow_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[sqlite3.Connection] = []
    plain = connections.connect

    def connect(path: Path, options: str = "mode=rw") -> sqlite3.Connection:
        made.append(plain(path, options))
        return made[-1]

    monkeypatch.setattr(connections, "connect", connect)
    with closing(Ledger.open(path)) as ledger:
        session, _ = ledger.create_session("/a")
        turn, events = ledger.accept(session.id, "hello")
        made[-1].execute("PRAGMA max_page_count = 1")  # SQLite takes the present size, when that is more
        with pytest.raises(LedgerFull, match="Free some space"):
            ledger.apply(turn.id, [ItemPut(Item("m", "text", 1)), TextAppended("m", 0, "x" * 100_000)])
        assert ledger.last_seq() == events[-1].seq
        assert ledger.keys(session.id, ["m"]) == set()
        made[-1].execute("PRAGMA max_page_count = 100000")
        [event] = ledger.apply(turn.id, [ItemPut(Item("m", "text", 1))])
        assert event.seq == events[-1].seq + 1


def test_a_foreign_lock_is_told_and_reads_go_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT", 0.05)
    with closing(Ledger.open(path)) as ledger:
        session, _ = ledger.create_session("/a")
        with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError, match="Another program holds") as caught:
                ledger.accept(session.id, "hello")
            assert caught.value.problem.code == "ledger_busy"
            assert ledger.turns(session.id) == []
        assert ledger.accept(session.id, "hello")[0].message_id == 0


def test_a_file_that_vanished_is_told_before_a_prompt_is_taken(ledger: Ledger, session: Session, path: Path) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    path.rename(path.with_name("elsewhere"))
    for call in (
        lambda: ledger.accept(session.id, "again"),
        lambda: ledger.remember(turn.id, {}),
        lambda: ledger.apply(turn.id, [TurnEnded("completed")]),
    ):
        with pytest.raises(LedgerError) as caught:
            call()
        assert caught.value.problem.code == "ledger_moved"
    path.write_bytes(b"")
    with pytest.raises(LedgerError, match="moved, replaced"):
        ledger.accept(session.id, "again")


def test_damage_in_use_is_told(path: Path) -> None:
    with closing(Ledger.open(path)) as ledger:
        session, _ = ledger.create_session("/a")
        turn, _ = ledger.accept(session.id, "hello")
        ledger.apply(turn.id, [ItemPut(Item(f"k{number}", "text", number, "x" * 500)) for number in range(500)])
    with closing(sqlite3.connect(path)) as plain:
        [(root,)] = plain.execute("SELECT rootpage FROM sqlite_master WHERE name = 'items'")
    with closing(Ledger.open(path)) as ledger:
        with path.open("r+b") as file:
            file.seek((root - 1) * 4096)
            file.write(b"\x55" * 4096)
        with pytest.raises(LedgerCorrupt, match="Move it aside"):
            ledger.items(session.id)
        with pytest.raises(LedgerCorrupt):
            ledger.apply(turn.id, [ItemPut(Item("k1", "text", 1))])
        assert ledger.sessions() != []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (sqlite3.OperationalError("database or disk is full"), "ledger_full"),
        (sqlite3.DatabaseError("database disk image is malformed"), "ledger_corrupt"),
        (sqlite3.DatabaseError("file is not a database"), "ledger_corrupt"),
        (sqlite3.OperationalError("database is locked"), "ledger_busy"),
        (sqlite3.OperationalError("unable to open database file"), "ledger_error"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "ledger_error"),
        (sqlite3.OperationalError("disk I/O error"), "ledger_error"),
        (sqlite3.DataError("string or blob too big"), "ledger_error"),
    ],
)
def test_every_error_names_the_file_and_a_remedy(tmp_path: Path, said: sqlite3.Error, code: str) -> None:
    error = failures.explain(said, tmp_path / "the ledger")
    assert error.problem.code == code
    assert str(tmp_path / "the ledger") in error.problem.cause
    assert error.problem.remedy


def test_an_error_of_the_caller_leaves_nothing(ledger: Ledger, session: Session) -> None:
    turn, events = ledger.accept(session.id, "hello")
    with pytest.raises(TypeError):
        ledger.apply(turn.id, [ItemPut(Item("a", "text", 1)), ItemPut(Item("b", "text", 2, data={"x": object()}))])
    assert ledger.last_seq() == events[-1].seq
    ledger.apply(turn.id, [ItemPut(Item("a", "text", 1))])


class Halting(list[Change]):
    """Changes that stop whoever writes them before the last one, until `leave`."""

    def __init__(self, changes: list[Change]) -> None:
        super().__init__(changes)
        self.inside, self.leave = threading.Event(), threading.Event()
        self.looked_through = False

    def __iter__(self) -> Iterator[Change]:
        halting, self.looked_through = self.looked_through, True
        for number in range(len(self)):
            if halting and number == len(self) - 1:
                self.inside.set()
                assert self.leave.wait(60)
            yield self[number]


def test_reads_do_not_wait_for_a_writer(ledger: Ledger, session: Session) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    changes = Halting([ItemPut(Item("a", "text", 1)), ItemPut(Item("b", "text", 2))])
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(ledger.apply, turn.id, changes)
        try:
            assert changes.inside.wait(60)
            assert ledger.keys(session.id, ["a"]) == set()
            assert len(ledger.events_after(0)) == 3
            assert not writing.done()
        finally:
            changes.leave.set()
        writing.result(60)
    assert ledger.keys(session.id, ["a", "b"]) == {"a", "b"}


def test_threads_get_numbers_that_never_repeat(ledger: Ledger) -> None:
    def work(name: str) -> list[Event]:
        session, made = ledger.create_session("/a", session_id=name)
        told: list[Event] = [made]
        for number in range(20):
            turn, events = ledger.accept(session.id, f"{name} {number}")
            told += [*events, ledger.start(turn.id)]
            told += ledger.apply(turn.id, [ItemPut(Item(f"m{number}", "text", 1))])
            for offset in range(5):
                told += ledger.apply(turn.id, [TextAppended(f"m{number}", offset, "x")])
            told += ledger.apply(turn.id, [TurnEnded("completed")])
            assert ledger.events_after(told[-2].seq, session_id=name)[-1] == told[-1]
        return told

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(work, "abcdef"))
    numbers = [event.seq for events in told for event in events]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert all(events == sorted(events, key=lambda event: event.seq) for events in told)
    messages = [turn.message_id for name in "abcdef" for turn in ledger.turns(name)]
    assert sorted(messages) == list(range(0, 2 * 6 * 20, 2))


def test_close_returns_after_the_last_read(path: Path) -> None:
    ledger = Ledger.open(path)
    session, _ = ledger.create_session("/a")
    inside, leave = threading.Event(), threading.Event()
    ended: list[str] = []

    def slow_keys() -> Iterator[str]:
        inside.set()
        assert leave.wait(60)
        ended.append("read")
        yield "m"

    def close() -> None:
        ledger.close()
        ended.append("closed")

    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(ledger.keys, session.id, slow_keys())
        try:
            assert inside.wait(60)
            closing_it = pool.submit(close)
            wait([closing_it], timeout=0.2)  # time for a close that does not wait to be seen
        finally:
            leave.set()
        assert reading.result(60) == set()
        closing_it.result(60)
    assert ended == ["read", "closed"]


def test_many_threads_see_the_close(path: Path) -> None:
    ledger = Ledger.open(path)
    session, _ = ledger.create_session("/a")
    stop = threading.Event()

    def work(call: Callable[[], object]) -> str:
        while not stop.is_set():
            try:
                call()
            except LedgerError as error:
                return error.problem.cause
        return "stopped"

    with ThreadPoolExecutor(4) as pool:
        calls: list[Callable[[], object]] = [
            lambda: ledger.accept(session.id, "x"),
            lambda: ledger.events_after(0, limit=50),
            ledger.sessions,
        ]
        running = [pool.submit(work, call) for call in calls]
        try:
            ledger.close()
            told = [one.result(60) for one in running]
        finally:
            stop.set()
    assert all("is closed" in cause for cause in told), told
