"""What Kiro recorded of a conversation, put together by its prompts.

Invariant: each message and each tool call stands once, in the turn in which it was first told of; what is told later of
it goes there too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bridge.core.feed import FeedEvent, MessageRecorded, Notice, PromptRecorded, ToolSeen
from bridge.core.records import PastTurn

TURNS_MOST = 500
"""Turns that are read of a conversation, the newest."""

LOG_MOST = 16 << 20
"""Bytes that are read of a log, the last."""


@dataclass(eq=False)
class _Group:
    prompt: str | None
    began_at: float
    ended_at: float
    events: list[FeedEvent] = field(default_factory=list)
    last: list[Callable[[], Iterable[FeedEvent]]] = field(default_factory=list)


class PastTurns:
    """Takes the events of a conversation in their order. `began_at` is when it began, in seconds since the epoch."""

    def __init__(self, began_at: float) -> None:
        self._at = began_at
        self._groups: deque[_Group] = deque(maxlen=TURNS_MOST)
        self._owners: dict[str, _Group] = {}
        self._count = 0

    def take(self, events: Iterable[FeedEvent]) -> None:
        """Take what a record tells."""
        for event in events:
            if isinstance(event, PromptRecorded):
                self._prompt(event)
            elif isinstance(event, (MessageRecorded, ToolSeen)):
                group = self._owners.setdefault(f"{type(event).__name__}:{event.key}", self._current())
                group.events.append(event)
                group.ended_at = max(group.ended_at, event.at or 0.0)
                self._at = max(self._at, event.at or 0.0)
            else:
                self._current().events.append(event)

    def at_end(self, more: Callable[[], Iterable[FeedEvent]]) -> None:
        """Have `more` asked at the end for what is still to be told of the turn as it is now."""
        self._current().last.append(more)

    def turns(self) -> tuple[list[PastTurn], int]:
        """Return the newest turns, oldest first, and how many there are before them."""
        for group in self._groups:
            for more in group.last:
                group.events += more()
        told = [PastTurn(g.prompt, g.began_at, g.ended_at, tuple(g.events)) for g in self._groups]
        return told, self._count - len(told)

    def _prompt(self, event: PromptRecorded) -> None:
        key = f"prompt:{event.key}"
        if key not in self._owners:
            self._at = event.at or self._at
            self._owners[key] = self._add(event.text)

    def _current(self) -> _Group:
        return self._groups[-1] if self._groups else self._add(None)

    def _add(self, prompt: str | None) -> _Group:
        group = _Group(prompt, self._at, self._at)
        self._groups.append(group)
        self._count += 1
        return group


def cut(path: object) -> Notice:
    """Return what a person is told of a log of which only the end was read."""
    return Notice("log_cut", f"Only the last {LOG_MOST >> 20} MiB of Kiro's record were read: {path}.", "warning")
