"""Kiro's stores change under a running turn: shrunk, rewound, replaced, gone, and left half written."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.conftest import Case
from tests.faults.harness import FaultBridge, prompt
from tests.whole.conftest import until

COMMON = ("shrink-history", "rewind", "clear", "remove-conversation")
FAULTS = {
    "v1": (*COMMON, "compact", "recreate-database", "remove-database"),
    "v2": (*COMMON, "compaction-line", "reset-to 0", "unknown-lines"),
    "v3": (*COMMON, "compact", "unknown-lines"),
}
HALF_WRITTEN = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE conversations_v2 SET value = value || zeroblob(200000), updated_at = updated_at + 1")
connection.execute("CREATE TABLE filler (x)")
connection.execute("INSERT INTO filler VALUES (zeroblob(500000))")
os.kill(os.getpid(), signal.SIGKILL)
"""
_PAUSE = threading.Event()


def places(home: Path) -> list[Path]:
    """Return the files and folders that Kiro keeps conversations in."""
    return [home / ".local" / "share" / "kiro-cli" / "data.sqlite3", home / ".kiro" / "sessions"]


def family(engine: FaultBridge) -> str:
    return engine.env.get("KIRO_BRIDGE_ENGINE", "v2")


def test_store_misbehaves_within_a_turn(engine: FaultBridge, case: Case) -> None:
    rounds = case.times(2, 30)
    engine.start()
    done = []
    for number in range(rounds):
        fault = case.chance.choice(FAULTS[family(engine)])
        lines = prompt(number, case.chance, tools=2).split("\n")
        lines.insert(case.chance.randint(4, len(lines) - 1), f"!standin fault {fault}")
        assert engine.send("\n".join(lines))
        engine.settled()
        until(lambda: not engine.survivors(), "nothing survives")
        said(engine, number, fault, steps=2)
        done.append(fault.split()[0])
    assert engine.send(prompt(rounds, case.chance))
    engine.settled()
    assert engine.turns()[-1]["state"] == "completed"
    engine.one_end_each()
    case.tell(rounds=rounds, faults=",".join(sorted(set(done))))


def said(engine: FaultBridge, number: int, fault: str, steps: int) -> None:
    """Check that a turn shows each of its texts at most once, in order, and all of them when it is completed."""
    answer = engine.answer()
    found = [answer.find(f"<{number}.{step}>") for step in range(steps + 1)]
    assert all(answer.count(f"<{number}.{step}>") <= 1 for step in range(steps + 1)), (fault, answer)
    there = [place for place in found if place >= 0]
    assert there == sorted(there), (fault, answer)
    if engine.turns()[-1]["state"] == "completed":
        assert len(there) == len(found), (fault, answer)


def test_store_is_taken_away_during_a_turn(engine: FaultBridge, case: Case) -> None:
    rounds = case.times(1, 20)
    engine.start()
    engine.send(prompt(0, case.chance))
    engine.verify()
    kept = engine.home.parent / "kept"
    for number in range(1, 2 * rounds, 2):
        how = case.chance.choice(["gone", "replaced", "emptied"])
        for place in places(engine.home):
            keep(place, kept / place.name)
        assert engine.send(prompt(number, case.chance, pace=0.03))
        _PAUSE.wait(case.chance.uniform(0.1, 0.6))
        for place in places(engine.home):
            harm(place, kept / place.name, how)
        engine.settled()
        until(lambda: not engine.survivors(), "nothing survives")
        said(engine, number, how, steps=1)
        assert engine.send(prompt(number + 1, case.chance))
        engine.settled()
        state = engine.turns()[-1]
        said(engine, number + 1, how, steps=1)
        assert state["state"] in ("completed", "failed"), state
        assert engine.send(prompt(100 + number, case.chance))
        engine.settled()
        assert engine.turns()[-1]["state"] == "completed", engine.turns()[-1]
    engine.one_end_each()
    case.tell(rounds=rounds)


def keep(place: Path, copy: Path) -> None:
    """Keep a copy of a store as it is now."""
    if copy.is_dir():
        shutil.rmtree(copy)
    if place.is_dir():
        shutil.copytree(place, copy)
    elif place.exists():
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(place, copy)


def harm(place: Path, copy: Path, how: str) -> None:
    """Take a store away, put its older copy there, or cut its files to nothing."""
    files = [place] if place.is_file() else list(place.rglob("*.jsonl"))
    if how == "emptied":
        for file in files:
            if file.suffix == ".sqlite3":  # cut under a writer, it would be damaged for good
                file.unlink()
            file.write_bytes(b"")
        return
    if place.is_dir():  # in one step, as Kiro goes on to write into it
        away = place.rename(copy.with_name("away"))
        shutil.rmtree(away)
    place.unlink(missing_ok=True)
    if how == "replaced" and copy.is_dir():
        shutil.copytree(copy, place, dirs_exist_ok=True)
    elif how == "replaced" and copy.exists():
        shutil.copy(copy, place)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_v1_under_each_journal_mode(bridge: FaultBridge, case: Case, journal: str) -> None:
    rounds = case.times(2, 30)
    bridge.env.update(KIRO_STANDIN_VERSION="2.19", KIRO_BRIDGE_ENGINE="v1", KIRO_STANDIN_JOURNAL=journal)
    bridge.start()
    for number in range(rounds):
        assert bridge.send(prompt(number, case.chance, tools=2))
        _PAUSE.wait(case.chance.uniform(0, 1.5))
        if case.chance.random() < 0.4:
            bridge.hurt(*bridge.detached())
        bridge.verify()
    with closing(sqlite3.connect(places(bridge.home)[0])) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == journal
    case.tell(rounds=rounds)


def test_v1_store_is_left_half_written(bridge: FaultBridge, case: Case) -> None:
    """A killed program leaves a journal that only a writer may roll back (facts/kiro-cli.md 14 no. 1)."""
    bridge.env.update(KIRO_STANDIN_VERSION="2.19", KIRO_BRIDGE_ENGINE="v1")
    bridge.start()
    assert bridge.send(prompt(0, case.chance))
    bridge.verify()
    rounds = case.times(2, 10)
    for number in range(1, rounds + 1):
        database = places(bridge.home)[0]
        subprocess.run([sys.executable, "-c", HALF_WRITTEN, str(database)], check=False)
        assert database.with_name("data.sqlite3-journal").stat().st_size
        assert bridge.send(prompt(number, case.chance))
        bridge.verify()
        assert bridge.turns()[-1]["state"] == "completed", bridge.turns()[-1]
    case.tell(rounds=rounds)
