"""What must hold after every fault, read from the ledger's file and Kiro's stores without any of the bridge's code.

Kiro's stores: facts/kiro-cli.md 2 and 3 (v1), facts/kiro-wire.md 18 (v2), facts/kiro-stores.md B.4 (v3).
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

Recorded = list[tuple[str, str, str]]
"""(kind, key, text) of what Kiro recorded of a turn, in order; tools without their text."""

_OVER = {"completed", "cancelled", "failed", "interrupted"}
_MARK = re.compile(r"<\d+\.\d+>")


@dataclass
class Memory:
    """What was seen at the last look: none of it may change or come again."""

    last_seq: int = 0
    turns: dict[int, tuple[int, str]] = field(default_factory=dict)
    items: dict[int, int] = field(default_factory=dict)
    ends: dict[int, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ledger:
    """The ledger's rows."""

    last_seq: int
    turns: list[sqlite3.Row]
    items: list[sqlite3.Row]
    events: list[sqlite3.Row]

    def texts(self, turn_id: int) -> list[str]:
        """Return the agent's texts of a turn, in order."""
        return [row["text"] for row in self.items if row["turn_id"] == turn_id and row["kind"] == "text"]

    def recorded(self, turn_id: int) -> Recorded:
        """Return what the ledger says Kiro recorded of a turn, in order."""
        return [
            (row["kind"], row["key"], row["text"] if row["kind"] == "text" else "")
            for row in self.items
            if row["turn_id"] == turn_id and row["recorded"] and row["kind"] in ("text", "tool")
        ]


def verify(
    ledger_path: Path,
    home: Path,
    accepted: Sequence[str],
    doubtful: Sequence[str],
    memory: Memory,
    messages: Sequence[Mapping[str, Any]],
) -> None:
    """Check every invariant; all turns must be over.

    `accepted` are the prompts that were answered with 200, `doubtful` those whose request died with the bridge,
    `messages` what `GET /messages` says. `memory` is carried from check to check.
    """
    ledger = _read_ledger(ledger_path)
    _prompts_stand_once(ledger, accepted, doubtful)
    _turns_end_once(ledger)
    _numbers_rise(ledger, memory)
    _nothing_lost_or_doubled(ledger, read_stores(home))
    _messages_show_it(ledger, messages)


def _read_ledger(path: Path) -> Ledger:
    with _copy(path) as copy, closing(sqlite3.connect(copy)) as connection:
        connection.row_factory = sqlite3.Row
        return Ledger(
            connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()[0],
            connection.execute(
                "SELECT t.*, p.text AS prompt FROM turns t JOIN prompts p ON p.turn_id = t.id ORDER BY t.id"
            ).fetchall(),
            connection.execute(
                "SELECT id, turn_id, key, kind, position, recorded, final, text || coalesce((SELECT group_concat(text,"
                " '') FROM (SELECT text FROM chunks WHERE item_id = items.id ORDER BY start)), '') AS text"
                " FROM items WHERE key IS NOT NULL ORDER BY turn_id, position, id"
            ).fetchall(),
            connection.execute("SELECT seq, kind, turn_id, item_id, state FROM events ORDER BY seq").fetchall(),
        )


def _prompts_stand_once(ledger: Ledger, accepted: Sequence[str], doubtful: Sequence[str]) -> None:
    prompts = Counter(turn["prompt"] for turn in ledger.turns)
    shown = Counter(
        row["text"] for row in ledger.items if row["kind"] == "prompt" and row["key"] == f"prompt:{row['turn_id']}"
    )
    assert prompts == shown
    for text in accepted:
        assert prompts.pop(text, 0) == 1, f"an accepted prompt does not stand once: {text!r}"
    for text in doubtful:
        assert prompts.pop(text, 0) <= 1, f"a prompt stands twice: {text!r}"
    assert not prompts, f"prompts that nobody sent: {prompts}"


def _turns_end_once(ledger: Ledger) -> None:
    places = [(row["turn_id"], row["position"]) for row in ledger.items]
    assert len(places) == len(set(places)), "two items stand in one place"
    for turn in ledger.turns:
        states = [row["state"] for row in ledger.events if row["kind"] == "turn" and row["turn_id"] == turn["id"]]
        assert [state for state in states if state in _OVER] == [turn["state"]], (turn["id"], states)
        assert states[0] == "accepted" and states[-1] == turn["state"] and turn["ended_at"] is not None, states
        assert all(row["final"] for row in ledger.items if row["turn_id"] == turn["id"]), "an item is still open"


def _numbers_rise(ledger: Ledger, memory: Memory) -> None:
    ids = [turn["message_id"] for turn in ledger.turns]
    assert all(after >= before + 2 for before, after in pairwise(ids)), ids
    assert ledger.last_seq >= memory.last_seq and all(row["seq"] <= ledger.last_seq for row in ledger.events)
    turns = {turn["id"]: (turn["message_id"], turn["prompt"]) for turn in ledger.turns}
    items = {row["id"]: row["turn_id"] for row in ledger.items}
    ends = {row["turn_id"]: (row["seq"], row["state"]) for row in ledger.events if row["state"] in _OVER}
    assert {key: turns.get(key) for key in memory.turns} == memory.turns, "a turn has changed its number or prompt"
    assert all(items.get(key, turn) == turn for key, turn in memory.items.items()), "an item's id was given again"
    assert {key: ends.get(key) for key in memory.ends} == memory.ends, "a turn has ended again"
    memory.last_seq, memory.turns, memory.items, memory.ends = ledger.last_seq, turns, items, ends


def _nothing_lost_or_doubled(ledger: Ledger, stores: Mapping[str, Recorded]) -> None:
    by_prompt = {turn["prompt"].strip(): turn["id"] for turn in ledger.turns}
    for prompt, theirs in stores.items():
        turn_id = by_prompt.get(prompt.strip())
        assert turn_id is not None, f"Kiro got a prompt that the ledger does not know: {prompt!r}"
        ours = ledger.recorded(turn_id)
        kept = [one for one in ours if one in theirs]
        assert kept == theirs, f"turn {turn_id}: Kiro recorded\n{theirs}\nthe ledger has\n{ours}"
        assert len(set(ours)) == len(ours), f"turn {turn_id}: recorded twice: {ours}"
    for turn in ledger.turns:
        marks = Counter(_MARK.findall("\n".join(ledger.texts(turn["id"]))))
        asked = [*_MARK.findall(turn["prompt"])]
        assert set(marks) <= set(asked), f"turn {turn['id']} shows another turn's text: {marks}"
        assert all(count == 1 for count in marks.values()), f"turn {turn['id']} shows a text twice: {marks}"
        if turn["state"] == "completed":
            assert list(marks) == asked, f"turn {turn['id']} lost a text: {marks}"


def _messages_show_it(ledger: Ledger, messages: Sequence[Mapping[str, Any]]) -> None:
    shown = [(message["id"], message["content"]) for message in messages if message["role"] == "user"]
    assert shown == [(turn["message_id"], turn["prompt"]) for turn in ledger.turns]
    ids = [message["id"] for message in messages]
    assert ids == sorted(set(ids))
    answers = {message["id"]: message["content"] for message in messages if message["role"] == "agent"}
    for turn in ledger.turns:
        answer = answers.get(turn["message_id"] + 1, "")
        place = -1
        for text in ledger.texts(turn["id"]):
            place = answer.find(text.strip(), place + 1)
            assert place >= 0, f"turn {turn['id']}: the answer in /messages lacks {text[:200]!r}"


def read_stores(home: Path) -> dict[str, Recorded]:
    """Return what Kiro's stores in `home` hold, by prompt: non-empty texts and tool calls, each once, in order."""
    found: dict[str, Recorded] = {}
    for prompt, entry in (*_v1(home), *_v2(home), *_v3(home)):
        known = found.setdefault(prompt, [])
        if entry is not None and entry not in known and (entry[0] == "tool" or entry[2].strip()):
            known.append(entry)
    return found


_Told = Iterator[tuple[str, "tuple[str, str, str] | None"]]


def _v1(home: Path) -> _Told:
    path = home / ".local" / "share" / "kiro-cli" / "data.sqlite3"
    if not path.exists():
        return
    with _copy(path) as copy, closing(sqlite3.connect(copy)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'conversations_v2'").fetchone() is None:
            return
        rows = connection.execute("SELECT value FROM conversations_v2 UNION ALL SELECT value FROM conversations")
        values = [json.loads(row[0]) for row in rows.fetchall()]
    for value in values:
        prompt: str | None = None
        for entry in value["history"]:
            (_, answer), *_ = entry["assistant"].items()
            if answer["message_id"] is None:
                continue
            (kind, content), *_ = entry["user"]["content"].items()
            if kind == "Prompt" or (kind == "CancelledToolUses" and content.get("prompt")):
                prompt = content["prompt"]
            if prompt is None:
                continue
            yield prompt, ("text", answer["message_id"], answer["content"])
            for use in answer.get("tool_uses", []):
                yield prompt, ("tool", use["id"], "")


@contextmanager
def _copy(path: Path) -> Iterator[Path]:
    """Give a copy of a database: what a killed program left half written is undone in it and not in the original."""
    with tempfile.TemporaryDirectory() as folder:
        for file in (path, *path.parent.glob(path.name + "-*")):
            shutil.copy(file, folder)
        yield Path(folder) / path.name


def _v2(home: Path) -> _Told:
    for path in sorted((home / ".kiro" / "sessions" / "cli").glob("*.jsonl")):
        prompt: str | None = None
        for line in _lines(path):
            content = line["data"].get("content", [])
            text = "".join(block["data"] for block in content if block["kind"] == "text")
            if line["kind"] == "Prompt":
                prompt = text
                yield prompt, None
            elif line["kind"] == "AssistantMessage" and prompt is not None:
                yield prompt, ("text", line["data"]["message_id"], text)
                for block in content:
                    if block["kind"] == "toolUse":
                        yield prompt, ("tool", block["data"]["toolUseId"], "")


def _v3(home: Path) -> _Told:
    for path in sorted((home / ".kiro" / "sessions").glob("*/sess_*/messages.jsonl")):
        prompt: str | None = None
        for row in _lines(path):
            payload = row["payload"]
            if payload["type"] == "user":
                prompt = payload["content"]
                yield prompt, None
            elif prompt is not None and payload["type"] == "assistant" and payload["operationType"] == "Say":
                yield prompt, ("text", row["id"], payload["content"])
            elif prompt is not None and payload["type"] == "tool_call":
                yield prompt, ("tool", payload["toolCallId"], "")


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    """Yield the whole lines of a log; one that a killed program left half is none."""
    for line in path.read_bytes().split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value
