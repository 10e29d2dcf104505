"""Reading a request's body within a size and a time.

Invariants: a body that is too long, too slow or cut off is a `Refusal`, never a short read taken for a whole one, and
never a thread that waits for ever. No more bodies are read at a time than there are slots for, so that requests without
one always find a thread.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import IO, Any

from flask import Flask, current_app, request

from bridge.web.replies import Refusal

_STEP = 64 * 1024
# So much of a refused body is read and thrown away, so that a client that only sends sees the reply.
_DISCARD = 8 * 1024 * 1024
_SLOT_SECONDS = 0.25
_SLOTS = "body_slots"


def install(app: Flask, at_once: int) -> None:
    """Have `app` read at most so many bodies at a time."""
    app.extensions[_SLOTS] = threading.BoundedSemaphore(at_once)


class Body:
    """The body of the current request. Use it through `opened`."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._input: IO[bytes] = environ["wsgi.input"]
        length: str = environ.get("CONTENT_LENGTH") or ""
        self.length = int(length) if length.isdigit() else None
        ends_itself = bool(environ.get("wsgi.input_terminated"))
        self._left = self.length if self.length is not None else (None if ends_itself else 0)
        self._late = False

    def read(self) -> bytes:
        """Return the next piece, empty at the end.

        Refuses with 408 after the time given to `opened`, with 500 when the client stopped early (contract 1.5).
        """
        size = _STEP if self._left is None else min(_STEP, self._left)
        if not size:
            return b""
        try:
            piece = self._input.read(size)
        except Exception as error:
            # The server raises its own classes for broken framing; they all mean that no body can be had.
            raise self._broken() from error
        if self._left is not None:
            self._left -= len(piece)
            if not piece:
                raise self._broken()
        if self._late:
            raise self._broken()
        return piece

    def whole(self, limit: int) -> bytes:
        """Return all of it; refuses `limit` bytes or more with 413."""
        if self.length is not None and self.length >= limit:
            self.discard()
            raise _too_large(limit)
        pieces = bytearray()
        while piece := self.read():
            pieces += piece
            if len(pieces) >= limit:
                self.discard()
                raise _too_large(limit)
        return bytes(pieces)

    def discard(self) -> None:
        """Read and drop what is left, within bounds; what goes wrong does not matter any more."""
        dropped = 0
        with contextlib.suppress(Refusal):
            while dropped < _DISCARD and (piece := self.read()):
                dropped += len(piece)

    def expire(self, link: socket.socket) -> None:
        """Time is up: wake the reader by closing the receiving half of its connection."""
        self._late = True
        with contextlib.suppress(OSError):
            link.shutdown(socket.SHUT_RD)

    def _broken(self) -> Refusal:
        if self._late:
            return Refusal(408, "request body read timeout")
        return Refusal(500, "cannot read request body", [{"message": "unexpected EOF"}])


@contextlib.contextmanager
def opened(seconds: float) -> Iterator[Body]:
    """Give the current request's body, to be read within `seconds`. Refuses with 503 when too many are slow to come.

    The time limit needs the connection, which gunicorn puts into the environment; under another server there is none.
    """
    body = Body(request.environ)
    link: socket.socket | None = request.environ.get("gunicorn.socket")
    if link is None or body.length == 0:
        yield body
        return
    with _slot(link), _limited(body, seconds, link):
        yield body


@contextlib.contextmanager
def _slot(link: socket.socket) -> Iterator[None]:
    slots: threading.BoundedSemaphore = current_app.extensions[_SLOTS]
    if not slots.acquire(timeout=_SLOT_SECONDS):
        with contextlib.suppress(OSError):
            link.shutdown(socket.SHUT_RD)  # so that nobody waits for the rest of a body that is refused
        remedy = "Send it again in a moment."
        raise Refusal(503, "too many requests are being received", kind="receiving", remedy=remedy)
    try:
        yield
    finally:
        slots.release()


@contextlib.contextmanager
def _limited(body: Body, seconds: float, link: socket.socket) -> Iterator[None]:
    timer = threading.Timer(seconds, body.expire, (link,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"request body is too large limit={limit} bytes")
