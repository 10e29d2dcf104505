"""What all three readers share: what has been told already, and what the store proves about our prompt.

Invariant: a thing is told once; told again only if it has changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from bridge.core.feed import (
    TOOL_ENDED,
    FeedEvent,
    MessageRecorded,
    MessagesRemoved,
    Notice,
    PromptRecorded,
    SessionKnown,
    TitleSeen,
    ToolSeen,
    UsageSeen,
)
from bridge.core.prompts import PromptMatch
from bridge.kiro import loose

CLOCK_SLACK = 2.0
"""Seconds by which a record of our turn may seem older than it: v2 notes whole seconds (facts/kiro-wire.md 18)."""

_STEP = 0.5
"""Seconds from which on a wall clock that lags behind was set back, and not only slowed down."""


class TurnStart:
    """When a turn began, in the time that Kiro's records have: also after the wall clock was set back meanwhile.

    `started_at` and `clock` are in seconds since the epoch, `steady` is a clock that is never set.
    """

    def __init__(
        self, started_at: float, clock: Callable[[], float], steady: Callable[[], float] = time.monotonic
    ) -> None:
        self.began = min(started_at, clock())
        self._clock = clock
        self._steady = steady
        self._offset = clock() - steady()

    def earliest(self, slack: float = CLOCK_SLACK) -> float:
        """Return the time before which no record of our turn can have been written, less `slack` seconds."""
        set_back = self._offset - (self._clock() - self._steady())
        if set_back > _STEP:
            self.began -= set_back
            self._offset -= set_back
        return self.began - slack


@dataclass(frozen=True)
class TurnEvidence:
    """What a store proves about our prompt.

    `finished`: the model ended its answer. `end_reason`: Kiro's word for how the turn ended, None where the store has
    none. `last_tool_open`: the last thing recorded is a tool call without a result.
    """

    prompt_seen: bool
    finished: bool
    end_reason: str | None
    last_tool_open: bool


def credits_of(entries: object, field: str) -> float | None:
    """Return the credits that a list of costs tells together, None when it tells of none.

    An entry is `{field: number, "unit": "credit"}`; the engines differ only in the name of the field
    (facts/kiro-stores.md A.3, B.4, C).
    """
    costs = [loose.table(one) for one in loose.rows(entries)]
    amounts = [loose.number(cost.get(field)) for cost in costs if "credit" in str(cost.get("unit", "credit")).lower()]
    return loose.total([amount for amount in amounts if amount is not None])


class TurnWatch:
    """Follows the records of a conversation and gathers the evidence about our prompt.

    Once our prompt was answered, a further prompt is the next turn's and changes nothing any more. Where no prompt is
    the same as ours, any prompt recorded since counts: it is the one Kiro made of ours.
    """

    def __init__(self, prompt: str) -> None:
        self.match = PromptMatch(prompt)
        self._clear()

    def _clear(self) -> None:
        self._ours_seen = False
        self._any_seen = False
        self._over = False
        self._finished = False
        self._reason: str | None = None
        self._open: dict[str, None] = {}

    @property
    def ours_seen(self) -> bool:
        """Whether a prompt that is the same as ours is in the store."""
        return self._ours_seen

    @property
    def over(self) -> bool:
        """Whether what is recorded now belongs to a later turn."""
        return self._over

    def restart(self) -> None:
        """Forget everything: the store is read again from a beginning."""
        self._clear()

    def prompt(self, text: str) -> None:
        """Take note of a recorded prompt."""
        self._over = self._over or (self._ours_seen and (self._finished or self._reason is not None))
        ours = self.match.matches(text)
        if not self._over and (ours or not self._ours_seen):
            self._clear()
            self._any_seen, self._ours_seen = True, ours

    def answer(self, complete: bool) -> None:
        """Take note of a message of the model; `complete` when nothing follows it in its turn."""
        if not self._over:
            self._finished = complete and self._any_seen

    def tool_started(self, key: str) -> None:
        """Take note of a tool call."""
        if not self._over:
            self._open[key] = None

    def tool_ended(self, key: str) -> None:
        """Take note of a tool's result."""
        if not self._over:
            self._open.pop(key, None)

    def ended(self, reason: str, *, finished: bool, certain: bool = False) -> None:
        """Take note of Kiro's own word for how the turn ended; `certain` when it is known to be of our turn."""
        if certain or not self._over:
            self._reason = reason
            self._finished = finished and self._any_seen

    def evidence(self) -> TurnEvidence:
        """Return what is proved so far."""
        return TurnEvidence(self._any_seen, self._finished, self._reason, bool(self._open) and not self._finished)


class Told:
    """What was handed on. `fresh` lets through only what is new or has changed."""

    def __init__(self) -> None:
        self._messages: dict[str, str] = {}
        self._tools: dict[str, dict[str, Any]] = {}
        self._usage: dict[str | None, dict[str, Any]] = {}
        self._notices: set[str] = set()
        self._removed: set[str] = set()
        self._session: SessionKnown | None = None
        self._title: str | None = None

    def knows(self, key: str) -> bool:
        """Return whether a message, a prompt or a tool of that key was told."""
        return key in self._messages or key in self._tools

    def old_title(self, title: str | None) -> None:
        """Take `title` as known already."""
        self._title = title

    def fresh(self, events: Iterable[FeedEvent]) -> list[FeedEvent]:
        """Return those of `events` that say something new, in order."""
        return [fresh for event in events if (fresh := self._fresh(event)) is not None]

    def removed(self, present: set[str], reason: str) -> list[FeedEvent]:
        """Return the event for messages that were told and are not `present` any more; each is in one event only."""
        keys = tuple(key for key in self._messages if key not in present and key not in self._removed)
        self._removed.update(keys)
        return [MessagesRemoved(keys, reason)] if keys else []

    def keys_from(self, key: str) -> tuple[str, ...]:
        """Return the keys of the messages told since `key`, itself included; none when it was not told."""
        keys = list(self._messages)
        return tuple(keys[keys.index(key) :]) if key in self._messages else ()

    def _fresh(self, event: FeedEvent) -> FeedEvent | None:
        if isinstance(event, (MessageRecorded, PromptRecorded)):
            return self._changed(self._messages, event.key, event.text, event)
        if isinstance(event, ToolSeen):
            return self._fresh_tool(event)
        if isinstance(event, UsageSeen):
            return event if self._news(self._usage.setdefault(event.agent, {}), event) else None
        if isinstance(event, Notice):
            new = event.key not in self._notices
            self._notices.add(event.key)
            return event if new else None
        if isinstance(event, TitleSeen):
            new, self._title = event.title != self._title, event.title
            return event if new else None
        if isinstance(event, SessionKnown):
            new, self._session = event != self._session, event
            return event if new else None
        return event

    @staticmethod
    def _changed(known: dict[str, str], key: str, value: str, event: FeedEvent) -> FeedEvent | None:
        if known.get(key) == value:
            return None
        known[key] = value
        return event

    def _fresh_tool(self, event: ToolSeen) -> ToolSeen | None:
        known = self._tools.get(event.key)
        if known is None:
            known = self._tools[event.key] = {}
            self._news(known, event)
            return event
        if known.get("status") in TOOL_ENDED and event.status not in TOOL_ENDED:
            event = replace(event, status=None)
        return event if self._news(known, event) else None

    @staticmethod
    def _news(known: dict[str, Any], event: ToolSeen | UsageSeen) -> bool:
        """Merge the fields of `event` that say something into `known`; return whether one of them is new."""
        said = {field.name: getattr(event, field.name) for field in fields(event) if field.name not in ("key", "at")}
        news = {name: value for name, value in said.items() if value is not None and known.get(name) != value}
        known.update(news)
        return bool(news)
