"""What a poll costs, counted in bytes read and in statements, never in time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.core.feed import MessageRecorded
from bridge.kiro import v1_database
from bridge.kiro.growing import GrowingObject
from bridge.kiro.v1_store import V1Reader
from bridge.kiro.v2_store import V2Reader
from bridge.kiro.v3_store import V3Reader
from tests.kiro.stores.writing import (
    CWD,
    START,
    KiroDatabase,
    append,
    replace_json,
    shell_result,
    v1_entry,
    v1_value,
    v2_line,
    v2_prompt,
    v2_side,
    v3_row,
    v3_session,
)

MEGA = 1_000_000
_IO = Path("/proc/thread-self/io")

needs_proc = pytest.mark.skipif(not _IO.exists(), reason="/proc/thread-self/io is only on Linux")


class BytesRead:
    """Counts the bytes this thread reads; what reading the counter itself costs is taken off."""

    def __init__(self) -> None:
        self.overhead = 0
        self.overhead = -self._between()

    def _between(self) -> int:
        first, second = self._now(), self._now()
        return first - second

    @staticmethod
    def _now() -> int:
        return int(_IO.read_text("ascii").split()[1])

    def during(self, action: Any) -> int:
        """Return how many bytes `action` reads."""
        before = self._now()
        action()
        return self._now() - before - self.overhead


@pytest.fixture
def count() -> BytesRead:
    """A counter of bytes read."""
    return BytesRead()


class Traced:
    """A reader of a 20 MB row, and the statements it runs."""

    def __init__(self, path: Path) -> None:
        self.database = KiroDatabase(path)
        big = [shell_result("t", "x" * 200_000)]
        self.entries = [v1_entry(f"o{n}", "y", results=big, at=-100 + n / 2) for n in range(100)]
        self.database.put(v1_value(*self.entries), START - 50)
        self.reader = V1Reader(path, CWD, START, "c1", "ask", lambda: START + 99)
        self.reader.baseline()
        self.statements: list[str] = []
        connection = self.reader._database._connection
        assert connection is not None
        connection.set_trace_callback(self.statements.append)

    def during_poll(self, *, final: bool = False) -> list[str]:
        """Poll and return the statements that were run."""
        self.statements.clear()
        assert self.reader.poll(final=final) == []
        return list(self.statements)


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Traced]:
    """A reader of a 20 MB row."""
    traced = Traced(tmp_path / "data.sqlite3")
    yield traced
    traced.reader.close()
    traced.database.close()


@needs_proc
def test_an_unchanged_row_of_20_mb_is_not_read(traced: Traced, count: BytesRead) -> None:
    traced.reader.poll()
    assert count.during(traced.reader.poll) < 200
    assert traced.during_poll() == ["PRAGMA data_version"]
    assert not [one for one in traced.during_poll(final=True) if "SELECT value" in one]


@needs_proc
def test_a_write_elsewhere_in_the_database_does_not_read_the_row(traced: Traced, count: BytesRead) -> None:
    traced.reader.poll()
    traced.database.touch()
    traced.database.put(v1_value(cid="x"), START, key="/another/folder")
    told: list[str] = []
    assert count.during(lambda: told.extend(traced.during_poll())) < 200_000
    assert told
    assert not [one for one in told if "value" in one and "conversations_v2" in one]


def test_a_changed_row_is_read_and_parsed_once(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    parses: list[int] = []
    parsed = GrowingObject.parsed

    def counted(row: GrowingObject, data: bytes) -> Any:
        parses.append(len(data))
        return parsed(row, data)

    monkeypatch.setattr(GrowingObject, "parsed", counted)
    traced.reader.poll()
    traced.statements.clear()
    traced.database.put(v1_value(*traced.entries, v1_entry("n", "new", prompt="ask", at=1)), START + 1)
    assert [event.key for event in traced.reader.poll() if isinstance(event, MessageRecorded)] == ["n"]
    assert len(parses) == 1
    assert len([one for one in traced.statements if "SELECT value FROM conversations_v2" in one]) == 1
    traced.during_poll()
    traced.during_poll(final=True)
    assert len(parses) == 1


def test_the_queries_that_watch_use_covering_indexes(tmp_path: Path) -> None:
    """Columns behind `value` must not be fetched from the row: SQLite would walk through all of the value."""
    database = KiroDatabase(tmp_path / "data.sqlite3")

    def plan(sql: str, *values: Any) -> str:
        rows = database.connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
        return " ".join(row[3] for row in rows)

    covering = "USING COVERING INDEX idx_conversations_v2_key_updated"
    assert covering in plan(v1_database.NEWEST_SQL, CWD, 50)
    assert covering in plan(v1_database.UPDATED_SQL, CWD, 1)
    assert "USING COVERING INDEX sqlite_autoindex_conversations_v2_1" in plan(v1_database.ROWID_SQL, CWD, "c")
    assert "USING COVERING INDEX" in plan(v1_database.ANY_ROWID_SQL, "c")
    database.close()


def test_a_database_without_the_index_can_be_read(tmp_path: Path) -> None:
    database = KiroDatabase(tmp_path / "data.sqlite3")
    database.connection.execute("DROP INDEX idx_conversations_v2_key_updated")
    reader = V1Reader(database.path, CWD, START, None, "ask", lambda: START + 99)
    reader.baseline()
    database.put(v1_value(v1_entry("n", "new", prompt="ask", at=1)), START + 1)
    assert [event.key for event in reader.poll() if isinstance(event, MessageRecorded)] == ["n"]
    reader.close()
    database.close()


def test_the_database_is_opened_for_reading_only(tmp_path: Path) -> None:
    database = KiroDatabase(tmp_path / "data.sqlite3")
    reader = V1Reader(database.path, CWD, START, None, "ask")
    reader.baseline()
    connection = reader._database._connection
    assert connection is not None
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM state")
    reader.close()
    database.close()


def _big_v2(folder: Path) -> V2Reader:
    replace_json(folder / "s1.json", v2_side("s1"))
    line = v2_line("AssistantMessage", "old", "x" * MEGA)
    append(folder / "s1.jsonl", *[line] * 100)
    reader = V2Reader(folder, CWD, START, "s1", "ask")
    reader.baseline()
    reader.poll()
    return reader


@needs_proc
def test_a_v2_file_of_100_mb(tmp_path: Path, count: BytesRead) -> None:
    """A baseline reads the end of the file, a poll nothing, a new line its own bytes."""
    reader: list[V2Reader] = []
    assert count.during(lambda: reader.append(_big_v2(tmp_path))) < 20_000
    assert count.during(reader[0].poll) == 0
    new = v2_prompt("p", "ask") + v2_line("AssistantMessage", "n", "new")
    append(tmp_path / "s1.jsonl", new)
    told: list[Any] = []
    assert count.during(lambda: told.extend(reader[0].poll())) <= len(new) + 64
    assert [event.key for event in told if isinstance(event, MessageRecorded)] == ["n"]
    assert count.during(lambda: reader[0].poll(final=True)) == 0


@needs_proc
def test_a_v3_file_of_100_mb(tmp_path: Path, count: BytesRead) -> None:
    folder = tmp_path / "0123456789abcdef" / "sess_1"
    replace_json(folder / "session.json", v3_session("sess_1"))
    append(folder / "messages.jsonl", *[v3_row("o", "assistant", -9, content="x" * MEGA)] * 100)
    reader = V3Reader(tmp_path, CWD, START, "sess_1", "ask")
    assert count.during(reader.baseline) < 20_000
    reader.poll()
    assert count.during(reader.poll) == 0
    new = v3_row("u", "user", content="ask") + v3_row("n", "assistant", content="new")
    append(folder / "messages.jsonl", new)
    told: list[Any] = []
    assert count.during(lambda: told.extend(reader.poll())) <= len(new) + 64
    assert [event.key for event in told if isinstance(event, MessageRecorded)] == ["n"]


def test_a_mark_is_small_however_much_there_is(tmp_path: Path) -> None:
    database = KiroDatabase(tmp_path / "data.sqlite3")
    with database.connection:
        database.connection.execute("BEGIN")
        for number in range(2000):
            database.put(v1_value(cid=f"00000000-0000-4000-8000-{number:012}"), START - 5000 + number)
    reader = V1Reader(database.path, CWD, START, None, "ask")
    assert len(json.dumps(dict(reader.baseline()))) < 5000
    reader.close()
    database.close()
    for number in range(2000):
        (tmp_path / f"old-{number}.jsonl").touch()
    mark = V2Reader(tmp_path, CWD, START, None, "ask").baseline()
    assert len(json.dumps(dict(mark))) < 5000
