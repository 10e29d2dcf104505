"""Clients of a session's event stream that come and go and put the conversation together from what they got."""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
from typing import Any

from tests.faults.harness import FaultBridge
from tests.whole.conftest import WAIT


class Follower:
    """What one client knows: the items and turns, and the id of the last whole event it got."""

    def __init__(self, bridge: FaultBridge, seed: str) -> None:
        self.chance = random.Random(seed)
        self.items: dict[int, dict[str, Any]] = {}
        self.turns: dict[int, list[str]] = {}
        self.last = 0
        self.connections = 0
        self.frames = 0
        self._bridge = bridge

    def visit(self, most: int, until: int | None = None) -> None:
        """Connect, read at most about `most` bytes or to the event `until`, and leave as rudely as chance wants."""
        with self._bridge.connect() as link:
            self.connections += 1
            head = f"GET /api/v1/sessions/{self._bridge.session()}/events HTTP/1.0\r\nHost: localhost\r\n"
            link.sendall(f"{head}Last-Event-ID: {self.last}\r\n\r\n".encode())
            self._read(link, most, until)
            if self.chance.random() < 0.5:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _read(self, link: socket.socket, most: int, until: int | None) -> None:
        data, taken = bytearray(), 0
        size = 1 << 20 if most > 1 << 20 else self.chance.choice([100, 5000])
        link.settimeout(WAIT if until is not None else self.chance.choice([0.001, 0.05, 0.3]))
        while taken < most and (until is None or self.last < until):
            try:
                piece = link.recv(size)
            except TimeoutError:
                return
            if not piece:
                return
            data += piece
            taken += len(piece)
            if data.find(b"\n\n", max(0, len(data) - len(piece) - 1)) >= 0:
                *whole, data = data.split(b"\n\n")
                for block in whole:
                    self._take(bytes(block))

    def _take(self, block: bytes) -> None:
        fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line and line[:1] != b":")
        if b"data" not in fields:
            return
        number, name, data = int(fields[b"id"]), fields[b"event"].decode(), json.loads(fields[b"data"])
        assert number > self.last, f"event {number} after {self.last}"
        self.last = number
        self.frames += 1
        if name == "item":
            self.items[data["item"]["id"]] = data["item"]
        elif name == "delta":
            item = self.items[data["item_id"]]
            assert data["offset"] == len(item["text"]), f"text of item {data['item_id']} does not follow"
            item["text"] += data["text"]
        elif name == "removed":
            self.items.pop(data["item_id"], None)
        elif name == "turn":
            self.turns.setdefault(data["turn"]["id"], []).append(data["turn"]["state"])

    def texts(self) -> list[tuple[int, str, str, str]]:
        """Return the items as it knows them."""
        ordered = sorted(self.items.values(), key=lambda item: (item["turn_id"], item["position"]))
        return [shown(item) for item in ordered]

    def agrees(self, items: list[dict[str, Any]], last_seq: int) -> None:
        """Check that it has exactly those items, and one end of each turn."""
        self.visit(1 << 40, until=last_seq)
        assert self.last == last_seq
        assert self.texts() == [shown(item) for item in items]
        over = {"completed", "failed", "cancelled", "interrupted"}
        assert all(sum(state in over for state in states) == 1 for states in self.turns.values()), self.turns


def shown(item: dict[str, Any]) -> tuple[int, str, str, str]:
    return item["id"], item["key"], item["kind"], item["text"]


class Crowd:
    """Followers on threads that come and go until told to stop, or until each has come `visits` times."""

    def __init__(self, bridge: FaultBridge, count: int, visits: int, seed: str) -> None:
        self.followers = [Follower(bridge, f"{seed} {number}") for number in range(count)]
        self.errors: list[BaseException] = []
        self._visits = visits
        self._threads = [threading.Thread(target=self._run, args=(one,)) for one in self.followers]
        for thread in self._threads:
            thread.start()

    def _run(self, follower: Follower) -> None:
        try:
            for _ in range(self._visits):
                follower.visit(follower.chance.choice([0, 50, 500, 3000, 20_000]))
        except BaseException as error:
            self.errors.append(error)

    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        """Wait until all have come as often as they should, and pass on what went wrong."""
        for thread in self._threads:
            thread.join()
        if self.errors:
            raise self.errors[0]
