"""The conversation as a client holds it, and what of it may be printed for good.

Invariants: one model, changed by events alone; pure. `Transcript` gives out every block once, in the order of the
conversation, when it will not change any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from bridge.core.approvals import is_pending
from bridge.core.items import Item
from bridge.core.records import TURN_OVER, StoredItem, Turn
from bridge.core.text import squeezed, strip_prompt
from bridge.core.tools import is_status_report
from bridge.errors import Problem

JsonObject = dict[str, Any]


class OutOfStep(Exception):
    """An event does not fit what is known: the conversation must be loaded anew."""


@dataclass(frozen=True)
class Usage:
    """What a turn cost, as far as it is known."""

    credits: float | None = None
    context_percent: float | None = None
    duration_ms: int | None = None


class Conversation:
    """A session with its turns and items, kept by the events of `/api/v1` (docs/api.md)."""

    def __init__(self) -> None:
        self.session: JsonObject = {}
        self.more = False
        self._turns: dict[int, Turn] = {}
        self._items: dict[int, dict[int, StoredItem]] = {}

    def load(self, session: JsonObject, page: JsonObject) -> None:
        """Take a page of history in place of all that was known."""
        self.session, self.more = session, bool(page["more"])
        self._turns = {turn["id"]: turn_of(turn) for turn in page["turns"]}
        self._items = {}
        for item in page["items"]:
            self._put(item_of(item))

    def apply(self, name: str, data: JsonObject) -> None:
        """Take one event; unknown ones change nothing. Raises `OutOfStep`."""
        if name == "item":
            self._put(item_of(data["item"]))
        elif name == "delta":
            self._grow(data)
        elif name == "removed":
            self._items.get(data["turn_id"], {}).pop(data["item_id"], None)
        elif name == "turn":
            turn = turn_of(data["turn"])
            self._turns[turn.id] = turn
        elif name == "session":
            self.session = data["session"]

    def turns(self) -> list[Turn]:
        """Return the turns that are known, oldest first."""
        return [self._turns[number] for number in sorted(self._turns)]

    def turn(self, turn_id: int) -> Turn | None:
        """Return a turn, or None while nothing is known of it."""
        return self._turns.get(turn_id)

    def items(self, turn_id: int) -> list[StoredItem]:
        """Return the items of a turn in their places."""
        return sorted(self._items.get(turn_id, {}).values(), key=lambda stored: (stored.item.position, stored.id))

    def running(self) -> Turn | None:
        """Return the turn that has no end yet, if there is one."""
        return next((turn for turn in reversed(self.turns()) if turn.state not in TURN_OVER), None)

    def pending(self) -> StoredItem | None:
        """Return what Kiro waits for a person to answer, the first if there are several."""
        found = (stored for turn in self.turns() if turn.state not in TURN_OVER for stored in self.items(turn.id))
        return next((stored for stored in found if is_pending(stored.item)), None)

    def last_turn(self) -> int:
        """Return the id of the newest turn, 0 without any."""
        return max(self._turns, default=0)

    def accepted(self, prompt: str, after: int) -> Turn | None:
        """Return the turn with an id above `after` that was asked this prompt, if there is one."""
        text = strip_prompt(prompt)
        return next((turn for turn in self.turns() if turn.id > after and turn.prompt == text), None)

    def usage(self, turn_id: int) -> Usage:
        """Return what a turn cost; sub-agents add to the credits."""
        found = [stored.item.data for stored in self.items(turn_id) if stored.item.kind == "usage"]
        credits = [data["credits"] for data in found if data.get("credits") is not None]
        own = next((data for data in found if "agent" not in data), {})
        return Usage(sum(credits) if credits else None, own.get("context_percent"), own.get("duration_ms"))

    def latest_usage(self) -> Usage:
        """Return the usage of the newest turn that has any."""
        found = (self.usage(turn.id) for turn in reversed(self.turns()))
        return next((usage for usage in found if usage != Usage()), Usage())

    def _put(self, stored: StoredItem) -> None:
        self._items.setdefault(stored.turn_id, {})[stored.id] = stored

    def _grow(self, data: JsonObject) -> None:
        stored = self._items.get(data["turn_id"], {}).get(data["item_id"])
        if stored is None or data["offset"] > len(stored.item.text):
            raise OutOfStep(f"text at {data['offset']} of an item that is not that long")
        text = stored.item.text[: data["offset"]] + data["text"]
        self._put(replace(stored, item=replace(stored.item, text=text)))


@dataclass(frozen=True)
class Said:
    """An item that is to be printed for good. `corrected` tells that it stands above already, in other words."""

    item: Item
    corrected: bool = False


@dataclass(frozen=True)
class TurnDone:
    """The end of a turn, after its items."""

    turn: Turn
    usage: Usage


Block = Said | TurnDone


class Transcript:
    """Remembers what was printed of a conversation."""

    def __init__(self) -> None:
        self._printed: dict[int, str] = {}
        self._ended: set[int] = set()

    def take(self, conversation: Conversation) -> list[Block]:
        """Return the blocks that may be printed now and were not before."""
        return [block for turn in conversation.turns() for block in self._of_turn(conversation, turn)]

    def live(self, conversation: Conversation) -> list[Item]:
        """Return the items that may still change, in their places, and at the end what Kiro asks now."""
        turns = (turn for turn in conversation.turns() if turn.id not in self._ended)
        found = (stored for turn in turns for stored in conversation.items(turn.id))
        items = [stored.item for stored in found if stored.id not in self._printed and shown(stored.item)]
        asked = conversation.pending()
        return [item for item in items if not is_pending(item)] + ([asked.item] if asked else [])

    def _of_turn(self, conversation: Conversation, turn: Turn) -> Iterator[Block]:
        over = turn.state in TURN_OVER
        waiting = False
        for stored in conversation.items(turn.id):
            item = stored.item
            if not shown(item):
                continue
            if stored.id in self._printed:
                if item.kind == "text" and self._printed[stored.id] != (words := squeezed(item.text)):
                    self._printed[stored.id] = words
                    yield Said(item, corrected=True)
            elif item.kind == "plan" and not over:
                continue  # it changes until the end, and nothing waits for it
            elif waiting or not (over or settled(item)):
                waiting = True
            else:
                self._printed[stored.id] = squeezed(item.text) if item.kind == "text" else ""
                yield Said(item)
        if over and turn.id not in self._ended:
            self._ended.add(turn.id)
            yield TurnDone(turn, conversation.usage(turn.id))


def shown(item: Item) -> bool:
    """Return whether a person is to see the item by itself: usage stands elsewhere, status reports are for Coder."""
    if item.kind == "tool":
        return not is_status_report(item)
    if item.kind == "plan":
        return bool(item.data.get("steps"))
    return item.kind in ("notice", "approval") or (item.kind != "usage" and bool(item.text.strip()))


def settled(item: Item) -> bool:
    """Return whether an item of a running turn will not change any more, save for corrections.

    A tool that has ended gets its output when Kiro writes it down.
    """
    return item.final and (item.kind != "tool" or item.recorded or bool(item.text))


def item_of(data: JsonObject) -> StoredItem:
    """Return an item as `/api/v1` describes it."""
    item = Item(
        data["key"], data["kind"], data["position"], data["text"], data["data"], data["final"], data["recorded"]
    )
    at = seconds_of(data["updated_at"])
    return StoredItem(data["id"], "", data["turn_id"], item, seconds_of(data["created_at"]), at, 0)


def turn_of(data: JsonObject) -> Turn:
    """Return a turn as `/api/v1` describes it."""
    problem = data.get("problem")
    return Turn(
        data["id"], data["session_id"], data["message_id"], data["prompt"], data["state"],
        accepted_at=seconds_of(data["accepted_at"]),
        ended_at=None if data["ended_at"] is None else seconds_of(data["ended_at"]),
        problem=Problem(problem["code"], problem["cause"], problem["remedy"]) if problem else None,
        origin=data["origin"],
    )  # fmt: skip


def seconds_of(text: str) -> float:
    """Return a time of `/api/v1` (RFC 3339 in UTC with microseconds) as seconds since the epoch."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()
