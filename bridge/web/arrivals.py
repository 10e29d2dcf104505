"""Connections whose next request is not here yet: they cost a descriptor and no thread.

Invariants: used from the worker's main thread alone. A connection stays at most `HEAD_SECONDS`, and at most
`MOST` are kept: beyond that the oldest goes.
"""

from __future__ import annotations

import contextlib
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

HEAD_SECONDS = 30.0
HEAD_LIMIT = 64 * 1024
MOST = 512

_END = b"\r\n\r\n"
_STEP = 16 * 1024


@dataclass
class Head:
    """What has come of a request."""

    deadline: float
    data: bytearray = field(default_factory=bytearray)
    _searched: int = 0

    def add(self, piece: bytes) -> None:
        """Take the next bytes; empty lines before a request count for nothing (RFC 9112, 2.2)."""
        self.data += piece
        if self.data.startswith((b"\r", b"\n")):
            self.data = self.data.lstrip(b"\r\n")

    def whole(self) -> bool:
        """Return whether the head is complete; costs no more than a look at what is new."""
        found = self.data.find(_END, max(0, self._searched - len(_END))) >= 0
        self._searched = len(self.data)
        return found


class Arrivals:
    """Reads the heads of requests without waiting for any of them.

    `arrived` is told when a request's head is whole, with all that was read; `gone` when the connection is to be
    closed. Connections are gunicorn's: `sock`, and `parser` once they have had a request.
    """

    def __init__(
        self,
        poller: selectors.BaseSelector,
        arrived: Callable[[Any, Head], None],
        gone: Callable[[Any], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._poller = poller
        self._arrived = arrived
        self._gone = gone
        self._clock = clock
        self._heads: dict[Any, Head] = {}

    def expect(self, conn: Any) -> None:
        """Wait for a request on a connection; bytes that were read ahead belong to it."""
        head = Head(self._clock() + HEAD_SECONDS)
        if conn.parser is not None:
            head.add(conn.parser.unreader.take_buffered())
        conn.sock.setblocking(False)
        self._heads[conn] = head
        self._poller.register(conn.sock, selectors.EVENT_READ, partial(self._read, conn))
        if len(self._heads) > MOST:
            self.drop_oldest()
        if conn in self._heads:
            self._take(conn, head, b"")

    def drop_late(self, *, everything: bool = False) -> None:
        """Close the connections whose time is up, or all."""
        now = self._clock()
        while self._heads:
            conn, head = next(iter(self._heads.items()))
            if head.deadline > now and not everything:
                return
            self._refuse(conn, HTTPStatus.REQUEST_TIMEOUT, "the request's head was too slow to come")

    def drop_oldest(self) -> bool:
        """Close the connection that waits longest; return whether there was one."""
        conn = next(iter(self._heads), None)
        if conn is None:
            return False
        self._refuse(conn, HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open")
        return True

    def _read(self, conn: Any, _sock: object) -> None:
        head = self._heads.get(conn)
        if head is None:
            return
        try:
            piece = conn.sock.recv(_STEP)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if piece:
            self._take(conn, head, piece)
        else:
            self._forget(conn)
            self._gone(conn)

    def _take(self, conn: Any, head: Head, piece: bytes) -> None:
        head.add(piece)
        if head.whole():
            self._forget(conn)
            self._arrived(conn, head)
        elif len(head.data) > HEAD_LIMIT:
            self._refuse(conn, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {HEAD_LIMIT} bytes of head")

    def _forget(self, conn: Any) -> None:
        del self._heads[conn]
        self._poller.unregister(conn.sock)

    def _refuse(self, conn: Any, status: HTTPStatus, detail: str) -> None:
        """Close a connection, and say why where a request was begun."""
        begun = bool(self._heads[conn].data)
        self._forget(conn)
        if begun:
            with contextlib.suppress(OSError):
                conn.sock.send(_problem(status, detail))
        self._gone(conn)


def _problem(status: HTTPStatus, detail: str) -> bytes:
    from bridge.web.wire import dumps  # not above: gunicorn's master loads this module, and has no use for the rest

    body = dumps({"title": status.phrase, "status": status.value, "detail": detail}) + b"\n"
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join(lines).encode() + _END + body
