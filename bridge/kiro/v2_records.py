"""What the lines of a v2 log and its side file tell.

Invariant: pure. Prompts and tool results reach the file one model call late (facts/kiro-wire.md 18), so nothing here
concludes from a missing line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.core.feed import (
    FeedEvent,
    MessageRecorded,
    MessagesRemoved,
    Notice,
    PromptRecorded,
    TitleSeen,
    ToolSeen,
    UsageSeen,
)
from bridge.kiro import loose, tool_results
from bridge.kiro.history import Told, TurnStart, TurnWatch, credits_of
from bridge.kiro.session_files import Record

_PURPOSE = "__tool_use_purpose"
_FINISHED = "UserTurnEnd"
_LAST_TURNS = 50
_MARKERS = {
    "Compaction": "Kiro has summarised the earlier part of this conversation to make room.",
    "Clear": "Kiro's history of this conversation was cleared. What was shown stays.",
    "ResetTo": "Kiro's history of this conversation was set back to an earlier point. What was shown stays.",
    "CancelledPrompt": "The prompt was cancelled.",
}


class V2Turn:
    """The records of one turn."""

    def __init__(self, prompt: str, start: TurnStart) -> None:
        self.watch = TurnWatch(prompt)
        self.told = Told()
        self.joined_late = False
        self._start = start
        self._line_ids: set[str] = set()
        self._calls: set[str] = set()
        self._old_turns = 0

    def begins(self, data: loose.JsonDict) -> bool:
        """Return whether a line is our prompt, or one that was told already."""
        content = loose.table(data.get("data"))
        key = loose.name(content.get("message_id"))
        if key is not None and self.told.knows(key):
            return True
        if data.get("kind") != "Prompt" or not self.watch.match.matches(_text(content)):
            return False
        at = _time(content)
        return at is None or at >= self._start.earliest()

    def take(self, record: Record) -> list[FeedEvent]:
        """Return what a line tells, in order."""
        kind, content = record.data.get("kind"), loose.table(record.data.get("data"))
        key = loose.name(content.get("message_id")) or f"line:{record.offset}"
        if kind == "Prompt":
            prompt = _text(content)
            self.watch.prompt(prompt)
            self._note(key)
            return [PromptRecorded(key, prompt, _time(content))]
        if kind == "AssistantMessage":
            self._note(key)
            return self._message(key, content)
        if kind == "ToolResults":
            self._note(key)
            return self._results(content)
        if isinstance(kind, str) and kind in _MARKERS:
            return self._marker(kind, record.offset)
        return []

    def settle(self) -> list[FeedEvent]:
        """Return nothing: each line speaks for itself."""
        return []

    def _note(self, key: str) -> None:
        if not self.watch.over:
            self._line_ids.add(key)

    def _message(self, key: str, content: loose.JsonDict) -> list[FeedEvent]:
        blocks = _blocks(content)
        calls = [loose.table(data) for kind, data in blocks if kind == "toolUse"]
        thought = "".join(loose.prose(data) for kind, data in blocks if kind == "thinking")
        events: list[FeedEvent] = [MessageRecorded(f"{key}:thought", thought, "thought")] if thought.strip() else []
        events.append(MessageRecorded(key, _text(content)))
        self.watch.answer(not calls)
        return events + [event for call in calls for event in self._call(call)]

    def _call(self, call: loose.JsonDict) -> list[FeedEvent]:
        key = loose.name(call.get("toolUseId"))
        if key is None:
            return []
        arguments = dict(loose.table(call.get("input")))
        purpose = loose.name(arguments.pop(_PURPOSE, None))
        tool = loose.name(call.get("name"))
        self._calls.add(key)
        self.watch.tool_started(key)
        return [
            ToolSeen(
                key,
                name=tool,
                kind=tool_results.kind_of(tool),
                status="running",
                input=loose.tidy(arguments),
                locations=tool_results.paths_of(arguments),
                purpose=purpose,
                recorded=True,
            )
        ]

    def _results(self, content: loose.JsonDict) -> list[FeedEvent]:
        details = loose.table(content.get("results"))
        events: list[FeedEvent] = []
        for kind, data in _blocks(content):
            result = loose.table(data)
            key = loose.name(result.get("toolUseId")) if kind == "toolResult" else None
            if key is None or (self.joined_late and key not in self._calls):
                continue
            detail = loose.table(details.get(key))
            told = tool_results.from_blocks(
                result.get("content"), result.get("status"), cancelled=detail.get("result") == "Cancelled"
            )
            self.watch.tool_ended(key)
            events.append(
                ToolSeen(
                    key,
                    status=told.status,
                    output=told.output,
                    exit_code=told.exit_code,
                    purpose=loose.name(loose.table(detail.get("tool")).get("tool_use_purpose")),
                    recorded=True,
                )
            )
        return events

    def _marker(self, kind: str, offset: int) -> list[FeedEvent]:
        events: list[FeedEvent] = [Notice(f"v2:{kind}:{offset}", _MARKERS[kind])]
        if kind == "CancelledPrompt":
            self.watch.ended("Cancelled", finished=False)
        if kind == "Clear":
            events += self.told.removed(set(), "Kiro's history was cleared.")
        elif kind == "ResetTo":
            events.append(MessagesRemoved((), "Kiro's history was set back to an earlier point."))
        return events

    def note_side(self, value: loose.JsonDict) -> dict[str, Any]:
        """Take title and number of turns of the side file as known."""
        note = {"title": loose.name(value.get("title")), "turns": len(_turns(value))}
        self.take_note(note)
        return note

    def take_note(self, note: Mapping[str, Any]) -> None:
        """Take what `note_side` returned in another process."""
        self.told.old_title(loose.name(note.get("title")))
        self._old_turns = loose.whole(note.get("turns")) or 0

    def side(self, value: loose.JsonDict) -> list[FeedEvent]:
        """Return title and usage; the turn's end is noted where the side file tells of a turn that has our lines."""
        title = loose.name(value.get("title"))
        events: list[FeedEvent] = [TitleSeen(title)] if title is not None else []
        ours = self._our_turns(value)
        if not ours:
            return events
        reason = loose.name(ours[-1].get("end_reason"))
        if reason is not None:
            self.watch.ended(reason, finished=reason == _FINISHED, certain=True)
        return [*events, _usage(ours)]

    def _our_turns(self, value: loose.JsonDict) -> list[loose.JsonDict]:
        """Return the side file's entries of our turn: they name its lines; one that names none counts by its place."""
        turns = _turns(value)
        ours = []
        for place, turn in list(enumerate(turns))[-_LAST_TURNS:]:
            entry = loose.table(turn)
            names = [one for one in loose.rows(entry.get("message_ids")) if isinstance(one, str)]
            of_place = not names and place >= self._old_turns and self.watch.evidence().prompt_seen
            if of_place or not self._line_ids.isdisjoint(names):
                ours.append(entry)
        return ours


def _usage(turns: list[loose.JsonDict]) -> UsageSeen:
    """Return what the turns cost together; a metering entry stands for one model call (facts/kiro-wire.md 18)."""
    spent: list[float] = []
    millis: list[float] = []
    percent: float | None = None
    for turn in turns:
        credits = credits_of(turn.get("metering_usage"), "value")
        if credits is not None:
            spent.append(credits)
        duration = loose.table(turn.get("turn_duration"))
        seconds = loose.number(duration.get("secs"))
        if seconds is not None:
            millis.append(seconds * 1000 + (loose.number(duration.get("nanos")) or 0.0) / 1e6)
        percent = next(
            (
                found
                for field in ("final_context_usage_percentage", "context_usage_percentage")
                if (found := loose.number(turn.get(field))) is not None
            ),
            percent,
        )
    return UsageSeen(loose.total(spent), percent, loose.whole(loose.total(millis)))


def _turns(value: loose.JsonDict) -> list[Any]:
    state = loose.table(value.get("session_state"))
    return loose.rows(loose.table(state.get("conversation_metadata")).get("user_turn_metadatas"))


def _blocks(content: loose.JsonDict) -> list[tuple[object, object]]:
    tables = [loose.table(block) for block in loose.rows(content.get("content"))]
    return [(block.get("kind"), block.get("data")) for block in tables]


def _text(content: loose.JsonDict) -> str:
    if isinstance(content.get("content"), str):
        return loose.prose(content["content"])
    return "".join(loose.prose(data) for kind, data in _blocks(content) if kind == "text")


def _time(content: loose.JsonDict) -> float | None:
    return loose.moment(loose.table(content.get("meta")).get("timestamp"))
