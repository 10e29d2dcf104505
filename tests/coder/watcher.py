"""A stand-in for the part of `coder exp mcp server` that follows AgentAPI's `/events` (facts/coder-platform.md 2.2)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import requests

from tests.coder.merging import Merging, Status

WAIT = 60.0
LARGEST_EVENT = 128 * 1024


class Watcher:
    """Follows `url` in a thread of its own. `old` are the rules up to 2.31.0: one attempt, no reconnect."""

    def __init__(self, url: str, *, old: bool) -> None:
        self.url = url
        self.statuses: list[Status] = []
        self.trouble = ""
        self._old = old
        self._merging = Merging(old=old, agentapi=True)
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._main, name="watcher")
        self._thread.start()

    def close(self) -> None:
        """Wait for its end, once the bridge has ended the stream."""
        self._closing.set()
        self._thread.join(WAIT)

    def states(self) -> list[str]:
        """Return what a user saw."""
        return [status.state for status in self.statuses]

    def until(self, states: list[str]) -> None:
        """Wait until a user saw these states."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.states() == states, WAIT), (self.states(), self.trouble)

    def _main(self) -> None:
        while not self._closing.is_set():
            try:
                with requests.get(self.url + "/events", stream=True, timeout=WAIT) as reply:
                    self._follow(reply)
            except requests.RequestException as error:
                self.trouble = str(error)
            if self._old:
                return
            self._closing.wait(0.1)

    def _follow(self, reply: requests.Response) -> None:
        assert reply.status_code == 200
        frame = b""
        for piece in reply.iter_content(None):
            frame += piece
            while b"\n\n" in frame:
                event, frame = frame.split(b"\n\n", 1)
                for name, data in self._parsed(event):
                    self._take(name, data)

    def _parsed(self, event: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
        lines = [line for line in event.decode().split("\n") if line and not line.startswith(":")]
        if not lines:
            return
        fields = dict(line.split(": ", 1) for line in lines)
        if len(event) > LARGEST_EVENT or fields.get("event") not in ("message_update", "status_change"):
            self.trouble = f"the SDK stops at {event[:200]!r}"
            return
        yield fields["event"], json.loads(fields["data"])

    def _take(self, name: str, data: dict[str, Any]) -> None:
        if name == "status_change":
            status = self._merging.status_change(data["status"])
        else:
            status = self._merging.message_update(data["id"], data["role"])
        if status is not None:
            with self._changed:
                self.statuses.append(status)
                self._changed.notify_all()
