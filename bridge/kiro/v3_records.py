"""What the rows of a v3 log tell.

Invariant: pure. Rows are joined by `toolCallId` and `subSessionId`; `executionId` of an approval is no turn's
(facts/kiro-stores.md B.5, B.6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bridge.core.feed import (
    FeedEvent,
    Level,
    MessageRecorded,
    MessagesRemoved,
    Notice,
    PromptRecorded,
    TitleSeen,
    ToolSeen,
    ToolStatus,
    UsageSeen,
)
from bridge.kiro import loose, tool_results
from bridge.kiro.history import Told, TurnStart, TurnWatch, credits_of
from bridge.kiro.session_files import Record

_HIDDEN_REASONING = "..."
DEFAULT_TITLE = "New Session"
_FINISHED = "end_turn"
_BROKEN_OFF = frozenset({"failed", "aborted"})
_CALL_STATUS: Mapping[str, ToolStatus] = {
    "pending": "pending",
    "awaiting_approval": "pending",
    "approved": "running",
    "executing": "running",
    "completed": "completed",
    "denied": "failed",
    "failed": "failed",
}
_AGENT_STATUS: Mapping[str, ToolStatus] = {"success": "completed", "error": "failed", "cancelled": "cancelled"}

_Taker = Callable[["V3Turn", Record, loose.JsonDict, str | None], list[FeedEvent]]


class V3Turn:
    """The rows of one turn, those of its sub-agents included."""

    def __init__(self, prompt: str, start: TurnStart) -> None:
        self.watch = TurnWatch(prompt)
        self.told = Told()
        self.joined_late = False
        self._start = start
        self._waiting: dict[str, str] = {}
        self._denials: dict[str, str] = {}
        self._spent: dict[str, tuple[float | None, float | None]] = {}

    def begins(self, data: loose.JsonDict) -> bool:
        """Return whether a row is our prompt, or one that was told already."""
        key = loose.name(data.get("id"))
        if key is not None and self.told.knows(key):
            return True
        payload = _payload(data)
        if payload.get("type") != "user" or not self.watch.match.matches(loose.prose(payload.get("content"))):
            return False
        at = loose.stamp(data.get("timestamp"))
        return at is None or at >= self._start.earliest()

    def take(self, record: Record, agent: str | None = None) -> list[FeedEvent]:
        """Return what a row tells, in order; `agent` is the sub-agent in whose file it stands."""
        payload = _payload(record.data)
        kind = payload.get("type")
        taker = _TAKERS.get(kind) if isinstance(kind, str) else None
        if taker is None or (agent is not None and kind not in _SUB_AGENT_ROWS):
            return []
        return taker(self, record, payload, agent)

    def settle(self) -> list[FeedEvent]:
        """Return notices for approvals that wait for a person: none that was settled in the meantime."""
        return [
            Notice(f"{call}-pending", f"Kiro waits for an answer: {question}" if question else "Kiro waits.", "warning")
            for call, question in self._waiting.items()
        ]

    def note_side(self, value: loose.JsonDict) -> dict[str, Any]:
        """Take the title of the session document as known."""
        note = {"title": _title(value)}
        self.take_note(note)
        return note

    def take_note(self, note: Mapping[str, Any]) -> None:
        """Take what `note_side` returned in another process."""
        self.told.old_title(loose.name(note.get("title")))

    def side(self, value: loose.JsonDict) -> list[FeedEvent]:
        """Return the title, once the session has one of its own."""
        title = _title(value)
        return [TitleSeen(title)] if title is not None else []

    def _user(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        prompt = loose.prose(payload.get("content"))
        self.watch.prompt(prompt)
        return [PromptRecorded(_key(record), prompt, _at(record))]

    def _assistant(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        content = loose.prose(payload.get("content"))
        operation = payload.get("operationType")
        if operation == "Summary":
            return [Notice(_key(record), "Kiro has summarised the earlier part of this conversation to make room.")]
        if operation == "Reasoning":
            if content.strip() in ("", _HIDDEN_REASONING):
                return []
            return [MessageRecorded(_key(record), content, "thought", _at(record), agent)]
        return [MessageRecorded(_key(record), content, "text", _at(record), agent)]

    def _tool_call(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        key = loose.name(payload.get("toolCallId"))
        if key is None:
            return []
        told = payload.get("status")
        status = _CALL_STATUS.get(told) if isinstance(told, str) else None
        denial = _denial(payload)
        if denial is not None:
            self._denials[key] = denial
        self._waiting.pop(key, None)
        if agent is None and status in (None, "pending", "running"):
            self.watch.tool_started(key)
        tool = loose.name(payload.get("toolName"))
        arguments = loose.table(payload.get("args"))
        path = loose.name(payload.get("filePath"))
        return [
            ToolSeen(
                key,
                name=tool,
                title=loose.name(payload.get("title")),
                kind=loose.name(payload.get("kind")) or tool_results.kind_of(tool),
                status="failed" if denial is not None else status or "running",
                input=loose.tidy(arguments),
                output=denial,
                locations=(path,) if path is not None else tool_results.paths_of(arguments),
                recorded=True,
                at=_at(record),
                agent=agent,
            )
        ]

    def _tool_result(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        key = loose.name(payload.get("toolCallId"))
        if key is None:
            return []
        told = tool_results.from_v3(payload.get("content"), payload.get("success"))
        self._waiting.pop(key, None)
        self.watch.tool_ended(key)
        return [
            ToolSeen(
                key,
                status=told.status,
                output=told.output or _denial(payload) or self._denials.get(key, ""),
                exit_code=told.exit_code,
                recorded=True,
                at=_at(record),
                agent=agent,
            )
        ]

    def _turn_start(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        self._waiting.clear()
        return []

    def _turn_end(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        self._waiting.clear()
        reason = loose.name(payload.get("stopReason"))
        evidence = self.watch.evidence()
        if reason is not None and evidence.prompt_seen and evidence.end_reason not in _BROKEN_OFF:
            self.watch.ended(reason, finished=reason == _FINISHED)
        return []

    def _usage(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        """Take a turn's costs: repeated for one execution, the latest counts (facts/kiro-stores.md B.6)."""
        status = payload.get("status")
        if self.watch.over:
            return []
        if isinstance(status, str) and status in _BROKEN_OFF and self.watch.evidence().prompt_seen:
            self.watch.ended(status, finished=False)
        execution = loose.name(payload.get("executionId")) or _key(record)
        self._spent[execution] = (
            credits_of(payload.get("promptTurnSummaries"), "usage"),
            loose.number(payload.get("elapsedTime")),
        )
        spent = [credits for credits, _ in self._spent.values() if credits is not None]
        millis = [elapsed for _, elapsed in self._spent.values() if elapsed is not None]
        return [UsageSeen(loose.total(spent), None, loose.whole(loose.total(millis)))]

    def _metadata(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        key, value = payload.get("key"), payload.get("value")
        if key == "contextUsage":
            percent = loose.number(loose.table(value).get("usagePercentage"))
            return [UsageSeen(context_percent=percent)] if percent is not None else []
        if key == "displayError":
            return [_notice(record, value, "Kiro reports an error.", "error")]
        return []

    def _pending(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        key = loose.name(payload.get("toolCallId"))
        if key is not None:
            self._waiting[key] = loose.prose(payload.get("question"))
            self.watch.tool_started(key)
        return []

    def _resolved(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        self._waiting.pop(loose.name(payload.get("toolCallId")) or "", None)
        return []

    def _agent_started(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        """A sub-agent is shown as a tool whose key is the `agent` of what that sub-agent says and does."""
        key = loose.name(payload.get("subSessionId"))
        if key is None:
            return []
        return [
            ToolSeen(
                key,
                name="sub_agent",
                title=loose.name(payload.get("subAgentName")),
                kind="think",
                status="running",
                input={"prompt": loose.prose(payload.get("prompt"))},
                purpose=loose.name(payload.get("explanation")),
                recorded=True,
                at=_at(record),
                agent=agent,
            )
        ]

    def _agent_ended(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        key = loose.name(payload.get("subSessionId"))
        if key is None:
            return []
        told = payload.get("status")
        status = _AGENT_STATUS.get(told, "completed") if isinstance(told, str) else "completed"
        output = loose.prose(payload.get("response")) or loose.prose(payload.get("errorMessage"))
        return [ToolSeen(key, status=status, output=output, recorded=True, at=_at(record), agent=agent)]

    def _tombstone(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        """Rows before it are hidden from the model; a summary undoes nothing, a revert what it names and all after."""
        if payload.get("kind") == "summarization":
            text = "Kiro has summarised the earlier part of this conversation to make room."
            return [Notice(_key(record), text), MessagesRemoved((), "Kiro summarised its history.")]
        keys = self.told.keys_from(loose.name(payload.get("effectiveFromMessageId")) or "")
        text = "This conversation was set back to an earlier point. What was shown stays."
        return [Notice(_key(record), text), MessagesRemoved(keys, "Kiro's history was set back.")]

    def _hook(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        if payload.get("status") != "failed":
            return []
        named = loose.name(payload.get("name")) or loose.name(payload.get("hookId")) or ""
        output = loose.prose(payload.get("output"))
        text = f"The hook {named} failed." + (f" It said: {output}" if output else "")
        return [Notice(_key(record), text, "warning")]

    def _error(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        return [_notice(record, payload.get("message"), "Kiro reports an error.", "error")]

    def _agent_note(self, record: Record, payload: loose.JsonDict, agent: str | None) -> list[FeedEvent]:
        return [_notice(record, payload.get("content"), "Kiro made a note.", "info")]


_TAKERS: Mapping[str, _Taker] = {
    "user": V3Turn._user,
    "assistant": V3Turn._assistant,
    "tool_call": V3Turn._tool_call,
    "tool_result": V3Turn._tool_result,
    "turn_start": V3Turn._turn_start,
    "turn_end": V3Turn._turn_end,
    "usage_summary": V3Turn._usage,
    "session_metadata": V3Turn._metadata,
    "pending_interaction": V3Turn._pending,
    "interaction_resolved": V3Turn._resolved,
    "sub_agent_start": V3Turn._agent_started,
    "sub_agent_complete": V3Turn._agent_ended,
    "tombstone": V3Turn._tombstone,
    "ContextualHookInvoked": V3Turn._hook,
    "error": V3Turn._error,
    "agent_note": V3Turn._agent_note,
}
_SUB_AGENT_ROWS = frozenset({"assistant", "tool_call", "tool_result", "sub_agent_start", "sub_agent_complete"})


def _payload(data: loose.JsonDict) -> loose.JsonDict:
    """Return a row's payload; an old flat row `{timestamp, role, content}` is one itself (facts/kiro-stores.md B.4)."""
    payload = data.get("payload")
    if isinstance(payload, dict):
        return payload
    role = data.get("role")
    return {"type": role, "content": data.get("content")} if role in ("user", "assistant") else {}


def _key(record: Record) -> str:
    return loose.name(record.data.get("id")) or f"row:{record.offset}"


def _at(record: Record) -> float | None:
    return loose.stamp(record.data.get("timestamp"))


def _title(value: loose.JsonDict) -> str | None:
    title = loose.name(value.get("title"))
    return title if title != DEFAULT_TITLE else None


def _denial(payload: loose.JsonDict) -> str | None:
    """Return why Kiro's policy denied a tool, None when it did not."""
    kiro = loose.table(loose.table(payload.get("_meta")).get("kiro"))
    denial = loose.table(kiro.get("policyDenial"))
    if not denial:
        return None
    fields = ("capability", "resource", "matchedRule", "scope", "source")
    told = {field: loose.prose(denial[field]) or loose.compact(denial[field]) for field in fields if field in denial}
    return "Kiro's policy denied this: " + ", ".join(f"{field} {value}" for field, value in told.items()) + "."


def _notice(record: Record, value: object, otherwise: str, level: Level) -> Notice:
    return Notice(_key(record), loose.prose(value) or otherwise, level)
