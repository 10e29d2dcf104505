"""A real writer process writes while the reader polls: everything is seen, nothing twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.core.feed import FeedEvent, MessageRecorded, ToolSeen
from bridge.kiro.v1_store import V1Reader
from tests.kiro.stores.writing import CWD, START

ROOT = Path(__file__).resolve().parents[3]
COUNT = 200


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_row_that_is_written_while_it_is_read(journal: str, tmp_path: Path) -> None:
    path = tmp_path / "data.sqlite3"
    reader = V1Reader(path, CWD, START, None, "ask")
    reader.baseline()
    command = [sys.executable, "-m", "tests.kiro.stores.write_rows", str(path), journal, str(COUNT)]
    events: list[FeedEvent] = []
    polls_with_news = 0
    with subprocess.Popen(command, cwd=ROOT) as writer:
        while writer.poll() is None:
            news = reader.poll()
            polls_with_news += bool(news)
            events += news
    events += reader.poll(final=True)
    assert writer.returncode == 0
    assert not reader.poll(final=True)
    reader.close()
    messages = [event.key for event in events if isinstance(event, MessageRecorded)]
    assert messages == [f"m{number}" for number in range(COUNT)]
    results = [event.output for event in events if isinstance(event, ToolSeen) and event.output is not None]
    assert results == [f"out {number}" for number in range(COUNT - 1)]
    assert reader.finished()
    assert polls_with_news > 1, "the reader saw nothing while the writer wrote"
