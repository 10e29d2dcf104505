"""Opening and closing: the lock, files that are not ours, migrations, nothing left open."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bridge.core.items import Item, ItemPut
from bridge.errors import LedgerCorrupt, LedgerError, LedgerLocked, LedgerTooNew
from bridge.ledger import Ledger, lockfile, schema

ROOT = Path(schema.__file__).parents[2]
PROMPT = """
session, _ = ledger.create_session("/a", session_id="mine")
ledger.accept(session.id, "hello")
"""


def run_and_die(path: Path, code: str = PROMPT) -> None:
    """Let another process do something to a ledger and end without closing it."""
    begin = "import os, sys; from bridge.ledger import Ledger; ledger = Ledger.open(sys.argv[1])"
    program = f"{begin}\n{code}\nos._exit(0)"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, cwd=ROOT, timeout=120)
    assert path.with_name(path.name + "-wal").stat().st_size > 0


def files(directory: Path) -> dict[str, bytes]:
    """Return what stands in the directory, without the lock file and SQLite's index of its log."""
    return {
        one.name: one.read_bytes() for one in directory.iterdir() if one.suffix != ".lock" and one.name[-4:] != "-shm"
    }


def open_files(path: Path) -> list[str]:
    """Return the open handles of this process on files of the ledger."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    targets = [os.readlink(link) for link in links if os.path.lexists(link)]
    return [target for target in targets if target.startswith(str(path))]


def test_directories_and_files_are_private(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        path = tmp_path / "a" / "b" / "ledger.sqlite3"
        ledger = Ledger.open(str(path))
        ledger.set_meta("a", "b")
    finally:
        os.umask(before)
    modes = {one.name: oct(one.stat().st_mode & 0o777) for one in [tmp_path / "a", path.parent, *path.parent.iterdir()]}
    directories = {"a": "0o700", "b": "0o700"}
    made = ("ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm", "ledger.sqlite3.lock")
    assert modes == {**directories, **dict.fromkeys(made, "0o600")}
    ledger.close()


def test_a_file_that_others_could_read_becomes_private(path: Path) -> None:
    Ledger.open(path).close()
    path.chmod(0o644)
    Ledger.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_ledger_is_refused_and_names_the_owner(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerLocked, match=f"process {os.getpid()} "):
        Ledger.open(path)
    link = tmp_path / "another name"
    link.symlink_to(path)
    with pytest.raises(LedgerLocked):
        Ledger.open(link)
    ledger.set_meta("still", "usable")


def test_another_process_holds_the_lock_until_it_ends(path: Path) -> None:
    code = "import sys; from bridge.ledger import Ledger; kept = Ledger.open(sys.argv[1]); print('open', flush=True)"
    command = [sys.executable, "-c", f"{code}; input()", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        try:
            assert owner.stdout and owner.stdout.readline() == b"open\n"
            with pytest.raises(LedgerLocked, match=f"process {owner.pid} "):
                Ledger.open(path)
        finally:
            owner.kill()
    ledger = Ledger.open(path)
    assert path.with_name(path.name + ".lock").read_text() == f"{os.getpid()}\n"
    ledger.close()


def die_with_a_child(path: Path, seconds: float) -> None:
    """Let an owner die while a child that it has just forked still has its files, for so long."""
    code = "import os, sys, time; from bridge.ledger import Ledger; kept = Ledger.open(sys.argv[1])"
    child = f"time.sleep({seconds}) if os.fork() == 0 else None; os._exit(0)"
    subprocess.run([sys.executable, "-c", f"{code}; {child}", str(path)], check=True, cwd=ROOT, timeout=120)


def test_the_child_of_a_dead_owner_is_waited_for(path: Path) -> None:
    die_with_a_child(path, 0.3)
    Ledger.open(path).close()


def test_a_child_that_keeps_the_lock_is_not_waited_for_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockfile, "_PATIENCE", 0.0)
    die_with_a_child(path, 1.0)
    with pytest.raises(LedgerLocked):
        Ledger.open(path)
    monkeypatch.undo()
    Ledger.open(path).close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_close_leaves_no_file_open_and_no_lock(path: Path) -> None:
    ledger = Ledger.open(path)
    session, _ = ledger.create_session("/a")
    ledger.accept(session.id, "hello")
    ledger.events_after(0)
    assert open_files(path) != []
    ledger.close()
    ledger.close()
    assert open_files(path) == []
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name, path.name + ".lock"]
    Ledger.open(path).close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_refused_file_is_let_go(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(LedgerCorrupt):
            Ledger.open(path)
        assert open_files(path) == []


def test_a_closed_ledger_says_so(path: Path) -> None:
    ledger = Ledger.open(path)
    ledger.close()
    for call in (ledger.sessions, ledger.last_seq, lambda: ledger.create_session("/a")):
        with pytest.raises(LedgerError, match="is closed"):
            call()


@pytest.mark.parametrize("content", [b"this is a text\n" * 400, b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_database_is_refused_untouched(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerCorrupt, match="Move it aside"):
        Ledger.open(path)
    assert files(path.parent) == {path.name: content}


def test_a_cut_file_is_refused_untouched(path: Path) -> None:
    with closing(Ledger.open(path)) as ledger:
        ledger.create_session("/a")
    content = path.read_bytes()[:-4096]
    path.write_bytes(content)
    with pytest.raises(LedgerCorrupt):
        Ledger.open(path)
    assert files(path.parent) == {path.name: content}


def test_damage_is_found_after_an_unclean_end(path: Path) -> None:
    with closing(Ledger.open(path)) as ledger:
        session, _ = ledger.create_session("/a")
        ledger.accept(session.id, "x" * 100_000)
    with closing(sqlite3.connect(path)) as plain:
        [(page,)] = plain.execute("SELECT rootpage FROM sqlite_master WHERE name = 'items_by_place'")
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\x55" * 4096)
    run_and_die(path, "ledger.set_meta('a', 'b')")
    with pytest.raises(LedgerCorrupt, match=r"its check says|malformed"):
        Ledger.open(path)


def test_the_database_of_another_program_is_refused_untouched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE conversations_v2 (key TEXT)")
    before = files(path.parent)
    with pytest.raises(LedgerCorrupt, match="another program"):
        Ledger.open(path)
    assert files(path.parent) == before


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger.open(tmp_path)


def test_a_pipe_is_refused_without_waiting(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(LedgerCorrupt, match="not a regular file"):
        Ledger.open(path)


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.touch()
    with closing(Ledger.open(path)) as ledger:
        assert ledger.sessions() == []


def test_what_a_dead_process_left_in_the_log_is_there(path: Path) -> None:
    run_and_die(path)
    with closing(Ledger.open(path)) as ledger:
        assert [turn.prompt for turn in ledger.unfinished()] == ["hello"]
        assert ledger.last_seq() == 3


@pytest.mark.parametrize("clean", [True, False])
def test_a_newer_file_is_refused_untouched(path: Path, monkeypatch: pytest.MonkeyPatch, clean: bool) -> None:
    run_and_die(path)
    if clean:
        Ledger.open(path).close()
    before = files(path.parent)
    monkeypatch.setattr(schema, "MIGRATIONS", ((0, lambda _: None),))
    with pytest.raises(LedgerTooNew, match="schema 2, this bridge knows up to 0"):
        Ledger.open(path)
    assert files(path.parent) == before
    monkeypatch.undo()
    with closing(Ledger.open(path)) as ledger:
        assert ledger.session("mine")


def add_colour(connection: sqlite3.Connection) -> None:
    """Stand for a later version's step."""
    connection.execute("ALTER TABLE sessions ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'")


def test_an_older_file_is_migrated_and_keeps_what_it_has(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_and_die(path)

    def paint(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE sessions SET colour = 'red'")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, (3, add_colour), (5, paint)))
    for _ in range(2):
        with closing(Ledger.open(path)) as ledger:
            assert ledger.session("mine")
            assert ledger.last_seq() == 3
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA user_version").fetchone() == (5,)
        assert plain.execute("SELECT colour FROM sessions").fetchall() == [("red",)]


def test_a_step_that_fails_leaves_the_version_before_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_and_die(path)

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM meta")
        connection.execute("DROP TABLE chunks")
        connection.execute("SELECT no_such_column FROM sessions")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, (3, add_colour), (4, fail)))
    with pytest.raises(LedgerError, match="no_such_column"):
        Ledger.open(path)
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA user_version").fetchone() == (3,)
        assert plain.execute("SELECT colour FROM sessions").fetchall() == [("blue",)]
        assert plain.execute("SELECT count(*) FROM chunks").fetchone() == (0,)


def test_a_step_that_leaves_dangling_rows_is_undone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_and_die(path)
    monkeypatch.setattr(
        schema, "MIGRATIONS", (*schema.MIGRATIONS, (3, lambda connection: connection.execute("DELETE FROM sessions")))
    )
    with pytest.raises(LedgerError, match="dangling row"):
        Ledger.open(path)
    monkeypatch.undo()
    with closing(Ledger.open(path)) as ledger:
        assert ledger.session("mine")


def test_the_file_itself_refuses_a_second_end_and_orphans(path: Path) -> None:
    with closing(Ledger.open(path)) as ledger:
        session, _ = ledger.create_session("/a")
        turn, _ = ledger.accept(session.id, "hello")
        ledger.apply(turn.id, [ItemPut(Item("m", "text", 1))])
    with closing(sqlite3.connect(path, isolation_level=None)) as plain:
        plain.execute("PRAGMA foreign_keys = ON")
        plain.execute("UPDATE turns SET state = 'completed', ended_at = 1")
        end = "INSERT INTO events (session_num, kind, turn_id, state, at) VALUES (1, 'turn', 1, ?, 1)"
        plain.execute(end, ("completed",))
        with pytest.raises(sqlite3.IntegrityError, match="turn is over"):
            plain.execute("UPDATE turns SET state = 'failed'")
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            plain.execute(end, ("failed",))
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            plain.execute("DELETE FROM turns")


def test_a_failed_step_leaves_the_connection_outside_a_transaction(tmp_path: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM nothing")

    with closing(sqlite3.connect(tmp_path / "plain", isolation_level=None)) as plain:
        with pytest.raises(sqlite3.OperationalError, match="nothing"):
            schema.migrate(plain, [(1, fail)])
        assert not plain.in_transaction
        assert schema.version_of(plain) == 0
