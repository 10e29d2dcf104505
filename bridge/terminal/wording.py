"""How tools, turns and costs are told in words, the same in every kind of terminal.

Invariant: what is returned is clean, and a single line unless said otherwise.
"""

from __future__ import annotations

from bridge.core.items import Item
from bridge.core.records import Turn
from bridge.core.tools import subject
from bridge.terminal.clean import clean, clean_line
from bridge.terminal.model import Usage

TITLE_LENGTH = 200
_NAME_LENGTH = 40


def tool_name(item: Item) -> str:
    """Return what kind of tool it is."""
    return clean_line(str(item.data.get("name") or item.data.get("kind") or "tool"), _NAME_LENGTH)


def tool_subject(item: Item) -> str:
    """Return what a tool works on: its command or path, else Kiro's own title for the call; may be empty."""
    words = str(subject(item) or item.data.get("title") or item.data.get("purpose") or "")
    found = clean_line(words, TITLE_LENGTH)
    return "" if found == tool_name(item) else found


def tool_status(item: Item) -> str:
    """Return how the tool call is or ended."""
    status = clean_line(str(item.data.get("status") or "running"), _NAME_LENGTH)
    note = tool_note(item)
    return f"{status}, {note}" if note else status


def tool_note(item: Item) -> str:
    """Return what is worth saying of a tool call beside a sign for its status: an exit code that is not 0."""
    code = item.data.get("exit_code")
    return f"exit code {code}" if isinstance(code, int) and code else ""


def plan_steps(item: Item) -> list[tuple[str, str]]:
    """Return the steps of a plan: how each stands, and what it is."""
    steps = item.data.get("steps")
    return [
        (str(step.get("status")), clean_line(str(step.get("text") or ""), TITLE_LENGTH))
        for step in (steps if isinstance(steps, list) else [])
        if isinstance(step, dict)
    ]


def ending(turn: Turn) -> list[str]:
    """Return the lines that tell how a turn ended, none when it ended well."""
    if turn.state == "cancelled":
        return ["Stopped."]
    if turn.state not in ("failed", "interrupted"):
        return []
    lines = ["Failed." if turn.state == "failed" else "Interrupted."]
    if turn.problem is not None:
        lines[0] = f"{lines[0][:-1]}: {clean(turn.problem.cause)}"
        lines += [clean(turn.problem.remedy)] if turn.problem.remedy else []
    return [line for text in lines for line in text.split("\n")]


def cost(usage: Usage) -> str:
    """Return credits and duration of a turn, empty where neither is known."""
    parts = [f"{usage.credits:.2f} credits"] if usage.credits is not None else []
    parts += [duration(usage.duration_ms / 1000)] if usage.duration_ms is not None else []
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration as a person says it: `9 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def excerpt(text: str, most: int, *, end: bool = False) -> list[str]:
    """Return the first (or last) `most` lines of a text, with a line that says how many are not shown."""
    lines = clean(text).strip("\n").split("\n") if text.strip() else []
    hidden = len(lines) - most
    if hidden <= 1:
        return lines
    note = f"… {hidden} more lines"
    return [note, *lines[-most:]] if end else [*lines[:most], note]
