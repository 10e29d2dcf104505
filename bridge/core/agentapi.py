"""The AgentAPI view: a turn is the user's message and one growing message of the agent.

Invariant: ids are strictly increasing for the life of the ledger; the answer's id follows its prompt's. Tool calls are
one line each, as in AgentAPI's ACP mode (facts/agentapi-contract.md 6); what a sub-agent says and the model's own
status reports to Coder are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bridge.core.items import Item
from bridge.core.records import Turn
from bridge.core.text import first_line

Role = Literal["user", "agent"]

TITLE_LENGTH = 200


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
        line = _tool_line(item)
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


def _tool_line(item: Item) -> str | None:
    if item.kind != "tool" or "agent" in item.data:
        return None
    name = str(item.data.get("name") or "")
    if name.endswith("coder_report_task"):
        return None
    title = first_line(str(item.data.get("title") or _subject(item) or name or "tool"), TITLE_LENGTH)
    return f"[Tool: {item.data.get('kind') or 'other'}] {title}"


def _subject(item: Item) -> object:
    """Return what a tool without a title works on: engines that record no titles record the arguments."""
    arguments = item.data.get("input")
    return (
        next((arguments[key] for key in ("command", "path") if arguments.get(key)), None)
        if isinstance(arguments, dict)
        else None
    )
