"""Messages of an AgentAPI state file."""

from __future__ import annotations

import pytest

from bridge.core.items import Item
from bridge.core.records import ItemEvent, Session, TurnEvent
from bridge.errors import LedgerError, UnknownSession
from bridge.ledger import ImportedMessage, Ledger


def messages(*kinds: tuple[int, str]) -> list[ImportedMessage]:
    """Return messages with these ids and roles; text and time tell the id."""
    return [ImportedMessage(number, role, f"{role} {number}", 100.0 + number) for number, role in kinds]


def answers(ledger: Ledger, session: Session) -> list[tuple[int, list[str]]]:
    """Return each turn's message id with the keys of its items."""
    turns = ledger.turns(session.id)
    assert all((turn.origin, turn.state) == ("import", "completed") for turn in turns)
    return [(turn.message_id, [stored.item.key for stored in ledger.turn_items(turn.id)]) for turn in turns]


def test_a_banner_and_alternating_messages(ledger: Ledger, session: Session) -> None:
    events = ledger.import_messages(session.id, messages((0, "agent"), (1, "user"), (2, "agent"), (3, "user")))
    assert answers(ledger, session) == [(-1, ["import:0"]), (1, ["prompt:2", "import:2"]), (3, ["prompt:3"])]
    assert events == ledger.events_after(1)
    [first, second, third] = ledger.turns(session.id)
    assert (first.prompt, first.accepted_at, first.ended_at) == ("", 100.0, 100.0)
    assert (second.prompt, second.accepted_at, second.ended_at, second.changed_at) == ("user 1", 101.0, 102.0, 102.0)
    assert (third.prompt, third.ended_at) == ("user 3", 103.0)
    prompt, answer = ledger.turn_items(second.id)
    assert prompt.item == Item("prompt:2", "prompt", 0, "user 1", final=True)
    assert answer.item == Item("import:2", "text", 1, "agent 2", final=True)
    assert (answer.created_at, answer.updated_at) == (102.0, 102.0)
    assert sum(isinstance(event, TurnEvent) for event in events) == 3
    assert sum(isinstance(event, ItemEvent) for event in events) == 4
    assert ledger.accept(session.id, "next")[0].message_id == 6


def test_messages_that_do_not_alternate_keep_their_ids(ledger: Ledger, session: Session) -> None:
    kinds = [(3, "user"), (4, "user"), (7, "agent"), (8, "agent"), (9, "user"), (10, "agent"), (11, "agent")]
    ledger.import_messages(session.id, messages(*kinds))
    assert answers(ledger, session) == [
        (3, ["prompt:1"]),
        (4, ["prompt:2"]),
        (6, ["import:7"]),
        (7, ["import:8"]),
        (9, ["prompt:5", "import:10"]),
        (10, ["import:11"]),
    ]
    assert ledger.accept(session.id, "next")[0].message_id == 12


@pytest.mark.parametrize(
    "bad",
    [
        messages((1, "user"), (1, "agent")),
        messages((2, "user"), (1, "agent")),
        messages((-1, "agent")),
        messages((0, "system")),
        messages((0, "user"), (1 << 53, "agent")),
    ],
)
def test_what_cannot_be_taken_in_leaves_nothing(ledger: Ledger, session: Session, bad: list[ImportedMessage]) -> None:
    with pytest.raises(LedgerError) as caught:
        ledger.import_messages(session.id, bad)
    assert caught.value.problem.code == "bad_import"
    assert ledger.last_seq() == 1
    assert ledger.turns(session.id) == []


def test_ids_must_be_above_all_that_were_given(ledger: Ledger, session: Session) -> None:
    ledger.accept(session.id, "hello")
    with pytest.raises(LedgerError, match="from 2 on"):
        ledger.import_messages(session.id, messages((1, "user")))
    ledger.import_messages(session.id, messages((2, "user"), (3, "agent")))
    assert [turn.message_id for turn in ledger.turns(session.id)] == [0, 2]


def test_an_unknown_session_is_refused(ledger: Ledger) -> None:
    with pytest.raises(UnknownSession):
        ledger.import_messages("nowhere", messages((0, "user")))
    assert ledger.last_seq() == 0


def test_nothing_to_import(ledger: Ledger, session: Session) -> None:
    assert ledger.import_messages(session.id, []) == []
