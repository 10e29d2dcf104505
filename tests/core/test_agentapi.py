"""The AgentAPI view of a turn."""

from __future__ import annotations

import pytest

from bridge.core.agentapi import answer_keys, answer_text, turn_messages
from bridge.core.items import Item
from bridge.core.records import Turn
from bridge.errors import Problem

TURN = Turn(1, "s", 4, "hello", "running", 100.0)


def item(kind_: str, text: str = "", position: int = 1, **data: object) -> Item:
    return Item(f"{kind_}{position}", kind_, position, text, data)  # type: ignore[arg-type]


def test_a_turn_is_a_prompt_and_one_answer() -> None:
    messages = turn_messages(TURN, [item("prompt", "hello", 0), item("text", "Hi.")])
    assert [(m.id, m.role, m.text, m.at) for m in messages] == [(4, "user", "hello", 100.0), (5, "agent", "Hi.", 100.0)]


def test_tools_are_one_line_each_and_texts_are_paragraphs() -> None:
    items = [
        item("text", "I look."),
        item("tool", "x", 2, kind="read", title="Reading a.py"),
        item("tool", "", 3, name="shell"),
        item("thought", "hm", 4), item("usage", "", 5), item("text", "Done.", 6),
    ]  # fmt: skip
    assert answer_text(TURN, items) == "I look.\n\n[Tool: read] Reading a.py\n[Tool: other] shell\n\nDone."


def test_sub_agents_and_status_reports_are_left_out() -> None:
    items = [
        item("text", "child", 1, agent="c"),
        item("tool", "", 2, name="@coder/coder_report_task"),
        item("text", "Me.", 3),
    ]
    assert answer_text(TURN, items) == "Me."


def test_a_failed_turn_says_what_was_said_then_cause_and_remedy() -> None:
    failed = Turn(1, "s", 0, "x", "failed", 1.0, problem=Problem("throttled", "Too many requests.", "Wait a minute."))
    assert answer_text(failed, [item("text", "Half")]) == "Half\n\n[Failed] Too many requests. Wait a minute."
    assert answer_text(Turn(1, "s", 0, "x", "cancelled", 1.0), []) == "[Stopped]"


def test_an_imported_banner_has_no_user_message() -> None:
    banner = Turn(1, "s", -1, "", "completed", 1.0, origin="import")
    assert [m.role for m in turn_messages(banner, [item("text", "Welcome")])] == ["agent"]


OPTIONS = [
    {"id": "1", "label": "Yes", "kind": "allow_once"},
    {"id": "2", "label": "Always", "kind": "allow_always"},
    {"id": "3", "label": "No", "kind": "reject_once"},
]


def approval(text: str = "ls -l", **data: object) -> Item:
    known: dict[str, object] = {"status": "pending", "title": "Run ls", "question": False, "options": OPTIONS}
    return Item("a", "approval", 2, text, {**known, "answer": None, "reason": "", **data})


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            approval(),
            "[Approval needed] Run ls\nls -l\nSend `y` for “Yes”, `n` for “No”, `t` for “Always” as raw text.",
        ),
        (approval("Run ls", options=OPTIONS[2:]), "[Approval needed] Run ls\nSend `n` for “No” as raw text."),
        (approval("", options=[]), "[Approval needed] Run ls"),
        (approval("Which?", question=True), "[Question] Run ls\nWhich?\n- Yes\n- Always\n- No"),
        (approval(status="answered", answer="1"), "[Approved: Yes] Run ls"),
        (approval(status="answered", answer="3", reason="use make\nplease"), "[Rejected: No] Run ls (use make)"),
        (approval(status="answered", answer="gone"), "[Answered] Run ls"),
        (approval(status="expired"), "[Nobody answered in time] Run ls"),
        (approval(status="interrupted"), "[Not answered] Run ls"),
        (approval(agent="child", status="expired"), "[Nobody answered in time] Run ls"),
    ],
)
def test_what_somebody_is_asked_stands_in_the_answer_with_its_outcome(asked: Item, told: str) -> None:
    assert answer_text(TURN, [item("text", "Hm."), asked]) == f"Hm.\n\n{told}"


def test_the_first_option_of_a_kind_is_what_a_key_stands_for() -> None:
    data = approval(options=[*OPTIONS, {"id": "9", "label": "Later", "kind": "allow_once"}]).data
    assert {key: option["id"] for key, option in answer_keys(data).items()} == {"y": "1", "n": "3", "t": "2"}
    assert answer_keys({**data, "question": True}) == {}
