"""Recorded conversations of the real program, taken over: each thing that stands in them becomes one item.

The recordings are not part of the project; the variable KIRO_RECORDINGS names their folder.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bridge.core.records import KiroConversation, StoredItem
from bridge.engine import Hub
from bridge.engine.adoption import Adoption
from bridge.engine.journal import Journal
from bridge.kiro.elsewhere import KiroConversations
from bridge.kiro.locations import StoreLocations
from bridge.ledger import Ledger

_FOLDER = os.environ.get("KIRO_RECORDINGS", "")
if not _FOLDER:
    pytest.skip("KIRO_RECORDINGS is not set: nothing to take over", allow_module_level=True)

RECORDED = sorted(place for store in ("store-v1", "store-v2", "store-v3") for place in Path(_FOLDER, store).iterdir())


def planted(place: Path, folder: Path) -> tuple[KiroConversations, str]:
    """Put a recording where Kiro keeps its conversations; return those and the id."""
    locations = StoreLocations(folder / "data.sqlite3", folder / "v2", folder / "v3")
    engine, kiro_id = place.parent.name.removeprefix("store-"), "sess_recorded"
    if engine == "v1":
        value = (place / "value.json").read_text()
        kiro_id = json.loads(value)["conversation_id"]
        with closing(sqlite3.connect(locations.database)) as database:
            database.execute("CREATE TABLE conversations_v2 (key, conversation_id, value, created_at, updated_at)")
            database.execute("INSERT INTO conversations_v2 VALUES (?, ?, ?, 1, 2)", (str(folder), kiro_id, value))
            database.commit()
    elif engine == "v2":
        locations.v2_sessions.mkdir()
        shutil.copy(place / "session.jsonl", locations.v2_sessions / f"{kiro_id}.jsonl")
        side = place / "session.json"
        document = json.loads(side.read_text()) if side.exists() else {}
        (locations.v2_sessions / f"{kiro_id}.json").write_text(json.dumps({"cwd": str(folder), **document}))
    else:
        shutil.copytree(place, locations.v3_sessions / "bucket" / kiro_id)
    return KiroConversations(locations), kiro_id


def recorded(place: Path) -> Iterator[tuple[str, str]]:
    """Yield (kind, text or id) of the prompts, messages and tool calls in a recording, read without the product."""
    engine = place.parent.name.removeprefix("store-")
    if engine == "v1":
        for entry in json.loads((place / "value.json").read_text())["history"]:
            [(_, content)] = entry["user"]["content"].items()
            if content.get("prompt"):
                yield "prompt", content["prompt"]
            [(_, answer)] = entry["assistant"].items()
            if answer["content"]:
                yield "text", answer["content"]
            yield from (("tool", use["id"]) for use in answer.get("tool_uses", ()))
        return
    log = place / ("session.jsonl" if engine == "v2" else "messages.jsonl")
    for line in log.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        yield from (_of_v2 if engine == "v2" else _of_v3)(record)


def _of_v2(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    kinds = {"Prompt": "prompt", "AssistantMessage": "text", "ToolResults": ""}
    data = record.get("data")
    if record.get("kind") not in kinds or not isinstance(data, dict):
        return
    blocks: list[Any] = data["content"]
    text = "".join(block["data"] for block in blocks if block.get("kind") == "text")
    if text or record["kind"] == "Prompt":
        yield kinds[record["kind"]], text
    yield from (("tool", one["data"]["toolUseId"]) for one in blocks if one["kind"] in ("toolUse", "toolResult"))


def _of_v3(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    payload = record.get("payload", {})
    if payload.get("type") == "tool_call":
        yield "tool", payload["toolCallId"]
    elif payload.get("type") in ("user", "assistant") and payload.get("operationType") not in ("Reasoning", "Summary"):
        content = payload["content"]
        text = content if isinstance(content, str) else "".join(block.get("text", "") for block in content)
        if text:
            yield ("prompt" if payload["type"] == "user" else "text"), text


def shown(items: list[StoredItem]) -> Counter[tuple[str, str]]:
    told = [(one.item.kind, one.item.key if one.item.kind == "tool" else one.item.text) for one in items]
    return Counter(pair for pair in told if pair[0] in ("prompt", "text", "tool"))


@pytest.mark.parametrize("place", RECORDED, ids=lambda place: f"{place.parent.name}-{place.name}")
def test_each_recorded_thing_becomes_one_item(place: Path, tmp_path: Path) -> None:
    conversations, kiro_id = planted(place, tmp_path)
    [found] = [one for one in conversations.listed(None) if one.kiro_id == kiro_id] or [
        KiroConversation("v2", kiro_id, str(tmp_path), "", 1.0)
    ]
    with closing(Ledger.open(tmp_path / "ledger.sqlite3")) as ledger:
        adoption = Adoption(ledger, Journal(ledger, Hub(0)), conversations)
        session = adoption.adopt(found)
        items = ledger.items(session.id, limit=10_000)
    expected = Counter(recorded(place))
    tools = {pair: 1 for pair in expected if pair[0] == "tool"}
    assert shown(items) == Counter({**expected, **tools})
    keys = [stored.item.key for stored in items]
    assert len(keys) == len(set(keys))
    assert all(stored.item.final for stored in items)
