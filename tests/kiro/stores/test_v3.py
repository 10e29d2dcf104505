"""What the v3 reader tells of session folders written by hand."""

from __future__ import annotations

import json
import os
import shutil
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
from bridge.kiro.stores import StoreLocations, open_reader
from bridge.kiro.v3_store import V3Reader
from tests.kiro.stores.writing import (
    CWD,
    FIXTURES,
    START,
    append,
    replace_json,
    v3_row,
    v3_session,
    v3_stamp,
)

BUCKET = "0123456789abcdef"


def make(root: Path, kiro_id: str | None = None, prompt: str = "ask") -> V3Reader:
    """Make a reader."""
    return V3Reader(root, CWD, START, kiro_id, prompt)


def texts(events: Any) -> list[str]:
    """Return the texts of prompts and messages."""
    return [event.text for event in events if isinstance(event, (PromptRecorded, MessageRecorded))]


def notices(events: Any) -> list[str]:
    """Return the keys of the notices."""
    return [event.key for event in events if isinstance(event, Notice)]


class Session:
    """A session's folder, as Kiro writes it."""

    def __init__(self, root: Path, sid: str = "sess_1", bucket: str = BUCKET) -> None:
        self.folder = root / bucket / sid
        self.sid = sid

    def document(self, **more: Any) -> None:
        """Replace session.json."""
        replace_json(self.folder / "session.json", v3_session(self.sid, **more))

    def add(self, *rows: bytes) -> None:
        """Append rows."""
        append(self.folder / "messages.jsonl", *rows)

    def turn(self, prompt: str, answer: str, execution: str, at: float = 1.0) -> None:
        """Append a whole turn."""
        self.add(
            v3_row(f"{execution}-u", "user", at, content=prompt),
            v3_row(f"{execution}-turn-start", "turn_start", at, executionId=execution),
            v3_row(f"{execution}-say", "assistant", at, content=answer, operationType="Say"),
            v3_row(f"{execution}-turn-end", "turn_end", at, stopReason="end_turn", executionId=execution),
        )


def test_every_type_of_row(tmp_path: Path) -> None:
    reader = make(tmp_path, prompt="look and run")
    reader.baseline()
    shutil.copytree(FIXTURES / "v3/every-type", tmp_path / BUCKET / "sess_1")
    shell = {"command": "exit 3", "run_in_background": False}
    lines = (FIXTURES / "v3/every-type/messages.jsonl").read_bytes()
    flat = f'row:{lines.index(b"""{"timestamp":"2026-09-21T14:13:29.400Z","role""")}'
    denial = (
        "Kiro's policy denied this: capability fs.delete, resource /etc/passwd, matchedRule /etc/**, scope user, "
        "source settings."
    )
    main = [
        PromptRecorded("u1", "look and run", START + 0.9),
        MessageRecorded("h2-say", "Let me think.", "thought", START + 2.001),
        UsageSeen(context_percent=2.5),
        ToolSeen(
            "c1",
            name="execute_bash",
            title="Run Command",
            kind="execute",
            status="completed",
            input=shell,
            recorded=True,
            at=START + 5.2,
        ),
        ToolSeen(
            "c1",
            status="completed",
            output="Output:\nno\n\n\nExit Code: 3",
            exit_code=3,
            recorded=True,
            at=START + 5.2,
        ),
        ToolSeen(
            "c2",
            name="delete_file",
            kind="delete",
            status="failed",
            input={"path": "/etc/passwd"},
            output=denial,
            locations=("/etc/passwd",),
            recorded=True,
            at=START + 6.0,
        ),
        ToolSeen(
            "c3", name="web_fetch", kind="fetch", status="failed", input={"url": "x"}, recorded=True, at=START + 6.1
        ),
        ToolSeen(
            "c3",
            status="cancelled",
            output="The tool did not end: the session was interrupted.",
            recorded=True,
            at=START + 6.1,
        ),
        ToolSeen(
            "sub-1",
            name="sub_agent",
            title="searcher",
            kind="think",
            status="running",
            input={"prompt": "find it"},
            purpose="Two are faster",
            recorded=True,
            at=START + 7.0,
        ),
        ToolSeen("sub-1", status="completed", output="found", recorded=True, at=START + 9.0),
        Notice("k2", "The hook lint failed. It said: no lint", "warning"),
        Notice("k3", "The model is busy.", "error"),
        MessageRecorded(flat, "An old flat row.", at=START + 9.4),
        MessageRecorded("h3-say", "Done.", at=START + 10.0),
        UsageSeen(credits=0.1, duration_ms=9000),
        UsageSeen(credits=0.25, duration_ms=9100),
        TitleSeen("Look and run"),
    ]
    sub = [
        MessageRecorded("q1-say", "Searching.", at=START + 7.5, agent="sub-1"),
        ToolSeen(
            "q2",
            name="grep_search",
            kind="search",
            status="completed",
            input={"query": "it"},
            recorded=True,
            at=START + 8.0,
            agent="sub-1",
        ),
        ToolSeen("q2", status="completed", output="a.txt", recorded=True, at=START + 8.0, agent="sub-1"),
    ]
    events = reader.poll()
    assert events[0] == SessionKnown("sess_1", "v3")
    assert [one for one in events[1:] if getattr(one, "agent", None) is None] == main
    told_later = [*events, *reader.poll()]
    assert [one for one in told_later if getattr(one, "agent", None) is not None] == sub
    assert reader.evidence() == TurnEvidence(True, True, "end_turn", False)
    assert reader.poll() == []
    assert reader.poll(final=True) == []


def test_waiting_for_an_approval(tmp_path: Path) -> None:
    session = Session(tmp_path)
    reader = make(tmp_path)
    reader.baseline()
    session.document()
    pending = {"interactionType": "tool_approval", "toolCallId": "c1", "question": "rm x", "executionId": "c1"}
    session.add(v3_row("u1", "user", content="ask"), v3_row("c1-pending", "pending_interaction", **pending))
    events = reader.poll()
    assert events[-1] == Notice("c1-pending", "Kiro waits for an answer: rm x", "warning")
    assert reader.evidence().last_tool_open
    assert reader.poll() == []
    session.add(v3_row("c1-resolved", "interaction_resolved", toolCallId="c1", outcome="selected"))
    session.add(v3_row("c1-call", "tool_call", toolCallId="c1", toolName="x", status="completed", args={}))
    session.add(v3_row("c1-result", "tool_result", toolCallId="c1", content="ok", success=True))
    assert notices(reader.poll()) == []
    assert not reader.evidence().last_tool_open


def test_a_resumed_session_tells_only_what_is_new(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.document(title="Known", at=-100)
    session.turn("ask", "old", "e0", -50)
    reader = make(tmp_path, "sess_1")
    mark = json.loads(json.dumps(reader.baseline()))
    assert reader.poll() == []
    session.turn("ask", "new", "e1")
    assert texts(reader.poll()) == ["ask", "new"]
    assert reader.finished()
    successor = make(tmp_path, "sess_1")
    successor.resume_from(mark)
    events = successor.poll(final=True)
    assert texts(events) == ["ask", "new"]
    assert not [event for event in events if isinstance(event, TitleSeen)]


def test_sessions_of_one_folder_do_not_mix(tmp_path: Path) -> None:
    ours, theirs = Session(tmp_path, "sess_o"), Session(tmp_path, "sess_t")
    elsewhere = Session(tmp_path, "sess_e", "_global")
    reader = make(tmp_path, prompt="ours")
    reader.baseline()
    elsewhere.document(cwd="/else/where")
    elsewhere.turn("ours", "elsewhere", "x")
    theirs.document()
    theirs.turn("theirs", "for them", "t")
    assert reader.poll() == []
    ours.folder.mkdir(parents=True)
    assert reader.poll() == []
    ours.turn(" ours", "for us", "o")
    assert reader.poll() == []
    ours.document()
    events = reader.poll()
    assert events[0] == SessionKnown("sess_o", "v3")
    assert texts(events) == [" ours", "for us"]
    theirs.turn("ours", "late", "t2")
    assert reader.poll(final=True) == []


def test_a_session_from_the_ide_and_one_with_a_new_bucket(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    Session(tmp_path, "sess_old", "aaaa").document(at=-500)
    reader = make(tmp_path)
    reader.baseline()
    session = Session(tmp_path, "0f3c9a2e-1111-4222-8333-444455556666", "bbbb")
    session.document(workspacePaths=[], rootPaths=["/x", CWD])
    session.turn("ask", "hello", "e1")
    assert texts(reader.poll()) == ["ask", "hello"]


def test_the_folder_comes_into_the_turn(tmp_path: Path) -> None:
    root = tmp_path / "sessions"
    reader = make(root)
    reader.baseline()
    reader.follow("sess_1")
    assert reader.poll() == []
    session = Session(root)
    session.document()
    session.turn("as Kiro put it", "hello", "e1")
    assert texts(reader.poll()) == ["as Kiro put it", "hello"]
    assert reader.finished()


def test_a_fork_tells_only_what_is_new(tmp_path: Path) -> None:
    reader = make(tmp_path)
    reader.baseline()
    session = Session(tmp_path, "sess_f")
    session.document(parentSessionId="sess_1", title="Fork of x")
    session.turn("ask", "copied", "e0", -400)
    session.turn("ask", "new", "e1")
    assert texts(reader.poll()) == ["ask", "new"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("turn_end", {"stopReason": "cancelled"})], TurnEvidence(True, False, "cancelled", False)),
        ([("turn_end", {"stopReason": "error"})], TurnEvidence(True, False, "error", False)),
        ([("usage_summary", {"status": "aborted"})], TurnEvidence(True, False, "aborted", False)),
        (
            [("usage_summary", {"status": "failed"}), ("turn_end", {"stopReason": "end_turn"})],
            TurnEvidence(True, False, "failed", False),
        ),
        (
            [
                ("turn_end", {"stopReason": "end_turn"}),
                ("user", {"content": "next"}),
                ("turn_end", {"stopReason": "error"}),
            ],
            TurnEvidence(True, True, "end_turn", False),
        ),
        ([("assistant", {"content": "x"})], TurnEvidence(True, False, None, False)),
        ([("tool_call", {"toolCallId": "c", "status": "executing"})], TurnEvidence(True, False, None, True)),
    ],
)
def test_how_a_turn_ended(tmp_path: Path, rows: list[tuple[str, dict[str, Any]]], expected: TurnEvidence) -> None:
    session = Session(tmp_path)
    reader = make(tmp_path, "sess_1")
    reader.baseline()
    session.document()
    session.add(v3_row("u1", "user", content="ask"))
    session.add(*(v3_row(f"r{n}", kind, **payload) for n, (kind, payload) in enumerate(rows)))
    reader.poll()
    assert reader.evidence() == expected


def test_sub_agents_of_earlier_turns_are_left_out(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.document()
    session.turn("x", "y", "e0", -9)
    subs = session.folder / "sub-executions"
    say = {"operationType": "Say", "subExecutionId": "s"}
    append(subs / "old.jsonl", v3_row("o1", "assistant", -5, content="old", **say))
    append(subs / "ancient.jsonl", v3_row("o0", "assistant", -5000, content="ancient", **say))
    os.utime(subs / "ancient.jsonl", (START - 5000, START - 5000))
    reader = make(tmp_path, "sess_1")
    reader.baseline()
    reader.poll()
    append(subs / "old.jsonl", v3_row("o2", "assistant", 5, content="again", **say))
    append(subs / "new.jsonl", v3_row("n1", "assistant", 5, content="new", **say))
    append(subs / "new.jsonl", v3_row("n2", "turn_end", 5, stopReason="end_turn"))
    session.turn("ask", "done", "e1", 6)
    told = {(event.agent, event.text) for event in reader.poll(final=True) if isinstance(event, MessageRecorded)}
    assert told == {("old", "again"), ("new", "new"), (None, "done")}


def test_tombstones(tmp_path: Path) -> None:
    session = Session(tmp_path)
    reader = make(tmp_path, "sess_1")
    reader.baseline()
    session.document()
    session.turn("ask", "one", "e1")
    session.add(v3_row("b", "assistant", content="two"))
    reader.poll()
    session.add(v3_row("x1", "tombstone", kind="summarization", effectiveFromMessageId="b"))
    session.add(v3_row("x2", "tombstone", kind="checkpoint_revert", effectiveFromMessageId="e1-say"))
    events = reader.poll()
    assert notices(events) == ["x1", "x2"]
    assert [event.keys for event in events if isinstance(event, MessagesRemoved)] == [(), ("e1-say", "b")]


def test_a_truncated_log_is_reconciled(tmp_path: Path) -> None:
    session = Session(tmp_path)
    reader = make(tmp_path, "sess_1")
    reader.baseline()
    session.document()
    session.turn("ask", "one", "e1")
    assert texts(reader.poll()) == ["ask", "one"]
    log = session.folder / "messages.jsonl"
    log.write_bytes(v3_row("e1-u", "user", content="ask") + v3_row("z", "assistant", content="other"))
    events = reader.poll()
    assert texts(events) == ["other"]
    assert notices(events) == ["v3:rewritten"]
    assert MessagesRemoved(("e1-say",), "Kiro rewrote its history.") in events
    assert not reader.finished()


def test_old_rows_with_content_of_other_shapes(tmp_path: Path) -> None:
    session = Session(tmp_path)
    reader = make(tmp_path, "sess_1")
    reader.baseline()
    session.document()
    blocks = [{"type": "text", "text": "a"}, "b", {"content": [{"text": "c"}]}]
    session.add(v3_row("u1", "user", content=blocks), v3_row("a1", "assistant", content={"text": "d"}))
    session.add(json.dumps({"timestamp": v3_stamp(3), "role": "user", "content": "flat"}).encode() + b"\r\n\r\n")
    assert texts(reader.poll()) == ["abc", "d", "flat"]


def test_the_factory_opens_each_store(tmp_path: Path) -> None:
    locations = StoreLocations(tmp_path / "data.sqlite3", tmp_path / "cli", tmp_path / "sessions")
    for engine in ("v1", "v2", "v3"):
        reader = open_reader(engine, locations, cwd=CWD, started_at=START, kiro_id=None, prompt="ask")
        assert reader.baseline()["engine"] == engine
        assert reader.poll(final=True) == []
        assert reader.evidence() == TurnEvidence(False, False, None, False)
        assert not reader.finished()
        reader.close()
