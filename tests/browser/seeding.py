"""Histories for the page to show, written into the ledger of a bridge that does not run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bridge.core.items import Change, Item, ItemPut, SessionLearned, TurnEnded
from bridge.errors import Problem
from bridge.ledger import Ledger
from tests.whole.conftest import Bridge

TEXT = "Paragraph **{0}** with `code` and some words, so that a line is full and the next one begins.\n\n- one\n- two\n"


def seed(bridge: Bridge, turns: Iterable[tuple[str, list[Change]]]) -> None:
    """Start and stop the bridge, and write prompts with the changes of their turns into its primary session."""
    bridge.start()
    session = bridge.session()
    bridge.stop()
    ledger = Ledger.open(next(bridge.home.rglob("ledger.sqlite3")))
    try:
        for prompt, changes in turns:
            turn, _ = ledger.accept(session, prompt)
            ledger.start(turn.id)
            ledger.apply(turn.id, changes)
    finally:
        ledger.close()


def long_history(items: int) -> Iterator[tuple[str, list[Change]]]:
    """Yield turns of ten items each, as an ordinary conversation has them."""
    for turn in range(items // 10):
        changes: list[Change] = []
        for position in range(1, 10):
            key = f"{turn}-{position}"
            if position % 3:
                item = Item(key, "text", position, TEXT.format(key), {}, True, True)
            else:
                data = {"name": "shell", "status": "completed", "input": {"command": f"ls part-{turn}"}, "exit_code": 0}
                item = Item(key, "tool", position, "out\n" * 30, data, True, True)
            changes.append(ItemPut(item))
        yield f"Prompt {turn}: what is in part {turn}?", [*changes, TurnEnded("completed")]


def hostile_turn(text: str) -> tuple[str, list[Change]]:
    """Return a turn that has `text` in every field that the agent controls."""
    tool = {
        **dict.fromkeys(("name", "title", "kind", "purpose", "agent"), text),
        "status": "completed",
        "input": {"command": text, "path": text, text: text, "old_str": text, "new_str": text},
        "locations": [text],
        "exit_code": 1,
    }
    options = [{"id": text, "label": text, "kind": "answer"}, {"id": "no", "label": text, "kind": text}]
    asked = {"status": "answered", "title": text, "tool_key": text, "question": True, "options": options}
    items = [
        Item("text", "text", 1, text, {"agent": text}, True, True),
        Item("fence", "text", 2, f"```{text}\n{text}\n```\n", {}, True, True),
        Item("link", "text", 3, f"[{text}]({text}) ![{text}]({text}) <{text}>", {}, True, True),
        Item("thought", "thought", 4, text, {}, True, True),
        Item("plan", "plan", 5, "", {"steps": [{"text": text, "status": text}]}, True, True),
        Item("tool", "tool", 6, text, tool, True, True),
        Item("write", "tool", 7, text, {**tool, "name": "fs_write"}, True, True),
        Item("approval", "approval", 8, text, {**asked, "answer": text, "reason": text}, True, True),
        Item("notice", "notice", 9, text, {"level": text}, True, True),
        Item("usage", "usage", 10, "", {"credits": text, "context_percent": text}, True, True),
        Item("strange", "prompt", 11, text, {"origin": "kiro"}, True, True),
    ]
    learned = SessionLearned(title=text[:200])
    return text, [*map(ItemPut, items), learned, TurnEnded("failed", Problem(text, text, text))]
