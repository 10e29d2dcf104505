"""What is told of a turn, and what never is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.coder.rules import DETAIL_GAP, STATES, SUMMARY_BYTES, Report, StatusRules
from bridge.core.items import Item
from bridge.core.records import TURN_OVER, ItemEvent, RemovedEvent, StoredItem, Turn, TurnEvent
from bridge.errors import Problem

PROBLEM = Problem("not_logged_in", "kiro-cli is not logged in.", "Log in.")


class Conversation:
    """Plays a session to the rules, with a Coder that is told at once and a clock in the test's hand."""

    def __init__(self, *, ready: bool = True) -> None:
        self.rules = StatusRules()
        self.now = 0.0
        self.told: list[Report] = []
        self.shown: Report | None = None
        self.renewed = False
        self.prompt = ""
        self.number = 0
        if ready:
            self.ready()

    def ready(self, ready: bool = True) -> None:
        self.renewed = ready
        self.rules.set_ready(ready)
        self.tell()
        self.renewed = False

    def turn(self, prompt: str) -> None:
        self.prompt = prompt
        self.number += 1
        self.state("accepted")
        self.state("running")

    def state(self, state: Any, problem: Problem | None = None) -> None:
        turn = Turn(self.number, "s", 2 * self.number, self.prompt, state, 0.0, problem=problem)
        self.rules.apply(TurnEvent(1, turn))
        self.tell()

    def tool(self, number: int, status: str, *, turn: int | None = None, **data: Any) -> None:
        item = Item(f"k{number}", "tool", number, data={"name": "shell", "status": status, **data})
        stored = StoredItem(number, "s", self.number if turn is None else turn, item, 0.0, 0.0, 1)
        self.rules.apply(ItemEvent(1, stored))
        self.tell()

    def asks(self, number: int, title: str, status: str = "pending", **data: Any) -> None:
        item = Item(f"a{number}", "approval", number, data={"title": title, "status": status, **data})
        self.rules.apply(ItemEvent(1, StoredItem(number, "s", self.number, item, 0.0, 0.0, 1)))
        self.tell()

    def model_says(self, number: int, state: str, summary: str, status: str = "completed") -> None:
        given = {"state": state, "summary": summary, "link": ""}
        if status == "completed":
            self.shown = Report(state, summary)  # type: ignore[arg-type]
        self.tool(number, status, name="@coder/coder_report_task", input=given)

    def later(self, seconds: float = DETAIL_GAP) -> None:
        self.now += seconds
        self.tell()

    def tell(self) -> None:
        report = self.rules.due(self.now)
        if report is not None:
            assert report != self.shown or self.renewed, "Coder shows that already"
            self.told.append(report)
            self.shown = report
            self.rules.told(report, self.now)
            assert self.rules.wait(self.now) is None, "what was told is told again"


def words(conversation: Conversation) -> list[tuple[str, str]]:
    return [(report.state, report.summary) for report in conversation.told]


def test_a_plain_turn() -> None:
    it = Conversation()
    it.turn("Fix the tests.\nAll of them.")
    it.state("completed")
    assert words(it) == [
        ("idle", "Ready for a prompt"),
        ("working", "Fix the tests."),
        ("idle", "Done: Fix the tests."),
    ]


@pytest.mark.parametrize(
    ("state", "problem", "summary"),
    [
        ("cancelled", None, "Stopped: go"),
        ("failed", PROBLEM, "Failed: kiro-cli is not logged in."),
        ("interrupted", None, "Interrupted: go"),
    ],
)
def test_a_turn_that_ends_badly_rests_in_idle(state: str, problem: Problem | None, summary: str) -> None:
    it = Conversation()
    it.turn("go")
    it.state(state, problem)
    assert words(it)[-1] == ("idle", summary)


def test_nothing_is_told_before_prompts_are_taken() -> None:
    it = Conversation(ready=False)
    it.ready(False)
    assert it.told == []
    it.ready()
    assert words(it) == [("idle", "Ready for a prompt")]


def test_a_prompt_that_was_taken_is_told_although_kiro_is_not_ready() -> None:
    it = Conversation(ready=False)
    it.turn("go")
    it.state("failed", PROBLEM)
    assert words(it) == [("working", "go"), ("idle", "Failed: kiro-cli is not logged in.")]


def test_each_readiness_is_told_afresh_unless_a_turn_runs() -> None:
    it = Conversation()
    it.ready(False)
    it.ready()
    assert words(it) == [("idle", "Ready for a prompt")] * 2
    it.turn("go")
    it.ready(False)
    it.ready()
    assert words(it)[2:] == [("working", "go")]


def test_a_turn_that_runs_at_the_first_readiness() -> None:
    it = Conversation(ready=False)
    turn = Turn(1, "s", 0, "from before", "running", 0.0, origin="initial")
    item = Item("k", "tool", 0, data={"name": "shell", "status": "running", "purpose": "Look around"})
    it.rules.begin(turn, [StoredItem(1, "s", 1, item, 0.0, 0.0, 1)])
    it.ready()
    assert words(it) == [("working", "Look around")]


def test_what_a_crash_cut_is_told_with_the_readiness() -> None:
    it = Conversation(ready=False)
    it.prompt, it.number = "long work", 1
    it.rules.apply(TurnEvent(1, Turn(1, "s", 0, "long work", "interrupted", 0.0, origin="initial")))
    it.ready()
    assert words(it) == [("idle", "Interrupted: long work")]


def test_the_running_tool_is_told_while_it_runs() -> None:
    it = Conversation()
    it.turn("go")
    it.later()
    it.tool(1, "running", title="Running: make test", purpose="Run the tests")
    it.tool(2, "running", title="Reading: a.txt")
    it.later()
    it.tool(2, "completed")
    it.later()
    it.tool(1, "completed")
    it.later()
    assert words(it)[2:] == [
        ("working", "Run the tests"),
        ("working", "Reading: a.txt"),
        ("working", "Run the tests"),
        ("working", "go"),
    ]


def test_a_burst_of_tools_is_told_once_and_ends_at_once() -> None:
    it = Conversation()
    it.turn("go")
    for number in range(100):
        it.tool(number, "running", title=f"tool {number}")
        it.tool(number, "completed")
        it.now += DETAIL_GAP / 1000
    it.tool(100, "running", title="the last")
    assert len(it.told) == 2
    it.later()
    it.state("completed")
    assert words(it)[2:] == [("working", "the last"), ("idle", "Done: go")]


def test_an_approval_waits_for_the_user() -> None:
    it = Conversation()
    it.turn("go")
    it.tool(1, "running", title="rm -r build")
    it.asks(2, "rm -r build")
    it.asks(2, "rm -r build", "answered")
    assert words(it)[2:] == [("idle", "Waiting for your approval: rm -r build"), ("working", "rm -r build")]


@pytest.mark.parametrize("status", ["expired", "interrupted", "answered"])
def test_a_question_of_a_sub_agent_waits_for_an_answer(status: str) -> None:
    it = Conversation()
    it.turn("go")
    it.asks(1, "Which branch?", question=True, agent="helper")
    it.asks(1, "Which branch?", status, question=True, agent="helper")
    assert words(it)[2:] == [("idle", "Waiting for your answer: Which branch?"), ("working", "go")]


def test_a_tool_that_was_taken_back_runs_no_more() -> None:
    it = Conversation()
    it.turn("go")
    it.later()
    it.tool(1, "running", title="a preview")
    it.rules.apply(RemovedEvent(1, "s", it.number, 1))
    it.later()
    assert words(it)[2:] == [("working", "a preview"), ("working", "go")]


def test_sub_agents_and_other_turns_are_left_out() -> None:
    it = Conversation()
    it.turn("go")
    it.later()
    it.tool(1, "running", title="inside", agent="sub")
    it.tool(2, "running", title="of another turn", turn=99)
    it.later()
    assert len(it.told) == 2


def test_while_the_model_reports_we_are_silent_until_the_end() -> None:
    it = Conversation()
    it.turn("go")
    it.model_says(1, "working", "Reading the code")
    for number in range(2, 6):
        it.tool(number, "running", title=f"tool {number}")
        it.later()
    it.model_says(6, "working", "Writing the fix")
    it.tool(7, "running", title="tool 7")
    it.later()
    assert len(it.told) == 2
    it.state("completed")
    assert words(it)[2:] == [("idle", "Writing the fix")]


def test_the_model_says_complete_and_that_stays() -> None:
    it = Conversation()
    it.turn("go")
    it.model_says(1, "complete", "All tests pass")
    it.state("completed")
    assert len(it.told) == 2
    assert it.rules.wait(it.now) is None


def test_complete_comes_back_after_something_else_was_told() -> None:
    it = Conversation()
    it.turn("go")
    it.model_says(1, "working", "On it")
    it.asks(2, "rm")
    it.asks(2, "rm", "answered")
    it.model_says(3, "complete", "All done")
    it.state("completed")
    assert words(it)[2:] == [("idle", "Waiting for your approval: rm"), ("working", "On it")]


def test_the_model_says_failure_and_that_does_not_stay() -> None:
    it = Conversation()
    it.turn("go")
    it.model_says(1, "failure", "Which branch do you mean?")
    it.state("completed")
    assert words(it)[2:] == [("idle", "Which branch do you mean?")]


@pytest.mark.parametrize("state", ["idle", "complete", "failure"])
def test_a_model_that_rests_and_goes_on_is_working(state: str) -> None:
    it = Conversation()
    it.turn("go")
    it.model_says(1, state, "Finished")
    it.tool(2, "running", title="Running: one more")
    it.later()
    it.tool(2, "completed")
    it.state("completed")
    assert words(it)[2:] == [("working", "Running: one more"), ("idle", "Finished")] or words(it)[2:] == [
        ("working", "Running: one more"),
        ("working", "go"),
        ("idle", "Finished"),
    ]


def test_the_failure_of_the_model_is_never_repeated_by_us() -> None:
    it = Conversation()
    it.turn("go")
    it.tool(1, "running", title="rm")
    it.model_says(2, "failure", "I am stuck")
    it.asks(3, "rm")
    it.asks(3, "rm", "answered")
    assert words(it)[2:] == [("idle", "Waiting for your approval: rm")]
    it.state("completed")
    assert words(it)[3:] == [("idle", "I am stuck")]


def test_a_report_of_the_model_counts_once() -> None:
    it = Conversation()
    it.turn("go")
    it.model_says(1, "complete", "Finished")
    it.tool(2, "running", title="one more")
    it.rules.apply(ItemEvent(9, StoredItem(1, "s", 1, report_item("complete", "Finished"), 0.0, 0.0, 9)))
    it.tool(3, "running", title="and another")
    it.later()
    assert words(it)[2:] == [("working", "one more"), ("working", "and another")]


def report_item(state: str, summary: str) -> Item:
    given = {"state": state, "summary": summary, "link": ""}
    return Item("k1", "tool", 1, data={"name": "coder_report_task", "status": "completed", "input": given})


@pytest.mark.parametrize(
    "given",
    [
        *(None, "text", {}, {"state": "done", "summary": "x"}, {"state": "working"}, {"state": [], "summary": "x"}),
        *({"state": "working", "summary": " \n"}, {"state": "working", "summary": 7}),
    ],
)
def test_a_report_that_says_nothing_counts_for_nothing(given: object) -> None:
    it = Conversation()
    it.turn("go")
    it.tool(1, "completed", name="coder_report_task", input=given)
    it.tool(2, "failed", name="coder_report_task", input={"state": "working", "summary": "too long"})
    it.later()
    it.tool(3, "running", title="still ours")
    assert words(it)[2:] == [("working", "still ours")]


def test_a_prompt_of_many_megabytes_is_cut() -> None:
    it = Conversation()
    it.turn("\n" * 10 + "x" * 20_000_000)
    assert it.told[-1].summary.startswith("xxx") and it.told[-1].summary.endswith("…")
    assert len(it.told[-1].summary.encode()) == SUMMARY_BYTES


TEXTS = st.one_of(
    st.text(max_size=400),
    st.sampled_from(["", " ", "é" * 200, "\N{GRINNING FACE}" * 100, "\x1b[31mred\x1b[0m", "a\nb", "\u200b\ud800"]),
)
STEPS = st.one_of(
    st.tuples(st.just("turn"), TEXTS),
    st.tuples(st.just("end"), st.sampled_from(sorted(TURN_OVER)), st.booleans()),
    st.tuples(st.just("ready"), st.booleans()),
    st.tuples(st.just("later"), st.floats(0, 2)),
    st.tuples(
        st.just("tool"), st.integers(0, 4), st.sampled_from(["pending", "running", "completed", "failed"]), TEXTS,
        st.booleans(),
    ),
    st.tuples(st.just("model"), st.sampled_from(sorted(STATES)), TEXTS, st.booleans()),
)  # fmt: skip


@given(st.lists(STEPS, max_size=60))
def test_what_holds_for_every_conversation(steps: list[tuple[Any, ...]]) -> None:
    it = Conversation()
    running = False
    for index, step in enumerate(steps):
        before = len(it.told)
        match step:
            case ("turn", prompt) if not running:
                it.turn(prompt)
                running = True
                assert [report.state for report in it.told[before:]] == ["working"], "a start is always told"
            case ("end", state, has_problem) if running:
                it.state(state, PROBLEM if has_problem else None)
                running = False
                assert it.shown is not None
                assert it.shown.state == "idle" or (it.shown.state, state) == ("complete", "completed")
            case ("ready", ready):
                it.ready(ready)
            case ("later", seconds):
                it.later(seconds)
            case ("tool", number, status, title, asks):
                it.tool(number, status, title=title)
                it.asks(2000 + number, title, "pending" if asks else "answered")
            case ("model", state, summary, works) if running and summary.strip():
                it.model_says(1000 + index, state, summary, "completed" if works else "failed")
        for report in it.told[before:]:
            assert report.state in ("working", "idle", "complete"), "only the model says failure"
            assert report.summary.strip() and report.summary.isprintable()
            assert len(report.summary.encode("utf-8", "replace")) <= SUMMARY_BYTES
