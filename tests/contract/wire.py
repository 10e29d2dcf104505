"""HTTP/1.1 by hand, for rows where the exact bytes matter.

Invariant: what goes out is what the caller wrote (nothing is added to a raw exchange), and a server that closes the
connection without an answer is reported as ``None``, never as an error.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.client import BadStatusLine, HTTPResponse, IncompleteRead
from typing import Any

Address = tuple[str, int]
HeaderList = Sequence[tuple[str, str]]

#: Seconds after which a silent peer counts as hung. Generous: the machine may be busy.
HANG = 60.0


@dataclass(frozen=True)
class Reply:
    """One HTTP response: status code, header lines in order, whole body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name (any case), or None."""
        found = self.all(name)
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        """Every header line of that name (any case), in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self) -> Any:
        """The body parsed as JSON."""
        return json.loads(self.body)

    def pairs(self) -> list[tuple[str, Any]]:
        """The body's top-level keys and values in the order they were sent."""
        found = json.loads(self.body, object_pairs_hook=lambda items: items)
        assert isinstance(found, list)
        return found


def raw_exchange(
    address: Address, data: bytes, *, method: str = "GET", half_close: bool = False, timeout: float = HANG
) -> Reply | None:
    """Send ``data`` as it stands and read one response; None when the peer closes without one."""
    with socket.create_connection(address, timeout=timeout) as link:
        # An early refusal may close the connection before all is sent; its response is there all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            link.sendall(data)
        if half_close:
            link.shutdown(socket.SHUT_WR)
        return read_reply(link, method)


def read_reply(link: socket.socket, method: str) -> Reply | None:
    """Read one response to a request made with ``method``; None when the peer closes without one."""
    response = HTTPResponse(link, method=method)
    try:
        response.begin()
        body = response.read()
    except (BadStatusLine, ConnectionResetError, IncompleteRead):
        return None
    finally:
        response.close()
    return Reply(response.status, tuple(response.getheaders()), body)


def request_bytes(
    method: str,
    path: str,
    *,
    host: str | None,
    headers: HeaderList = (),
    body: bytes | None = None,
    close: bool = True,
) -> bytes:
    """The bytes of an HTTP/1.1 request; ``host`` None leaves Host out, ``close`` asks for one answer only."""
    lines = [f"{method} {path} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    lines += ["Connection: close", "", ""] if close else ["", ""]
    return "\r\n".join(lines).encode("latin-1") + (body or b"")


def multipart(parts: Iterable[tuple[str, bytes]], boundary: str = "contract-boundary") -> bytes:
    """A multipart/form-data body; each part is its header block (lines joined by CRLF) and its content."""
    pieces = [f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()
