"""Approvals, questions and plans in the turn state machine."""

from __future__ import annotations

import pytest

from bridge.core.approvals import is_pending
from bridge.core.feed import (
    ApprovalAsked,
    ApprovalClosed,
    ApprovalEnd,
    ApprovalOption,
    Ended,
    Outcome,
    PlanSeen,
    PlanStep,
    TextDelta,
    ToolSeen,
)
from bridge.core.items import Item, ItemPut
from bridge.core.turn import TurnMachine
from tests.core.test_turn import play

OPTIONS = (ApprovalOption("yes", "Yes", "allow_once"), ApprovalOption("no", "No", "reject_once"))
ASKED = ApprovalAsked("approval:1", "Running: rm -r build", OPTIONS, tool_key="t1", text="rm -r build")


def approval(*items: Item) -> Item:
    [found] = [item for item in items if item.kind == "approval"]
    return found


def test_what_is_asked_is_an_item() -> None:
    item = approval(*play(ToolSeen("t1", name="shell"), ASKED).ordered())
    assert (item.text, item.final) == ("rm -r build", False)
    assert item.data == {
        "status": "pending",
        "title": "Running: rm -r build",
        "tool_key": "t1",
        "question": False,
        "options": [
            {"id": "yes", "label": "Yes", "kind": "allow_once"},
            {"id": "no", "label": "No", "kind": "reject_once"},
        ],
        "answer": None,
        "reason": "",
    }
    assert is_pending(item)


def test_text_goes_on_behind_what_is_asked() -> None:
    screen = play(TextDelta("before"), ASKED, TextDelta("behind"))
    assert screen.kinds() == ["prompt", "text", "approval", "text"]


@pytest.mark.parametrize("status", ["answered", "expired", "interrupted"])
def test_it_is_closed_once(status: ApprovalEnd) -> None:
    screen = play(
        ASKED, ApprovalClosed(ASKED.key, status, "no", "too much"), ApprovalClosed(ASKED.key, "answered", "yes")
    )
    item = approval(*screen.ordered())
    assert item.final and not is_pending(item)
    assert (item.data["status"], item.data["answer"], item.data["reason"]) == (status, "no", "too much")


def test_the_same_request_is_asked_once() -> None:
    machine = TurnMachine("1")
    assert machine.apply(ASKED) and machine.apply(ASKED) == []
    assert machine.apply(ApprovalClosed("approval:2", "answered", "yes")) == []


@pytest.mark.parametrize("outcome", ["completed", "cancelled", "failed", "interrupted"])
def test_the_end_interrupts_what_nobody_answered(outcome: Outcome) -> None:
    item = approval(*play(ASKED, Ended(outcome)).ordered())
    assert item.final and item.data["status"] == "interrupted"


def test_one_that_was_answered_stays_so_at_the_end() -> None:
    item = approval(*play(ASKED, ApprovalClosed(ASKED.key, "answered", "yes"), Ended("completed")).ordered())
    assert item.data["status"] == "answered"


def test_after_a_crash_what_was_pending_is_interrupted() -> None:
    [put] = TurnMachine("1").apply(ASKED)
    assert isinstance(put, ItemPut)
    changes = TurnMachine("1", [put.item]).apply(Ended("interrupted"))
    [closed] = [change.item for change in changes if isinstance(change, ItemPut)]
    assert closed.data["status"] == "interrupted"


def test_a_plan_is_replaced() -> None:
    first = PlanSeen((PlanStep("look"), PlanStep("change")))
    second = PlanSeen((PlanStep("look", "completed"), PlanStep("change", "running")))
    machine = TurnMachine("1")
    assert len(machine.apply(first)) == 1 and machine.apply(first) == []
    [put] = machine.apply(second)
    assert isinstance(put, ItemPut) and put.item.kind == "plan"
    assert put.item.data["steps"] == [
        {"text": "look", "status": "completed"},
        {"text": "change", "status": "running"},
    ]
    [own] = machine.apply(PlanSeen((PlanStep("else"),), agent="helper"))
    assert isinstance(own, ItemPut) and own.item.key != put.item.key
