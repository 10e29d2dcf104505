"""A subscriber of an SSE endpoint that keeps what it saw, block by block.

Invariant: ``blocks`` holds the stream's text between blank lines exactly as it came; events are parsed from it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPResponse, IncompleteRead
from types import TracebackType
from typing import Any

from .wire import HANG, Address, HeaderList, request_bytes


@dataclass(frozen=True)
class Event:
    """One event: its name, its parsed data and the bytes of its block without the blank line."""

    name: str
    data: dict[str, Any]
    block: bytes


class Stream:
    """One open subscription; a context manager. Reads in its own thread until the end of the stream."""

    def __init__(self, address: Address, path: str, *, host: str, headers: HeaderList = ()) -> None:
        """Connect, send the GET and read the response's head. ``headers`` are added to the request."""
        self._link = socket.create_connection(address, timeout=HANG)
        self._link.sendall(request_bytes("GET", path, host=host, headers=headers, close=False))
        self.response = HTTPResponse(self._link)
        self.response.begin()
        self._changed = threading.Condition()
        self.blocks: list[bytes] = []
        self.ended: str = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the stream and wait for the reading thread."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        self._thread.join(HANG)
        self.response.close()
        self._link.close()

    def events(self) -> list[Event]:
        """The events so far; comment-only blocks are left out."""
        with self._changed:
            blocks = list(self.blocks)
        return [event for event in map(_parse, blocks) if event is not None]

    def named(self, name: str) -> list[dict[str, Any]]:
        """The data of the events of that name so far, in order."""
        return [event.data for event in self.events() if event.name == name]

    def wait(self, predicate: Callable[[Stream], bool], seconds: float = HANG) -> None:
        """Wait until ``predicate(stream)`` holds; AssertionError with what was seen when it never does."""
        with self._changed:
            held = self._changed.wait_for(lambda: predicate(self), timeout=seconds)
        assert held, f"stream never got there; ended={self.ended!r}; last blocks: {self.blocks[-8:]}"

    def _read(self) -> None:
        ended = "clean"
        pending: list[bytes] = []
        try:
            while line := self.response.readline():
                if line in (b"\n", b"\r\n"):
                    self._add(b"".join(pending))
                    pending = []
                else:
                    pending.append(line)
        except (OSError, IncompleteRead, ValueError, AttributeError) as error:
            ended = f"broken: {error!r}"
        with self._changed:
            self.ended = ended
            self._changed.notify_all()

    def _add(self, block: bytes) -> None:
        with self._changed:
            self.blocks.append(block)
            self._changed.notify_all()


def _parse(block: bytes) -> Event | None:
    fields: dict[str, list[str]] = {}
    for line in block.decode().splitlines():
        name, _, value = line.partition(":")
        if name:
            fields.setdefault(name, []).append(value.removeprefix(" "))
    if "data" not in fields:
        return None
    return Event(fields.get("event", ["message"])[0], json.loads("\n".join(fields["data"])), block)
