"""Looking after an ACP process between two turns.

Invariant: while nobody uses the process, one thread of its own waits on its pipes and on nothing else: late words are
taken in, the pipes never fill up, and nothing is spent while nothing happens.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection

from bridge.core.feed import FeedEvent, MessageRecorded, Notice, TextDelta, TitleSeen, ToolSeen
from bridge.core.text import squeezed
from bridge.kiro.acp_agent import Agent
from bridge.kiro.batches import joined

_MOST_EVENTS = 2000
_WENT_ON = "Kiro went on by itself since the last answer."


class IdleWatch:
    """Pumps `agent` from `start` to `stop`. After `seconds` without use, or when the process ends, `on_over` is called
    on the watch's own thread, once; a process that waits for a person's answer is never left for being idle."""

    def __init__(self, agent: Agent, seconds: float, on_over: Callable[[], None]) -> None:
        self._agent = agent
        self._seconds = seconds
        self._on_over = on_over
        self._read, self._write = os.pipe()
        self._stopped = False
        self._told: list[FeedEvent] = []
        self._thread = threading.Thread(target=self._watch, name=f"acp-idle-{agent.child.pid}", daemon=True)

    def start(self) -> None:
        """Begin to look after the process; nobody else may use it now."""
        self._thread.start()

    def stop(self) -> list[FeedEvent]:
        """End the watch and return what was told meanwhile, fit for the turn that follows."""
        self._stopped = True
        with contextlib.suppress(OSError):
            os.write(self._write, b"x")
        self._thread.join()
        os.close(self._read)
        os.close(self._write)
        return afterwards(self._told, self._agent.recorded)

    def _watch(self) -> None:
        deadline = time.monotonic() + self._seconds
        self._agent.child.listen(self._read)
        while not (self._stopped or self._agent.gone):
            left = deadline - time.monotonic()
            if left <= 0 and not self._agent.asked:
                break
            self._agent.pump(None if self._agent.asked else left)
            self._told += self._agent.events()
            if len(self._told) > _MOST_EVENTS:
                self._told = list(joined(self._told))[-_MOST_EVENTS:]
        self._agent.child.unlisten(self._read)
        if not self._stopped:
            self._on_over()


def afterwards(events: list[FeedEvent], recorded: Collection[str] = ()) -> list[FeedEvent]:
    """Return what was told after a turn as things that are over: they are no part of the next answer.

    `recorded` are the texts, squeezed, that the store told of in the turn before: it may be faster than the wire.
    A turn that nobody prompted (facts/kiro-wire.md 7) is shown with the next one; usage of the turn before is known.
    """
    kept: list[FeedEvent] = []
    for number, event in enumerate(joined(events)):
        if isinstance(event, TextDelta) and event.text.strip() and squeezed(event.text) not in recorded:
            key = f"between:{time.time_ns()}:{number}"
            kept.append(MessageRecorded(key, event.text, event.speaker, agent=event.agent))
        elif isinstance(event, (Notice, TitleSeen, ToolSeen)):
            kept.append(event)
    if any(isinstance(event, MessageRecorded) and event.agent is None for event in kept):
        kept.insert(0, Notice("went_on", _WENT_ON))
    return kept
