"""Turns from the prompt to their one end, on a real ledger."""

from __future__ import annotations

import pytest

from bridge.core.feed import Ended, MessageRecorded, SessionKnown, TextDelta
from bridge.core.ports import Readiness
from bridge.core.records import TURN_OVER
from bridge.engine import EngineStatus
from bridge.engine import run as run_module
from bridge.errors import AgentBusy, EmptyPrompt, LedgerFull, Problem, RequestRefused, UnknownSession
from tests.engine.conftest import Bench

DONE = Ended("completed", recorded=True)


def texts(bench: Bench, turn_id: int) -> list[str]:
    return [stored.item.text for stored in bench.ledger.turn_items(turn_id) if stored.item.kind == "text"]


def test_a_turn_runs_to_its_end(bench: Bench) -> None:
    engine = bench.start()
    assert engine.status() == EngineStatus("ready")
    turn = engine.submit("  hello\n")
    assert engine.busy() and engine.status().phase == "working"
    bench.puppet.say(SessionKnown("k1", "v2"), TextDelta("Hi "))
    bench.puppet.say(TextDelta("there"), MessageRecorded("m1", "Hi there"), DONE)
    bench.settled()
    ended = bench.ledger.turn(turn.id)
    assert ended is not None
    assert (ended.prompt, ended.state, texts(bench, turn.id)) == ("hello", "completed", ["Hi there"])
    session = bench.ledger.session(turn.session_id)
    assert session is not None and (session.kiro_id, session.engine, session.title) == ("k1", "v2", "hello")


def test_the_next_prompt_goes_on_in_kiros_conversation(bench: Bench) -> None:
    engine = bench.start()
    engine.submit("one")
    bench.puppet.say(SessionKnown("k1", "v2"), DONE)
    bench.settled()
    engine.submit("two")
    bench.puppet.say(DONE)
    bench.settled()
    assert [(r.prompt, r.kiro_id, r.engine) for r in bench.puppet.requests] == [
        ("one", None, None),
        ("two", "k1", "v2"),
    ]


def test_one_turn_at_a_time(bench: Bench) -> None:
    engine = bench.start()
    engine.submit("one")
    with pytest.raises(AgentBusy):
        engine.submit("two")
    bench.puppet.say(DONE)
    bench.settled()
    engine.submit("three")
    bench.puppet.say(DONE)
    bench.settled()
    assert [turn.prompt for turn in bench.ledger.turns(engine.primary)] == ["one", "three"]


def test_the_end_that_a_subscriber_sees_lets_the_next_prompt_in(bench: Bench) -> None:
    """A client that posts the moment it learns of the end is not told that the agent is busy."""
    engine = bench.start()
    for number in range(30):
        turn = engine.submit(f"prompt {number}")
        bench.puppet.say(DONE)
        bench.until(lambda turn=turn: bench.ledger.turn(turn.id).state in TURN_OVER)  # type: ignore[misc, union-attr]
    bench.settled()


def test_refusals(bench: Bench) -> None:
    with pytest.raises(RequestRefused):
        bench.engine.submit("too early")
    engine = bench.start()
    with pytest.raises(EmptyPrompt):
        engine.submit(" \n\t")
    with pytest.raises(UnknownSession):
        engine.submit("x", "nope")
    assert engine.cancel() is False


def test_stopping_a_turn(bench: Bench) -> None:
    engine = bench.start()
    turn = engine.submit("long")
    bench.puppet.say(TextDelta("half an ans"))
    bench.until(lambda: texts(bench, turn.id))
    assert engine.cancel() is True
    bench.settled()
    assert bench.ledger.turn(turn.id).state == "cancelled"  # type: ignore[union-attr]
    assert texts(bench, turn.id) == ["half an ans"]


def test_a_transport_that_breaks_is_a_failed_turn(bench: Bench) -> None:
    engine = bench.start()
    bench.puppet.error = RuntimeError("broken")
    turn = engine.submit("x")
    bench.settled()
    ended = bench.ledger.turn(turn.id)
    assert ended is not None and ended.problem is not None
    assert (ended.state, ended.problem.code) == ("failed", "internal_error")
    bench.puppet.error = None
    engine.submit("y")
    bench.puppet.say(DONE)
    bench.settled()


def test_stopping_the_bridge_interrupts_the_turn(bench: Bench) -> None:
    engine = bench.start()
    turn = engine.submit("x")
    engine.stop()
    ended = bench.ledger.turn(turn.id)
    assert ended is not None and ended.problem is not None
    assert (ended.state, ended.problem.code) == ("interrupted", "bridge_stopped")
    assert bench.puppet.closed


def test_what_a_crash_left_open_is_closed_with_what_kiro_recorded(bench: Bench) -> None:
    session = bench.engine.primary
    turn, _ = bench.ledger.accept(session, "x")
    bench.ledger.start(turn.id)
    bench.ledger.remember(turn.id, {"offset": 7})
    unsent, _ = bench.ledger.accept(session, "y")
    bench.restart()
    bench.puppet.recorded = [MessageRecorded("m1", "It was done.")]
    engine = bench.start()
    assert bench.puppet.recovered == [{"offset": 7}]
    assert bench.puppet.requests == []
    first, second = bench.ledger.turns(engine.primary)
    assert first.problem is not None and second.problem is not None
    assert (first.state, first.problem.code, texts(bench, turn.id)) == (
        "interrupted",
        "bridge_restarted",
        ["It was done."],
    )
    assert (second.id, second.state, second.problem.code) == (unsent.id, "interrupted", "never_started")


def test_the_initial_prompt_is_sent_once_per_conversation(bench: Bench) -> None:
    engine = bench.start("go")
    assert engine.busy()
    bench.puppet.say(DONE)
    bench.settled()
    bench.restart()
    engine = bench.start("go")
    assert not engine.busy()
    assert [turn.prompt for turn in bench.ledger.turns(engine.primary)] == ["go"]
    bench.restart()
    engine = bench.start("something else")
    bench.puppet.say(DONE)
    bench.settled()
    assert [turn.prompt for turn in bench.ledger.turns(engine.primary)] == ["go", "something else"]


def test_a_problem_of_kiro_is_told_and_prompts_are_still_taken(bench: Bench) -> None:
    problem = Problem("not_logged_in", "Kiro is not logged in.", "Run kiro-cli login.")
    bench.puppet.readiness = Readiness(False, problem)
    engine = bench.start()
    assert engine.status() == EngineStatus("failed", problem)
    assert not engine.status().ready and not engine.busy()
    engine.submit("x")
    bench.puppet.say(Ended("failed", problem))
    bench.settled()


def test_a_full_disk_fails_the_turn_and_is_survived(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_FIRST_RETRY", 0.05)
    engine = bench.start()
    turn = engine.submit("x")
    apply, full = bench.ledger.apply, LedgerFull("The disk is full.", "Make room.")

    def refuse(*_: object) -> None:
        raise full

    monkeypatch.setattr(bench.ledger, "apply", refuse)
    bench.puppet.say(TextDelta("lost?"))
    bench.until(lambda: engine.status().problem)
    assert engine.status() == EngineStatus("failed", full.problem)
    monkeypatch.setattr(bench.ledger, "apply", apply)
    bench.settled()
    ended = bench.ledger.turn(turn.id)
    assert ended is not None and ended.problem == full.problem
    assert (ended.state, texts(bench, turn.id)) == ("failed", ["lost?"])
    bench.until(lambda: engine.status().phase == "ready")


def test_a_disk_that_is_full_while_a_mark_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = bench.start()
    full = LedgerFull("The disk is full.", "Make room.")

    def refuse(*_: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(bench.ledger, "remember", refuse)
        turn = engine.submit("x")
        bench.settled()
    ended = bench.ledger.turn(turn.id)
    assert ended is not None and (ended.state, ended.problem) == ("failed", full.problem)
    bench.until(lambda: engine.status().phase == "ready")
    engine.submit("y")
    bench.puppet.say(DONE)
    bench.settled()
