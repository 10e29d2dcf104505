"""Connections on which little or nothing happens: half-open, stalled while they send, stalled while they receive."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Iterator

import pytest

from tests.faults.conftest import Case
from tests.faults.harness import FaultBridge, prompt
from tests.whole.conftest import until

HALVES = (b"", b"G", b"GET /status HTT", b"GET /status HTTP/1.1\r\nHost: localhost\r\n", b"GET /status HTTP/1.1\r\n\r")
PROMPT = b'{"type":"user","content":"hello"}'
HEAD = b"POST /message HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
PATIENCE = 10.0
"""Far above any honest answer, far below every deadline for a peer that stalls."""


@contextlib.contextmanager
def connections(bridge: FaultBridge, count: int) -> Iterator[list[socket.socket]]:
    """Give that many connections to the bridge."""
    with contextlib.ExitStack() as links:
        yield [links.enter_context(bridge.connect()) for _ in range(count)]


def test_half_open_connections(bridge: FaultBridge, case: Case) -> None:
    count, answers = 1000, case.times(50, 500)
    bridge.start()
    bridge.time_status()
    before = bridge.usage()
    with connections(bridge, count) as links:
        for link in links:
            link.sendall(case.chance.choice(HALVES))
        assert bridge.send(prompt(1, case.chance))
        worst = max(bridge.time_status() for _ in range(answers))
        bridge.settled()
        during = bridge.usage()
        assert worst < PATIENCE
        assert during.threads <= before.threads + 20
        links[-1].close()
    bridge.verify()
    held = bridge.no_leak_since(before)
    case.tell(connections=count, answers=answers, worst_status_s=worst, **held.beside(before))


def test_no_descriptor_is_left(bridge: FaultBridge, case: Case) -> None:
    bridge.start()
    bridge.time_status()
    limit = bridge.usage().descriptors + 40
    resource.prlimit(bridge.worker(), resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with connections(bridge, 200) as links:
        for link in links:
            link.sendall(case.chance.choice(HALVES))
        worst = max(bridge.time_status() for _ in range(20))
        assert worst < PATIENCE
    bridge.settled()
    case.tell(connections=200, descriptors=limit, worst_status_s=worst)


def test_half_a_request_becomes_whole(bridge: FaultBridge) -> None:
    bridge.start()
    whole = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connections(bridge, 1) as [link]:
        for _ in range(3):
            for byte in range(len(whole)):
                link.sendall(whole[byte : byte + 1])
            assert read_reply(link).startswith(b"HTTP/1.1 200 ")
        link.sendall(whole * 3 + whole[:10])
        for _ in range(3):
            assert read_reply(link).startswith(b"HTTP/1.1 200 ")
        link.sendall(whole[10:])
        assert read_reply(link).startswith(b"HTTP/1.1 200 ")


def read_reply(link: socket.socket) -> bytes:
    """Return one reply with a Content-Length, whole."""
    reply = b""
    while b"\r\n\r\n" not in reply:
        piece = link.recv(1)
        assert piece, reply
        reply += piece
    length = next(int(x.split(b":")[1]) for x in reply.lower().split(b"\r\n") if x.startswith(b"content-length:"))
    while length:
        piece = link.recv(length)
        assert piece, reply
        reply, length = reply + piece, length - len(piece)
    return reply


@pytest.mark.parametrize("kept_alive", [False, True])
def test_bodies_that_never_come(bridge: FaultBridge, case: Case, kept_alive: bool) -> None:
    bridge.start()
    before = bridge.usage()
    with connections(bridge, 40) as links:
        for link in links:
            if kept_alive:
                link.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert read_reply(link).startswith(b"HTTP/1.1 200 ")
            link.sendall(HEAD % len(PROMPT) + PROMPT[:5])
        worst = max(bridge.time_status() for _ in range(20))
        assert worst < PATIENCE
    bridge.no_leak_since(before)
    case.tell(connections=40, worst_status_s=worst)


def test_answers_that_nobody_reads(bridge: FaultBridge, case: Case) -> None:
    size = 20_000_000
    bridge.start()
    assert bridge.send(f"!standin size {size}")
    bridge.settled()
    before = bridge.usage()
    with connections(bridge, 20) as links:
        for link in links:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.sendall(b"GET /messages HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for link in links:
            assert link.recv(1000).startswith(b"HTTP/1.1 200 ")
        worst = max(bridge.time_status() for _ in range(10))
        assert worst < PATIENCE
        during = bridge.usage()
        assert during.resident < before.resident + 4 * size / 1e6, "equal answers are held once"
        if case.long:
            until(lambda: bridge.usage().descriptors < before.descriptors + 20, "readers that stall are dropped")
    held = bridge.no_leak_since(before)
    until(lambda: bridge.usage().resident < before.resident + size / 1e6, "the answers are released")
    case.tell(connections=20, worst_status_s=worst, held_mb=f"{during.resident:.0f}", **held.beside(before))
