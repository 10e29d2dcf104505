"""Conversations that were begun elsewhere: listed cheaply, read with each thing once, whatever stands in the stores."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from bridge.core.feed import MessageRecorded, Notice, ToolSeen
from bridge.core.records import PastTurn
from bridge.kiro import file_past, past
from bridge.kiro.elsewhere import KiroConversations
from bridge.kiro.locations import StoreLocations

from .writing import CWD, FIXTURES, START, KiroDatabase


@pytest.fixture
def locations(tmp_path: Path) -> StoreLocations:
    for name in ("v2", "v3"):
        (tmp_path / name).mkdir()
    return StoreLocations(tmp_path / "data.sqlite3", tmp_path / "v2", tmp_path / "v3")


def write_v2(locations: StoreLocations, name: str, prompts: list[str], **side: Any) -> Path:
    """Write a session of v2 with a prompt and an answer for each of `prompts`."""
    lines: list[Any] = []
    for number, prompt in enumerate(prompts):
        meta = {"timestamp": int(START) + number}
        told = {"message_id": f"p{number}", "content": [{"kind": "text", "data": prompt}], "meta": meta}
        answer = {"message_id": f"a{number}", "content": [{"kind": "text", "data": f"answer to {prompt}"}]}
        lines += [{"version": "v1", "kind": "Prompt", "data": told}]
        lines += [{"version": "v1", "kind": "AssistantMessage", "data": answer}]
    log = locations.v2_sessions / f"{name}.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    document = {"session_id": name, "cwd": CWD, "created_at": "2026-09-21T14:13:20.5Z", "title": None, **side}
    (locations.v2_sessions / f"{name}.json").write_text(json.dumps(document))
    return log


def prompts(turns: list[PastTurn] | tuple[PastTurn, ...]) -> list[str | None]:
    return [turn.prompt for turn in turns]


def test_all_three_stores_are_listed_the_last_changed_first(locations: StoreLocations) -> None:
    database = KiroDatabase(locations.database)
    value = json.loads((FIXTURES / "v1" / "every-variant.json").read_text())
    database.put(value, START)
    write_v2(locations, "two", ["first words\nand more", "second"])
    write_v2(locations, "child", ["x"], parent_session_id="two")
    write_v2(locations, "other", ["y"], cwd="/else/where", title="Named")
    shutil.copytree(FIXTURES / "v3" / "every-type", locations.v3_sessions / "bucket" / "sess_three")
    for place, at in ((locations.v2_sessions / "two", START + 9), (locations.v2_sessions / "other", START + 5)):
        for ending in (".json", ".jsonl"):
            os.utime(f"{place}{ending}", (at, at))
    found = KiroConversations(locations)
    listed = found.listed(None)
    told = {one.engine: one for one in listed if one.kiro_id != "other"}
    assert len(listed) == 4 and sorted(told) == ["v1", "v2", "v3"]
    assert [one.updated_at for one in listed] == sorted((one.updated_at for one in listed), reverse=True)
    assert (told["v1"].cwd, told["v1"].updated_at, told["v1"].kiro_id) == (CWD, START, value["conversation_id"])
    assert (told["v2"].title, told["v2"].updated_at) == ("first words", START + 9)
    assert told["v3"].kiro_id == "sess_three" and os.path.isabs(told["v3"].cwd)
    assert [one.kiro_id for one in found.listed("/else/where")] == ["other"]
    for one in listed:
        assert found.find(one.engine, one.kiro_id) == one
    database.close()


@pytest.mark.parametrize("kiro_id", ["", "none", "../two", "a/b", "x" * 500, "\0", "child"])
@pytest.mark.parametrize("engine", ["v1", "v2", "v3"])
def test_what_is_not_there_is_not_found(locations: StoreLocations, engine: Any, kiro_id: str) -> None:
    write_v2(locations, "child", ["x"], parent_session_id="two")
    found = KiroConversations(locations)
    assert found.find(engine, kiro_id) is None
    assert found.listed(None) == []


def test_a_conversation_is_read_by_its_prompts(locations: StoreLocations) -> None:
    write_v2(locations, "two", ["one", "two"])
    found = KiroConversations(locations)
    [one] = found.listed(None)
    turns, before = found.past(one)
    assert (prompts(list(turns)), before) == (["one", "two"], 0)
    assert [[event.text for event in turn.events if isinstance(event, MessageRecorded)] for turn in turns] == [
        ["answer to one"],
        ["answer to two"],
    ]
    assert [turn.began_at for turn in turns] == [START, START + 1]


def test_what_comes_late_or_twice_goes_where_it_was_first_told_of(locations: StoreLocations) -> None:
    log = write_v2(locations, "two", ["one", "two"])
    lines = log.read_text().splitlines()
    call = {"kind": "toolUse", "data": {"toolUseId": "t-1", "name": "shell", "input": {"command": "ls"}}}
    answer = {"version": "v1", "kind": "AssistantMessage", "data": {"message_id": "c", "content": [call]}}
    content = [{"kind": "toolResult", "data": {"toolUseId": "t-1", "content": [{"kind": "text", "data": "out"}]}}]
    result = {"version": "v1", "kind": "ToolResults", "data": {"message_id": "r", "content": content}}
    lines = [lines[0], json.dumps(answer), lines[1], *lines[2:], json.dumps(result), lines[1], lines[0]]
    log.write_text("\n".join(lines) + "\n")
    found = KiroConversations(locations)
    turns, _ = found.past(found.listed(None)[0])
    assert prompts(list(turns)) == ["one", "two"]
    assert [type(event) for event in turns[1].events if not isinstance(event, MessageRecorded)] == []
    tools = [event for event in turns[0].events if isinstance(event, ToolSeen)]
    assert [event.key for event in tools] == ["t-1", "t-1"]


def test_only_the_newest_of_a_long_conversation_are_read(
    locations: StoreLocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_v2(locations, "two", [f"prompt {number}" for number in range(past.TURNS_MOST + 7)])
    found = KiroConversations(locations)
    [one] = found.listed(None)
    turns, before = found.past(one)
    assert (len(turns), before, turns[0].prompt) == (past.TURNS_MOST, 7, "prompt 7")
    monkeypatch.setattr(file_past, "LOG_MOST", 1000)
    turns, _ = found.past(one)
    assert 0 < len(turns) < 10
    assert any(isinstance(event, Notice) for turn in turns for event in turn.events)


def test_a_list_of_thousands_reads_each_side_file_once(
    locations: StoreLocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1500):
        name = f"s{number:04d}"
        side = {"cwd": CWD, "title": f"T {number}"}
        (locations.v2_sessions / f"{name}.json").write_text(json.dumps(side))
        (locations.v2_sessions / f"{name}.jsonl").write_text("")
        os.utime(locations.v2_sessions / f"{name}.json", (START + number, START + number))
        os.utime(locations.v2_sessions / f"{name}.jsonl", (START + number, START + number))
    reads: list[Path] = []
    plain = file_past._read

    def counted(path: Path) -> Any:
        reads.append(path)
        return plain(path)

    monkeypatch.setattr(file_past, "_read", counted)
    found = KiroConversations(locations)
    listed = found.listed(None)
    assert [one.title for one in listed[:2]] == ["T 1499", "T 1498"]
    assert len(reads) == len(listed) == 300
    assert found.listed(None) == listed and len(reads) == 300


@pytest.mark.parametrize(
    "side",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b'{"cwd": 5}',
        b'{"cwd": "relative"}',
        b'{"cwd": "/a\\u0000b", "title": {}}',
        b"\xff" * 50,
    ],
)
def test_a_damaged_side_file_is_passed_over(locations: StoreLocations, side: bytes) -> None:
    write_v2(locations, "good", ["x"])
    (locations.v2_sessions / "bad.json").write_bytes(side)
    (locations.v2_sessions / "bad.jsonl").mkdir()
    found = KiroConversations(locations)
    assert "good" in [one.kiro_id for one in found.listed(None)]
    for one in found.listed(None):
        found.past(one)


def test_no_damage_to_a_log_or_a_row_stops_the_reading(locations: StoreLocations) -> None:
    log = write_v2(locations, "two", ["one", "two", "three"])
    whole, chance = log.read_bytes(), random.Random(7)
    value = (FIXTURES / "v1" / "every-variant.json").read_bytes()
    database = KiroDatabase(locations.database)
    found = KiroConversations(locations)
    for round_ in range(150):
        log.write_bytes(_damaged(whole, chance))
        database.put(_damaged(value, chance), START + round_, cid="c")
        for one in found.listed(None):
            turns, before = found.past(one)
            assert before >= 0 and len(turns) <= past.TURNS_MOST
    database.close()


def _damaged(data: bytes, chance: random.Random) -> bytes:
    place, size = chance.randrange(len(data)), chance.randrange(1, 60)
    return data[:place] + bytes(chance.randrange(256) for _ in range(chance.randrange(40))) + data[place + size :]
