"""The AgentAPI view: a turn is the user's message and one growing message of the agent.

Invariant: ids are strictly increasing for the life of the ledger; the answer's id follows its prompt's. Tool calls are
one line each, as in AgentAPI's ACP mode (facts/agentapi-contract.md 6), and so is what somebody is asked, a sub-agent's
requests too; what a sub-agent says and the model's own status reports to Coder are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from bridge.core.approvals import is_pending
from bridge.core.items import Item
from bridge.core.records import Turn
from bridge.core.text import first_line
from bridge.core.tools import is_status_report, subject

Role = Literal["user", "agent"]

TITLE_LENGTH = 200

KEYS = {"y": "allow_once", "n": "reject_once", "t": "allow_always"}
"""What AgentAPI's raw keys answer, in the kinds of `bridge.core.feed.OptionKind`."""

_ANSWERED = {
    **dict.fromkeys(("allow_once", "allow_always"), "Approved"),
    **dict.fromkeys(("reject_once", "reject_always"), "Rejected"),
}
_UNANSWERED = {"expired": "Nobody answered in time", "interrupted": "Not answered"}


@dataclass(frozen=True)
class Message:
    """One AgentAPI message; `at` in seconds since the epoch."""

    id: int
    role: Role
    text: str
    at: float


def turn_messages(turn: Turn, items: Iterable[Item]) -> list[Message]:
    """Return the messages of a turn: the prompt, if there is one, and the answer, which may still be empty.

    As in AgentAPI's ACP mode an answer has the time its turn began; an imported one keeps its own.
    """
    messages = []
    if turn.prompt or turn.origin != "import":
        messages.append(Message(turn.message_id, "user", turn.prompt, turn.accepted_at))
    answer = answer_text(turn, items)
    if answer or turn.origin != "import":
        at = turn.ended_at if turn.origin == "import" and turn.ended_at is not None else turn.accepted_at
        messages.append(Message(turn.message_id + 1, "agent", answer, at))
    return messages


def answer_text(turn: Turn, items: Iterable[Item]) -> str:
    """Return the agent's message: Kiro's words in order, a line per tool call, and how it ended if not well."""
    parts: list[str] = []
    tools = False
    for item in items:
        line = _tool_line(item) or _approval_line(item)
        if line is not None:
            if tools:
                parts[-1] += "\n" + line
            else:
                parts.append(line)
            tools = True
        elif item.kind == "text" and "agent" not in item.data and item.text:
            parts.append(item.text)
            tools = False
    ending = ending_text(turn)
    if ending:
        parts.append(ending)
    return "\n\n".join([*(part.rstrip("\n") for part in parts[:-1]), *parts[-1:]])


def ending_text(turn: Turn) -> str:
    """Return the sentence that tells how a turn ended, empty for one that goes on or ended well."""
    if turn.state == "cancelled":
        return "[Stopped]"
    if turn.state in ("failed", "interrupted"):
        reason = turn.problem.as_text() if turn.problem is not None else "No reason is known."
        return f"[{'Failed' if turn.state == 'failed' else 'Interrupted'}] {reason}"
    return ""


def _approval_line(item: Item) -> str | None:
    """Return what is asked of somebody and how they can answer by AgentAPI's means, or how it ended."""
    if item.kind != "approval":
        return None
    data = item.data
    title = first_line(str(data.get("title") or ""), TITLE_LENGTH)
    if is_pending(item):
        what = f"[{'Question' if data.get('question') else 'Approval needed'}] {title}"
        lines = [what, *([item.text] if item.text.strip() not in ("", title) else [])]
        if data.get("question"):
            return "\n".join([*lines, *(f"- {_label(option)}" for option in _options(data))])
        keys = [f"`{key}` for “{_label(one)}”" for key, one in answer_keys(data).items()]
        return "\n".join([*lines, *([f"Send {', '.join(keys)} as raw text."] if keys else [])])
    if data.get("status") != "answered":
        return f"[{_UNANSWERED.get(str(data.get('status')), 'Not answered')}] {title}"
    chosen = next((one for one in _options(data) if one.get("id") == data.get("answer")), {})
    word = _ANSWERED.get(str(chosen.get("kind")), "Answered")
    label = f": {_label(chosen)}" if chosen else ""
    reason = f" ({first_line(str(data['reason']), TITLE_LENGTH)})" if data.get("reason") else ""
    return f"[{word}{label}] {title}{reason}"


def answer_keys(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return which of an approval's options AgentAPI's raw keys stand for: none of a question's."""
    if data.get("question"):
        return {}
    by_kind = {one.get("kind"): one for one in reversed(_options(data))}
    return {key: by_kind[kind] for key, kind in KEYS.items() if kind in by_kind}


def _options(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in data.get("options") or () if isinstance(one, dict)]


def _label(option: dict[str, Any]) -> str:
    return first_line(str(option.get("label") or option.get("id") or ""), TITLE_LENGTH)


def _tool_line(item: Item) -> str | None:
    if item.kind != "tool" or "agent" in item.data or is_status_report(item):
        return None
    # Engines that record no titles record the arguments.
    title = str(item.data.get("title") or subject(item) or item.data.get("name") or "tool")
    return f"[Tool: {item.data.get('kind') or 'other'}] {first_line(title, TITLE_LENGTH)}"
