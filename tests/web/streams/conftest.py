"""A ledger with a session, and subscribers on real sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.core.items import Change, Item, ItemPut, TextAppended, TurnEnded
from bridge.core.records import Event
from bridge.engine import Hub
from bridge.ledger import Ledger
from bridge.web.agent_feed import AgentFeed
from bridge.web.broadcaster import Broadcaster
from bridge.web.session_feed import SessionFeed
from bridge.web.subscriptions import Stream


@dataclass
class Frame:
    """One event as a client reads it."""

    name: str
    data: dict[str, Any]
    id: int | None


def frames(data: bytes) -> list[Frame]:
    """Read whole events out of the bytes of a stream."""
    found = []
    for block in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in fields:
            number = fields.get("id")
            found.append(Frame(fields["event"], json.loads(fields["data"]), int(number) if number else None))
    return found


class Room:
    """The parts behind the streams, and a turn to write into."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger.open(folder / "ledger.sqlite3")
        session, _ = self.ledger.create_session(str(folder))
        self.session_id = session.id
        self.hub = Hub(self.ledger.last_seq())
        self.running = False
        self.agent_feed = AgentFeed(self.ledger, session.id, lambda: self.running, "custom")
        self.session_feed = SessionFeed(self.ledger, self.hub.last_seq)
        self.broadcaster = Broadcaster(self.hub, self.agent_feed, self.session_feed, 30.0)
        self.turn_id = 0
        self._started = False

    def publish(self, events: Sequence[Event]) -> Sequence[Event]:
        self.hub.publish(events)
        return events

    def prompt(self, text: str = "hello") -> Sequence[Event]:
        self.running = True
        turn, events = self.ledger.accept(self.session_id, text)
        self.turn_id = turn.id
        return self.publish(events)

    def write(self, *changes: Change) -> Sequence[Event]:
        return self.publish(self.ledger.apply(self.turn_id, changes))

    def say(self, text: str, key: str = "m1", position: int = 1) -> Sequence[Event]:
        return self.write(ItemPut(Item(key, "text", position, text)))

    def more(self, text: str, offset: int, key: str = "m1") -> Sequence[Event]:
        return self.write(TextAppended(key, offset, text))

    def end(self) -> Sequence[Event]:
        self.running = False
        return self.write(TurnEnded("completed"))

    def start(self) -> None:
        self._started = True
        self.broadcaster.start()

    def subscribe(self, stream: Stream, *, chunked: bool = False, buffer: int = 0) -> socket.socket:
        ours, theirs = socket.socketpair()
        if buffer:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        self.broadcaster.adopt(theirs, b"", stream, chunked)
        ours.settimeout(20)
        return ours

    def close(self) -> None:
        if not self._started:
            self.broadcaster.start()
        self.broadcaster.stop()
        self.ledger.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()
