"""Connections whose request comes slowly, in pieces, or not at all."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from bridge.web import arrivals
from bridge.web.arrivals import HEAD_SECONDS, Arrivals, Head

WHOLE = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass(eq=False)
class Connection:
    """gunicorn's, as far as arrivals know it, and the client's end of it."""

    sock: socket.socket
    client: socket.socket
    parser: Any = None


@dataclass
class Desk:
    """Arrivals with a clock and a poller in the hands of a test."""

    now: float = 0.0
    arrived: list[tuple[Connection, bytes]] = field(default_factory=list)
    gone: list[Connection] = field(default_factory=list)
    made: list[Connection] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.poller = selectors.DefaultSelector()
        self.arrivals = Arrivals(self.poller, self._arrived, self.gone.append, lambda: self.now)

    def _arrived(self, conn: Connection, head: Head) -> None:
        self.arrived.append((conn, bytes(head.data)))

    def connect(self) -> Connection:
        conn = Connection(*socket.socketpair())
        conn.client.settimeout(20)
        self.made.append(conn)
        self.arrivals.expect(conn)
        return conn

    def say(self, conn: Connection, data: bytes) -> None:
        conn.client.sendall(data)
        self.poll()

    def poll(self) -> None:
        for key, _ in self.poller.select(0):
            key.data(key.fileobj)

    def close(self) -> None:
        self.poller.close()
        for conn in self.made:
            conn.sock.close()
            conn.client.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


def test_a_head_in_pieces_arrives_once_it_is_whole(desk: Desk) -> None:
    conn = desk.connect()
    for place in range(len(WHOLE)):
        assert not desk.arrived
        desk.say(conn, WHOLE[place : place + 1])
    assert desk.arrived == [(conn, WHOLE)] and not desk.poller.get_map()


def test_what_follows_the_head_comes_with_it(desk: Desk) -> None:
    conn = desk.connect()
    desk.say(conn, b"\r\n\r\n" + WHOLE + b"body")
    assert desk.arrived == [(conn, WHOLE + b"body")]


def test_blank_lines_are_no_request(desk: Desk) -> None:
    conn = desk.connect()
    desk.say(conn, b"\r\n" * 20)
    assert not desk.arrived
    desk.say(conn, WHOLE)
    assert desk.arrived == [(conn, WHOLE)]


def test_a_connection_that_leaves_is_put_away(desk: Desk) -> None:
    conn = desk.connect()
    desk.say(conn, WHOLE[:10])
    conn.client.close()
    desk.poll()
    assert desk.gone == [conn] and not desk.arrived


@pytest.mark.parametrize("begun", [False, True])
def test_a_late_head_is_refused(desk: Desk, begun: bool) -> None:
    conn = desk.connect()
    if begun:
        desk.say(conn, WHOLE[:10])
    desk.now = HEAD_SECONDS - 1
    desk.arrivals.drop_late()
    assert not desk.gone
    desk.now = HEAD_SECONDS + 1
    desk.arrivals.drop_late()
    assert desk.gone == [conn]
    assert told(conn)[:32] == (b"HTTP/1.1 408 Request Timeout\r\nCo" if begun else b"")


def told(conn: Connection) -> bytes:
    """Return what the client has been sent."""
    conn.client.setblocking(False)
    try:
        return conn.client.recv(65536)
    except BlockingIOError:
        return b""


def test_a_head_without_end_is_refused(desk: Desk) -> None:
    conn = desk.connect()
    while not desk.gone:
        desk.say(conn, b"X-Filler: y\r\n" * 500)
    assert told(conn).startswith(b"HTTP/1.1 431 ")


def test_the_oldest_makes_room(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST", 3)
    made = [desk.connect() for _ in range(5)]
    assert desk.gone == made[:2]
    desk.say(made[4], WHOLE)
    assert desk.arrived == [(made[4], WHOLE)]


def test_all_end_with_the_worker(desk: Desk) -> None:
    made = [desk.connect() for _ in range(3)]
    desk.arrivals.drop_late(everything=True)
    assert desk.gone == made and not desk.poller.get_map()
    assert not desk.arrivals.drop_oldest()
