"""The events of all sessions: what a list needs, from anywhere, and nothing else."""

from __future__ import annotations

from bridge.core.items import Item, ItemPut
from bridge.core.records import SessionChange
from bridge.engine import Hub
from bridge.web.overview import OverviewStream
from bridge.web.wire import event_json
from tests.web.streams.conftest import Frame, Room, frames


def everything(room: Room, seq: int | None, hub: Hub | None = None) -> list[Frame]:
    """All frames that a subscriber gets that has everything up to `seq`."""
    stream, found = OverviewStream(hub or room.hub, room.ledger, event_json, seq), []
    while data := stream.take():
        found += frames(data)
    return found


def some(room: Room) -> None:
    """A turn with text, a tool, an approval that is answered, and a second session that comes and goes."""
    room.prompt("hello there")
    room.say("one")
    room.more(" two", 3)
    room.write(ItemPut(Item("a", "approval", 2, "ls", {"status": "pending"})))
    room.write(ItemPut(Item("a", "approval", 2, "ls", {"status": "answered"}, final=True)))
    other, event = room.ledger.create_session("/other")
    room.publish([event])
    room.publish(room.ledger.change_session(other.id, SessionChange(title="Other"))[1])
    room.publish(room.ledger.delete_session(other.id))
    room.end()


def test_each_group_ends_with_the_session_and_its_id(room: Room) -> None:
    some(room)
    found = everything(room, 1)
    names = [frame.name for frame in found]
    assert names == ["turn", "session", *["item", "session"] * 2, "session", "session", "session", "turn", "session"]
    assert all((frame.id is not None) == (frame.name == "session") for frame in found)
    ids = [frame.id for frame in found if frame.id is not None]
    assert ids == sorted(ids) and len(set(ids)) == len(ids)
    statuses = [frame.data["item"]["data"]["status"] for frame in found if frame.name == "item"]
    assert statuses == ["pending", "answered"]
    gone = [frame.data["session"]["deleted"] for frame in found if frame.data["session_id"] != room.session_id]
    assert gone == [False, False, True]
    assert found[-1].data["session"]["last_line"] == "one two"


def test_one_that_comes_back_from_anywhere_learns_the_same_in_the_end(room: Room) -> None:
    some(room)
    fresh = Hub(room.ledger.last_seq())
    whole = everything(room, 0)
    last = {frame.data["session_id"]: frame.data["session"] for frame in whole if frame.name == "session"}
    for seq in range(room.ledger.last_seq()):
        for hub in (room.hub, fresh):
            told = {f.data["session_id"]: f.data["session"] for f in everything(room, seq, hub) if f.name == "session"}
            assert all(last[session_id] == session for session_id, session in told.items())
            assert room.session_id in told
    assert everything(room, None) == []


def test_what_is_of_no_concern_costs_nothing_to_pass_over(room: Room) -> None:
    room.prompt()
    room.say("x")
    seq = room.hub.last_seq
    for number in range(1, 1200):
        room.more("y", number)
    assert everything(room, seq) == []
    assert everything(room, seq, Hub(room.ledger.last_seq())) == []
    stream = OverviewStream(room.hub, room.ledger, event_json, None)
    room.end()
    assert [frame.name for frame in frames(stream.take())] == ["turn", "session"]


def test_a_page_of_events_is_bounded(room: Room) -> None:
    for _ in range(700):
        room.publish([room.ledger.create_session("/x")[1]])
    found = everything(room, 0, Hub(room.ledger.last_seq()))
    assert len(found) == 701
