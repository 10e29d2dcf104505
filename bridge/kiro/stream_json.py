"""`chat --output-format stream-json`: bytes in, feed events out.

Invariant: pure and incremental; any cutting of the same bytes gives the same events, in time proportional
to their number. A line or field that is not understood is left out, never an error (facts/kiro-stores.md
A.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bridge.core.feed import (
    TOOL_ENDED,
    Engine,
    FeedEvent,
    MessageBreak,
    Notice,
    SessionKnown,
    Speaker,
    TextDelta,
    TitleSeen,
    ToolSeen,
    ToolStatus,
    UsageSeen,
)
from bridge.kiro import loose
from bridge.kiro.loose import JsonDict
from bridge.kiro.tool_results import ToolResult, from_blocks, from_v3

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes; single lines of hundreds of KB are usual (facts/kiro-stores.md A.5)."""

_OPENING = 2048
_WHERE_KINDS_STAND = 400
_DROPPED_KINDS = (b'"sessionUpdate":"available_commands_update"', b'"sessionUpdate":"config_option_update"')
"""Big lines that nothing is done with; told by their beginning, so that they are not parsed."""

_SPEAKERS: Mapping[str, Speaker] = {"agent_message_chunk": "text", "agent_thought_chunk": "thought"}
_STATUSES: Mapping[str, ToolStatus] = {
    "pending": "running",
    "in_progress": "running",
    "completed": "completed",
    "failed": "failed",
}
"""Nobody approves anything in a headless run, so a call that is not said to wait for long is running."""

_PURPOSE = "__tool_use_purpose"
_ENGINES: Mapping[str, Engine] = {"v1": "v1", "v2": "v2", "v3": "v3"}
_NO_ANSWER = ("cancelled", "refusal")
"""Stop reasons of a run that exits with 1 (facts/kiro-stores.md A.8)."""

_EARLY_STOPS = {
    "max_tokens": "The model stopped at the length limit of an answer.",
    "max_turn_requests": "Kiro stopped at its limit of model calls for one prompt.",
}


@dataclass(frozen=True)
class Terminal:
    """The last line of a run: `runFinished`, or `runError` with `message` and `stage`."""

    kind: Literal["finished", "error"]
    session_id: str | None = None
    status: str = ""
    stop_reason: str = ""
    stage: str = ""
    message: str = ""

    @property
    def success(self) -> bool:
        """Return whether the run says that the model finished its answer."""
        return self.kind == "finished" and self.status == "success" and self.stop_reason not in _NO_ANSWER


class StreamJson:
    """The parser of one run.

    `terminal` is the last line once it has come. `session_id` is the run's own id: that of its first event
    (facts/kiro-stores.md A.7). `engine` is what runs, as the run itself says. `skipped` counts lines that
    are not JSON events, and `opening` holds the first of them. `answered` tells that text of the main agent
    was seen.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.terminal: Terminal | None = None
        self.session_id: str | None = None
        self.skipped = 0
        self.opening = ""
        self.answered = False
        self._parts: list[bytes] = []
        self._size = 0
        self._too_long = False
        self._speaking: dict[str | None, str | None] = {}
        self._tools: set[str] = set()
        self._credits: dict[str | None, float] = {}
        self._metered: dict[str | None, tuple[object, object]] = {}

    def feed(self, data: bytes) -> list[FeedEvent]:
        """Return the events of the next bytes of stdout."""
        events: list[FeedEvent] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._keep(line, events)
            self._end_line(events)
        self._keep(rest, events)
        return events

    def close(self) -> list[FeedEvent]:
        """Return the events of a last line without a line break."""
        events: list[FeedEvent] = []
        self._end_line(events)
        return events

    def _keep(self, data: bytes, events: list[FeedEvent]) -> None:
        if self._too_long or not data:
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > LONGEST_LINE:
            self._parts, self._too_long = [], True
            text = f"Kiro sent a line of more than {LONGEST_LINE // 2**20} MiB, which was left out of the live view."
            events.append(Notice("stream_line_too_long", text, "warning"))

    def _end_line(self, events: list[FeedEvent]) -> None:
        line = b"".join(self._parts)
        self._parts, self._size, self._too_long = [], 0, False
        if not line.strip() or any(kind in line[:_WHERE_KINDS_STAND] for kind in _DROPPED_KINDS):
            return
        try:
            record = loose.parsed(line)
        except loose.NotJson:
            record = None
        if not isinstance(record, dict) or not isinstance(record.get("data"), dict):
            self.skipped += 1
            text = line[:_OPENING].decode("utf-8", "replace")
            self.opening = f"{self.opening}{text}\n"[:_OPENING]
            return
        self._record(record.get("type"), record["data"], events)

    def _record(self, kind: object, data: JsonDict, events: list[FeedEvent]) -> None:
        if kind == "runStarted":
            self.engine = _ENGINES.get(loose.name(data.get("engine")) or "", self.engine)
        elif kind == "metadata":
            self._metadata(data, self._agent(data, events), events)
        elif kind == "sessionUpdate":
            update = loose.table(data.get("update"))
            self._update(update, self._agent(data, events, update), events)
        elif kind == "runFinished":
            self._finished(data, events)
        elif kind == "runError":
            self.terminal = Terminal(
                "error",
                loose.name(data.get("sessionId")),
                stage=loose.name(data.get("stage")) or "",
                message=loose.name(data.get("message")) or "",
            )

    def _agent(self, data: JsonDict, events: list[FeedEvent], update: JsonDict | None = None) -> str | None:
        """Return the sub-agent an event is of: another session's id, or v3's sub-task id within the same
        session.
        """
        session = loose.name(data.get("sessionId"))
        if session is not None and self.session_id is None:
            self.session_id = session
            events.append(SessionKnown(session, self.engine))
        if session is not None and session != self.session_id:
            return session
        return loose.name(_kiro(update or {}).get("agentSubtaskId"))

    def _metadata(self, data: JsonDict, agent: str | None, events: list[FeedEvent]) -> None:
        """v2's usage: one metering entry per model call, which add up (facts/kiro-stores.md A.3)."""
        metering, duration = data.get("meteringUsage"), loose.whole(data.get("turnDurationMs"))
        if isinstance(metering, list) and self._metered.get(agent) != (metering, duration):
            self._metered[agent] = (metering, duration)
            self._credits[agent] = self._credits.get(agent, 0.0) + _credits(metering, "value")
        usage = UsageSeen(
            credits=loose.number(self._credits.get(agent)),
            context_percent=loose.number(data.get("contextUsagePercentage")),
            duration_ms=duration,
            agent=agent,
        )
        events.append(usage)

    def _update(self, update: JsonDict, agent: str | None, events: list[FeedEvent]) -> None:
        kind = loose.name(update.get("sessionUpdate")) or ""
        if kind in _SPEAKERS:
            self._chunk(_SPEAKERS[kind], update, agent, events)
        elif kind in ("tool_call", "tool_call_update"):
            self._tool(update, agent, events)
        elif kind == "session_info_update":
            self._info(update, agent, events)

    def _chunk(self, speaker: Speaker, update: JsonDict, agent: str | None, events: list[FeedEvent]) -> None:
        text = loose.name(loose.table(update.get("content")).get("text"))
        if not text:
            return
        stream_id = loose.name(_kiro(update).get("replayId"))
        if agent in self._speaking and self._speaking[agent] != stream_id:
            events.append(MessageBreak(agent))
        self._speaking[agent] = stream_id
        self.answered = self.answered or agent is None
        events.append(TextDelta(text, speaker, stream_id, agent))

    def _tool(self, update: JsonDict, agent: str | None, events: list[FeedEvent]) -> None:
        """A call and its updates have the same fields, any of which may be missing (facts/kiro-stores.md
        A.6).
        """
        key = loose.name(update.get("toolCallId"))
        if key is None:
            return
        if agent in self._speaking:
            del self._speaking[agent]
            events.append(MessageBreak(agent))
        status = _STATUSES.get(loose.name(update.get("status")) or "")
        if key not in self._tools:
            self._tools.add(key)
            status = status or "running"
        given = loose.tidy(update.get("rawInput"))
        result = _result(update, status)
        seen = ToolSeen(
            key,
            name=loose.name(_kiro(update).get("toolName")),
            title=loose.name(update.get("title")),
            kind=loose.name(update.get("kind")),
            status=result.status if result and status in TOOL_ENDED else status,
            input={k: v for k, v in given.items() if k != _PURPOSE} if isinstance(given, dict) else None,
            output=result.output if result else None,
            exit_code=result.exit_code if result else None,
            locations=_paths(update.get("locations")),
            purpose=loose.name(loose.table(given).get(_PURPOSE)),
            agent=agent,
        )
        events.append(seen)

    def _info(self, update: JsonDict, agent: str | None, events: list[FeedEvent]) -> None:
        """v3's notes about the session, told apart by `_meta.kiro.kind` (facts/kiro-stores.md A.4)."""
        note = _kiro(update)
        title = loose.name(update.get("title")) or loose.name(note.get("title"))
        if title and agent is None:
            events.append(TitleSeen(title))
        if note.get("kind") == "context_usage":
            percent = loose.number(note.get("usagePercentage"))
            if percent is not None:
                events.append(UsageSeen(context_percent=percent, agent=agent))
        elif note.get("kind") == "turn_completion":
            summaries = note.get("promptTurnSummaries")
            spent = _credits(summaries, "usage") if isinstance(summaries, list) else None
            events.append(UsageSeen(loose.number(spent), duration_ms=loose.whole(note.get("elapsedTime")), agent=agent))
        elif note.get("kind") == "pending_interaction":
            text = "Kiro asks something that a run without a terminal cannot answer."
            events.append(Notice("pending_interaction", text, "warning"))

    def _finished(self, data: JsonDict, events: list[FeedEvent]) -> None:
        session = loose.name(data.get("sessionId"))
        stop_reason = loose.name(data.get("stopReason")) or ""
        self.terminal = Terminal("finished", session, loose.name(data.get("status")) or "", stop_reason)
        if session is not None and session != self.session_id:
            self.session_id = session
            events.append(SessionKnown(session, self.engine))
        if stop_reason in _EARLY_STOPS:
            events.append(Notice(stop_reason, _EARLY_STOPS[stop_reason], "warning"))


def _result(update: JsonDict, status: ToolStatus | None) -> ToolResult | None:
    """Return what a tool gave so far.

    `rawOutput.items` is v2's result, `rawOutput.message` v3's, and `content` what v3 fills as well and v2
    shows while the tool runs (facts/kiro-stores.md A.6).
    """
    raw = loose.table(update.get("rawOutput"))
    if isinstance(raw.get("items"), list):
        return from_blocks(raw["items"], "error" if status == "failed" else "success")
    parts = [_shown(loose.table(part)) for part in loose.rows(update.get("content"))]
    told = "\n".join(part for part in parts if part)
    message = loose.name(raw.get("message")) or told
    return from_v3(message, status != "failed") if message else None


def _shown(part: JsonDict) -> str | None:
    """Return the text of an ACP content part; a `diff` shows its new text."""
    if part.get("type") == "diff":
        return loose.text(part.get("newText"))
    return loose.text(loose.table(part.get("content")).get("text"))


def _credits(entries: list[object], field: str) -> float:
    return sum(loose.number(loose.table(entry).get(field)) or 0.0 for entry in entries)


def _paths(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(path for item in value if (path := loose.name(loose.table(item).get("path"))))


def _kiro(update: JsonDict) -> JsonDict:
    return loose.table(loose.table(update.get("_meta")).get("kiro"))
