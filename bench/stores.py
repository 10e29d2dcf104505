"""Looks at Kiro's stores: at one that has not changed, and at one with a new entry, whatever its size."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.figures import Results
from bench.rows import BRIDGE
from bridge.core.feed import Engine, FeedEvent, MessageRecorded
from bridge.core.ports import StoreReader
from bridge.kiro.locations import find_locations
from bridge.kiro.stores import open_reader

MEGA = 1_000_000
_ANSWER = 150 * "def found(rows):\n    return f\"{rows[0]}: ✓\"  # 'done' - naïve\n\n"
"""About 10 KB with what JSON has to escape and what ASCII does not have, as answers with code do."""

_SCHEMA = """CREATE TABLE conversations_v2 (key TEXT NOT NULL, conversation_id TEXT NOT NULL, value TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (key, conversation_id));
CREATE INDEX idx_conversations_v2_key_updated ON conversations_v2 (key, updated_at DESC)"""


def _timed(ask: Callable[[], Sequence[FeedEvent]]) -> tuple[float, Sequence[FeedEvent]]:
    began = time.perf_counter()
    events = ask()
    return (time.perf_counter() - began) * 1000, events


def _measure(
    reader: StoreReader, row: str, megabytes: int, rounds: int, add_entry: Callable[[int], None], results: Results
) -> None:
    reader.poll()
    for number in range(rounds):
        took, events = _timed(reader.poll)
        assert not events
        results.add(BRIDGE, f"{row}poll{megabytes}", took)
        add_entry(number)
        took, events = _timed(reader.poll)
        assert sum(isinstance(event, MessageRecorded) for event in events) == 1
        results.add(BRIDGE, f"{row}new{megabytes}", took)


def _reader(engine: Engine, home: Path, started_at: float) -> StoreReader:
    work = os.path.realpath(home)
    locations = find_locations(
        {"HOME": str(home)}, database=str(home / "data.sqlite3"), v2_sessions=str(home / "v2"), v3_sessions=None
    )
    return open_reader(engine, locations, cwd=work, started_at=started_at, kiro_id="big", prompt="ask")


def v1(home: Path, megabytes: int, rounds: int, results: Results) -> None:
    """Measure a row of that size in a database of engine v1."""
    home.mkdir()
    started = time.time()
    old = _entry("old", _ANSWER, started - 9e4)
    count = megabytes * MEGA // len(_json(old).encode())
    history = [_entry(f"old{n}", _ANSWER, started - 9e4) for n in range(count)]
    with closing(sqlite3.connect(home / "data.sqlite3", isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.executescript(_SCHEMA)

        def add(number: int) -> None:
            history.append(_entry(f"new{number}", "new answer", started + number))
            put(number)

        def put(number: int) -> None:
            value = {"conversation_id": "big", "next_message": None, "history": history, "latest_summary": None}
            row = (os.path.realpath(home), "big", _json(value), 1, int(started * 1000) + number)
            database.execute("INSERT OR REPLACE INTO conversations_v2 VALUES (?, ?, ?, ?, ?)", row)

        put(-1)
        reader = _reader("v1", home, started)
        with closing(reader):
            reader.baseline()
            _measure(reader, "v1", megabytes, rounds, add, results)


def _entry(key: str, answer: str, at: float) -> dict[str, Any]:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + ".000000000+00:00"
    return {
        "user": {"additional_context": "", "content": {"Prompt": {"prompt": "ask"}}, "timestamp": moment},
        "assistant": {"Response": {"message_id": key, "content": answer}},
        "request_metadata": {"message_id": key, "request_start_timestamp_ms": int(at * 1000)},
    }


def v2(home: Path, megabytes: int, rounds: int, results: Results) -> None:
    """Measure a session file of that size of engine v2."""
    folder = home / "v2"
    folder.mkdir(parents=True)
    side = {"session_id": "big", "cwd": os.path.realpath(home), "created_at": "2026-01-01T00:00:00Z"}
    (folder / "big.json").write_text(json.dumps(side))
    line = _line("AssistantMessage", "old", _ANSWER)
    with open(folder / "big.jsonl", "ab") as log:
        for _ in range(megabytes * MEGA // len(line)):
            log.write(line)
        log.flush()

        def add(number: int) -> None:
            log.write(_line("AssistantMessage", f"new{number}", "new answer"))
            log.flush()

        reader = _reader("v2", home, time.time())
        with closing(reader):
            reader.baseline()
            log.write(_line("Prompt", "p", "ask", meta={"timestamp": int(time.time())}))
            log.flush()
            _measure(reader, "v2", megabytes, rounds, add, results)


def _line(kind: str, key: str, text: str, **more: Any) -> bytes:
    data = {"message_id": key, "content": [{"kind": "text", "data": text}], **more}
    return _json({"version": "v1", "kind": kind, "data": data}).encode() + b"\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
