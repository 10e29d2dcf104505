"""A conversation as text, for another one that begins with it.

Invariant: bounded, the newest turns whole as far as they fit; the user's own prompt stays as it was written, and what
Kiro is given instead is kept beside it.
"""

from __future__ import annotations

from bridge.core.feed import Notice, PromptRecorded
from bridge.core.items import Item
from bridge.core.prompts import PromptMatch
from bridge.core.records import StoredItem, Turn
from bridge.core.text import first_line
from bridge.core.tools import is_status_report, subject
from bridge.ledger import Ledger

LENGTH = 24_000
_ITEM_LENGTH = 4_000
_TURNS = 100
_LEFT_OUT = "[What was said before is left out.]"
_END = "</conversation>"


def transcript(ledger: Ledger, session_id: str) -> str:
    """Return the end of a session as text of at most about 24,000 characters; empty where nothing was said."""
    turns = ledger.turns(session_id, limit=_TURNS + 1)
    parts: list[str] = []
    room = LENGTH
    for turn in reversed(turns[-_TURNS:]):
        part = _turn_text(turn, ledger.turn_items(turn.id))
        room -= len(part)
        if room < 0:
            break
        parts.append(part)
    if len(parts) < len(turns):
        parts.append(_LEFT_OUT)
    return "\n\n".join(reversed(parts)).replace(_END, "[/conversation]")


def sent_with(context: tuple[str, str], prompt: str) -> str:
    """Return what Kiro is given for a prompt that takes (title, transcript) along.

    A prompt that begins with a slash or an at sign is Kiro's own command, and only as long as it stands at the
    beginning: it is given as it is.
    """
    title, text = context
    if prompt.lstrip()[:1] in ("/", "@") or not text:
        return ""
    name = first_line(title, 80)
    head = f"This continues an earlier conversation, “{name}”. Its end, as context and not as a request:"
    return f"{head}\n<conversation>\n{text}\n{_END}\n\n{prompt}"


def told(context: tuple[str, str]) -> Notice:
    """Return what a person is told of a prompt that takes a transcript along."""
    title, text = context
    name = first_line(title, 80)
    return Notice("forked", f"This conversation goes on from “{name}”: Kiro was given its last {len(text)} characters.")


def as_asked(event: PromptRecorded, prompt: str, sent: str) -> PromptRecorded:
    """Return the record of a prompt with the user's own words, where what was sent was more than those."""
    if sent and PromptMatch(sent).matches(event.text):
        return PromptRecorded(event.key, prompt, event.at)
    return event


def _turn_text(turn: Turn, items: list[StoredItem]) -> str:
    lines = [f"User: {_cut(turn.prompt)}"] if turn.prompt else []
    lines += [line for stored in items if (line := _line(stored.item))]
    return "\n\n".join(lines)


def _line(item: Item) -> str:
    if "agent" in item.data or is_status_report(item):
        return ""
    if item.kind == "text" and item.text.strip():
        return f"Kiro: {_cut(item.text)}"
    if item.kind == "tool":
        name = item.data.get("title") or subject(item) or item.data.get("name") or "tool"
        return f"[Kiro used a tool: {first_line(str(name), 200)}]"
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= _ITEM_LENGTH else f"{text[:_ITEM_LENGTH]} […]"
