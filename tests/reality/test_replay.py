"""Recordings of the real CLI, played into a store in their order: the reader yields every item once, with its text.

The expectation is computed from the recording by the plain code below, which shares nothing with the readers. The
recordings are not part of the project; the variable KIRO_RECORDINGS names their folder.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.core.feed import FeedEvent, MessageRecorded, PromptRecorded, SessionKnown, ToolSeen
from bridge.kiro.stores import StoreLocations, TurnReader, open_reader
from tests.kiro.stores.writing import KiroDatabase

_FOLDER = os.environ.get("KIRO_RECORDINGS", "")
if not _FOLDER:
    pytest.skip("KIRO_RECORDINGS is not set: no recordings to replay", allow_module_level=True)
RECORDINGS = Path(_FOLDER)

Item = tuple[Any, ...]
_SEED = 20261120


def _names(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(RECORDINGS)) for path in RECORDINGS.glob(pattern))


def _path(name: str) -> Path:
    return RECORDINGS / name


@pytest.mark.parametrize("pattern", ["v1/*.json", "store-v1/*", "store-v2/*", "store-v3/*"])
def test_there_are_recordings(pattern: str) -> None:
    """A folder that is named but holds nothing must not look like a success."""
    assert _names(pattern)


def _items(events: Iterable[FeedEvent]) -> list[Item]:
    """Return what a person would see of the events: prompts, messages, tool calls, tool results."""
    items: list[Item] = []
    for event in events:
        if isinstance(event, PromptRecorded):
            items.append(("prompt", event.text))
        elif isinstance(event, MessageRecorded):
            items.append(("message", event.key, event.text))
        elif isinstance(event, ToolSeen) and event.name is not None:
            items.append(("call", event.key, event.name, dict(event.input or {})))
        elif isinstance(event, ToolSeen):
            items.append(("result", event.key, event.status, event.output, event.exit_code))
    return items


class Tally:
    """Counts what was replayed, by engine: runs, recordings and items."""

    def __init__(self) -> None:
        self.runs: dict[str, int] = {}
        self.recordings: dict[str, set[str]] = {}
        self.items: dict[str, int] = {}

    def add(self, engine: str, recording: str, items: Sequence[Item]) -> None:
        """Count one replay."""
        self.runs[engine] = self.runs.get(engine, 0) + 1
        self.items[engine] = self.items.get(engine, 0) + len(items)
        self.recordings.setdefault(engine, set()).add(recording)


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """Print the counts when all was replayed."""
    tally = Tally()
    capture = request.config.pluginmanager.getplugin("capturemanager")
    yield tally
    told = [
        f"{engine}: {len(tally.recordings[engine])} recorded runs, {runs} replays, {tally.items[engine]} items compared"
        for engine, runs in tally.runs.items()
    ]
    with capture.global_and_fixture_disabled():
        print("\n" + "\n".join(told))


def _shell_text(stdout: str, stderr: str) -> str:
    return stdout + ("\n" if stdout and stderr and not stdout.endswith("\n") else "") + stderr


def _v1_result(result: dict[str, Any], cancelled: bool) -> Item:
    block = result["content"][0]
    failed = "cancelled" if cancelled else "failed"
    status = "completed" if result["status"] == "Success" else failed
    if "Text" in block:
        return ("result", result["tool_use_id"], status, block["Text"], None)
    told = block["Json"]
    if set(told) == {"exit_status", "stdout", "stderr"}:
        text = _shell_text(told["stdout"], told["stderr"])
        return ("result", result["tool_use_id"], status, text, int(told["exit_status"]))
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return ("result", result["tool_use_id"], status, text, None)


def _v1_expected(versions: list[dict[str, Any]], old: list[Any]) -> list[Item]:
    """Return the items of all entries that no earlier version held."""
    items: list[Item] = []
    known = list(old)
    old_tools = [use["id"] for entry in old for use in entry["assistant"].get("ToolUse", {}).get("tool_uses", [])]
    for version in versions:
        for entry in version["value"]["history"]:
            if entry in known:
                continue
            known.append(entry)
            content = entry["user"]["content"]
            cancelled = "CancelledToolUses" in content
            ((_, said),) = content.items()
            for result in said.get("tool_use_results", []):
                if result["tool_use_id"] not in old_tools:
                    items.append(_v1_result(result, cancelled))
            if said.get("prompt") and said["prompt"] != "The user interrupted the tool execution.":
                items.append(("prompt", said["prompt"]))
            ((_, answer),) = entry["assistant"].items()
            if answer["message_id"] is not None:
                items.append(("message", answer["message_id"], answer["content"]))
            for use in answer.get("tool_uses", []):
                name = use["orig_name"] if use["name"] == "dummy" else use["name"]
                items.append(("call", use["id"], name, use["args"]))
    return items


def _v1_runs() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in _names("v1/*.json"):
        for number, run in enumerate(json.loads(_path(name).read_text("utf-8"))["runs"], 1):
            if run["row_versions"]:
                yield f"{name}, run {number}", run
    for name in _names("store-v1/*/value.json"):
        value = json.loads(_path(name).read_text("utf-8"))
        history = value["history"]
        grown = [{"t_ms": n * 1000, "value": {**value, "history": history[:n]}} for n in range(1, len(history) + 1)]
        prompt = history[0]["user"]["content"]["Prompt"]["prompt"]
        yield name, {"argv": ["chat", prompt], "stdin": None, "row_versions": grown}


def _v1_start(versions: list[dict[str, Any]], old: list[Any]) -> float:
    """Return a moment just before the first entry that is new; without one, long after all."""
    for entry in versions[0]["value"]["history"] if versions else []:
        if entry not in old:
            return float(entry["request_metadata"]["request_start_timestamp_ms"]) / 1000 - 0.5
    return 2_000_000_000.0


def _v1_prompt(run: dict[str, Any]) -> str:
    """Return what the run was asked: the last argument, standard input, or what was typed in a terminal."""
    last = run["argv"][-1]
    if run.get("typed"):
        return str(run["typed"][0][1])
    return last if not last.startswith("-") and last != "chat" else run["stdin"] or "nothing"


@pytest.mark.parametrize("table", ["conversations", "conversations_v2"])
@pytest.mark.parametrize("known_id", [False, True], ids=["by-prompt", "by-id"])
@pytest.mark.parametrize(("name", "run"), list(_v1_runs()), ids=lambda one: one if isinstance(one, str) else "")
def test_v1(name: str, run: dict[str, Any], known_id: bool, table: str, tmp_path: Path, tally: Tally) -> None:
    """Each version of a run's row, written over the one before."""
    cwd = str(tmp_path)
    before = [version for version in run["row_versions"] if version["t_ms"] <= 1]
    after = [version for version in run["row_versions"] if version["t_ms"] > 1]
    old = before[-1]["value"]["history"] if before else []
    expected = _v1_expected(after, old)
    ids = [version["value"]["conversation_id"] for version in (*before[-1:], *after[:1])]
    resumed = len(ids) == 2 and ids[0] == ids[1]
    started = _v1_start(after, old)
    database = KiroDatabase(tmp_path / "data.sqlite3")

    def write(version: dict[str, Any]) -> None:
        if table == "conversations":
            database.put_legacy(version["value"], key=cwd)
        else:
            database.put(version["value"], started + version["t_ms"] / 1000, key=cwd)

    for version in before:
        write(version)
    first_id = (after or before)[0]["value"]["conversation_id"]
    prompt = _v1_prompt(run)
    kiro_id = ids[0] if resumed else None
    reader = _reader("v1", tmp_path, cwd, started, kiro_id, prompt)
    reader.baseline()
    if known_id:
        reader.follow(first_id)
    events: list[FeedEvent] = list(reader.poll())
    for version in after:
        write(version)
        events += reader.poll()
        assert not reader.poll(), "a poll of an unchanged row told something"
    events += reader.poll(final=True)
    reader.close()
    database.close()
    assert _items(events) == expected
    last = (after or before)[-1]["value"]["history"][-1]["assistant"]
    answered = bool(after) and last.get("Response", {}).get("message_id") is not None
    assert reader.finished() == answered
    assert [event for event in events if isinstance(event, SessionKnown)] == (
        [SessionKnown(first_id, "v1")] if expected else []
    )
    tally.add("v1", name, expected)


def _reader(engine: Any, store: Path, cwd: str, started: float, kiro_id: str | None, prompt: str) -> TurnReader:
    locations = StoreLocations(store / "data.sqlite3", store / "cli", store / "sessions")
    return open_reader(engine, locations, cwd=cwd, started_at=started, kiro_id=kiro_id, prompt=prompt)


def _v2_expected(lines: Iterable[bytes]) -> list[Item]:
    items: list[Item] = []
    for line in lines:
        record = json.loads(line)
        content = record["data"].get("content", [])
        texts = "".join(block["data"] for block in content if block["kind"] == "text")
        if record["kind"] == "Prompt":
            items.append(("prompt", texts))
        if record["kind"] == "AssistantMessage":
            items.append(("message", record["data"]["message_id"], texts))
        for block in content:
            if block["kind"] == "toolUse":
                use = block["data"]
                arguments = {name: value for name, value in use["input"].items() if name != "__tool_use_purpose"}
                items.append(("call", use["toolUseId"], use["name"], arguments))
            elif block["kind"] == "toolResult":
                items.append(_v2_result(block["data"]))
    return items


def _v2_result(result: dict[str, Any]) -> Item:
    (block,) = result["content"]
    status = "completed" if result["status"] == "success" else "failed"
    if block["data"] == "Tool use was cancelled by the user":
        status = "cancelled"
    if block["kind"] == "text":
        return ("result", result["toolUseId"], status, block["data"], None)
    told = block["data"]
    if "exit_status" in told:
        code = int(told["exit_status"].replace("exit status: ", ""))
        return ("result", result["toolUseId"], status, _shell_text(told["stdout"], told["stderr"]), code)
    return ("result", result["toolUseId"], status, json.dumps(told, ensure_ascii=False, separators=(",", ":")), None)


def _as_written(data: bytes, about: dict[str, Any]) -> list[bytes]:
    """Return the file's bytes in the pieces in which they were seen to arrive."""
    lines = data.splitlines(keepends=True)
    seen = [write["lines"] for write in about["writes"] if write["seen"] == "lines"] or list(range(1, len(lines) + 1))
    bounds = [0, *seen] if seen[-1] == len(lines) else [0, *seen, len(lines)]
    return [b"".join(lines[start:end]) for start, end in itertools.pairwise(bounds)]


def _cut_at_random(data: bytes, about: dict[str, Any]) -> list[bytes]:
    """Return the file's bytes in pieces of any length, characters and lines cut through."""
    dice = random.Random(_SEED + len(data))
    cuts = sorted(dice.sample(range(1, len(data)), min(40, len(data) - 1)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("pieces", [_as_written, _cut_at_random])
@pytest.mark.parametrize("name", _names("store-v2/*"))
def test_v2(
    name: str,
    pieces: Callable[[bytes, dict[str, Any]], list[bytes]],
    tmp_path: Path,
    tally: Tally,
) -> None:
    """A session file that grows; the side file, where one was recorded, comes at the end as Kiro writes it."""
    about = json.loads((_path(name) / "about.json").read_text("utf-8"))
    data = (_path(name) / "session.jsonl").read_bytes()
    first = json.loads(data.splitlines()[0])
    asked = first["data"]["content"][0]["data"] if first["kind"] == "Prompt" else ""
    session = about["session_id"] or "odd"
    started = float(first["data"]["meta"]["timestamp"]) if asked else 1_700_000_000.0
    folder = tmp_path / "cli"
    folder.mkdir()
    reader = _reader("v2", tmp_path, str(tmp_path), started, None, asked)
    reader.baseline()
    side = {"session_id": session, "cwd": str(tmp_path), "title": "x"}
    (folder / f"{session}.json").write_text(json.dumps(side))
    log = folder / f"{session}.jsonl"
    log.touch()
    if not asked:
        reader.follow(session)
    events: list[FeedEvent] = []
    for piece in pieces(data, about):
        with log.open("ab") as file:
            file.write(piece)
        events += reader.poll()
    if (_path(name) / "session.json").exists():
        recorded = json.loads((_path(name) / "session.json").read_text("utf-8"))
        (folder / f"{session}.json").write_text(json.dumps({**recorded, "cwd": str(tmp_path)}))
    events += reader.poll(final=True)
    reader.close()
    expected = _v2_expected(data.splitlines())
    assert _items(events) == expected
    assert [event for event in events if isinstance(event, SessionKnown)] == [SessionKnown(session, "v2")]
    assert reader.finished() == bool(asked)
    tally.add("v2", name, expected)


def _v3_expected(lines: Iterable[bytes]) -> list[Item]:
    items: list[Item] = []
    for line in lines:
        row = json.loads(line)
        payload = row["payload"]
        if payload["type"] == "user":
            items.append(("prompt", payload["content"]))
        elif payload["type"] == "assistant" and payload["content"] != "...":
            items.append(("message", row["id"], payload["content"]))
        elif payload["type"] == "tool_call":
            items.append(("call", payload["toolCallId"], payload["toolName"], payload["args"]))
        elif payload["type"] == "tool_result":
            text = payload["content"]
            items.append(("result", payload["toolCallId"], "completed", text, int(text.rpartition("Exit Code: ")[2])))
    return items


def _line_by_line(data: bytes, about: dict[str, Any]) -> list[bytes]:
    return data.splitlines(keepends=True)


@pytest.mark.parametrize("pieces", [_line_by_line, _cut_at_random])
@pytest.mark.parametrize("name", _names("store-v3/*"))
def test_v3(
    name: str,
    pieces: Callable[[bytes, dict[str, Any]], list[bytes]],
    tmp_path: Path,
    tally: Tally,
) -> None:
    """A session's folder that appears while the turn runs, and its rows."""
    about = json.loads((_path(name) / "about.json").read_text("utf-8"))
    data = (_path(name) / "messages.jsonl").read_bytes()
    session = json.loads((_path(name) / "session.json").read_text("utf-8"))
    asked = json.loads(data.splitlines()[0])["payload"]["content"]
    reader = _reader("v3", tmp_path, str(tmp_path), 1_700_000_000.0, None, asked)
    reader.baseline()
    folder = tmp_path / "sessions" / "0123456789abcdef" / session["id"]
    folder.mkdir(parents=True)
    (folder / "session.json").write_text(json.dumps({**session, "workspacePaths": [str(tmp_path)]}))
    events: list[FeedEvent] = []
    for piece in pieces(data, about):
        with (folder / "messages.jsonl").open("ab") as file:
            file.write(piece)
        events += reader.poll()
    events += reader.poll(final=True)
    reader.close()
    expected = _v3_expected(data.splitlines())
    assert _items(events) == expected
    assert reader.evidence().end_reason == "end_turn"
    assert reader.finished()
    tally.add("v3", name, expected)
