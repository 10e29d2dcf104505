"""The events of one session, resumed from anywhere."""

from __future__ import annotations

import random

from bridge.web import session_feed
from bridge.web.session_feed import SessionFeed
from bridge.web.subscriptions import SessionStream
from tests.web.streams.conftest import Frame, Room, frames


class Client:
    """A client of /api/v1: keeps items, applies deltas at their offset, remembers the last id."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.states: list[str] = []
        self.last = 0

    def read(self, found: list[Frame]) -> None:
        for frame in found:
            assert frame.id is not None and frame.id > self.last, "ids go up"
            self.last = frame.id
            if frame.name == "item":
                self.texts[frame.data["item"]["id"]] = frame.data["item"]["text"]
            elif frame.name == "delta":
                text = self.texts[frame.data["item_id"]]
                assert frame.data["offset"] == len(text)
                self.texts[frame.data["item_id"]] = text + frame.data["text"]
            elif frame.name == "turn":
                self.states.append(frame.data["turn"]["state"])


def everything(feed: SessionFeed, session_id: str, seq: int) -> list[Frame]:
    stream, found = SessionStream(feed, session_id, seq), []
    while data := stream.take():
        found += frames(data)
    return found


def turn(room: Room, number: int) -> None:
    feed, key = room.session_feed, f"m{number}"
    feed.take(room.prompt(f"p{number}"))
    feed.take(room.say("one", key))
    feed.take(room.more(" two", 3, key))
    feed.take(room.more(" three", 7, key))
    feed.take(room.end())


def test_a_client_that_is_there_gets_deltas(room: Room) -> None:
    turn(room, 1)
    client = Client()
    client.read(everything(room.session_feed, room.session_id, 0))
    assert "one two three" in client.texts.values()
    assert client.states == ["accepted", "completed"]


def test_a_client_that_comes_back_from_anywhere_ends_with_the_same(room: Room) -> None:
    for number in range(5):
        turn(room, number)
    whole = Client()
    whole.read(everything(room.session_feed, room.session_id, 0))
    fresh = SessionFeed(room.ledger, room.hub.last_seq)
    for feed in (room.session_feed, fresh):
        for cut in range(0, whole.last + 1, 3):
            client = Client()
            client.read(
                [frame for frame in everything(room.session_feed, room.session_id, 0) if (frame.id or 0) <= cut]
            )
            client.read(everything(feed, room.session_id, client.last))
            assert client.texts == whole.texts


def test_what_is_kept_is_bounded_and_the_ledger_makes_up_for_it(room: Room, monkeypatch: object) -> None:
    session_feed.KEPT_BYTES, kept = 3000, session_feed.KEPT_BYTES
    try:
        for number in range(40):
            turn(room, number)
        client = Client()
        client.read(everything(room.session_feed, room.session_id, 0))
    finally:
        session_feed.KEPT_BYTES = kept
    assert len(client.texts) == 80
    assert room.session_feed._bytes < 10_000


def test_other_sessions_are_not_told(room: Room) -> None:
    other, event = room.ledger.create_session("/elsewhere")
    room.session_feed.take(room.publish([event]))
    turn(room, 1)
    assert all(
        frame.data["session_id"] == room.session_id for frame in everything(room.session_feed, room.session_id, 0)
    )
    assert [frame.name for frame in everything(room.session_feed, other.id, 0)] == ["session"]


def test_random_reconnects_lose_and_double_nothing(room: Room) -> None:
    chance = random.Random(7)
    clients = [Client() for _ in range(10)]
    for number in range(30):
        turn(room, number)
        for client in clients:
            if chance.random() < 0.4:
                client.read(everything(room.session_feed, room.session_id, client.last))
    whole = Client()
    whole.read(everything(room.session_feed, room.session_id, 0))
    for client in clients:
        client.read(everything(room.session_feed, room.session_id, client.last))
        assert client.texts == whole.texts
