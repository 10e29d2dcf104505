"""What the v2 reader tells of session files written by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bridge.core.feed import (
    MessageRecorded,
    MessagesRemoved,
    Notice,
    PromptRecorded,
    SessionKnown,
    TitleSeen,
    ToolSeen,
    UsageSeen,
)
from bridge.kiro.history import TurnEvidence
from bridge.kiro.v2_store import V2Reader
from tests.kiro.stores.writing import (
    CWD,
    FIXTURES,
    START,
    append,
    replace_json,
    v2_call,
    v2_line,
    v2_prompt,
    v2_result,
    v2_side,
)

LINES = (FIXTURES / "v2/every-kind.jsonl").read_bytes()
SIDE = json.loads((FIXTURES / "v2/every-kind.json").read_text("utf-8"))


class Session:
    """A session's two files, as Kiro writes them."""

    def __init__(self, folder: Path, sid: str = "s1") -> None:
        self.log, self.side_path, self.sid = folder / f"{sid}.jsonl", folder / f"{sid}.json", sid

    def side(self, *turns: dict[str, Any], **more: Any) -> None:
        """Replace the side file."""
        replace_json(self.side_path, v2_side(self.sid, *turns, **more))

    def add(self, *lines: bytes) -> None:
        """Append to the log."""
        append(self.log, *lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the sessions, which does not exist before Kiro makes it."""
    return tmp_path / "cli"


def make(folder: Path, kiro_id: str | None = None, prompt: str = "ask", cwd: str = CWD) -> V2Reader:
    """Make a reader."""
    return V2Reader(folder, cwd, START, kiro_id, prompt)


def texts(events: Any) -> list[str]:
    """Return the texts of prompts and messages."""
    return [event.text for event in events if isinstance(event, (PromptRecorded, MessageRecorded))]


def notices(events: Any) -> list[str]:
    """Return the keys of the notices."""
    return [event.key for event in events if isinstance(event, Notice)]


def test_every_kind_of_line(folder: Path) -> None:
    reader = make(folder, prompt="look and run")
    reader.baseline()
    replace_json(folder / "s1.json", SIDE)
    append(folder / "s1.jsonl", LINES)
    compaction = LINES.index(b'{"version":"v1","kind":"Compaction"')
    bad = f"1 line(s) in Kiro's file of this conversation cannot be read and are passed over: {folder}/s1.jsonl."
    assert reader.poll() == [
        SessionKnown("s1", "v2"),
        PromptRecorded("p1", "look and run", 1790000001.0),
        MessageRecorded("a1:thought", "First look.", "thought"),
        MessageRecorded("a1", "I will look."),
        ToolSeen(
            "t1",
            name="shell",
            kind="execute",
            status="running",
            input={"command": "exit 3"},
            purpose="See what happens",
            recorded=True,
        ),
        ToolSeen(
            "t2",
            name="read",
            kind="read",
            status="running",
            input={"operations": [{"mode": "Line", "path": "/a"}, {"mode": "Line", "path": "/b"}]},
            locations=("/a", "/b"),
            recorded=True,
        ),
        ToolSeen("t3", name="shell", kind="execute", status="running", input={"command": "sleep 9"}, recorded=True),
        ToolSeen("t4", name="glob", kind="search", status="running", input={"pattern": "*"}, recorded=True),
        ToolSeen("t1", status="completed", output="out\nerr\n", exit_code=3, purpose="See what happens", recorded=True),
        ToolSeen("t2", status="failed", output="Failed to parse the tool use", recorded=True),
        ToolSeen("t3", status="cancelled", output="Tool use was cancelled by the user", recorded=True),
        ToolSeen("t4", status="completed", output='{"filePaths":["/a"],"totalFiles":1}', recorded=True),
        Notice(
            f"v2:Compaction:{compaction}",
            "Kiro has summarised the earlier part of this conversation to make room.",
        ),
        MessageRecorded("a2", "Done: zażółć 👩‍💻."),
        TitleSeen("look and run"),
        UsageSeen(credits=0.75, context_percent=4.5, duration_ms=3500),
        Notice("v2:bad_lines", bad, "warning"),
    ]
    assert reader.evidence() == TurnEvidence(True, True, "UserTurnEnd", False)
    assert reader.poll() == []
    assert reader.poll(final=True) == []


@pytest.mark.parametrize("by_id", [True, False])
def test_cut_at_every_byte_each_thing_is_told_once(folder: Path, by_id: bool) -> None:
    whole = make(folder / "whole", prompt="look and run")
    whole.baseline()
    replace_json(folder / "whole/s1.json", SIDE)
    append(folder / "whole/s1.jsonl", LINES)
    expected = [event for event in whole.poll() if not isinstance(event, Notice)]
    cut = folder / "cut"
    reader = make(cut, "s1" if by_id else None, prompt="look and run")
    reader.baseline()
    told = []
    replace_json(cut / "s1.json", SIDE)
    for number in range(len(LINES)):
        append(cut / "s1.jsonl", LINES[number : number + 1])
        told += [event for event in reader.poll() if not isinstance(event, Notice)]
    late = (TitleSeen, UsageSeen)
    assert [event for event in told if not isinstance(event, late)] == [
        event for event in expected if not isinstance(event, late)
    ]
    assert [event for event in told if isinstance(event, late)] == [TitleSeen("look and run"), expected[-1]]


def test_a_resumed_session_tells_only_what_is_new(folder: Path) -> None:
    session = Session(folder)
    session.side({"message_ids": ["p0", "a0"], "end_reason": "UserTurnEnd", "metering_usage": [{"value": 5}]})
    session.add(v2_prompt("p0", "ask", -100), v2_line("AssistantMessage", "a0", "old"))
    reader = make(folder, "s1")
    reader.baseline()
    assert reader.poll() == []
    assert not reader.finished()
    session.add(v2_prompt("p1", "ask", 1), v2_line("AssistantMessage", "a1", "new"))
    assert reader.poll() == [
        SessionKnown("s1", "v2"),
        PromptRecorded("p1", "ask", START + 1),
        MessageRecorded("a1", "new"),
    ]
    assert reader.finished()


def test_the_result_of_an_earlier_turns_tool_is_not_ours(folder: Path) -> None:
    session = Session(folder)
    session.side()
    session.add(v2_prompt("p0", "x", -9), v2_line("AssistantMessage", "a0", "", v2_call("t0", command="sleep 99")))
    reader = make(folder, "s1")
    reader.baseline()
    session.add(v2_line("ToolResults", "r0", v2_result("t0", "Tool use was cancelled by the user", "error")))
    session.add(v2_prompt("p1", "ask"), v2_line("AssistantMessage", "a1", "new"))
    assert [type(event) for event in reader.poll()] == [SessionKnown, PromptRecorded, MessageRecorded]


def test_two_sessions_in_one_folder_do_not_mix(folder: Path) -> None:
    ours, other = make(folder, prompt="ours"), make(folder, prompt="theirs")
    ours.baseline()
    other.baseline()
    first, second, elsewhere = Session(folder, "s1"), Session(folder, "s2"), Session(folder, "s3")
    first.side()
    second.side()
    elsewhere.side(cwd="/somewhere/else")
    elsewhere.add(v2_prompt("q1", "ours"), v2_line("AssistantMessage", "q2", "elsewhere"))
    first.add(v2_prompt("p1", "theirs"))
    assert ours.poll() == []
    second.add(v2_prompt("o1", "ours\n"), v2_line("AssistantMessage", "o2", "for us"))
    assert texts(ours.poll()) == ["ours\n", "for us"]
    first.add(v2_line("AssistantMessage", "p2", "for them"))
    assert ours.poll(final=True) == []
    assert texts(other.poll()) == ["theirs", "for them"]


def test_a_child_session_is_not_ours_but_a_rewound_one_is(folder: Path) -> None:
    reader = make(folder)
    reader.baseline()
    child, rewound = Session(folder, "child"), Session(folder, "rewound")
    child.side(parent_session_id="s0")
    child.add(v2_prompt("c1", "ask"), v2_line("AssistantMessage", "c2", "child"))
    assert reader.poll(final=True) == []
    rewound.side(parent_session_id="s0", session_created_reason="rewind")
    rewound.add(v2_prompt("p0", "kept", -50), v2_line("AssistantMessage", "a0", "kept answer"))
    rewound.add(v2_prompt("p1", "ask", 1), v2_line("AssistantMessage", "a1", "new"))
    assert texts(reader.poll()) == ["ask", "new"]


def test_kiro_goes_on_under_a_new_id(folder: Path) -> None:
    session = Session(folder, "old")
    session.side()
    session.add(v2_prompt("p0", "before", -50), v2_line("AssistantMessage", "a0", "kept"))
    reader = make(folder, "old")
    reader.baseline()
    fork = Session(folder, "new")
    fork.side(session_created_reason="rewind", parent_session_id="old")
    fork.add(v2_prompt("p0", "before", -50), v2_line("AssistantMessage", "a0", "kept"))
    reader.follow("new")
    assert texts(reader.poll()) == []
    fork.add(v2_prompt("p1", "ask", 1), v2_line("AssistantMessage", "a1", "new"))
    events = reader.poll()
    assert SessionKnown("new", "v2") in events
    assert texts(events) == ["ask", "new"]


@pytest.mark.parametrize("created", ["2026-09-01T00:00:00Z", None])
def test_an_id_that_was_not_expected_but_existed(folder: Path, created: str | None) -> None:
    session = Session(folder)
    session.side(created_at=created)
    session.add(v2_prompt("p0", "ask", -50), v2_line("AssistantMessage", "a0", "old"))
    reader = make(folder)
    reader.baseline()
    reader.follow("s1")
    session.add(v2_prompt("p1", "ask", 1), v2_line("AssistantMessage", "a1", "new"))
    assert texts(reader.poll()) == ["ask", "new"]


def test_an_old_session_that_kiro_took_up_is_found_at_the_end(folder: Path) -> None:
    session = Session(folder)
    session.side(created_at="2026-09-01T00:00:00Z")
    session.add(v2_prompt("p0", "ask", -50), v2_line("AssistantMessage", "a0", "old"))
    reader = make(folder)
    reader.baseline()
    session.add(v2_prompt("p1", "ask", 1), v2_line("AssistantMessage", "a1", "new"))
    assert reader.poll() == []
    assert texts(reader.poll(final=True)) == ["ask", "new"]


@pytest.mark.parametrize("known", [True, False])
def test_a_mark_taken_up_by_another_process(folder: Path, known: bool) -> None:
    session = Session(folder)
    if known:
        session.side(title="old title")
        session.add(v2_prompt("p0", "ask", -50), v2_line("AssistantMessage", "a0", "old"), b'{"half')
    mark = json.loads(json.dumps(make(folder, "s1" if known else None).baseline()))
    assert len(json.dumps(mark)) < 500
    session.side({"message_ids": ["p1", "a1"], "end_reason": "UserTurnEnd"}, title="old title")
    session.add(v2_prompt("p1", "ask", 1), v2_line("AssistantMessage", "a1", "new"))
    successor = make(folder, "s1" if known else None)
    successor.resume_from(mark)
    events = successor.poll(final=True)
    assert texts(events) == ["ask", "new"]
    assert [event for event in events if isinstance(event, TitleSeen)] == ([] if known else [TitleSeen("old title")])
    assert successor.evidence() == TurnEvidence(True, True, "UserTurnEnd", False)
    learned = make(folder, "s1")
    learned.resume_from(mark)
    assert texts(learned.poll(final=True)) == ["ask", "new"]


@pytest.mark.parametrize("reason", ["Cancelled", "Error", "ToolUseRejected"])
def test_end_reasons(folder: Path, reason: str) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    session.side()
    session.add(v2_prompt("p1", "ask"), v2_line("AssistantMessage", "a1", "", v2_call("t1", command="x")))
    reader.poll()
    assert reader.evidence() == TurnEvidence(True, False, None, True)
    session.side({"message_ids": ["p1", "a1"], "end_reason": reason})
    reader.poll()
    assert reader.evidence() == TurnEvidence(True, False, reason, True)


def test_usage_of_a_turn_that_names_no_lines_counts_by_its_place(folder: Path) -> None:
    session = Session(folder)
    old = {"message_ids": [], "end_reason": "UserTurnEnd", "metering_usage": [{"value": 7, "unit": "credit"}]}
    new = {"end_reason": "Cancelled", "metering_usage": [{"value": 2, "unit": "credit"}]}
    session.side(old)
    reader = make(folder, "s1")
    reader.baseline()
    session.add(v2_prompt("p1", "ask"), v2_line("AssistantMessage", "a1", "", v2_call("t1", command="x")))
    session.side(old, new)
    assert [event for event in reader.poll() if isinstance(event, UsageSeen)] == [UsageSeen(credits=2.0)]


def test_a_queued_prompt_changes_nothing_about_ours(folder: Path) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    session.add(v2_prompt("p1", "ask"), v2_line("AssistantMessage", "a1", "done"))
    session.add(v2_prompt("p2", "ask"), v2_line("AssistantMessage", "a2", "", v2_call("t1", command="x")))
    ended = {"message_ids": ["p1", "a1"], "end_reason": "UserTurnEnd"}
    session.side(ended, {"message_ids": ["p2"], "end_reason": "Error"})
    reader.poll()
    assert reader.evidence() == TurnEvidence(True, True, "UserTurnEnd", False)


def test_a_rewritten_log(folder: Path) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    session.side()
    session.add(v2_prompt("p1", "ask"), v2_line("AssistantMessage", "a1", "one", v2_call("t1", command="x")))
    session.add(v2_line("ToolResults", "r1", v2_result("t1", "ok")), v2_line("AssistantMessage", "a2", "two"))
    assert texts(reader.poll()) == ["ask", "one", "two"]
    session.log.write_bytes(
        v2_prompt("p0", "much older", -500)
        + v2_prompt("p1", "ask")
        + v2_line("AssistantMessage", "a1", "one", v2_call("t1", command="x"))
        + v2_line("ToolResults", "r1", v2_result("t1", "ok"))
        + v2_line("AssistantMessage", "a3", "a new end, longer than the one before" * 9)
    )
    events = reader.poll()
    assert texts(events) == ["a new end, longer than the one before" * 9]
    assert MessagesRemoved(("a2",), "Kiro rewrote its history.") in events
    assert notices(events) == ["v2:rewritten"]
    session.add(v2_line("AssistantMessage", "a4", "more"))
    assert texts(reader.poll()) == ["more"]


def test_a_cleared_log_and_a_shrunk_one(folder: Path) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    session.add(v2_prompt("p1", "ask"), v2_line("AssistantMessage", "a1", "one"))
    reader.poll()
    session.add(v2_line("Clear", None), v2_line("ResetTo", None, target_index=0), v2_line("CancelledPrompt", None))
    events = reader.poll()
    assert [event.keys for event in events if isinstance(event, MessagesRemoved)] == [("p1", "a1"), ()]
    assert len(notices(events)) == 3
    session.log.write_bytes(v2_line("AssistantMessage", "a1", "one"))
    assert notices(reader.poll()) == ["v2:rewritten"]
    session.log.write_bytes(b"")
    assert reader.poll() == []
    assert reader.evidence() == TurnEvidence(False, False, None, False)
    session.add(v2_line("AssistantMessage", "a9", "afresh"))
    assert texts(reader.poll()) == ["afresh"]


def test_a_vanished_log_that_comes_back(folder: Path) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    session.add(v2_prompt("p1", "ask"))
    reader.poll()
    kept = session.log.read_bytes()
    session.log.unlink()
    assert notices(reader.poll()) == ["v2:vanished"]
    assert reader.poll() == []
    session.add(kept, v2_line("AssistantMessage", "a1", "one"))
    assert texts(reader.poll()) == ["one"]


def test_a_log_without_a_last_line_end_is_read_at_the_end_only(folder: Path) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    session.add(v2_prompt("p1", "ask"), v2_line("AssistantMessage", "a1", "one").rstrip(b"\n"))
    assert texts(reader.poll()) == ["ask"]
    assert texts(reader.poll(final=True)) == ["one"]
    session.add(b"\n", v2_line("AssistantMessage", "a2", "two"))
    assert texts(reader.poll()) == ["two"]


def test_half_a_line_at_the_end_is_no_damage(folder: Path) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    line = v2_line("AssistantMessage", "a1", "one")
    session.add(v2_prompt("p1", "ask"), line[:30])
    assert notices(reader.poll(final=True)) == []
    session.add(line[30:])
    assert texts(reader.poll(final=True)) == ["one"]
    session.add(b"half a line that was ended\n")
    assert notices(reader.poll(final=True)) == ["v2:bad_lines"]


def test_a_log_emptied_after_the_answer_proves_nothing_any_more(folder: Path) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    session.add(v2_prompt("p1", "ask"), v2_line("AssistantMessage", "a1", "one"))
    reader.poll()
    assert reader.finished()
    session.log.write_bytes(b"")
    assert notices(reader.poll()) == ["v2:rewritten"]
    assert not reader.finished()


def test_things_that_are_no_files(folder: Path) -> None:
    (folder / "s1.jsonl").mkdir(parents=True)
    (folder / "s1.json").mkdir()
    os.mkfifo(folder / "s2.jsonl")
    reader = make(folder, "s1")
    reader.baseline()
    assert notices(reader.poll(final=True)) == ["v2:unreadable"]
    piped = make(folder, "s2")
    piped.baseline()
    assert notices(piped.poll(final=True)) == ["v2:unreadable"]


def test_a_damaged_side_file(folder: Path) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    session.add(v2_prompt("p1", "ask"), v2_line("AssistantMessage", "a1", "one"))
    session.side_path.write_text('{"session_id": "s1", "cw')
    assert notices(reader.poll()) == []
    assert notices(reader.poll(final=True)) == ["v2:damaged"]
    assert reader.finished()


@pytest.mark.parametrize("kiro_id", ["../s1", "", "a/b", "x" * 129, "s1\n", "ś"])
def test_an_id_that_leads_out_of_the_folder_is_no_id(folder: Path, kiro_id: str) -> None:
    outside = Session(folder.parent, "s1")
    outside.side()
    outside.add(v2_prompt("p1", "ask"), v2_line("AssistantMessage", "a1", "one"))
    reader = make(folder, kiro_id)
    reader.baseline()
    reader.follow(kiro_id)
    assert reader.poll(final=True) == []


def test_lines_without_ids(folder: Path) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    session.add(v2_line("Prompt", None, "ask"), v2_line("AssistantMessage", None, "one"))
    session.add(v2_line("AssistantMessage", None, "one"))
    keys = [event.key for event in reader.poll() if isinstance(event, (PromptRecorded, MessageRecorded))]
    assert len(set(keys)) == 3


def test_a_file_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    session.add(v2_prompt("p1", "ask"))
    opened = os.open

    def refuse(path: Any, *more: Any) -> int:
        if str(path).endswith(".jsonl"):
            raise PermissionError(13, "no")
        return opened(path, *more)

    monkeypatch.setattr(os, "open", refuse)
    assert notices(reader.poll()) == ["v2:unreadable"]
    monkeypatch.undo()
    assert texts(reader.poll()) == ["ask"]


def test_a_file_that_vanishes_between_looking_and_opening(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(folder)
    reader = make(folder, "s1")
    reader.baseline()
    session.add(v2_prompt("p1", "ask"))

    def vanish(path: Any, *more: Any) -> int:
        raise FileNotFoundError(2, "gone")

    monkeypatch.setattr(os, "open", vanish)
    assert texts(reader.poll()) == []
    monkeypatch.undo()
    assert texts(reader.poll()) == ["ask"]


def test_a_session_that_comes_within_the_same_tick_of_the_folders_clock(folder: Path) -> None:
    """The folder's time of change has not moved although a file was added: coarse clocks do that."""
    folder.mkdir()
    now = START + 10
    reader = V2Reader(folder, CWD, START, None, "ask", lambda: now)
    reader.baseline()
    os.utime(folder, (now, now))
    assert reader.poll() == []
    session = Session(folder)
    session.side()
    session.add(v2_prompt("p1", "ask"), v2_line("AssistantMessage", "a1", "one"))
    os.utime(folder, (now, now))
    assert texts(reader.poll()) == ["ask", "one"]
