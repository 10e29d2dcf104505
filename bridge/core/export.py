"""A session as a Markdown document, for people to keep.

Invariant: pure; a document is made turn by turn, so that its length does not matter. What stands in a code block never
ends it; the words of the user and the agent are Markdown already and are given as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator

from bridge.core.agentapi import ending_text
from bridge.core.items import Item
from bridge.core.records import Session, Turn
from bridge.core.text import first_line
from bridge.core.tools import is_status_report, subject

_TITLE = 200
_FENCES = re.compile(r"`{3,}")
_MARKS = {"completed": "x", "running": "~", "pending": " "}


def heading(session: Session, shown_time: Callable[[float], str]) -> str:
    """Return the head of the document; `shown_time` writes seconds since the epoch."""
    title = first_line(session.title, _TITLE) or "Conversation"
    lines = [f"# {title}", "", f"- Folder: {_code(session.cwd)}"]
    if session.kiro_id:
        lines.append(f"- Kiro: {session.engine or 'unknown engine'}, conversation {_code(session.kiro_id)}")
    lines += [f"- Made: {shown_time(session.created_at)}", f"- Changed: {shown_time(session.updated_at)}", ""]
    return "\n".join(lines)


def turn_text(turn: Turn, items: Iterable[Item], shown_time: Callable[[float], str]) -> str:
    """Return one turn: the prompt, everything that came of it in order, and how it ended if not well."""
    parts = [f"## {shown_time(turn.accepted_at)}"]
    if turn.prompt:
        parts += ["**You**", turn.prompt]
    parts.append("**Kiro**")
    for item in items:
        parts += _parts(item)
    if ending := ending_text(turn):
        parts.append(f"*{ending}*")
    return "\n" + "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _parts(item: Item) -> Iterator[str]:
    """Yield the paragraphs of an item."""
    if item.kind == "tool":
        yield from _tool(item)
    elif item.kind == "text" and item.text:
        yield (f"*{item.data['agent']}:*\n\n" if "agent" in item.data else "") + item.text
    elif item.kind in ("thought", "notice") and item.text:
        yield _quoted(f"{'Thought' if item.kind == 'thought' else 'Note'}: {item.text}")
    elif item.kind == "plan":
        yield _plan(item)
    elif item.kind == "approval":
        yield from _approval(item)
    elif item.kind == "usage" and (spent := _usage(item)):
        yield f"*{spent}*"


def _tool(item: Item) -> Iterator[str]:
    if is_status_report(item):
        return
    title = str(item.data.get("title") or subject(item) or item.data.get("name") or "tool")
    yield f"**Tool** {_code(first_line(title, _TITLE))} ({item.data.get('status') or 'no status'})"
    if arguments := item.data.get("input"):
        yield _block(json.dumps(arguments, ensure_ascii=False, indent=2, default=str), "json")
    if item.text:
        yield _block(item.text)


def _approval(item: Item) -> Iterator[str]:
    options = item.data.get("options") or ()
    labels = {str(option.get("id")): str(option.get("label")) for option in options if isinstance(option, dict)}
    answer = item.data.get("answer")
    said = labels.get(str(answer), str(answer)) if answer is not None else str(item.data.get("status") or "pending")
    word = "Question" if item.data.get("question") else "Approval"
    yield f"**{word}** {_code(first_line(str(item.data.get('title') or ''), _TITLE))}: {said}"
    if item.text:
        yield _block(item.text)


def _plan(item: Item) -> str:
    steps = (step for step in item.data.get("steps") or () if isinstance(step, dict))
    lines = (
        f"- [{_MARKS.get(str(step.get('status')), ' ')}] {first_line(str(step.get('text')), 500)}" for step in steps
    )
    return "\n".join(["**Plan**", "", *lines])


def _usage(item: Item) -> str:
    credits, percent = item.data.get("credits"), item.data.get("context_percent")
    told = [f"{credits:g} credits"] if isinstance(credits, (int, float)) else []
    return ", ".join([*told, *([f"{percent:g} % of the context"] if isinstance(percent, (int, float)) else [])])


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _code(text: str) -> str:
    """Return text as an inline code span, whatever back-ticks are in it."""
    fence = "`" * (max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    room = " " if "`" in text or not text else ""
    return f"{fence}{room}{text}{room}{fence}"


def _block(text: str, language: str = "") -> str:
    fence = "`" * max(3, *(len(run) + 1 for run in _FENCES.findall(text)), 3)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"
