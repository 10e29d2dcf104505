"""What only a real server shows: bodies that are slow, cut off, chunked or too large, and odd Host headers."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

Address = tuple[str, int]
HANG = 60.0
RAW = b'{"content":"","type":"raw"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A gunicorn with one worker and four threads on a port that it is handed."""
    home = tmp_path_factory.mktemp("gunicorn")
    with socket.create_server(("127.0.0.1", 0)) as listener, (home / "log").open("wb") as log:
        number = listener.fileno()
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{number}", "--threads", "4"]
        environment = {**os.environ, "WEB_TEST_UPLOADS": str(home / "uploads")}
        process = subprocess.Popen(
            [*command, "tests.web.served:make()"],
            pass_fds=(number,),
            env=environment,
            cwd=Path(__file__).resolve().parents[2],
            stdout=log,
            stderr=log,
        )
        try:
            yield listener.getsockname()[:2]
        finally:
            process.terminate()
            process.wait(HANG)


def request(path: str, *headers: str, method: str = "POST") -> bytes:
    """The head of an HTTP/1.1 request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", *headers, "", ""]).encode("latin-1")


def exchange(server: Address, data: bytes, *, half_close: bool = False) -> tuple[int, bytes, bool]:
    """Send bytes and read one reply; returns code, body, and whether the server closed afterwards."""
    with socket.create_connection(server, timeout=HANG) as link:
        link.sendall(data)
        if half_close:
            link.shutdown(socket.SHUT_WR)
        response = HTTPResponse(link, method=data.split()[0].decode())
        response.begin()
        body = response.read()
        link.settimeout(HANG if b"Connection: close" in data or response.status == 408 else 0.01)
        try:
            closed = link.recv(1) == b""
        except TimeoutError:
            closed = False
        return response.status, body, closed


LOCAL = "Host: localhost"
JSON = "Content-Type: application/json"


def test_chunked_body(server: Address) -> None:
    """A body without a length is read to its end, and the connection stays."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (RAW[:5], RAW[5:])) + b"0\r\n\r\n"
    head = request("/message", LOCAL, JSON, "Transfer-Encoding: chunked")
    assert exchange(server, head + chunks)[::2] == (200, False)


def test_slow_body(server: Address) -> None:
    """A body that does not arrive in 5 s is 408, and the connection is closed."""
    head = request("/message", LOCAL, JSON, "Content-Length: 200")
    code, body, closed = exchange(server, head + b" " * 50)
    found = json.loads(body)
    assert (code, found["title"], found["detail"]) == (408, "Request Timeout", "request body read timeout")
    assert closed


def test_trickling_body(server: Address) -> None:
    """A body of which a byte comes now and then has 5 s in all, not 5 s for each byte."""
    with socket.create_connection(server, timeout=HANG) as link:
        link.sendall(request("/message", LOCAL, JSON, "Content-Length: 2000"))
        sent = 0
        while not select.select([link], [], [], 0.1)[0]:
            link.sendall(b" ")
            sent += 1
            assert sent < 1900, "the server waits for the rest"
        assert link.recv(12) == b"HTTP/1.1 408"


def test_half_closed_body(server: Address) -> None:
    """A client that stops early is told so."""
    head = request("/message", LOCAL, JSON, "Content-Length: 200")
    code, body, _ = exchange(server, head + b" " * 50, half_close=True)
    found = json.loads(body)
    assert (code, found["detail"]) == (500, "cannot read request body")
    assert found["errors"] == [{"message": "unexpected EOF"}]


def test_broken_chunks(server: Address) -> None:
    """Chunks that are none are refused, not a crash."""
    head = request("/message", LOCAL, JSON, "Transfer-Encoding: chunked")
    code, body, _ = exchange(server, head + b"zz\r\nhello\r\n0\r\n\r\n")
    assert (code, json.loads(body)["detail"]) == (500, "cannot read request body")


@pytest.mark.parametrize("size", [1024 * 1024, 7 * 1024 * 1024])
@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_is_still_answered(server: Address, size: int, chunked: bool) -> None:
    """A client that sends it all gets its 413 rather than a cut connection."""
    if chunked:
        data = (
            request("/message", LOCAL, "Transfer-Encoding: chunked") + b"%x\r\n" % size + b" " * size + b"\r\n0\r\n\r\n"
        )
    else:
        data = request("/message", LOCAL, f"Content-Length: {size}") + b" " * size
    code, body, _ = exchange(server, data)
    assert (code, json.loads(body)["detail"]) == (413, "request body is too large limit=1048576 bytes")


def test_a_refused_origin_is_still_answered(server: Address) -> None:
    """A body that nobody reads does not hide the refusal."""
    head = request("/message", LOCAL, "Origin: http://evil.example", f"Content-Length: {len(RAW)}")
    assert exchange(server, head + RAW)[0] == 403


def test_upload(server: Address) -> None:
    """10 MiB over a real connection."""
    data = os.urandom(10 * 1024 * 1024)
    part = b'--B\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n' + data + b"\r\n--B--\r\n"
    head = request("/upload", LOCAL, "Content-Type: multipart/form-data; boundary=B", f"Content-Length: {len(part)}")
    code, body, _ = exchange(server, head + part)
    assert code == 200
    assert Path(json.loads(body)["filePath"]).read_bytes() == data


def test_slow_clients_do_not_stop_the_others(server: Address) -> None:
    """Three half-sent requests of four threads' worth: the status still answers."""
    head = request("/message", LOCAL, JSON, "Content-Length: 200")
    links = [socket.create_connection(server, timeout=HANG) for _ in range(3)]
    try:
        for link in links:
            link.sendall(head)
        assert exchange(server, request("/status", LOCAL, method="GET"))[0] == 200
    finally:
        for link in links:
            link.close()


@pytest.mark.parametrize(
    ("head", "code", "text"),
    [
        (request("/status", method="GET"), 400, b"400 Bad Request: missing required Host header"),
        (
            request("/status", "Host:", method="GET"),
            400,
            b"Invalid host header. Allowed hosts: localhost, 127.0.0.1, ::1\n",
        ),
        (request("/status", "Host: a..b", method="GET"), 400, b"Invalid host header."),
        (request("//status", LOCAL, method="GET"), 404, b"404 page not found\n"),
        (request("/%2e%2e/status", LOCAL, method="GET"), 404, b"404 page not found\n"),
        (b"GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n", 200, b'{"$schema":"http://localhost/schemas/Status'),
    ],
)
def test_odd_requests(server: Address, head: bytes, code: int, text: bytes) -> None:
    """Hosts and paths as they come over the wire."""
    found, body, _ = exchange(server, head)
    assert (found, body[: len(text)]) == (code, text)
