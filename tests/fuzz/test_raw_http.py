"""Bytes that are no requests, or hardly: the server answers or hangs up, and goes on serving everybody else."""

from __future__ import annotations

import contextlib
import re
import socket
from urllib.parse import urlsplit

import requests
from hypothesis import strategies as st

from tests.fuzz.conftest import Fuzz
from tests.whole.conftest import WAIT, Bridge

GOOD = (
    b"POST /message HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 31\r\n\r\n"
    b'{"type": "raw", "content": "x"}',
    b"POST /message HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'1f\r\n{"type": "raw", "content": "x"}\r\n0\r\n\r\n',
    b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    b'Content-Length: 89\r\n\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
    b"Content-Type: a/b\r\n\r\nx\r\n--b--\r\n",
    b"GET /api/v1/sessions?x=%00 HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nLast-Event-ID: 1\r\n\r\n",
    b"GET /status HTTP/1.0\r\n\r\n",
)
TOKENS = (
    b"\r\n", b"\n", b"\r", b"\0", b"\xff\xfe", b" ", b":", b"%", b"%zz", b"..", b"//", b"HTTP/1.1", b"HTTP/9.9",
    b"-1", b"99999999999999999999", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Host: evil\r\n",
    b"[::1]:x", b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00", b"A" * 9000, b"X: y\r\n" * 200, b"{", b'"', b"ffffffffffffffffff\r\n",
)  # fmt: skip

KNOWN_500 = (b'"detail":"cannot read request body"', b"urn:kiro-bridge:agent-busy", b"urn:kiro-bridge:empty-prompt")
"""What AgentAPI answers with 500 though the fault is the client's (facts/agentapi-contract.md 1.5)."""


@st.composite
def nearly_requests(draw: st.DrawFn) -> bytes:
    """Return a good request in which pieces are cut out, doubled, or replaced by what hurts parsers."""
    data = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        piece = draw(st.sampled_from(TOKENS) | st.binary(max_size=8) | st.just(data[start:end] * 2))
        data = data[:start] + piece + data[end:]
    return data


def answered(address: tuple[str, int], data: bytes) -> bytes:
    """Send the bytes, say that there are no more, and return all that comes until the server hangs up."""
    received = b""
    with socket.create_connection(address, timeout=WAIT) as link:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while piece := link.recv(65536):
                received += piece
                if b"text/event-stream" in received:  # an event stream has no end
                    break
    return received


def check_bytes(served: Bridge, data: bytes) -> None:
    place = urlsplit(served.url)
    assert place.hostname and place.port
    reply = answered((place.hostname, place.port), data)
    assert not reply or reply.startswith(b"HTTP/1."), reply[:200]
    assert b"Traceback" not in reply
    for found in re.finditer(rb"^HTTP/1.[01] (5\d\d)", reply, re.MULTILINE):
        assert found[1] in (b"501", b"505") or any(known in reply for known in KNOWN_500), reply
    assert requests.get(served.url + "/status", timeout=WAIT).status_code == 200


def test_any_bytes(fuzz: Fuzz, served: Bridge) -> None:
    fuzz(st.binary(max_size=2000), lambda data: check_bytes(served, data), examples=40)


def test_damaged_requests(fuzz: Fuzz, served: Bridge) -> None:
    fuzz(nearly_requests(), lambda data: check_bytes(served, data), examples=150)
