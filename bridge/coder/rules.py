"""What Coder should be told of a conversation. Pure: events and the time go in, a report comes out.

Invariants: a summary is never longer than 160 bytes (facts/coder-platform.md 2.4); nothing is told twice in a row
unless the bridge has become ready anew; a turn never leaves `failure` behind, which `coder task send` would wait on for
ever (2.4, 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from bridge.core.approvals import is_pending
from bridge.core.items import Item
from bridge.core.records import TURN_OVER, Event, ItemEvent, RemovedEvent, StoredItem, Turn, TurnEvent
from bridge.core.text import cut_bytes, first_line
from bridge.core.tools import is_status_report

State = Literal["working", "complete", "idle", "failure"]
"""The states of Coder's app status; only the model itself ever says `failure`."""

STATES: frozenset[str] = frozenset(get_args(State))
SUMMARY_BYTES = 160
DETAIL_GAP = 1.0
"""Least seconds between two reports that differ in their summary alone. A change of state is never held back."""

_READY = "Ready for a prompt"
_LOOKED_AT = 1000
"""Characters of a text that are looked at: more than a summary has room for, much less than a prompt may have."""


@dataclass(frozen=True)
class Report:
    """What is told to Coder: a state, and one line of at most `SUMMARY_BYTES` bytes."""

    state: State
    summary: str


@dataclass
class _Running:
    """The running turn. `tools` are the main agent's open tools in the order they began, by item id.

    `told_by_model` is the model's own last report for as long as it holds: one of a resting state is void as soon as
    another tool begins.
    """

    turn_id: int
    start: Report
    tools: dict[int, str] = field(default_factory=dict)
    approvals: dict[int, str] = field(default_factory=dict)
    model_reports: set[int] = field(default_factory=set)
    told_by_model: Report | None = None
    model_summary: str = ""


class StatusRules:
    """Follows one session. What the model reports itself counts as told, so that there is one voice at a time."""

    def __init__(self) -> None:
        self._running: _Running | None = None
        self._resting = Report("idle", _READY)
        self._is_ready = False
        self._open = False
        self._fresh = False
        self._told: Report | None = None
        self._told_at = float("-inf")

    def set_ready(self, ready: bool) -> None:
        """Take note of whether prompts would reach Kiro. Becoming ready asks for a fresh `idle`."""
        if ready and not self._is_ready:
            self._open = True
            if self._running is None:
                self._resting = Report("idle", self._resting.summary)
                self._fresh = True
        self._is_ready = ready

    def begin(self, turn: Turn, items: list[StoredItem]) -> None:
        """Take a turn that runs already, with the items it has."""
        self._turn(turn)
        for item in items:
            self._item(item)

    def apply(self, event: Event) -> None:
        """Take an event of the session. One that was taken already changes nothing."""
        if isinstance(event, TurnEvent):
            self._turn(event.turn)
        elif isinstance(event, ItemEvent):
            self._item(event.item)
        elif isinstance(event, RemovedEvent) and self._running is not None:
            self._running.tools.pop(event.item_id, None)
            self._running.approvals.pop(event.item_id, None)

    def due(self, now: float) -> Report | None:
        """Return what is to be told at `now` (seconds of any steady clock), or None."""
        wait = self.wait(now)
        return self._wanted() if wait is not None and wait <= 0 else None

    def wait(self, now: float) -> float | None:
        """Return the seconds until something is to be told, None for nothing as things stand."""
        wanted = self._wanted()
        if not self._open or wanted is None or (wanted == self._told and not self._fresh):
            return None
        if self._told is None or self._told.state != wanted.state or wanted.state != "working":
            return 0.0
        return max(0.0, self._told_at + DETAIL_GAP - now)

    def told(self, report: Report, now: float) -> None:
        """Take note that Coder has been told `report`, at `now`."""
        self._told, self._told_at, self._fresh = report, now, False

    def _wanted(self) -> Report | None:
        running = self._running
        if running is None:
            return self._resting
        if running.approvals:
            return _report("idle", _last(running.approvals))
        if running.told_by_model is not None:
            return running.told_by_model if running.told_by_model.state == "working" else None
        if running.tools:
            return _report("working", _last(running.tools))
        return running.start

    def _turn(self, turn: Turn) -> None:
        running = self._running
        if turn.state not in TURN_OVER:
            if running is None or running.turn_id < turn.id:
                self._running = _Running(turn.id, _report("working", turn.prompt))
                self._fresh = False
            self._open = self._open or turn.origin == "user"
        elif running is not None and running.turn_id == turn.id:
            self._resting = _ending(turn, running)
            self._running = None
        elif running is None and turn.state == "interrupted":
            self._resting = _ending(turn, None)

    def _item(self, stored: StoredItem) -> None:
        running, item = self._running, stored.item
        if running is None or running.turn_id != stored.turn_id:
            return
        if item.kind == "approval":
            _approval(running, stored)
        if item.kind != "tool":
            return
        if is_status_report(item):
            self._model_report(running, stored)
        elif "agent" not in item.data:
            self._tool(running, stored)

    def _tool(self, running: _Running, stored: StoredItem) -> None:
        data, number = stored.item.data, stored.id
        if data.get("status") not in ("pending", "running"):
            running.tools.pop(number, None)
            return
        own = running.told_by_model
        if number not in running.tools and own is not None and own.state != "working":
            running.told_by_model = None
        running.tools[number] = _title(stored.item)

    def _model_report(self, running: _Running, stored: StoredItem) -> None:
        if stored.item.data.get("status") != "completed" or stored.id in running.model_reports:
            return
        report = _as_report(stored.item.data.get("input"))
        if report is not None:
            running.model_reports.add(stored.id)
            running.told_by_model, running.model_summary = report, report.summary
            self._told = report


def _approval(running: _Running, stored: StoredItem) -> None:
    """Note whether Kiro waits for a person, be it for the main agent or for one that works for it."""
    if is_pending(stored.item):
        asked = "answer" if stored.item.data.get("question") else "approval"
        running.approvals[stored.id] = f"Waiting for your {asked}: {_title(stored.item)}"
    else:
        running.approvals.pop(stored.id, None)


def _ending(turn: Turn, running: _Running | None) -> Report:
    """Return the state a turn leaves behind: `complete` only where the model said so and it was its last word."""
    if turn.state == "completed":
        own = running.told_by_model if running is not None else None
        state: State = "complete" if own is not None and own.state == "complete" else "idle"
        own_words = running.model_summary if running is not None else ""
        return _report(state, own_words or f"Done: {_line(turn.prompt)}")
    if turn.state == "cancelled":
        return _report("idle", f"Stopped: {_line(turn.prompt)}")
    reason = turn.problem.cause if turn.problem is not None else turn.prompt
    return _report("idle", f"{'Failed' if turn.state == 'failed' else 'Interrupted'}: {_line(reason)}")


def _as_report(arguments: object) -> Report | None:
    """Return the report that a call of the tool with these arguments makes, None when they do not fit its schema."""
    if not isinstance(arguments, dict):
        return None
    state, summary = arguments.get("state"), arguments.get("summary")
    if not isinstance(state, str) or state not in STATES or not isinstance(summary, str) or not summary.strip():
        return None
    return _report(cast(State, state), summary)


def _title(item: Item) -> str:
    """Return what a tool does, in the words made for people where there are any."""
    data = item.data
    return _line(str(data.get("purpose") or data.get("title") or data.get("name") or "")) or "Using a tool"


def _last(titles: dict[int, str]) -> str:
    return titles[next(reversed(titles))]


def _report(state: State, summary: str) -> Report:
    return Report(state, cut_bytes(_line(summary), SUMMARY_BYTES, "…") or "Working")


def _line(text: str) -> str:
    """Return the first line with something on it, as Coder will show it: control characters are blanks there."""
    start = text.lstrip()[:_LOOKED_AT]
    printable = "".join(character if character.isprintable() or character == "\n" else " " for character in start)
    return first_line(printable, _LOOKED_AT)
