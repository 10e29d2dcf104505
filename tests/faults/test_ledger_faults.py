"""The bridge's own file fails: full, locked, damaged, from the future."""

from __future__ import annotations

import fcntl
import hashlib
import os
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
import requests

from bridge.ledger import Ledger
from tests.faults.conftest import Case
from tests.faults.harness import FaultBridge, prompt
from tests.ledger.test_failures import own_file_system
from tests.whole.conftest import WAIT, until

MEGABYTE = 1 << 20
Spoil = Callable[[Path], AbstractContextManager[None]]
MOUNTED = 'mount -t tmpfs -o size=40m none "$1" && shift && exec "$@"'
HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
connection.execute("UPDATE meta SET value = value")
print("held", flush=True)
sys.stdin.read()
"""
LONG_ANSWER = "!standin chunks 200\n!standin delay 0.01\n!standin size 4000000"


class SmallDisk(FaultBridge):
    """A bridge that keeps its ledger on a file system of 40 MB, which only it can see under its own name."""

    def __init__(self, folder: Path, transport: str, unshare: list[str]) -> None:
        super().__init__(folder, transport)
        self._unshare = unshare
        self._mount = folder / "disk"
        self._mount.mkdir()

    def disk(self) -> Path:
        """Return the small disk as it is seen from outside."""
        return Path(f"/proc/{self.master()}/root{self._mount}")

    def ledger_path(self) -> Path:
        return self.disk() / "ledger.sqlite3"

    def program(self) -> list[str]:
        here = [*super().program(), "--ledger", str(self._mount / "ledger.sqlite3")]
        return [*self._unshare, "sh", "-ec", MOUNTED, "sh", str(self._mount), *here]

    def fill(self, spare: int) -> None:
        """Leave so many bytes on the disk."""
        room = os.statvfs(self.disk())
        with (self.disk() / "ballast").open("ab") as file:
            file.write(b"x" * max(0, room.f_bavail * room.f_frsize - spare))


@pytest.fixture
def small_disk(tmp_path: Path, transport: str) -> Iterator[SmallDisk]:
    command = own_file_system()
    if command is None:
        pytest.skip("no file system of our own can be mounted here")
    bridge = SmallDisk(tmp_path, transport, command)
    yield bridge
    bridge.stop()


def test_disk_is_full_and_has_room_again(small_disk: SmallDisk, case: Case) -> None:
    bridge, rounds, cut, refused = small_disk, case.times(1, 5), 0, 0
    bridge.start()
    for number in range(rounds):
        assert bridge.send(prompt(2 * number, case.chance))
        bridge.settled()
        bridge.fill(spare=MEGABYTE // 2)
        assert bridge.send(f"Round {number}.\n{LONG_ANSWER}")
        until(lambda: problem_of(bridge) == "ledger_full" or not is_running(bridge), "the disk is full")
        assert bridge.messages()
        (bridge.disk() / "ballast").unlink()
        until(lambda: problem_of(bridge) is None, "the bridge goes on by itself")
        bridge.settled()
        ended = bridge.turns()[-1]
        if ended["state"] != "completed":
            assert ended["state"] == "failed" and ended["problem"]["code"] == "ledger_full", ended
            cut += 1
        bridge.fill(spare=0)
        refused += not taken_or_full(bridge, f"!standin text {number}\n{'x' * (MEGABYTE * 3 // 4)}")
        (bridge.disk() / "ballast").unlink()
        bridge.settled()
        assert bridge.send(prompt(2 * number + 1, case.chance))
        bridge.verify()
    assert cut and refused, "the disk was never full"
    case.tell(rounds=rounds, turns_cut=cut, prompts_refused=refused)


def taken_or_full(bridge: FaultBridge, text: str) -> bool:
    """Send a prompt that may find no room; return whether it was taken. Free pages of the file are room."""
    reply = bridge.post(text)
    if reply.status_code == 200:
        bridge.accepted.append(text)
        return True
    assert reply.json()["type"] == "urn:kiro-bridge:ledger-full", reply.text
    return False


def is_running(bridge: FaultBridge) -> bool:
    return bool(bridge.get("/status")["status"] == "running")


def problem_of(bridge: FaultBridge) -> str | None:
    problem = bridge.get("/status").get("problem")
    return str(problem["code"]) if problem else None


def test_files_may_not_grow(bridge: FaultBridge, case: Case) -> None:
    bridge.start()
    assert bridge.send(prompt(0, case.chance))
    bridge.settled()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    worker = bridge.worker()
    assert bridge.send(LONG_ANSWER)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (300_000, hard))
    until(lambda: problem_of(bridge) is not None, "the status tells of it")
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (hard, hard))
    until(lambda: problem_of(bridge) is None, "the bridge goes on by itself")
    bridge.settled()
    assert bridge.worker() == worker
    assert bridge.send(prompt(1, case.chance))
    bridge.verify()
    case.tell(limit=300_000)


@contextmanager
def locked_by_another_program(path: Path) -> Iterator[None]:
    """Another program has the file for itself; this one would give the lock back by looking at the file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin and holder.stdout and holder.stdout.readline()
        yield
        holder.stdin.close()


@contextmanager
def owned_by_another_bridge(path: Path) -> Iterator[None]:
    """Another process holds the lock file."""
    with path.with_name(path.name + ".lock").open("w") as file:
        print(os.getpid(), file=file, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def from_a_newer_bridge(path: Path) -> Iterator[None]:
    """The schema is one that nobody knows yet."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    yield


@contextmanager
def of_another_program(path: Path) -> Iterator[None]:
    """The file is somebody else's database."""
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    yield


@contextmanager
def of_text(path: Path) -> Iterator[None]:
    """The file is no database."""
    path.write_text("This is not a ledger.\n" * 1000)
    yield


@contextmanager
def a_directory(path: Path) -> Iterator[None]:
    """Something else stands in its place."""
    path.unlink()
    path.mkdir()
    yield


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (locked_by_another_program, "locked"),
        (owned_by_another_bridge, "in use by process"),
        (from_a_newer_bridge, "newer bridge"),
        (of_another_program, "another program"),
        (of_text, "not a database"),
        (a_directory, "ledger"),
    ],
)
def test_start_is_refused(bridge: FaultBridge, spoil: Spoil, words: str) -> None:
    path = bridge.ledger_path()
    with closing(Ledger.open(path)) as ledger:
        ledger.set_meta("kept", "here")
    with spoil(path):
        before = fingerprint(path)
        refused = run_once(bridge)
        assert refused.returncode == 1, refused
        assert "error: " in refused.stderr and words in refused.stderr and str(path) in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr
        assert fingerprint(path) == before


def test_another_program_writes_to_the_ledger(bridge: FaultBridge, case: Case) -> None:
    bridge.start()
    assert bridge.send(prompt(0, case.chance))
    bridge.settled()
    with closing(sqlite3.connect(bridge.ledger_path(), isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert len(bridge.messages()) == 2
        refused = bridge.post("hello")
        assert refused.status_code >= 500 and refused.json()["type"] == "urn:kiro-bridge:ledger-busy", refused.text
    assert bridge.send(prompt(1, case.chance))
    bridge.verify()


def run_once(bridge: FaultBridge) -> subprocess.CompletedProcess[str]:
    """Start the bridge on a ledger that it should refuse, and wait for its end."""
    return subprocess.run(
        bridge.program(),
        cwd=bridge.work, env=bridge.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT,
    )  # fmt: skip


def fingerprint(path: Path) -> str:
    return "directory" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()


def test_damage_never_crashes(bridge: FaultBridge, case: Case) -> None:
    """Random bytes of the file are overwritten: it is refused untouched, or the bridge serves and says what is bad."""
    rounds = case.times(4, 40)
    bridge.start()
    for number in range(3):
        bridge.send(prompt(number, case.chance))
        bridge.settled()
    bridge.stop()
    whole = bridge.ledger_path().read_bytes()
    refused = 0
    for _ in range(rounds):
        damaged = bytearray(whole)
        place = case.chance.choice([0, 16, 100, case.chance.randrange(len(whole))])
        length = case.chance.choice([1, 8, 500])
        damaged[place : place + length] = case.chance.randbytes(len(damaged[place : place + length]))
        if case.chance.random() < 0.3:
            del damaged[case.chance.randrange(len(damaged)) :]
        for stale in bridge.ledger_path().parent.glob("ledger.sqlite3-*"):
            stale.unlink()
        bridge.ledger_path().write_bytes(damaged)
        refused += not serves(bridge, bytes(damaged))
    case.tell(damages=rounds, refused=refused)


def serves(bridge: FaultBridge, damaged: bytes) -> bool:
    """Start on a damaged file; return whether it serves. It says what is wrong, or answers every request."""
    bridge.launch()
    end = until(lambda: bridge.ended() or bridge.says_address(), "it starts or gives up")
    log = bridge.log.read_text()
    if bridge.ended():
        assert end and "error: " in log[-3000:], log[-3000:]
        assert bridge.ledger_path().read_bytes() == damaged
        return False
    until(lambda: bridge.ended() or bridge.answers(), "it answers")
    if bridge.ended():
        assert bridge.ledger_path().read_bytes() == damaged
        return False
    for path in ("/status", "/messages", "/api/v1/sessions"):
        reply = requests.get(bridge.url + path, timeout=WAIT)
        assert reply.status_code == 200 or "problem+json" in reply.headers["Content-Type"], reply.text
    reply = bridge.post("!standin text after the damage")
    assert reply.status_code == 200 or "problem+json" in reply.headers["Content-Type"], reply.text
    threading.Event().wait(0.2)
    assert bridge.answers() or bridge.ended()
    bridge.stop()
    return True
