"""The conversation model: items of a turn, and the changes the state machine makes to them.

Invariant: within a session an item is known by its `key`; its place is (turn, position). Both the ledger and every
client hold items; everything a client sees is a projection of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.core.feed import Engine, Outcome
from bridge.errors import Problem

ItemKind = Literal["text", "thought", "tool", "notice", "usage", "prompt", "approval", "plan"]


@dataclass(frozen=True)
class Item:
    """One thing in a conversation.

    `text` is Markdown for `text` and `thought`, the output for `tool`, the sentence for `notice`, and the user's words
    for `prompt`. `data` holds the other JSON-ready fields of the kind:

    - tool: name, title, kind, status, input, exit_code, locations, purpose
    - notice: level
    - usage: credits, context_percent, duration_ms
    - approval: status (pending, answered, expired, interrupted), title, tool_key, question, options (id, label, kind),
      answer (an option's id or None), reason; its text is what will run, or the question
    - plan: steps (text, status)
    - all: agent (a sub-agent's id) where it is not the main agent's

    `final` means no more text will be appended; `recorded` means Kiro's own store holds it so.
    """

    key: str
    kind: ItemKind
    position: int
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    final: bool = False
    recorded: bool = False


@dataclass(frozen=True)
class ItemPut:
    """An item is new or has changed in more than appended text. `old_key` is its name before, if it has another."""

    item: Item
    old_key: str | None = None


@dataclass(frozen=True)
class TextAppended:
    """`text` follows at `offset` characters (code points) of the item's text."""

    key: str
    offset: int
    text: str


@dataclass(frozen=True)
class ItemRemoved:
    """A preview turned out to be part of another item and is taken back."""

    key: str


@dataclass(frozen=True)
class SessionLearned:
    """Facts about the session: Kiro's id and engine, a title, or both."""

    kiro_id: str | None = None
    engine: Engine | None = None
    title: str | None = None


@dataclass(frozen=True)
class TurnEnded:
    """The one terminal event of a turn."""

    outcome: Outcome
    problem: Problem | None = None


Change = ItemPut | TextAppended | ItemRemoved | SessionLearned | TurnEnded
