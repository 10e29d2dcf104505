"""Damaged stores: bytes cut, lines swapped, fields dropped, other types, deep nesting, lone surrogates.

Whatever is there, a poll returns, what it returns can be written as JSON in UTF-8, and nothing is told twice.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.core.feed import FeedEvent, MessageRecorded, PromptRecorded
from bridge.kiro.stores import TurnReader
from bridge.kiro.v1_store import V1Reader
from bridge.kiro.v2_store import V2Reader
from bridge.kiro.v3_store import V3Reader
from tests.fuzz.damage import damaged, json_text
from tests.kiro.stores.writing import CWD, FIXTURES, START, KiroDatabase, append, fixture

_fuzzing = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def _check(events: list[FeedEvent]) -> None:
    told: dict[str, str] = {}
    for event in events:
        json.dumps(dataclasses.asdict(event), allow_nan=False, ensure_ascii=False).encode()
        if isinstance(event, (MessageRecorded, PromptRecorded)):
            assert told.get(event.key) != event.text, "told twice"
            told[event.key] = event.text


def _play(reader: TurnReader, writes: list[Callable[[], object]]) -> None:
    """Take a mark, then write and poll in turn; then read it all again as another process would."""
    events: list[FeedEvent] = []
    json.dumps(dict(reader.baseline()), allow_nan=False)
    for write in writes:
        write()
        events += reader.poll()
    events += reader.poll(final=True)
    assert not reader.poll()
    reader.evidence()
    reader.close()
    _check(events)


@_fuzzing
@given(seed=st.integers(0, 2**32), times=st.integers(0, 12), by_id=st.booleans())
def test_v1(seed: int, times: int, by_id: bool) -> None:
    dice = random.Random(seed)
    whole = fixture("v1/every-variant.json")
    with tempfile.TemporaryDirectory() as folder:
        database = KiroDatabase(Path(folder) / "data.sqlite3")
        reader = V1Reader(database.path, CWD, START, "c1" if by_id else None, "look and run", lambda: START + 9)

        def put(entries: int, at: float) -> None:
            value = damaged({**whole, "history": whole["history"][:entries]}, dice, times)
            text = json_text(value, dice)
            if dice.random() < 0.3:
                database.connection.execute("INSERT OR REPLACE INTO conversations VALUES (?, ?)", (CWD, text))
            else:
                database.put(text, START + at, cid="c1")

        _play(reader, [lambda n=n: put(n, n / 10) for n in range(1, 7)])  # type: ignore[misc]
        database.close()


@_fuzzing
@given(seed=st.integers(0, 2**32), times=st.integers(0, 4), by_id=st.booleans())
def test_v2(seed: int, times: int, by_id: bool) -> None:
    dice = random.Random(seed)
    whole = (FIXTURES / "v2/every-kind.jsonl").read_bytes()
    lines = [json.loads(line) for line in whole.splitlines() if line[:1] == b"{"]
    side = fixture("v2/every-kind.json")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reader = V2Reader(folder, CWD, START, "s1" if by_id else None, "look and run")

        def replace_side() -> None:
            (folder / "s1.json").write_bytes(json_text(damaged(side, dice, times), dice))

        _play(reader, [replace_side, *_appends(folder / "s1.jsonl", lines, dice, times), replace_side])


@_fuzzing
@given(seed=st.integers(0, 2**32), times=st.integers(0, 4), by_id=st.booleans())
def test_v3(seed: int, times: int, by_id: bool) -> None:
    dice = random.Random(seed)
    source = FIXTURES / "v3/every-type"
    lines = [json.loads(line) for line in (source / "messages.jsonl").read_bytes().splitlines()]
    subs = [json.loads(line) for line in (source / "sub-executions/sub-1.jsonl").read_bytes().splitlines()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "0123456789abcdef" / "sess_1"
        reader = V3Reader(Path(name), CWD, START, "sess_1" if by_id else None, "look and run")

        def begin() -> None:
            folder.mkdir(parents=True)
            shutil.copy(source / "session.json", folder)
            if dice.random() < 0.5:
                document = damaged(fixture("v3/every-type/session.json"), dice, 2)
                (folder / "session.json").write_bytes(json_text(document, dice))

        writes = _appends(folder / "messages.jsonl", lines, dice, times)
        _play(reader, [begin, *_appends(folder / "sub-executions/sub-1.jsonl", subs, dice, times), *writes])


def _appends(log: Path, records: list[dict[str, Any]], dice: random.Random, times: int) -> list[Callable[[], object]]:
    """Return writes of the damaged records to a log: out of order, cut anywhere, now and then over what was there."""
    if dice.random() < 0.4:
        dice.shuffle(records)
    ends = (b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"")
    data = b"".join(json_text(damaged(record, dice, times), dice) + dice.choice(ends) for record in records)
    cuts = sorted({0, len(data), *(dice.randrange(len(data)) for _ in range(dice.randrange(8)))})

    def write(start: int, end: int) -> None:
        if dice.random() < 0.05 and log.exists():
            log.write_bytes(data[start:end])
        else:
            append(log, data[start:end])

    return [lambda s=s, e=e: write(s, e) for s, e in itertools.pairwise(cuts)]  # type: ignore[misc]
