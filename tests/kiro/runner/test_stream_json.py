"""The stream-json parser, on lines written by hand from facts/kiro-stores.md A."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.feed import (
    FeedEvent,
    MessageBreak,
    Notice,
    SessionKnown,
    TextDelta,
    TitleSeen,
    ToolSeen,
    UsageSeen,
)
from bridge.kiro import loose, stream_json
from bridge.kiro.stream_json import StreamJson, Terminal

from .events import joined, messages

MAIN = "aaaaaaaa-0000-4000-8000-000000000001"
CHILD = "bbbbbbbb-0000-4000-8000-000000000002"


def line(kind: str, /, **data: Any) -> bytes:
    return json.dumps({"type": kind, "data": data}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def update(kind: str, session: str = MAIN, /, **fields: Any) -> bytes:
    return line("sessionUpdate", sessionId=session, update={"sessionUpdate": kind, **fields})


def chunk(text: str, session: str = MAIN, replay: str | None = None, kind: str = "agent_message_chunk") -> bytes:
    meta = {"_meta": {"kiro": {"replayId": replay}}} if replay else {}
    return update(kind, session, content={"type": "text", "text": text}, **meta)


STARTED = line("runStarted", payloadSchema="acp", acpProtocolVersion=1, engine="v2")
FINISHED = line(
    "runFinished", sessionId=MAIN, status="success", stopReason="end_turn", finalText="x", finalTextTruncated=False
)


def run(*lines: bytes) -> tuple[list[FeedEvent], StreamJson]:
    parser = StreamJson("v2")
    events = parser.feed(b"".join(lines))
    return joined(events + parser.close()), parser


def test_a_text_turn() -> None:
    events, parser = run(
        STARTED,
        line("metadata", sessionId=MAIN, contextUsagePercentage=3.5),
        chunk("Bonjour ! "),
        chunk("ça va ?"),
        line(
            "metadata",
            sessionId=MAIN,
            contextUsagePercentage=2.0,
            meteringUsage=[{"value": 0.25, "unit": "credit"}, {"value": 0.5, "unit": "credit"}],
            turnDurationMs=1180,
        ),
        FINISHED,
    )
    assert events == [
        SessionKnown(MAIN, "v2"),
        UsageSeen(context_percent=3.5),
        TextDelta("Bonjour ! ça va ?"),
        UsageSeen(credits=0.75, context_percent=2.0, duration_ms=1180),
    ]
    assert parser.terminal == Terminal("finished", MAIN, "success", "end_turn")
    assert parser.terminal.success and parser.answered and parser.session_id == MAIN


def test_metering_of_two_turns_adds_up_and_a_repeat_does_not() -> None:
    first = line("metadata", sessionId=MAIN, meteringUsage=[{"value": 1.0}], turnDurationMs=5)
    second = line("metadata", sessionId=MAIN, meteringUsage=[{"value": 2.0}], turnDurationMs=7)
    events, _ = run(STARTED, first, first, second)
    assert [event.credits for event in events if isinstance(event, UsageSeen)] == [1.0, 1.0, 3.0]


def test_a_v2_tool_call_and_its_updates() -> None:
    call = {
        "toolCallId": "call_1",
        "title": "Running: ls",
        "kind": "execute",
        "locations": [{"path": "src"}],
        "rawInput": {"command": "ls", "__tool_use_purpose": "look"},
        "_meta": {"kiro": {"toolName": "shell"}},
    }
    progress = {"toolCallId": "call_1", "content": [{"type": "content", "content": {"type": "text", "text": "a"}}]}
    result = {"exit_status": "exit status: 3", "stdout": "a\n", "stderr": "bad"}
    done = {"toolCallId": "call_1", "status": "completed", "rawOutput": {"items": [{"Json": result}]}}
    events, _ = run(
        STARTED,
        chunk("First."),
        update("tool_call", **call),
        update("tool_call_update", **progress),
        update("tool_call_update", **done),
        chunk("Second."),
    )
    assert events[1:] == [
        TextDelta("First."),
        MessageBreak(),
        ToolSeen(
            "call_1",
            name="shell",
            title="Running: ls",
            kind="execute",
            status="running",
            input={"command": "ls"},
            locations=("src",),
            purpose="look",
        ),
        ToolSeen("call_1", output="a"),
        ToolSeen("call_1", status="completed", output="a\nbad", exit_code=3),
        TextDelta("Second."),
    ]


@pytest.mark.parametrize(
    ("given", "seen"), [("pending", "running"), ("in_progress", "running"), ("failed", "failed"), ("new-word", None)]
)
def test_statuses_of_updates(given: str, seen: str | None) -> None:
    events, _ = run(
        STARTED, update("tool_call", toolCallId="t"), update("tool_call_update", toolCallId="t", status=given)
    )
    assert [event.status for event in events if isinstance(event, ToolSeen)] == ["running", seen]


def test_v3_output_is_told_once_though_it_comes_twice() -> None:
    events, _ = run(
        STARTED,
        update(
            "tool_call_update",
            toolCallId="t",
            status="completed",
            content=[{"type": "content", "content": {"type": "text", "text": "cut"}}],
            rawOutput={"message": "whole"},
        ),
    )
    assert events[-1] == ToolSeen("t", status="completed", output="whole")


def test_v3_messages_are_told_apart_by_replay_id_and_its_notes_are_read() -> None:
    def note(kind: str, **fields: Any) -> bytes:
        return update("session_info_update", _meta={"kiro": {"kind": kind, **fields}})

    events, _ = run(
        line("runStarted", engine="v3"),
        update("session_info_update", title="A title", _meta={"kiro": {"kind": "focus_update", "title": "A title"}}),
        note("context_usage", usagePercentage=8.25, contextUsage={"usagePercentage": 8.25}),
        chunk("Hm.", replay="1-say", kind="agent_thought_chunk"),
        chunk("One", replay="1-say"),
        chunk("Two", replay="2-say"),
        note("turn_completion", promptTurnSummaries=[{"unit": "credit", "usage": 0.5}], elapsedTime=5921),
        note("turn_end", stopReason="end_turn"),
        note("pending_interaction"),
    )
    assert events == [
        SessionKnown(MAIN, "v3"),
        TitleSeen("A title"),
        UsageSeen(context_percent=8.25),
        TextDelta("Hm.", "thought", "1-say"),
        TextDelta("One", stream_id="1-say"),
        MessageBreak(),
        TextDelta("Two", stream_id="2-say"),
        UsageSeen(credits=0.5, duration_ms=5921),
        Notice("pending_interaction", "Kiro asks something that a run without a terminal cannot answer.", "warning"),
    ]


def test_sub_agents_are_kept_apart() -> None:
    subtask = {"content": {"type": "text", "text": "inner"}, "_meta": {"kiro": {"agentSubtaskId": "sub-1"}}}
    events, parser = run(
        STARTED,
        line("metadata", sessionId=MAIN, contextUsagePercentage=1.0),
        chunk("child", CHILD),
        line("metadata", sessionId=CHILD, meteringUsage=[{"value": 0.29}]),
        update("agent_message_chunk", **subtask),
        update("session_info_update", CHILD, title="not ours"),
        chunk("own"),
        FINISHED,
    )
    assert messages(events) == ["own"]
    assert messages(events, CHILD) == ["child"] and messages(events, "sub-1") == ["inner"]
    assert UsageSeen(credits=0.29, agent=CHILD) in events
    assert not [event for event in events if isinstance(event, TitleSeen)]
    assert parser.session_id == MAIN


def test_a_run_that_ends_under_another_id_says_so() -> None:
    other = line("runFinished", sessionId="other", status="success", stopReason="end_turn")
    events, parser = run(STARTED, chunk("x"), other)
    assert events[-1] == SessionKnown("other", "v2") and parser.session_id == "other"


def test_an_error_ends_the_run() -> None:
    events, parser = run(line("runError", sessionId=None, stage="engine", message="not supported"))
    assert events == []
    assert parser.terminal == Terminal("error", stage="engine", message="not supported")
    assert not parser.terminal.success


@pytest.mark.parametrize(("reason", "success"), [("end_turn", True), ("max_tokens", True), ("cancelled", False)])
def test_only_an_answer_is_success(reason: str, success: bool) -> None:
    events, parser = run(STARTED, line("runFinished", sessionId=MAIN, status="success", stopReason=reason))
    assert parser.terminal is not None and parser.terminal.success is success
    assert [event.key for event in events if isinstance(event, Notice)] == (
        ["max_tokens"] if reason == "max_tokens" else []
    )


@pytest.mark.parametrize(
    "bad",
    [
        b"plain log line\n",
        b"[1,2]\n",
        b'{"type":"x"}\n',
        b'{"type":"sessionUpdate","data":[]}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"type":"metadata","data":{"n":' + b"9" * 10_000 + b"\n",
    ],
)
def test_what_is_no_event_is_skipped(bad: bytes) -> None:
    events, parser = run(STARTED, bad, chunk("x"))
    assert messages(events) == ["x"] and parser.skipped == 1 and parser.opening


@pytest.mark.parametrize(
    "odd",
    [
        line("unknownType", x=1),
        line("sessionUpdate", sessionId=5, update="x"),
        update("unknown_kind"),
        update("tool_call"),
        update("tool_call", toolCallId="t", rawInput=[1], locations="x", content="y", rawOutput={"items": [1, None]}),
        update("agent_message_chunk", content=None),
        update("session_info_update", _meta=None),
        line("metadata", sessionId=None, contextUsagePercentage="x", meteringUsage=[None, {"value": "y"}]),
        b"\n \r\n",
    ],
)
def test_odd_fields_do_no_harm(odd: bytes) -> None:
    events, parser = run(STARTED, odd, chunk("x"))
    assert messages(events) == ["x"] and parser.skipped == 0


@pytest.mark.parametrize("engine", ["v2", "v3"])
def test_credits_beyond_all_numbers_are_not_told(engine: str) -> None:
    """JSON has no infinity: one told to the ledger would end the turn."""
    summaries = {"kind": "turn_completion", "promptTurnSummaries": [{"usage": 1e308}, {"usage": 1e308}]}
    odd = {
        "v2": line("metadata", sessionId=MAIN, meteringUsage=[{"value": 1e308}, {"value": 1e308}]),
        "v3": update("session_info_update", _meta={"kiro": summaries}),
    }[engine]
    events, _ = run(STARTED, odd, chunk("x"))
    assert [event.credits for event in events if isinstance(event, UsageSeen)] == [None]


def test_the_big_lists_are_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    real = loose.parsed

    def counted(data: bytes | str) -> Any:
        parsed.append(len(data))
        return real(data)

    monkeypatch.setattr(loose, "parsed", counted)
    run(STARTED, update("available_commands_update", availableCommands=["x" * 100_000]), chunk("x"))
    assert len(parsed) == 2 and max(parsed) < 1000


def test_a_line_beyond_the_limit_is_left_out_with_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_json, "LONGEST_LINE", 1000)
    parser = StreamJson("v2")
    events: list[FeedEvent] = []
    for piece in (STARTED, b"x" * 600, b"x" * 600, b"x" * 600, b"\n", chunk("after")):
        events += parser.feed(piece)
    assert [type(event) for event in events] == [Notice, SessionKnown, TextDelta]
    assert parser.skipped == 0


def test_a_long_line_in_small_reads_is_not_copied_again_and_again() -> None:
    parser = StreamJson("v2")
    big = update("tool_call", toolCallId="t", rawInput={"text": "y" * 4_000_000})
    kept: list[int] = []
    for start in range(0, len(big), 512):
        parser.feed(big[start : start + 512])
        kept.append(sum(map(len, parser._parts)) if start % 524_288 == 0 else 0)
    assert max(map(len, parser._parts or [b""])) <= 512
    assert parser.feed(chunk("x"))[-1] == TextDelta("x")


WHOLE = b"".join(
    [
        STARTED,
        b"noise \xc3\xa9\n",
        chunk("Grüße 👩‍💻\n"),
        chunk("again", replay="r"),
        update("tool_call", toolCallId="t", title="é"),
        update("tool_call_update", toolCallId="t", status="completed", rawOutput={"items": [{"Text": "out\n"}]}),
        chunk("end", CHILD),
        FINISHED[:-1],
    ]
)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=40))
def test_any_cutting_gives_the_same_events(cuts: list[int]) -> None:
    expected, whole = run(WHOLE)
    parser = StreamJson("v2")
    events: list[FeedEvent] = []
    places = sorted({0, *cuts, len(WHOLE)})
    for start, end in itertools.pairwise(places):
        events += parser.feed(WHOLE[start:end])
    events += parser.close()
    assert joined(events) == expected
    assert (parser.terminal, parser.skipped, parser.opening) == (whole.terminal, whole.skipped, whole.opening)


@given(st.binary(max_size=400))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    parser = StreamJson("v3")
    parser.feed(data)
    parser.close()
