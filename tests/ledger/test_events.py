"""What a client needs that has seen everything up to some number."""

from __future__ import annotations

from bridge.core.items import Change, Item, ItemPut, ItemRemoved, SessionLearned, TextAppended, TurnEnded
from bridge.core.records import ItemEvent, RemovedEvent, Session, SessionEvent, TurnEvent
from bridge.ledger import Ledger


def test_a_new_ledger_has_no_events(ledger: Ledger) -> None:
    assert ledger.last_seq() == 0
    assert ledger.events_after(0) == []


def test_each_change_has_the_next_number(ledger: Ledger, session: Session) -> None:
    turn, accepted = ledger.accept(session.id, "hello")
    started = ledger.start(turn.id)
    changes: list[Change] = [
        ItemPut(Item("m", "text", 1)),
        TextAppended("m", 0, "a"),
        ItemRemoved("m"),
        SessionLearned(title="T"),
    ]
    applied = ledger.apply(turn.id, [*changes, TurnEnded("completed")])
    assert [event.seq for event in [*accepted, started, *applied]] == list(range(2, 10))
    assert ledger.last_seq() == 9


def test_an_item_comes_once_at_its_last_change_and_every_state_of_a_turn(ledger: Ledger, session: Session) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    ledger.start(turn.id)
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1)), ItemPut(Item("n", "text", 2)), TextAppended("m", 0, "ab")])
    ledger.apply(turn.id, [TextAppended("m", 2, "c"), ItemRemoved("n"), TurnEnded("completed")])
    events = ledger.events_after(0)
    assert [(type(event), event.seq) for event in events] == [
        (SessionEvent, 1),
        (TurnEvent, 2),
        (ItemEvent, 3),
        (TurnEvent, 4),
        (ItemEvent, 8),
        (RemovedEvent, 9),
        (TurnEvent, 10),
    ]
    assert [event.turn.state for event in events if isinstance(event, TurnEvent)] == [
        "accepted",
        "running",
        "completed",
    ]
    assert [event.turn.ended_at is None for event in events if isinstance(event, TurnEvent)] == [True, True, False]
    assert [event.item.item.text for event in events if isinstance(event, ItemEvent)] == ["hello", "abc"]
    for event in events:
        assert ledger.events_after(event.seq) == [later for later in events if later.seq > event.seq]


def test_pages_follow_each_other(ledger: Ledger, session: Session) -> None:
    for number in range(10):
        ledger.accept(session.id, str(number))
    paged, page = [], ledger.events_after(0, limit=3)
    while page:
        paged += page
        page = ledger.events_after(page[-1].seq, limit=3)
    assert paged == ledger.events_after(0)
    assert [event.seq for event in paged] == list(range(1, 22))


def test_one_session_is_told_nothing_of_another(ledger: Ledger, session: Session) -> None:
    other, _ = ledger.create_session("/b")
    for number in range(3):
        ledger.accept(session.id, str(number))
        ledger.accept(other.id, str(number))
    mine = ledger.events_after(0, session_id=session.id)
    assert mine == [event for event in ledger.events_after(0) if event.session_id == session.id]
    assert ledger.events_after(mine[2].seq, session_id=session.id, limit=2) == mine[3:5]
    assert ledger.events_after(0, session_id="nowhere") == []


def test_the_number_does_not_go_back_when_the_last_event_moves(ledger: Ledger, session: Session) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    [put] = ledger.apply(turn.id, [ItemPut(Item("m", "text", 1))])
    [delta] = ledger.apply(turn.id, [TextAppended("m", 0, "x")])
    [removed] = ledger.apply(turn.id, [ItemRemoved("m")])
    assert (put.seq, delta.seq, removed.seq) == (4, 5, 6)
    assert ledger.last_seq() == 6
