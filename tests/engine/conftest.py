"""A transport that does what the test says, and an engine on a real ledger."""

from __future__ import annotations

import os
import queue
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.core.feed import ApprovalClosed, Ended, FeedEvent
from bridge.core.ports import (
    ApprovalAnswer,
    PromptRequest,
    Readiness,
    Surface,
    TransportKind,
    TurnControl,
    TurnMessage,
)
from bridge.core.records import Session, SessionOptions
from bridge.engine import Engine, Hub
from bridge.ledger import Ledger

WAIT = 20.0
_PAUSE = threading.Event()


class Puppet:
    """A transport in the hands of a test: `say` puts a batch into the running turn."""

    def __init__(self) -> None:
        self.requests: list[PromptRequest] = []
        self.batches: queue.Queue[Sequence[FeedEvent]] = queue.Queue()
        self.recorded: Sequence[FeedEvent] = ()
        self.recovered: list[Mapping[str, Any]] = []
        self.mark: Mapping[str, Any] = {"engine": "v2"}
        self.error: Exception | None = None
        self.readiness = Readiness(True)
        self.offered = Surface()
        self.heard: list[TurnMessage] = []
        self.wishes: list[SessionOptions] = []
        self.closed = False

    @property
    def kind(self) -> TransportKind:
        return "acp"

    def surface(self) -> Surface:
        return self.offered

    def command(self, request: PromptRequest, name: str, argument: str) -> str:
        return f"{name} {argument}"

    def say(self, *events: FeedEvent) -> None:
        self.batches.put(events)

    def run(self, request: PromptRequest, control: TurnControl) -> Iterator[Sequence[FeedEvent]]:
        self.requests.append(request)
        control.remember(self.mark)
        if self.error is not None:
            raise self.error
        while True:
            if select.select([control.wake_fd()], [], [], 0)[0] and control.cancelled():
                yield [Ended("cancelled")]
                return
            self.wishes.append(control.options())
            for message in control.take():
                self.heard.append(message)
                if isinstance(message, ApprovalAnswer):
                    yield [ApprovalClosed(message.key, "answered", message.option)]
            try:
                batch = self.batches.get(timeout=0.02)
            except queue.Empty:
                continue
            yield batch
            if any(isinstance(event, Ended) for event in batch):
                return

    def recover(self, request: PromptRequest, mark: Mapping[str, Any]) -> Sequence[FeedEvent]:
        self.recovered.append(mark)
        return self.recorded

    def health(self) -> Readiness:
        return self.readiness

    def close(self) -> None:
        self.closed = True


class Bench:
    """An engine with its parts; `restart` makes a new one on the same ledger, as after a crash or a stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.puppet = Puppet()
        self.ledger = Ledger.open(folder / "ledger.sqlite3")
        self.hub = Hub(self.ledger.last_seq())
        self.engine = self._engine()

    def _engine(self) -> Engine:
        def transport(_session: Session) -> Puppet:
            return self.puppet

        return Engine(self.ledger, self.hub, transport, workdir=str(self.folder))

    def start(self, prompt: str = "") -> Engine:
        self.engine.start(prompt)
        assert self.engine.wait_started(WAIT)
        return self.engine

    def restart(self) -> None:
        self.engine.stop()
        self.ledger.close()
        self.puppet = Puppet()
        self.ledger = Ledger.open(self.folder / "ledger.sqlite3")
        self.hub = Hub(self.ledger.last_seq())
        self.engine = self._engine()

    def until(self, holds: Callable[[], object]) -> None:
        """Wait for `holds`, woken by the hub and not by a clock."""
        read, write = os.pipe()
        os.set_blocking(write, False)

        def wake() -> None:
            os.write(write, b"x")

        stop = self.hub.listen(wake)
        try:
            while not holds():
                assert select.select([read], [], [], WAIT)[0], "nothing happened"
                os.read(read, 4096)
        finally:
            stop()
            os.close(read)
            os.close(write)

    def sees(self, holds: Callable[[], object]) -> None:
        """Wait for `holds`, which no event tells of."""
        deadline = time.monotonic() + WAIT
        while not holds():
            assert time.monotonic() < deadline, "nothing happened"
            _PAUSE.wait(0.01)

    def settled(self) -> None:
        self.until(lambda: not self.engine.busy())

    def close(self) -> None:
        self.engine.stop()
        self.ledger.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()
