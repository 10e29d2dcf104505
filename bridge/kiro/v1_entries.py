"""The value of a v1 conversation row: its entries, and the events they tell.

Invariant: pure. An entry is known by a key that stays the same while the row is rewritten: the message id of its
assistant part, or where that is null one made from the entry before it (facts/kiro-cli.md 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bridge.core.feed import FeedEvent, MessageRecorded, Notice, PromptRecorded, ToolSeen, UsageSeen
from bridge.kiro import loose, tool_results
from bridge.kiro.growing import GrowingObject
from bridge.kiro.history import TurnWatch, credits_of

_TIMED_OUT = "Response timed out - message took too long to generate"
_INTERRUPTED = "Tool uses were interrupted, waiting for the next user prompt"
_GENERATED_PROMPTS = (
    "You took too long to respond - try to split up the work into smaller steps.",
    "The user interrupted the tool execution.",
)
"""Texts that the CLI itself puts into the history (facts/kiro-cli.md 3.4, 14 no. 7)."""

_NOTICES = {
    _TIMED_OUT: "The model took too long to write its message; Kiro gave that message up and may ask again by itself.",
    _INTERRUPTED: "The running tools were interrupted.",
}


@dataclass(frozen=True)
class Conversation:
    """What a row's value holds. `keys` are those of the entries of `history`, in order."""

    id: str | None
    history: list[Any]
    keys: list[str]
    summary: str | None
    credits: float | None


def conversation(value: bytes, row: GrowingObject) -> Conversation:
    """Return the conversation in a row's value; `row` reads its versions. Raises loose.NotJson for no JSON object."""
    state = row.parsed(value)
    if not isinstance(state, dict):
        raise loose.NotJson("It is not an object.")
    history = loose.rows(state.get("history"))
    summary = state.get("latest_summary")
    return Conversation(
        loose.name(state.get("conversation_id")),
        history,
        entry_keys(history),
        loose.name(summary[0]) if isinstance(summary, list) and summary else None,
        credits_of(loose.table(state.get("user_turn_metadata")).get("usage_info"), "value"),
    )


def entry_keys(history: list[Any]) -> list[str]:
    """Return the keys of the entries, all different."""
    keys: list[str] = []
    taken: set[str] = set()
    base, number = "start", 0
    for entry in history:
        found = loose.name(_answer(entry)[1].get("message_id"))
        if found is None or found in taken:
            number += 1
            found = f"{base}~{number}"
        else:
            base, number = found, 0
        while found in taken:
            number += 1
            found = f"{base}~{number}"
        taken.add(found)
        keys.append(found)
    return keys


def prompt_key(entry_key: str) -> str:
    """Return the key of the prompt in an entry: a prompt has no id of its own."""
    return f"{entry_key}:prompt"


def prompt_of(entry: Any) -> str | None:
    """Return the user's words in an entry; they also stand beside the results of cancelled tools (14 no. 9)."""
    kind, content = _one_key(_user(entry).get("content"))
    if kind not in ("Prompt", "CancelledToolUses"):
        return None
    prompt = loose.text(content.get("prompt"))
    return None if prompt in _GENERATED_PROMPTS else prompt


def time_of(entry: Any) -> float | None:
    """Return when an entry was begun, in seconds since the epoch; None when it does not say."""
    asked = loose.stamp(_user(entry).get("timestamp"))
    if asked is not None:
        return asked
    return _millis(_metadata(entry).get("request_start_timestamp_ms"))


def tools_of(entry: Any) -> list[str]:
    """Return the ids of the tools an entry calls."""
    return [key for use in _tool_uses(entry) if (key := loose.name(use.get("id")))]


def usage_of(conversation: Conversation, entries: list[Any]) -> list[FeedEvent]:
    """Return what the turn whose entries these are has used so far."""
    percents = [loose.number(_metadata(entry).get("context_usage_percentage")) for entry in entries]
    known = [percent for percent in percents if percent is not None]
    if not known and conversation.credits is None:
        return []
    return [UsageSeen(credits=conversation.credits, context_percent=known[-1] if known else None)]


def events_of(key: str, entry: Any, old_tools: set[str], watch: TurnWatch) -> list[FeedEvent]:
    """Return what an entry tells, in order, and let `watch` take note. `old_tools` were called in an earlier turn."""
    events = _results(entry, old_tools, watch)
    prompt = prompt_of(entry)
    if prompt is not None:
        watch.prompt(prompt)
        events.append(PromptRecorded(prompt_key(key), prompt, time_of(entry)))
    events += _message(key, entry, watch)
    events += _calls(entry, watch)
    return events


def _results(entry: Any, old_tools: set[str], watch: TurnWatch) -> list[FeedEvent]:
    kind, content = _one_key(_user(entry).get("content"))
    events: list[FeedEvent] = []
    for result in loose.rows(content.get("tool_use_results")):
        result = loose.table(result)
        tool = loose.name(result.get("tool_use_id"))
        if tool is None or tool in old_tools:
            continue
        told = tool_results.from_blocks(
            result.get("content"), result.get("status"), cancelled=kind == "CancelledToolUses"
        )
        watch.tool_ended(tool)
        events.append(ToolSeen(tool, status=told.status, output=told.output, exit_code=told.exit_code, recorded=True))
    return events


def _message(key: str, entry: Any, watch: TurnWatch) -> list[FeedEvent]:
    kind, answer = _answer(entry)
    content = loose.text(answer.get("content")) or ""
    genuine = loose.name(answer.get("message_id")) is not None
    if kind is None:
        return []
    watch.answer(kind == "Response" and genuine)
    if not genuine and content in _NOTICES:
        watch.ended("interrupted" if content == _INTERRUPTED else "timed_out", finished=False)
        return [Notice(key, _NOTICES[content], "info" if content == _INTERRUPTED else "warning")]
    metadata = _metadata(entry)
    at = _millis(metadata.get("stream_end_timestamp_ms")) or time_of(entry)
    return [MessageRecorded(key, content, at=at)]


def _calls(entry: Any, watch: TurnWatch) -> list[FeedEvent]:
    events: list[FeedEvent] = []
    for use in _tool_uses(entry):
        key = loose.name(use.get("id"))
        if key is None:
            continue
        named, asked = loose.name(use.get("name")), loose.name(use.get("orig_name"))
        tool = asked if named in (None, "dummy") and asked else named
        arguments = loose.table(use.get("args"))
        watch.tool_started(key)
        events.append(
            ToolSeen(
                key,
                name=tool,
                kind=tool_results.kind_of(tool),
                status="running",
                input=loose.tidy(arguments),
                locations=tool_results.paths_of(arguments),
                purpose=loose.name(arguments.get("summary")),
                recorded=True,
                at=_millis(_metadata(entry).get("stream_end_timestamp_ms")),
            )
        )
    return events


def _part(entry: Any, name: str, place: int) -> loose.JsonDict:
    """Return a part of an entry, which is an object or, in old rows, an array (facts/kiro-cli.md 3.2)."""
    if isinstance(entry, list):
        return loose.table(entry[place]) if place < len(entry) else {}
    return loose.table(loose.table(entry).get(name))


def _user(entry: Any) -> loose.JsonDict:
    return _part(entry, "user", 0)


def _answer(entry: Any) -> tuple[str | None, loose.JsonDict]:
    kind, answer = _one_key(_part(entry, "assistant", 1))
    return (kind if kind in ("Response", "ToolUse") else None), answer


def _metadata(entry: Any) -> loose.JsonDict:
    return _part(entry, "request_metadata", 2)


def _tool_uses(entry: Any) -> list[loose.JsonDict]:
    kind, answer = _answer(entry)
    return [loose.table(use) for use in loose.rows(answer.get("tool_uses"))] if kind == "ToolUse" else []


def _one_key(value: object) -> tuple[str | None, loose.JsonDict]:
    """Return name and content of an object that says by its only key what it is."""
    for key, content in loose.table(value).items():
        return key, loose.table(content)
    return None, {}


def _millis(value: object) -> float | None:
    found = loose.number(value)
    return loose.moment(found / 1000) if found is not None else None
