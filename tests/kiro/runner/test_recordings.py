"""What the real CLI printed, read by the parsers and by an independent few lines here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.core.feed import Engine, FeedEvent, SessionKnown, ToolSeen, UsageSeen
from bridge.kiro.login import device_login_shown
from bridge.kiro.stream_json import StreamJson
from bridge.kiro.terminal_text import ClassicOutput, TextOutput

from .events import joined, messages

STREAMS = (
    "v2-text-2.19.2",
    "v2-text-2.29.0",
    "v2-tool-2.21",
    "v2-subagent-2.21.1",
    "v3-text-2.19.2",
    "v3-tool-2.27.0",
    "v1-refused-2.21.1",
)


def updates(lines: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(one["data"]["sessionId"], one["data"]["update"]) for one in lines if one["type"] == "sessionUpdate"]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 4096, 10_000_000])
def test_every_recorded_stream(recordings: Path, name: str, size: int) -> None:
    data = (recordings / "stream-json" / f"{name}.jsonl").read_bytes()
    lines = [json.loads(one) for one in data.splitlines()]
    last = lines[-1]
    engine: Engine = "v3" if "v3-" in name else "v2"
    parser, events = StreamJson("v1"), list[FeedEvent]()
    for start in range(0, len(data), size):
        events += parser.feed(data[start : start + size])
    events = joined(events + parser.close())
    assert parser.skipped == 0 and parser.terminal is not None
    assert parser.terminal.success is (last["type"] == "runFinished")
    main = last["data"]["sessionId"]
    own = "".join(
        update["content"]["text"]
        for session, update in updates(lines)
        if session == main and update["sessionUpdate"] == "agent_message_chunk"
    )
    assert "".join(messages(events)) == own
    tools = [update["toolCallId"] for _, update in updates(lines) if update["sessionUpdate"] == "tool_call"]
    seen = [event for event in events if isinstance(event, ToolSeen)]
    assert list(dict.fromkeys(event.key for event in seen)) == tools
    assert {event.key for event in seen if event.status == "completed" and event.output} == set(tools)
    known = [event for event in events if isinstance(event, SessionKnown)]
    assert known == ([SessionKnown(main, engine)] if main else [])
    costs = [
        event.credits for event in events if isinstance(event, UsageSeen) and event.agent is None and event.credits
    ]
    metered = [
        float(entry["value"])
        for one in lines
        if one["type"] == "metadata" and one["data"]["sessionId"] == main
        for entry in one["data"].get("meteringUsage", ())
    ] + [
        float(entry["usage"])
        for _, update in updates(lines)
        for entry in update.get("_meta", {}).get("kiro", {}).get("promptTurnSummaries", ())
    ]
    assert costs == ([pytest.approx(sum(metered))] if metered else [])


def test_the_recorded_device_login(recordings: Path) -> None:
    data = (recordings / "stream-json" / "not-logged-in-2.29.0.stdout.txt").read_bytes()
    for parser in (StreamJson("v2"), TextOutput(), ClassicOutput()):
        parser.feed(data)
        parser.close()
        assert device_login_shown(parser.opening)


V1 = "denied logged_out no_prompt parallel_tools resume sigint_in_tool sigkill_in_tool sigterm_in_tool stdin"
V1 += " stdin_and_arg text tool_error tools unknown_agent unknown_flag"


@pytest.mark.parametrize("name", V1.split())
@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_every_recorded_v1_output(recordings: Path, name: str, size: int) -> None:
    """The texts the replayed model said are the messages, but for Markdown that was rendered."""
    for run in json.loads((recordings / "v1" / f"{name}.json").read_text())["runs"]:
        said = [
            re.sub(r"\*\*|`", "", "".join(part for part in answer if isinstance(part, str)))
            for answer in run["mock_answers"] or ()
        ]
        data = (run["stdout"] or "").encode()
        parser, events = ClassicOutput(), list[FeedEvent]()
        for start in range(0, len(data), size):
            events += parser.feed(data[start : start + size])
        told = messages(joined(events + parser.close()))
        assert told == said[: len(told)]
        assert len(told) == data.count(b"\x1b[38;5;10m> \x1b[0m")
