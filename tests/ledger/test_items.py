"""Items: put, renamed, appended to, taken back, paged; texts that are not nice."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.items import Change, Item, ItemPut, ItemRemoved, TextAppended, TurnEnded
from bridge.core.records import DeltaEvent, ItemEvent, RemovedEvent, Session, Turn
from bridge.errors import LedgerError
from bridge.ledger import Ledger
from tests.ledger.conftest import Ticking


@pytest.fixture
def turn(ledger: Ledger, session: Session) -> Turn:
    """Return a running turn."""
    turn, _ = ledger.accept(session.id, "hello")
    return ledger.start(turn.id).turn


def texts(ledger: Ledger, turn: Turn) -> dict[str, str]:
    """Return the turn's texts by key, without the prompt, having checked that every way of reading agrees."""
    stored = ledger.turn_items(turn.id)
    assert [ledger.item(one.id) for one in stored] == stored
    assert [one for one in ledger.items(turn.session_id, limit=1000) if one.turn_id == turn.id] == stored
    return {one.item.key: one.item.text for one in stored if one.item.kind != "prompt"}


def test_an_item_comes_back_as_it_was_put(ledger: Ledger, turn: Turn, clock: Ticking) -> None:
    data: dict[str, Any] = {"name": "shell", "input": {"command": "ls", "n": [1, None, 2.5, 1 << 70]}, "exit_code": 0}
    item = Item("t1", "tool", 1, "output", data, final=True, recorded=True)
    [event] = ledger.apply(turn.id, [ItemPut(item)])
    assert isinstance(event, ItemEvent)
    assert event.item.item == item
    assert (event.item.turn_id, event.item.session_id, event.item.seq) == (turn.id, turn.session_id, event.seq)
    assert (event.item.created_at, event.item.updated_at) == (clock.now, clock.now)
    assert ledger.item(event.item.id) == event.item


def test_what_was_stored_is_not_shared_with_the_caller(ledger: Ledger, turn: Turn) -> None:
    data: dict[str, Any] = {"input": {"a": 1}}
    [event] = ledger.apply(turn.id, [ItemPut(Item("t1", "tool", 1, data=data))])
    data["input"]["a"] = 2
    assert isinstance(event, ItemEvent) and event.item.item.data == {"input": {"a": 1}}


def test_a_second_put_updates_the_same_item(ledger: Ledger, turn: Turn, clock: Ticking) -> None:
    [first] = ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "one"))])
    made = clock.now
    [second] = ledger.apply(turn.id, [ItemPut(Item("m", "thought", 4, "two", {"agent": "x"}, True, True))])
    assert isinstance(first, ItemEvent) and isinstance(second, ItemEvent)
    assert second.item.id == first.item.id
    assert second.item.item == Item("m", "thought", 4, "two", {"agent": "x"}, True, True)
    assert (second.item.created_at, second.item.updated_at) == (made, clock.now)
    assert ledger.item(first.item.id) == second.item


def test_renaming_keeps_the_item(ledger: Ledger, turn: Turn) -> None:
    [first] = ledger.apply(turn.id, [ItemPut(Item("live", "text", 1, "he"))])
    [second] = ledger.apply(turn.id, [ItemPut(Item("real", "text", 1, "hello", final=True), old_key="live")])
    assert isinstance(first, ItemEvent) and isinstance(second, ItemEvent) and first.item.id == second.item.id
    assert ledger.keys(turn.session_id, ["live", "real"]) == {"real"}


def test_renaming_onto_an_item_that_is_there_takes_the_old_one_back(ledger: Ledger, turn: Turn) -> None:
    live, real = ledger.apply(turn.id, [ItemPut(Item("live", "text", 1, "x")), ItemPut(Item("real", "text", 2, "y"))])
    removed, put = ledger.apply(turn.id, [ItemPut(Item("real", "text", 1, "z"), old_key="live")])
    assert isinstance(live, ItemEvent) and isinstance(real, ItemEvent)
    assert removed == RemovedEvent(removed.seq, turn.session_id, turn.id, live.item.id)
    assert isinstance(put, ItemEvent) and put.item.id == real.item.id
    assert texts(ledger, turn) == {"real": "z"}


def test_renaming_what_is_not_there_puts_it(ledger: Ledger, turn: Turn) -> None:
    ledger.apply(turn.id, [ItemPut(Item("real", "text", 1, "x"), old_key="never seen")])
    assert texts(ledger, turn) == {"real": "x"}


def test_text_grows(ledger: Ledger, turn: Turn, clock: Ticking) -> None:
    [put] = ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "a\0é"))])
    first, second = ledger.apply(turn.id, [TextAppended("m", 3, "😀b"), TextAppended("m", 5, "\0\0")])
    assert isinstance(put, ItemEvent)
    assert first == DeltaEvent(put.seq + 1, turn.session_id, turn.id, put.item.id, 3, "😀b", clock.now)
    ledger.apply(turn.id, [TextAppended("m", 7, "end")])
    assert texts(ledger, turn) == {"m": "a\0é😀b\0\0end"}
    stored = ledger.item(put.item.id)
    assert stored and (stored.seq, stored.updated_at) == (second.seq + 1, clock.now)


@pytest.mark.parametrize("change", [TextAppended("m", 2, "x"), TextAppended("m", 4, "x"), TextAppended("no", 0, "x")])
def test_text_that_does_not_follow_is_refused_with_its_batch(ledger: Ledger, turn: Turn, change: Change) -> None:
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "abc"))])
    before = ledger.last_seq()
    with pytest.raises(LedgerError) as caught:
        ledger.apply(turn.id, [ItemPut(Item("other", "text", 2)), change])
    assert caught.value.problem.code == "bad_change"
    assert ledger.last_seq() == before
    assert texts(ledger, turn) == {"m": "abc"}


def test_text_after_a_final_item_is_refused(ledger: Ledger, turn: Turn) -> None:
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "abc", final=True))])
    with pytest.raises(LedgerError, match="is final"):
        ledger.apply(turn.id, [TextAppended("m", 3, "x")])


def test_empty_appended_text_is_no_event(ledger: Ledger, turn: Turn) -> None:
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1))])
    assert ledger.apply(turn.id, [TextAppended("m", 0, "")]) == []
    assert len(ledger.apply(turn.id, [TextAppended("m", 0, "a"), TextAppended("m", 1, "b")])) == 2


@pytest.mark.parametrize("final", [True, False])
def test_a_put_replaces_grown_text(ledger: Ledger, turn: Turn, final: bool) -> None:
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1)), TextAppended("m", 0, "abc")])
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "ab", final=final))])
    assert texts(ledger, turn) == {"m": "ab"}
    if not final:
        ledger.apply(turn.id, [TextAppended("m", 2, "!")])
        assert texts(ledger, turn) == {"m": "ab!"}


def test_the_end_of_a_turn_keeps_grown_text_where_it_can_grow_on(ledger: Ledger, turn: Turn) -> None:
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "a")), TextAppended("m", 1, "b\0é")])
    ledger.apply(turn.id, [TurnEnded("interrupted")])
    assert texts(ledger, turn) == {"m": "ab\0é"}
    ledger.apply(turn.id, [TextAppended("m", 4, "late")])
    assert texts(ledger, turn) == {"m": "ab\0élate"}


def test_an_item_taken_back_is_gone_and_its_key_is_free(ledger: Ledger, turn: Turn) -> None:
    [put] = ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "abc"))])
    ledger.apply(turn.id, [TextAppended("m", 3, "d")])
    [removed] = ledger.apply(turn.id, [ItemRemoved("m")])
    assert isinstance(put, ItemEvent)
    assert removed == RemovedEvent(removed.seq, turn.session_id, turn.id, put.item.id)
    assert texts(ledger, turn) == {}
    assert ledger.item(put.item.id) is None
    assert ledger.keys(turn.session_id, ["m"]) == set()
    assert ledger.apply(turn.id, [ItemRemoved("m")]) == []
    [again] = ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "new"))])
    assert isinstance(again, ItemEvent) and again.item.id > put.item.id
    assert texts(ledger, turn) == {"m": "new"}


def test_lone_surrogates_are_replaced_one_for_one_and_the_rest_is_kept(ledger: Ledger, turn: Turn) -> None:
    put = ItemPut(Item("k\ud800\0", "tool", 1, "\ud83d\0😀", {"in\udfff": ["\ud800", "\0"]}))
    [event] = ledger.apply(turn.id, [put])
    assert isinstance(event, ItemEvent)
    assert event.item.item == Item("k\ufffd\0", "tool", 1, "\ufffd\0😀", {"in\ufffd": ["\ufffd", "\0"]})
    [delta] = ledger.apply(turn.id, [TextAppended("k\ud800\0", 3, "\udc00x")])
    assert isinstance(delta, DeltaEvent) and delta.text == "\ufffdx"
    assert texts(ledger, turn) == {"k\ufffd\0": "\ufffd\0😀\ufffdx"}
    assert ledger.keys(turn.session_id, ["k\ud800\0", "k\ud800"]) == {"k\ud800\0"}
    session, _ = ledger.create_session("/a", session_id="s\ud800", title="\udfff")
    assert (session.id, session.title) == ("s\ufffd", "\ufffd")
    accepted, _ = ledger.accept("s\ud800", "\ud800\0")
    assert (accepted.session_id, accepted.prompt) == ("s\ufffd", "\ufffd\0")
    assert ledger.turn(accepted.id) == accepted


def test_a_prompt_of_five_megabytes(ledger: Ledger, session: Session) -> None:
    prompt = "-é\0\x1b[201~" * 625_000
    turn, _ = ledger.accept(session.id, prompt)
    stored = ledger.turn(turn.id)
    assert stored and stored.prompt == prompt
    assert ledger.turn_items(turn.id)[0].item.text == prompt


def test_the_same_key_is_another_item_in_another_session(ledger: Ledger, turn: Turn) -> None:
    other, _ = ledger.accept(ledger.create_session("/b")[0].id, "hello")
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "here"))])
    ledger.apply(other.id, [ItemPut(Item("m", "text", 1, "there"))])
    assert (texts(ledger, turn), texts(ledger, other)) == ({"m": "here"}, {"m": "there"})


def test_a_known_item_stays_in_its_turn_and_place(ledger: Ledger, turn: Turn) -> None:
    [put] = ledger.apply(turn.id, [ItemPut(Item("tool", "tool", 7, "started"))])
    ledger.apply(turn.id, [TurnEnded("completed")])
    later, _ = ledger.accept(turn.session_id, "next")
    [event] = ledger.apply(later.id, [ItemPut(Item("tool", "tool", 1, "done"))])
    assert isinstance(put, ItemEvent) and isinstance(event, ItemEvent)
    assert (event.item.id, event.item.turn_id, event.item.item.position) == (put.item.id, turn.id, 7)
    assert texts(ledger, turn) == {"tool": "done"}


def test_positions_decide_the_order(ledger: Ledger, turn: Turn) -> None:
    for key, position in (("c", 3), ("a", 1), ("b", 2)):
        ledger.apply(turn.id, [ItemPut(Item(key, "text", position))])
    assert list(texts(ledger, turn)) == ["a", "b", "c"]
    ledger.apply(turn.id, [ItemPut(Item("a", "text", 9))])
    assert list(texts(ledger, turn)) == ["b", "c", "a"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_paging_upwards_meets_every_item_once(ledger: Ledger, session: Session, size: int) -> None:
    for number in range(6):
        turn, _ = ledger.accept(session.id, str(number))
        puts = [ItemPut(Item(f"{number}.{place}", "text", place // 2 + 1)) for place in range(4)]
        ledger.apply(turn.id, [*puts, ItemRemoved(f"{number}.2")])
    everything = [stored for turn in ledger.turns(session.id) for stored in ledger.turn_items(turn.id)]
    assert len(everything) == 6 * 4
    paged = page = ledger.items(session.id, limit=size)
    while page:
        page = ledger.items(session.id, before=page[0].id, limit=size)
        paged = page + paged
    assert paged == everything


def test_a_cursor_that_was_taken_back_still_tells_its_place(ledger: Ledger, turn: Turn) -> None:
    _, second, _ = ledger.apply(turn.id, [ItemPut(Item(key, "text", at)) for at, key in enumerate("abc", 1)])
    ledger.apply(turn.id, [ItemRemoved("b")])
    assert isinstance(second, ItemEvent)
    assert [one.item.key for one in ledger.items(turn.session_id, before=second.item.id, limit=1)] == ["a"]


@pytest.mark.parametrize("number", [-1, 0, 12345, 1 << 63, 1 << 80, -(1 << 80)])
def test_any_number_a_client_may_send_is_only_not_found(ledger: Ledger, turn: Turn, number: int) -> None:
    assert ledger.item(number) is None
    assert ledger.turn(number) is None
    assert ledger.turn_items(number) == []
    assert ledger.items(turn.session_id, before=number) == []
    assert ledger.items(turn.session_id, limit=number if number < 1 else 1)[1:] == []
    assert len(ledger.turns(turn.session_id, before=number)) <= 1
    assert len(ledger.events_after(number)) in (0, ledger.last_seq())


def test_many_keys_are_looked_up_at_once(ledger: Ledger, turn: Turn) -> None:
    ledger.apply(turn.id, [ItemPut(Item(f"k{number}", "text", number)) for number in range(1300)])
    asked = [f"k{number}" for number in range(600, 2000)]
    assert ledger.keys(turn.session_id, asked) == {f"k{number}" for number in range(600, 1300)}
    assert ledger.keys("nowhere", asked) == set()
    assert ledger.keys(turn.session_id, []) == set()
