"""What Kiro tells about a turn while it runs, as feed events: the body of `session/update` and what goes with it.

The same bodies travel over ACP and in `chat --output-format stream-json` (facts/kiro-stores.md A.3, A.4).

Invariant: without IO; a field that is missing or not understood says nothing, and events come in the order of the wire.
The one exception is the output of a tool that still runs: it is gathered until `flush`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from bridge.core.feed import (
    TOOL_ENDED,
    FeedEvent,
    MessageBreak,
    Notice,
    PlanSeen,
    PlanStep,
    Speaker,
    StepStatus,
    TextDelta,
    TitleSeen,
    ToolSeen,
    ToolStatus,
    UsageSeen,
)
from bridge.kiro import loose
from bridge.kiro.acp_tools import PURPOSE, live_output, paths, result
from bridge.kiro.loose import JsonDict
from bridge.kiro.process import Excerpt

PENDING_INTERACTION = "Kiro asks something that a run without a terminal cannot answer."
_OF_A_MESSAGE = "-say"
"""Ends the id of a stored message (facts/kiro-wire.md 11). Over ACP a thought can come under that of the message which
follows it, and must not take its place."""

_DEFAULT_TITLE = "New Session"
_LIVE_OUTPUT = 131_072
"""Bytes of a running tool's output that are kept, half from its beginning and half from its end."""

_SPEAKERS: Mapping[str, Speaker] = {"agent_message_chunk": "text", "agent_thought_chunk": "thought"}
_STEPS: Mapping[str, StepStatus] = {"pending": "pending", "in_progress": "running", "completed": "completed"}
_STATUSES: Mapping[str, ToolStatus] = {
    "pending": "pending",
    "in_progress": "running",
    "completed": "completed",
    "failed": "failed",
}


def kiro_part(update: JsonDict) -> JsonDict:
    """Return `_meta.kiro` of an update, empty where there is none."""
    return loose.table(loose.table(update.get("_meta")).get("kiro"))


class Updates:
    """Translates the updates of one session, turn after turn.

    `asks` says that approvals can be given: a call that is pending then waits for one, else it is as good as running.
    `answered` tells that text of the main agent was seen in this turn.
    """

    def __init__(self, *, asks: bool) -> None:
        self.answered = False
        self._asks = asks
        self._speaking: dict[str | None, tuple[str, str | None]] = {}
        self._tools: set[str] = set()
        self._live: dict[str, tuple[Excerpt, str | None]] = {}
        self._fresh: dict[str, None] = {}
        self._credits: dict[str | None, float] = {}
        self._metered: dict[str | None, tuple[object, object]] = {}

    def begin_turn(self) -> None:
        """Forget what belongs to the turn before."""
        self.answered = False
        for known in (self._speaking, self._live, self._fresh, self._credits, self._metered):
            known.clear()

    def update(self, update: JsonDict, agent: str | None) -> list[FeedEvent]:
        """Return what the body of a `session/update` tells; `agent` is the sub-agent whose session it is of."""
        agent = agent or loose.name(kiro_part(update).get("agentSubtaskId"))
        kind = loose.name(update.get("sessionUpdate")) or ""
        if kind in _SPEAKERS:
            return self._chunk(_SPEAKERS[kind], update, agent)
        if kind in ("tool_call", "tool_call_update"):
            return self._tool(kind, update, agent)
        if kind == "session_info_update":
            return self._info(update, agent)
        return [self._plan(update, agent)] if kind == "plan" else []

    def metadata(self, data: JsonDict, agent: str | None) -> list[FeedEvent]:
        """Return v2's usage: one metering entry per model call, which add up (facts/kiro-stores.md A.3)."""
        metering, duration = data.get("meteringUsage"), loose.whole(data.get("turnDurationMs"))
        if isinstance(metering, list) and self._metered.get(agent) != (metering, duration):
            self._metered[agent] = (metering, duration)
            self._credits[agent] = self._credits.get(agent, 0.0) + _credits(metering, "value")
        spent = loose.number(self._credits.get(agent))
        percent = loose.number(data.get("contextUsagePercentage"))
        return [UsageSeen(credits=spent, context_percent=percent, duration_ms=duration, agent=agent)]

    def tool_output(self, key: str, text: str, agent: str | None) -> None:
        """Take a further piece of what a running tool prints."""
        if key not in self._live:
            self._live[key] = (Excerpt(_LIVE_OUTPUT), agent)
        self._live[key][0].add(text.encode("utf-8", "replace"))
        self._fresh[key] = None

    def flush(self) -> list[FeedEvent]:
        """Return what running tools have printed since the last call."""
        keys, self._fresh = list(self._fresh), {}
        return [ToolSeen(key, output=self._live[key][0].text(), agent=self._live[key][1]) for key in keys]

    def _chunk(self, speaker: Speaker, update: JsonDict, agent: str | None) -> list[FeedEvent]:
        text = loose.text(loose.table(update.get("content")).get("text"))
        if not text:
            return []
        stream_id = loose.name(kiro_part(update).get("replayId"))
        if self._asks and speaker == "thought" and stream_id is not None and stream_id.endswith(_OF_A_MESSAGE):
            stream_id = None
        known, self._speaking[agent] = self._speaking.get(agent), (speaker, stream_id)
        self.answered = self.answered or (agent is None and speaker == "text")
        delta = TextDelta(text, speaker, stream_id, agent)
        return [delta] if known is None or known[1] == stream_id else [MessageBreak(agent), delta]

    def _tool(
        self, kind: Literal["tool_call", "tool_call_update"] | str, update: JsonDict, agent: str | None
    ) -> list[FeedEvent]:
        """A call and its updates have the same fields, any of which may be missing (facts/kiro-stores.md A.6)."""
        key = loose.name(update.get("toolCallId"))
        if key is None:
            return []
        events: list[FeedEvent] = [MessageBreak(agent)] if self._speaking.pop(agent, None) else []
        status = self._status(update)
        if kind == "tool_call_update" and status is None and key in self._tools:
            piece = live_output(update)
            if piece is not None:
                self.tool_output(key, piece, agent)
                return events
        if key not in self._tools:
            self._tools.add(key)
            status = status or "running"
        elif kind == "tool_call" and status is None:
            status = "running"
        if status in TOOL_ENDED:
            self._live.pop(key, None)
            self._fresh.pop(key, None)
        return [*events, _seen(key, update, status, agent)]

    def announce(self, update: JsonDict, agent: str | None) -> list[FeedEvent]:
        """Return v2's first word of a tool call: its title is the tool's name (facts/kiro-wire.md 4)."""
        key = loose.name(update.get("toolCallId"))
        if key is None or key in self._tools:
            return []
        self._tools.add(key)
        events: list[FeedEvent] = [MessageBreak(agent)] if self._speaking.pop(agent, None) else []
        name, kind = loose.name(update.get("title")), loose.name(update.get("kind"))
        return [*events, ToolSeen(key, name=name, title=name, kind=kind, status="pending", agent=agent)]

    def _status(self, update: JsonDict) -> ToolStatus | None:
        status = _STATUSES.get(loose.name(update.get("status")) or "")
        return "running" if status == "pending" and not self._asks else status

    def _plan(self, update: JsonDict, agent: str | None) -> FeedEvent:
        entries = [loose.table(entry) for entry in loose.rows(update.get("entries"))]
        steps = (PlanStep(loose.text(one.get("content")) or "", _step(one.get("status"))) for one in entries)
        return PlanSeen(tuple(steps), agent)

    def _info(self, update: JsonDict, agent: str | None) -> list[FeedEvent]:
        """v3's notes about the session, told apart by `_meta.kiro.kind` (facts/kiro-stores.md A.4)."""
        note = kiro_part(update)
        events: list[FeedEvent] = []
        title = loose.name(update.get("title")) or loose.name(note.get("title"))
        if title and title != _DEFAULT_TITLE and agent is None:
            events.append(TitleSeen(title))
        if note.get("kind") == "context_usage":
            percent = loose.number(note.get("usagePercentage"))
            if percent is not None:
                events.append(UsageSeen(context_percent=percent, agent=agent))
        elif note.get("kind") == "turn_completion":
            summaries = note.get("promptTurnSummaries")
            spent = _credits(summaries, "usage") if isinstance(summaries, list) else None
            events.append(UsageSeen(loose.number(spent), duration_ms=loose.whole(note.get("elapsedTime")), agent=agent))
        elif note.get("kind") == "pending_interaction" and not self._asks:
            events.append(Notice("pending_interaction", PENDING_INTERACTION, "warning"))
        return events


def _seen(key: str, update: JsonDict, status: ToolStatus | None, agent: str | None) -> ToolSeen:
    given = loose.tidy(update.get("rawInput"))
    found = result(update, status)
    return ToolSeen(
        key,
        name=loose.name(kiro_part(update).get("toolName")),
        title=loose.name(update.get("title")),
        kind=loose.name(update.get("kind")),
        status=found.status if found and status in TOOL_ENDED else status,
        input={name: value for name, value in given.items() if name != PURPOSE} if isinstance(given, dict) else None,
        output=found.output if found else None,
        exit_code=found.exit_code if found else None,
        locations=paths(update.get("locations")),
        purpose=loose.name(loose.table(given).get(PURPOSE)),
        agent=agent,
    )


def _step(status: object) -> StepStatus:
    return _STEPS.get(status, "pending") if isinstance(status, str) else "pending"


def _credits(entries: list[object], field: str) -> float:
    return sum(loose.number(loose.table(entry).get(field)) or 0.0 for entry in entries)
