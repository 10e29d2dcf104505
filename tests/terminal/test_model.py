"""The conversation as events make it, and what of it is printed, and when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.items import Item
from bridge.terminal.frames import Frame, Frames
from bridge.terminal.model import Block, Conversation, OutOfStep, Said, Transcript, TurnDone, Usage, seconds_of
from bridge.terminal.render import SPINNER, block_lines, live_lines, tail_of
from bridge.terminal.status import Situation, status_line
from bridge.terminal.wording import duration, excerpt

AT = "2026-11-20T05:49:18.530552Z"


def turn(number: int = 1, state: str = "running", **more: Any) -> dict[str, Any]:
    ended = None if state in ("accepted", "running") else AT
    return {
        "id": number, "session_id": "s", "message_id": 0, "prompt": "ask", "state": state, "origin": "user",
        "accepted_at": AT, "changed_at": AT, "ended_at": ended, **more,
    }  # fmt: skip


def item(number: int, text: str, kind: str = "text", *, turn_id: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "turn_id": turn_id, "key": str(number), "kind": kind, "position": number, "text": text,
        "data": {}, "final": False, "recorded": False, "created_at": AT, "updated_at": AT, **more,
    }  # fmt: skip


def conversation(*items: dict[str, Any], state: str = "running") -> Conversation:
    found = Conversation()
    found.load({"id": "s", "engine": "v2"}, {"items": list(items), "turns": [turn(state=state)], "more": False})
    return found


def put(found: Conversation, *items: dict[str, Any]) -> None:
    for each in items:
        found.apply("item", {"item": each})


def words(blocks: list[Block]) -> list[str]:
    return [block.item.text if isinstance(block, Said) else block.turn.state for block in blocks]


def test_text_grows_by_deltas_and_never_twice() -> None:
    found = conversation(item(1, "Hel"))
    delta = {"turn_id": 1, "item_id": 1, "offset": 3, "text": "lo"}
    found.apply("delta", delta)
    found.apply("delta", delta)
    assert found.items(1)[0].item.text == "Hello"


@pytest.mark.parametrize("place", [{"item_id": 1, "offset": 4}, {"item_id": 2, "offset": 0}])
def test_a_delta_that_does_not_fit_is_told(place: dict[str, int]) -> None:
    with pytest.raises(OutOfStep):
        conversation(item(1, "Hel")).apply("delta", {"turn_id": 1, "text": "lo", **place})


def test_unknown_events_change_nothing() -> None:
    found = conversation(item(1, "a"))
    found.apply("approval", {"item": None})
    assert words(Transcript().take(found)) == []


def test_blocks_come_out_once_in_order_and_when_they_are_finished() -> None:
    found, transcript = conversation(item(1, "ask", "prompt", final=True), item(2, "Hel")), Transcript()
    assert words(transcript.take(found)) == ["ask"]
    put(found, item(3, "later", final=True))
    assert words(transcript.take(found)) == []
    assert [live.text for live in transcript.live(found)] == ["Hel", "later"]
    put(found, item(2, "Hello", final=True))
    assert words(transcript.take(found)) == ["Hello", "later"]
    assert transcript.take(found) == [] and transcript.live(found) == []
    found.apply("turn", {"turn": turn(state="completed")})
    assert words(transcript.take(found)) == ["completed"]
    assert transcript.take(found) == []


def test_what_is_taken_back_is_never_printed() -> None:
    found, transcript = conversation(item(1, "preview")), Transcript()
    transcript.take(found)
    found.apply("removed", {"turn_id": 1, "item_id": 1})
    found.apply("turn", {"turn": turn(state="completed")})
    assert words(transcript.take(found)) == ["completed"]


def test_a_correction_is_printed_and_new_white_space_is_none() -> None:
    found, transcript = conversation(item(1, "one two", final=True)), Transcript()
    transcript.take(found)
    put(found, item(1, "one\ntwo", final=True))
    assert transcript.take(found) == []
    put(found, item(1, "other", final=True))
    (said,) = transcript.take(found)
    assert isinstance(said, Said) and said.corrected and said.item.text == "other"
    assert transcript.take(found) == []


def test_a_tool_waits_for_its_output_but_not_for_ever() -> None:
    done: dict[str, Any] = {"data": {"status": "completed", "name": "shell"}, "final": True}
    found, transcript = conversation(item(1, "", "tool", **done), item(2, "x", final=True)), Transcript()
    assert transcript.take(found) == []
    put(found, item(1, "", "tool", recorded=True, **done))
    assert words(transcript.take(found)) == ["", "x"]


def test_reports_to_coder_and_usage_are_not_shown_by_themselves() -> None:
    report = item(1, "", "tool", data={"name": "mcp_coder_coder_report_task"}, final=True, recorded=True)
    usage = item(2, "", "usage", data={"credits": 0.5, "context_percent": 12.4, "duration_ms": 900})
    other = item(3, "", "usage", data={"credits": 0.25, "agent": "sub"})
    blocks = Transcript().take(conversation(report, usage, other, state="completed"))
    (end,) = blocks
    assert isinstance(end, TurnDone) and end.usage == Usage(0.75, 12.4, 900)


def test_an_answer_that_is_known_again_after_a_reload_is_not_printed_again() -> None:
    found, transcript = conversation(item(1, "a", final=True)), Transcript()
    transcript.take(found)
    page = {"items": [item(1, "a", final=True), item(2, "b", final=True)], "turns": [turn()], "more": True}
    found.load({"id": "s"}, page)
    assert words(transcript.take(found)) == ["b"]


def test_whether_a_prompt_had_arrived() -> None:
    found = conversation()
    assert found.accepted(" ask\n", 0) is not None
    assert found.accepted("ask", 1) is None
    assert found.accepted("other", 0) is None


def test_times_are_utc() -> None:
    assert seconds_of("1970-01-01T00:01:00.500000Z") == 60.5


FRAME = st.builds(
    Frame,
    st.sampled_from(["item", "delta", "message"]),
    st.text(st.characters(exclude_characters="\r", codec="utf-8")),
    st.integers(0, 10**12).map(str),
)


@given(st.lists(FRAME, max_size=5), st.data())
def test_frames_come_out_however_they_are_cut(frames: list[Frame], data: st.DataObject) -> None:
    wire = b": hello\n\n"
    for frame in frames:
        lines = "".join(f"data: {line}\n" for line in frame.data.split("\n"))
        wire += f"id: {frame.id}\nevent: {frame.name}\n{lines}\n: still here\n\n".encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    reader = Frames()
    found = [frame for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True) for frame in reader.feed(wire[a:b])]
    assert found == frames


def test_live_lines_keep_to_their_room() -> None:
    items = [Item(str(n), "text", n, "\n".join(f"line {m} of {n}" for m in range(400))) for n in range(3)]
    lines = live_lines(items, 60, 12, 0)
    assert len(lines) == 12
    assert lines[-1] == [("", "line 399 of 2")]
    assert "more above" in lines[0][0][1]


def test_the_tail_of_a_code_block_stays_code() -> None:
    text = "```python\n" + "\n".join(f"x = {n}" for n in range(1000))
    assert tail_of(text).startswith("```\nx = 850\n") and tail_of(text).endswith("x = 999")
    assert tail_of("short") == "short"


def test_markdown_loses_nothing() -> None:
    text = "List<String> and <div>\nnext line\n\n[a](http://x/y)"
    lines = ["".join(piece for _, piece in line) for line in block_lines(Said(Item("k", "text", 0, text)), 80)]
    assert lines == ["List<String> and <div>", "next line", "", "a (http://x/y)"]


def test_long_output_is_cut_and_says_so() -> None:
    output = "\n".join(str(number) for number in range(20))
    assert excerpt(output, 3) == ["0", "1", "2", "… 17 more lines"]
    assert excerpt(output, 3, end=True) == ["… 17 more lines", "17", "18", "19"]
    assert excerpt("a\nb\nc\nd\n", 3) == ["a", "b", "c", "d"]
    assert excerpt("\n", 3) == []


@pytest.mark.parametrize(("seconds", "said"), [(-1, "0 s"), (9.9, "9 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("situation", "state", "said"),
    [
        (Situation(), "completed", "connecting"),
        (Situation(was_connected=True), "running", "reconnecting"),
        (Situation(connected=True), "completed", "● ready"),
        (Situation(connected=True), "running", "working 1 min 40 s"),
        (Situation(connected=True, stopping=True), "running", "stopping"),
        (Situation(connected=True, stopping=True), "completed", "● ready"),
        (Situation(connected=True, problem="no login"), "completed", "✗ not ready"),
    ],
)
@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_status_line(situation: Situation, state: str, said: str, columns: int) -> None:
    usage = item(2, "", "usage", data={"credits": 0.5, "context_percent": 12.4})
    line = status_line(situation, conversation(usage, state=state), seconds_of(AT) + 100, 0, columns)
    text = "".join(piece for _, piece in line)
    assert len(text) < columns
    if columns >= 80:
        assert text.lstrip(f"{SPINNER} ").startswith(said.lstrip()) and " · v2 · context 12 % · 0.50 credits" in text
