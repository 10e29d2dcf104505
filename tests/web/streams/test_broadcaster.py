"""Many subscribers on real sockets, and one thread."""

from __future__ import annotations

import gc
import select
import socket
import weakref

import pytest

from bridge.web import broadcaster as module
from bridge.web.answers import Body
from bridge.web.sse import HEARTBEAT
from bridge.web.subscriptions import AgentStream, SessionStream, WholeAnswer
from tests.web.streams.conftest import Frame, Room, frames


def read_until(sock: socket.socket, name: str, seen: bytes = b"") -> list[Frame]:
    """Read a stream until an event with this name has come whole."""
    while not any(frame.name == name for frame in frames(seen[: seen.rfind(b"\n\n") + 2])):
        data = sock.recv(65536)
        assert data, "the stream ended"
        seen += data
    return frames(seen)


def read_to_end(sock: socket.socket) -> bytes:
    seen = b""
    while data := sock.recv(65536):
        seen += data
    return seen


def test_all_subscribers_get_the_same(room: Room) -> None:
    room.start()
    clients = [room.subscribe(SessionStream(room.session_feed, room.session_id, 0)) for _ in range(20)]
    room.prompt()
    room.say("Hi")
    room.end()
    told = []
    for client in clients:
        seen = b""
        while b'"completed"' not in seen:
            seen += client.recv(65536)
        told.append([(frame.name, frame.id) for frame in frames(seen)])
        client.close()
    assert all(each == told[0] for each in told) and len(told[0]) >= 4


def test_a_reader_that_stalls_delays_nobody_and_is_dropped(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(room.broadcaster, "_heartbeat", 0.1)
    stalled = room.subscribe(SessionStream(room.session_feed, room.session_id, 0), buffer=4096)
    reader = room.subscribe(SessionStream(room.session_feed, room.session_id, 0))
    room.start()
    room.prompt()
    room.say("x" * 3_000_000)
    room.end()
    seen = b""
    while b'"completed"' not in seen[-2000:]:
        seen += reader.recv(1 << 20)
    while room.broadcaster.now_streams > 1:
        assert reader.recv(65536), "heartbeats keep coming"
    assert len(read_to_end(stalled)) < 3_000_000
    stalled.close()
    reader.close()


def test_a_peer_that_leaves_is_forgotten(room: Room) -> None:
    room.start()
    leaving = room.subscribe(AgentStream(room.agent_feed))
    staying = room.subscribe(AgentStream(room.agent_feed))
    read_until(leaving, "status_change")
    read_until(staying, "status_change")
    leaving.close()
    while room.broadcaster.now_streams > 1:
        room.broadcaster.wake()
    room.prompt()
    assert [frame.name for frame in read_until(staying, "message_update")][:1] == ["status_change"]
    staying.close()


def test_a_stop_ends_streams_cleanly(room: Room) -> None:
    room.start()
    client = room.subscribe(AgentStream(room.agent_feed), chunked=True)
    while not client.recv(65536, socket.MSG_PEEK):
        pass
    room.broadcaster.stop()
    assert read_to_end(client).endswith(b"0\r\n\r\n")
    client.close()


def test_silence_is_broken_by_comments(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.broadcaster, "_heartbeat", 0.05)
    client = room.subscribe(AgentStream(room.agent_feed))
    room.start()
    seen = b""
    while seen.count(HEARTBEAT) < 3:
        seen += client.recv(65536)
    assert [frame.name for frame in frames(seen)] == ["status_change"]
    client.close()


LONG = 3_000_000


def test_a_reader_that_stalls_is_dropped_though_nothing_else_happens(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALL_SECONDS", 0.2)
    room.start()
    stalled = room.subscribe(WholeAnswer(Body(b"x" * LONG)), buffer=4096)
    end = select.poll()
    end.register(stalled, 0)
    assert end.poll(20_000), "the connection is closed"
    assert len(read_to_end(stalled)) < LONG
    stalled.close()


def test_a_reader_that_only_sends_no_more_gets_all(room: Room) -> None:
    room.start()
    reader = room.subscribe(WholeAnswer(Body(b"x" * LONG)), buffer=4096)
    reader.shutdown(socket.SHUT_WR)
    assert len(read_to_end(reader)) == LONG
    reader.close()


@pytest.mark.parametrize("silent", [False, True])
def test_an_answer_is_released_as_soon_as_its_reader_leaves(room: Room, silent: bool) -> None:
    room.start()
    body = Body(b"x" * LONG)
    kept = weakref.ref(body)
    reader = room.subscribe(WholeAnswer(body), buffer=4096)
    del body
    if silent:
        reader.shutdown(socket.SHUT_WR)
    reader.recv(1000)
    reader.close()
    while kept() is not None:
        gc.collect()


def test_long_answers_are_no_streams(room: Room) -> None:
    room.start()
    reader = room.subscribe(WholeAnswer(Body(b"x" * LONG)), buffer=4096)
    reader.recv(1000)
    assert room.broadcaster.now_streams == 0
    reader.close()


def test_long_answers_that_nobody_takes_are_bounded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_BYTES", 2 * LONG)
    room.start()
    shared = Body(b"s" * LONG)
    readers = [room.subscribe(WholeAnswer(shared), buffer=4096) for _ in range(5)]
    for reader in readers:
        assert reader.recv(1000)
    first = room.subscribe(WholeAnswer(Body(b"1" * LONG)), buffer=4096)
    assert first.recv(1000)
    last = room.subscribe(WholeAnswer(Body(b"2" * LONG)), buffer=4096)
    assert len(read_to_end(last)) == LONG
    assert [len(read_to_end(reader)) < LONG for reader in readers] == [True] * 5
    assert len(read_to_end(first)) == LONG - 1000
    for reader in [*readers, first, last]:
        reader.close()


def test_no_more_long_answers_wait_than_are_allowed(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ANSWERS", 2)
    room.start()
    body = Body(b"x" * LONG)
    readers = []
    for _ in range(3):
        readers.append(room.subscribe(WholeAnswer(body), buffer=4096))
        assert readers[-1].recv(1)
    assert [len(read_to_end(reader)) == LONG - 1 for reader in readers] == [False, True, True]
    for reader in readers:
        reader.close()
