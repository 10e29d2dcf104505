"""Sequence numbers, and the events that carry them.

Invariant: numbers are given in the order in which things happen and follow the highest ever given. An item
has one row in `events`, that of its last change; a turn has one for each of its states, a session one for
each time it changed.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from bridge.core.items import Item
from bridge.core.records import (
    DeltaEvent,
    Event,
    ItemEvent,
    RemovedEvent,
    SessionEvent,
    StoredItem,
    TurnEvent,
)
from bridge.ledger import reading


@dataclass(frozen=True)
class Place:
    """Where a change goes: a turn and its session."""

    session_id: str
    session_num: int
    turn_id: int


class Journal:
    """The events of one transaction, in order, in `events`.

    `finish` must be called before the transaction is committed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Continue after the highest number in the ledger."""
        self.events: list[Event] = []
        self._connection = connection
        self._seq = reading.last_seq(connection)
        self._last_of_item: dict[int, tuple[int, int, str, int, int, float]] = {}
        self._touched_turns: dict[int, float] = {}

    def item_put(self, place: Place, item_id: int, item: Item, created_at: float, at: float) -> None:
        """Tell that the item is now `item`."""
        seq = self._item_changed(place, item_id, "item", at)
        record = StoredItem(item_id, place.session_id, place.turn_id, item, created_at, at, seq)
        self.events.append(ItemEvent(seq, record))

    def text_appended(self, place: Place, item_id: int, offset: int, text: str, at: float) -> None:
        """Tell that `text` follows at `offset` characters."""
        seq = self._item_changed(place, item_id, "item", at)
        self.events.append(DeltaEvent(seq, place.session_id, place.turn_id, item_id, offset, text, at))

    def item_removed(self, place: Place, item_id: int, at: float) -> None:
        """Tell that the item was taken back."""
        seq = self._item_changed(place, item_id, "removed", at)
        self.events.append(RemovedEvent(seq, place.session_id, place.turn_id, item_id))

    def turn_changed(self, place: Place) -> TurnEvent:
        """Tell that the turn has the state that its row has now."""
        turn = reading.turn(self._connection, place.turn_id)
        assert turn is not None  # the caller wrote it
        event = TurnEvent(self._next_seq(), turn)
        self._connection.execute(
            "INSERT INTO events (seq, session_num, kind, turn_id, state, at) VALUES (?, ?, 'turn', ?, ?, ?)",
            (event.seq, place.session_num, turn.id, turn.state, turn.changed_at),
        )
        self.events.append(event)
        return event

    def session_changed(self, session_id: str, session_num: int) -> SessionEvent:
        """Tell that the session is as its row is now."""
        session = reading.session_as_told(self._connection, session_id)
        event = SessionEvent(self._next_seq(), session)
        self._connection.execute(
            "INSERT INTO events (seq, session_num, kind, at) VALUES (?, ?, 'session', ?)",
            (event.seq, session_num, session.updated_at),
        )
        self.events.append(event)
        return event

    def finish(self) -> None:
        """Write down the last change of each item that changed, and its time with its turn."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO events (seq, session_num, kind, turn_id, item_id, at) VALUES (?, ?, ?, ?, ?, ?)",
            self._last_of_item.values(),
        )
        self._connection.executemany(
            "UPDATE turns SET changed_at = ? WHERE id = ?",
            [(at, turn_id) for turn_id, at in self._touched_turns.items()],
        )

    def _item_changed(self, place: Place, item_id: int, kind: str, at: float) -> int:
        seq = self._next_seq()
        self._last_of_item[item_id] = (seq, place.session_num, kind, place.turn_id, item_id, at)
        self._touched_turns[place.turn_id] = at
        return seq

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq
