"""Sessions and turns: ids, states, the one end, what is remembered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.core.items import Item, ItemPut, SessionLearned, TurnEnded
from bridge.core.records import ItemEvent, Session, SessionEvent, TurnEvent
from bridge.errors import LedgerError, Problem, UnknownSession
from bridge.ledger import Ledger
from tests.ledger.conftest import Ticking


def test_a_session_comes_back_as_it_was_made(ledger: Ledger, clock: Ticking) -> None:
    made, event = ledger.create_session("/a/b", session_id="mine", title="A title")
    assert made == Session("mine", "/a/b", "A title", None, None, clock.now, clock.now)
    assert event == SessionEvent(1, made)
    assert ledger.session("mine") == made
    assert ledger.session("other") is None


def test_a_session_id_is_taken_once(ledger: Ledger) -> None:
    ledger.create_session("/a", session_id="mine")
    with pytest.raises(LedgerError) as caught:
        ledger.create_session("/b", session_id="mine")
    assert caught.value.problem.code == "session_exists"
    assert [session.cwd for session in ledger.sessions()] == ["/a"]


def test_ids_that_are_made_differ(ledger: Ledger) -> None:
    assert len({ledger.create_session("/a")[0].id for _ in range(20)}) == 20


def test_a_directory_that_is_not_text_can_still_be_entered(ledger: Ledger, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(odd)
    made, _ = ledger.create_session(os.fsdecode(odd))
    stored = ledger.session(made.id)
    assert stored and os.path.isdir(stored.cwd)


def test_sessions_come_newest_updated_first(ledger: Ledger) -> None:
    one, two, three = (ledger.create_session("/a", session_id=name)[0] for name in ("1", "2", "3"))
    ledger.accept(one.id, "hello")
    assert [session.id for session in ledger.sessions()] == [one.id, three.id, two.id]
    turn, _ = ledger.accept(two.id, "hello")
    ledger.accept(three.id, "hello")
    ledger.apply(turn.id, [TurnEnded("completed")])
    assert [session.id for session in ledger.sessions()] == [two.id, three.id, one.id]


def test_accept_stores_turn_and_prompt(ledger: Ledger, session: Session, clock: Ticking) -> None:
    turn, events = ledger.accept(session.id, "do it", origin="initial")
    assert (turn.state, turn.prompt, turn.origin, turn.accepted_at) == ("accepted", "do it", "initial", clock.now)
    assert ledger.turn(turn.id) == turn
    assert ledger.turn(turn.id + 1) is None
    [item] = ledger.turn_items(turn.id)
    assert item.item == Item(f"prompt:{turn.id}", "prompt", 0, "do it", final=True)
    assert events == [TurnEvent(2, turn), ItemEvent(3, item)]


def test_accept_in_an_unknown_session_is_refused_and_leaves_nothing(ledger: Ledger, session: Session) -> None:
    with pytest.raises(UnknownSession, match="nowhere"):
        ledger.accept("nowhere", "hello")
    assert ledger.last_seq() == 1
    assert ledger.accept(session.id, "hello")[0].message_id == 0


def test_message_ids_are_even_and_rise_over_sessions_and_restarts(path: Path) -> None:
    seen = []
    for _ in range(3):
        ledger = Ledger.open(path)
        for _ in range(2):
            session, _ = ledger.create_session("/a")
            seen.append(ledger.accept(session.id, "hello")[0].message_id)
        ledger.close()
    assert seen == [0, 2, 4, 6, 8, 10]


def test_a_turn_runs_and_ends_with_its_problem(ledger: Ledger, session: Session, clock: Ticking) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    started = ledger.start(turn.id)
    assert (started.turn.state, started.turn.changed_at) == ("running", clock.now)
    problem = Problem("throttled", "Too many.", "Wait.")
    [event] = ledger.apply(turn.id, [TurnEnded("failed", problem)])
    assert isinstance(event, TurnEvent)
    assert (event.turn.state, event.turn.problem, event.turn.ended_at) == ("failed", problem, clock.now)
    assert ledger.turn(turn.id) == event.turn


def test_a_turn_starts_once(ledger: Ledger, session: Session) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    ledger.start(turn.id)
    with pytest.raises(LedgerError, match="already running"):
        ledger.start(turn.id)
    ledger.apply(turn.id, [TurnEnded("cancelled")])
    with pytest.raises(LedgerError, match="is over: it is cancelled"):
        ledger.start(turn.id)


def test_a_turn_ends_once_and_a_refused_end_stores_nothing_else(ledger: Ledger, session: Session) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    ledger.apply(turn.id, [TurnEnded("completed")])
    before = ledger.last_seq()
    with pytest.raises(LedgerError) as caught:
        ledger.apply(turn.id, [ItemPut(Item("late", "text", 1)), TurnEnded("interrupted")])
    assert caught.value.problem.code == "turn_over"
    assert ledger.last_seq() == before
    assert ledger.keys(session.id, ["late"]) == set()
    stored = ledger.turn(turn.id)
    assert stored and stored.state == "completed"


def test_two_ends_in_one_batch_are_refused(ledger: Ledger, session: Session) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    with pytest.raises(LedgerError, match="is over"):
        ledger.apply(turn.id, [TurnEnded("completed"), TurnEnded("failed")])
    stored = ledger.turn(turn.id)
    assert stored and stored.state == "accepted"


def test_items_may_follow_the_end(ledger: Ledger, session: Session) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    ledger.apply(turn.id, [TurnEnded("interrupted")])
    ledger.apply(turn.id, [ItemPut(Item("late", "text", 1, "found later", final=True))])
    assert [stored.item.text for stored in ledger.turn_items(turn.id)] == ["hello", "found later"]


def test_no_change_at_all_touches_nothing(ledger: Ledger, session: Session) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    assert ledger.apply(turn.id, []) == []
    assert ledger.turn(turn.id) == turn


def test_an_unknown_turn_is_refused(ledger: Ledger) -> None:
    for call in (
        lambda: ledger.start(7),
        lambda: ledger.remember(7, {}),
        lambda: ledger.apply(7, [TurnEnded("failed")]),
    ):
        with pytest.raises(LedgerError, match="no turn 7"):
            call()


def test_a_mark_is_kept_and_replaced_without_an_event(ledger: Ledger, session: Session) -> None:
    turn, events = ledger.accept(session.id, "hello")
    ledger.remember(turn.id, {"offset": 5, "paths": ["/a\udcff"], "big": 1 << 70})
    ledger.remember(turn.id, {"offset": 6})
    stored = ledger.turn(turn.id)
    assert stored and stored.mark == {"offset": 6}
    assert ledger.last_seq() == events[-1].seq


def test_turns_page_upwards(ledger: Ledger, session: Session) -> None:
    ids = [ledger.accept(session.id, str(number))[0].id for number in range(5)]
    ledger.accept(ledger.create_session("/b")[0].id, "elsewhere")
    assert [turn.id for turn in ledger.turns(session.id)] == ids
    assert [turn.id for turn in ledger.turns(session.id, limit=2)] == ids[3:]
    assert [turn.id for turn in ledger.turns(session.id, before=ids[3], limit=2)] == ids[1:3]
    assert ledger.turns(session.id, before=ids[0]) == []
    assert ledger.turns("nowhere") == []


def test_unfinished_turns_are_found_after_a_restart(path: Path) -> None:
    ledger = Ledger.open(path)
    session, _ = ledger.create_session("/a")
    done, running, waiting = (ledger.accept(session.id, text)[0] for text in ("one", "two", "three"))
    ledger.apply(done.id, [TurnEnded("completed")])
    ledger.start(running.id)
    ledger.close()
    ledger = Ledger.open(path)
    assert [(turn.id, turn.state) for turn in ledger.unfinished()] == [
        (running.id, "running"),
        (waiting.id, "accepted"),
    ]
    active = ledger.active_turn(session.id)
    assert active and active.id == running.id
    ledger.apply(running.id, [TurnEnded("interrupted")])
    ledger.apply(waiting.id, [TurnEnded("interrupted")])
    assert ledger.unfinished() == []
    assert ledger.active_turn(session.id) is None
    ledger.close()


def test_what_is_learned_of_a_session_is_told_once(ledger: Ledger, session: Session, clock: Ticking) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    learned = SessionLearned(kiro_id="k", engine="v2")
    [event] = ledger.apply(turn.id, [learned, learned, SessionLearned()])
    assert isinstance(event, SessionEvent)
    assert (event.session.kiro_id, event.session.engine, event.session.updated_at) == ("k", "v2", clock.now)
    ledger.apply(turn.id, [SessionLearned(title="Now named")])
    stored = ledger.session(session.id)
    assert stored and (stored.kiro_id, stored.engine, stored.title) == ("k", "v2", "Now named")


def test_a_turn_tells_when_it_last_changed(ledger: Ledger, session: Session, clock: Ticking) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1))])
    stored = ledger.turn(turn.id)
    assert stored and stored.changed_at == clock.now


def test_notes_of_the_ledger_itself(ledger: Ledger) -> None:
    assert ledger.meta("initial prompt") is None
    ledger.set_meta("initial prompt", "sent\udc80\0")
    ledger.set_meta("other", "x")
    assert ledger.meta("initial prompt") == "sent\ufffd\0"
    ledger.set_meta("initial prompt", "again")
    assert ledger.meta("initial prompt") == "again"
