"""AgentAPI frames of a session."""

from __future__ import annotations

import pytest

from bridge.web.agent_feed import BYTES_PER_SECOND, REPLAY_PIECE
from bridge.web.sse import CUT_MARK, EVENT_LIMIT
from tests.web.streams.conftest import Frame, Room, frames


def told(room: Room, start: int) -> list[Frame]:
    return frames(room.agent_feed.frames(start))


def brief(found: list[Frame]) -> list[tuple[object, ...]]:
    return [
        (frame.data["id"], frame.data["message"]) if frame.name == "message_update" else (frame.data["status"],)
        for frame in found
    ]


def test_a_turn_is_told_in_agentapis_order(room: Room) -> None:
    feed, start = room.agent_feed, room.agent_feed.end
    feed.take(room.prompt())
    feed.take(room.say("Hi"))
    feed.refresh(now=1e12)
    feed.take(room.more(" there", 2))
    feed.take(room.end())
    assert brief(told(room, start)) == [("running",), (0, "hello"), (1, ""), (1, "Hi"), (1, "Hi there"), ("stable",)]
    message = told(room, start)[1]
    assert list(message.data) == ["id", "role", "message", "time"]


def test_a_growing_message_is_not_sent_oftener_than_its_size_allows(room: Room) -> None:
    feed = room.agent_feed
    feed.take(room.prompt())
    feed.take(room.say("x" * 1000))
    start, now, length, sent = feed.end, 0.0, 1000, 0
    for _ in range(2000):
        now += 0.01
        feed.take(room.more("y" * 20, length))
        length += 20
        feed.refresh(now)
    sent = len(feed.frames(start))
    assert feed.end - start > 20, "it is still told while it grows"
    assert sent <= BYTES_PER_SECOND * now * 1.5
    assert sent < length * length / 40 / 10, "far from sending every state whole"


def test_a_longer_message_than_a_frame_holds_is_cut_there_and_says_so(room: Room) -> None:
    feed = room.agent_feed
    feed.take(room.prompt())
    feed.take(room.say('"é"\n' * 100_000))
    start = feed.end
    feed.take(room.end())
    frame = next(frame for frame in told(room, start) if frame.name == "message_update")
    assert str(frame.data["message"]).endswith(CUT_MARK)
    assert len(feed.frames(start)) < EVENT_LIMIT + 200
    for page in feed.replay():
        for event in page.split(b"\n\n"):
            assert len(event) < EVENT_LIMIT + 2


def test_a_new_subscriber_gets_everything_then_the_status_then_warnings(room: Room) -> None:
    feed = room.agent_feed
    feed.warn("Failed to restore previous session: EOF", "warning", 5.0)
    for number in range(130):
        feed.take(room.prompt(f"p{number}"))
        feed.take(room.say(f"a{number}", key=f"m{number}"))
        feed.take(room.end())
    feed.take(room.prompt("last"))
    feed.take(room.say("half", key="m-last"))
    found = [frame for page in feed.replay() for frame in frames(page)]
    assert [frame.name for frame in found] == ["message_update"] * 262 + ["status_change", "agent_error"]
    assert [frame.data["id"] for frame in found[:262]] == list(range(262))
    assert [found[k].data["message"] for k in (0, 1, 259, 260, 261)] == ["p0", "a0", "a129", "last", "half"]
    assert found[262].data == {"status": "running", "agent_type": "custom"}
    assert found[263].data["level"] == "warning"


def test_a_turn_that_ends_while_a_subscriber_is_told_the_history_is_not_lost(room: Room) -> None:
    feed = room.agent_feed
    for number in range(12):
        feed.take(room.prompt())
        feed.take(room.say("old " * REPLAY_PIECE, key=f"m{number}"))
        feed.take(room.end())
    feed.take(room.prompt("last prompt"))
    replay = feed.replay()
    pages = [next(replay)]
    feed.take(room.say("last answer", key="last"))
    feed.take(room.end())
    end = feed.end
    pages += replay
    found = [frame.data.get("message") for page in pages for frame in frames(page)]
    assert found[-3:] == ["last prompt", "last answer", None]
    assert feed.end == end, "nothing that the subscriber would still get"


def test_a_long_history_of_short_messages_is_told_in_few_pieces(room: Room) -> None:
    feed = room.agent_feed
    for number in range(100):
        feed.take(room.prompt())
        feed.take(room.say("short", key=f"m{number}"))
        feed.take(room.end())
    pieces = list(feed.replay())
    assert 1 < len(pieces) < 10
    assert max(map(len, pieces)) < 2 * REPLAY_PIECE


def test_events_that_were_missed_are_made_up_from_the_ledger(room: Room) -> None:
    feed = room.agent_feed
    room.prompt()
    room.say("told while nobody listened")
    start = feed.end
    feed.reload()
    feed.refresh(now=1e12)
    assert ("running",) in brief(told(room, start - 1)) or feed.begin <= start
    assert (1, "told while nobody listened") in brief(told(room, start))


def test_the_status_is_told_only_when_it_changes(room: Room) -> None:
    feed, start = room.agent_feed, room.agent_feed.end
    for _ in range(3):
        feed.refresh(now=1e12)
    assert feed.end == start


@pytest.mark.parametrize("last", [0, 1, 7])
def test_the_screen_is_the_latest_answer(room: Room, last: int) -> None:
    feed = room.agent_feed
    feed.take(room.prompt())
    for number in range(last + 1):
        feed.take(room.say(f"answer {number}"))
    feed.take(room.end())
    assert frames(feed.screen())[0].data == {"screen": f"answer {last}"}
