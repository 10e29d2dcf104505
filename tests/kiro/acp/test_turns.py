"""Turns over ACP against the stand-in, both engines: what is said becomes the right items once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from bridge.core.feed import (
    ApprovalAsked,
    ApprovalClosed,
    Engine,
    FeedEvent,
    MessageRecorded,
    Notice,
    PlanSeen,
    TextDelta,
    TitleSeen,
    ToolSeen,
    UsageSeen,
)
from bridge.core.ports import ApprovalAnswer, Steer
from bridge.core.records import SessionOptions
from bridge.engine.control import Control
from bridge.kiro.command import LaunchOptions

from .conftest import Making, by_kind

ENGINES: tuple[Engine, ...] = ("v2", "v3")
engines = pytest.mark.parametrize("engine", ENGINES)


Kind = TypeVar("Kind")


def of(kind: type[Kind], events: list[FeedEvent]) -> list[Kind]:
    return [event for event in events if isinstance(event, kind)]


def live(events: list[FeedEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta) and event.speaker == "text")


@engines
def test_a_conversation_keeps_one_process(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    events = talk.run("!standin text first answer")
    assert talk.answer_text() == "first answer" and live(events) == "first answer"
    pid, kiro_id = talk.pid, talk.kiro_id
    assert pid is not None and talk.engine == engine
    talk.run("!standin about")
    assert talk.pid == pid and talk.kiro_id == kiro_id
    assert "turns=1" in talk.answer_text() and f"engine={engine}" in talk.answer_text()
    assert [item.recorded for item in talk.of_kind("text")] == [True]
    assert talk.of_kind("usage")[0].data["credits"] > 0
    assert of(TitleSeen, events)


@engines
def test_tools_with_leave(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    events = talk.run(
        "!standin text before\n!standin tool shell echo out; exit 3\n!standin text after", answer=by_kind("allow_once")
    )
    assert [item.kind for item in talk.items if item.kind in ("text", "tool")] == ["text", "tool", "text"]
    tool = talk.of_kind("tool")[0]
    assert tool.data["exit_code"] == 3 and "out" in tool.text and tool.recorded
    assert tool.data["input"]["command"] == "echo out; exit 3"
    approval = talk.of_kind("approval")[0]
    assert approval.data["status"] == "answered" and approval.text == "echo out; exit 3" and approval.final
    assert approval.data["tool_key"] == tool.key
    statuses = [event.status for event in events if isinstance(event, ToolSeen) and event.status]
    assert "pending" in statuses and statuses.index("pending") < statuses.index(
        "completed" if engine == "v2" else "failed"
    )


@engines
def test_an_approval_stands_once(conversation: Making, engine: Engine) -> None:
    """The store knows of a request that is open, too; the longer it is open, the more often it is read."""
    talk = conversation(engine)

    def later(event: FeedEvent, control: Control) -> None:
        if isinstance(event, ApprovalAsked):
            timers.append(threading.Timer(1.0, control.tell, [ApprovalAnswer(event.key, event.options[0].id)]))
            timers[-1].start()

    timers: list[threading.Timer] = []
    assert talk.outcome("!standin ask shell echo hi", when=later).outcome == "completed"
    timers[0].join()
    assert not talk.of_kind("notice") and len(talk.of_kind("approval")) == 1


@engines
def test_a_refusal(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    talk.run("!standin tool shell touch made\n!standin text after", answer=by_kind("reject_once"))
    assert talk.of_kind("approval")[0].data["answer"] in ("reject_once", "reject")
    assert talk.of_kind("tool")[0].data["status"] in ("failed", "cancelled")


@engines
@pytest.mark.parametrize(
    ("options", "session"),
    [
        (LaunchOptions(trust_all_tools=True), SessionOptions()),
        (LaunchOptions(), SessionOptions(trust="all")),
        (LaunchOptions(trust_tools=("execute_bash",)), SessionOptions()),
        (LaunchOptions(), SessionOptions(trust="listed", trust_tools=("shell",))),
    ],
)
def test_what_is_trusted_runs_without_asking(
    conversation: Making, engine: Engine, options: LaunchOptions, session: SessionOptions
) -> None:
    talk = conversation(engine, options=options)
    talk.options = session
    events = talk.run("!standin ask shell echo trusted\n!standin text after")
    assert not of(ApprovalAsked, events)
    assert "trusted" in talk.of_kind("tool")[0].text


@engines
def test_trust_is_looked_at_when_it_is_needed(conversation: Making, engine: Engine) -> None:
    """A session that trusts all and changes its mind is asked the next time, in the same process."""
    talk = conversation(engine)
    talk.options = SessionOptions(trust="all")

    def stop_trusting(event: FeedEvent, control: Control) -> None:
        if isinstance(event, ToolSeen) and event.status == "completed":
            talk.options = SessionOptions(trust="ask")

    talk.run("!standin ask shell echo one", when=stop_trusting)
    pid = talk.pid
    events = talk.run("!standin ask shell echo two", answer=by_kind("allow_once"))
    assert len(of(ApprovalAsked, events)) == 1 and talk.pid == pid


def test_a_question_is_never_answered_by_trust(conversation: Making) -> None:
    talk = conversation("v3", options=LaunchOptions(trust_all_tools=True))
    events = talk.run("!standin question Which one? | Red | Blue", answer=lambda asked: asked.options[1].id)
    (asked,) = of(ApprovalAsked, events)
    assert asked.question
    assert [option.label for option in asked.options] == ["Red", "Blue"]
    assert {option.kind for option in asked.options} == {"answer"} and "Which one?" in asked.text
    assert talk.of_kind("approval")[0].data["answer"] == asked.options[1].id


@engines
def test_nobody_answers(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine, approval_timeout=0.2)
    events = talk.run("!standin ask shell touch made\n!standin text after")
    (closed,) = of(ApprovalClosed, events)
    assert closed.status == "expired" and "0.2 s" in closed.reason
    assert talk.of_kind("approval")[0].data["status"] == "expired"


@engines
def test_an_answer_at_the_last_moment(conversation: Making, engine: Engine) -> None:
    """One that was kept before the time was over reaches Kiro, though we have just told that it is over."""
    talk = conversation(engine, approval_timeout=0.2)

    asked: list[ApprovalAsked] = []

    def answer(event: FeedEvent, control: Control) -> None:
        if isinstance(event, ApprovalAsked):
            asked.append(event)
        elif isinstance(event, ApprovalClosed) and event.status == "expired":
            control.tell(ApprovalAnswer(event.key, by_kind("allow_once")(asked[0]) or ""))

    talk.run("!standin ask shell touch made", when=answer)
    assert (Path(talk.cwd) / "made").exists()


@engines
def test_an_answer_to_another_question_changes_nothing(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)

    def twice(event: FeedEvent, control: Control) -> None:
        if isinstance(event, ApprovalAsked):
            control.tell(ApprovalAnswer("another", event.options[0].id))
            control.tell(ApprovalAnswer(event.key, "no such option"))
            control.tell(ApprovalAnswer(event.key, event.options[0].id))
            control.tell(ApprovalAnswer(event.key, event.options[-1].id))

    events = talk.run("!standin ask shell echo once", when=twice)
    assert [event.option for event in events if isinstance(event, ApprovalClosed)] == [
        talk.of_kind("approval")[0].data["options"][0]["id"]
    ]


@engines
def test_a_plan(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    events = talk.run("!standin plan Look | Change | Test\n!standin text done")
    assert of(PlanSeen, events)
    assert [step["text"] for step in talk.of_kind("plan")[0].data["steps"]] == ["Look", "Change", "Test"]


@engines
def test_thoughts_are_no_answer(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    talk.run("!standin thought hmm\n!standin text said")
    assert talk.answer_text() == "said"
    assert any(item.text == "hmm" for item in talk.of_kind("thought"))


@engines
def test_a_sub_agents_words_are_no_answer(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine, options=LaunchOptions(trust_all_tools=True))
    talk.run("!standin subagent helper WORDS OF THE HELPER\n!standin text mine")
    assert "WORDS OF THE HELPER" not in talk.answer_text() and "mine" in talk.answer_text()


@engines
def test_what_a_sub_agent_asks_is_asked(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    asked: list[ApprovalAsked] = []

    def allow(event: ApprovalAsked) -> str:
        asked.append(event)
        return by_kind("allow_once")(event) or ""

    talk.run("!standin subagent-runs helper echo of-the-helper\n!standin text mine", answer=allow)
    assert any("of-the-helper" in event.text and event.agent is not None for event in asked)
    assert talk.answer_text().endswith("mine")


@engines
def test_a_message_into_the_turn(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    steered: list[bool] = []

    def steer(event: FeedEvent, control: Control) -> None:
        if isinstance(event, ApprovalAsked):
            control.tell(Steer("rather say cheese"))
            steered.append(True)

    events = talk.run("!standin ask shell sleep 0.3\n!standin text after", when=steer, answer=by_kind("allow_once"))
    assert steered and "steer" in talk.transport.surface().features
    assert not [event for event in of(Notice, events) if event.key.startswith("steer_refused")]


@pytest.mark.timeout(1200)
@engines
def test_words_in_any_pieces_come_in_order(
    conversation: Making, engine: Engine, often: Callable[[int, int], int]
) -> None:
    """100 pieces back to back; with --long 1,000 times."""
    talk = conversation(engine)
    words = " ".join(str(number) for number in range(400))
    for _ in range(often(5, 1000)):
        events = talk.run(f"!standin chunks 100\n!standin fault burst\n!standin text {words}")
        assert live(events) == words
        assert talk.answer_text() == words
        assert len([event for event in of(MessageRecorded, events) if event.speaker == "text"]) == 1


@engines
def test_usage_is_of_the_turn(conversation: Making, engine: Engine) -> None:
    talk = conversation(engine)
    first = talk.run("!standin text a")
    talk.run("!standin text a")
    second = talk.of_kind("usage")[0].data["credits"]
    spent = [event.credits for event in first if isinstance(event, UsageSeen) and event.credits]
    assert second == pytest.approx(max(spent), rel=0.5)
