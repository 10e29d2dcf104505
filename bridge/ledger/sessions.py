"""Changing and deleting sessions.

Invariant: a deleted session is gone for every reader at once; what it held is taken away afterwards, a piece at a time,
so that nobody waits for it. Of its turns and items the last ones stay as empty rows: their numbers are never given
again.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from bridge.core.records import Session, SessionChange
from bridge.ledger import reading, rows, search

_PIECE = 200
_HIDDEN, _PURGED = 1, 2
_NOTES = ("uploads",)
"""What is noted of a session in `meta` under `<note>:<session id>`."""

_ITEMS_OF = "SELECT item_id FROM events WHERE session_num = ? AND item_id IS NOT NULL LIMIT ?"


def change(connection: sqlite3.Connection, session_id: str, wanted: SessionChange) -> bool:
    """Write what differs; return whether something does. Raises `UnknownSession`."""
    number = reading.known_number(connection, session_id)
    known = reading.session_as_told(connection, rows.clean(session_id))
    fields = _fields(known, wanted)
    if fields:
        assigned = ", ".join(f"{name} = ?" for name in fields)
        connection.execute(f"UPDATE sessions SET {assigned} WHERE num = ?", (*fields.values(), number))
    return bool(fields)


def _fields(known: Session, wanted: SessionChange) -> dict[str, Any]:
    """Return the columns that change; a title that somebody gave is kept from Kiro's own, an empty one is not."""
    fields: dict[str, Any] = {}
    if wanted.title is not None:
        fields.update(title=rows.clean(wanted.title), named=int(bool(wanted.title)))
    if wanted.pinned not in (None, known.pinned):
        fields["pinned"] = int(bool(wanted.pinned))
    if wanted.archived not in (None, known.archived):
        fields["archived"] = int(bool(wanted.archived))
    if wanted.options not in (None, known.options):
        assert wanted.options is not None
        fields["options"] = rows.to_options(wanted.options)
    return fields


def hide(connection: sqlite3.Connection, session_id: str) -> tuple[str, int]:
    """Delete a session for every reader; return its stored id and number. Raises `UnknownSession`."""
    number = reading.known_number(connection, session_id)
    connection.execute(
        "UPDATE sessions SET deleted = ?, title = '', last_line = '', held = '', options = '{}', kiro_id = NULL,"
        " pinned = 0 WHERE num = ?",
        (_HIDDEN, number),
    )
    connection.execute("DELETE FROM queue WHERE session_num = ?", (number,))
    connection.execute("DELETE FROM contexts WHERE session_num = ?", (number,))
    for note in _NOTES:
        connection.execute("DELETE FROM meta WHERE name = ?", (rows.clean(f"{note}:{session_id}"),))
    return rows.clean(session_id), number


def purge_piece(connection: sqlite3.Connection) -> bool:
    """Take away a piece of what deleted sessions held; return whether there may be more.

    Foreign keys must be off: their checks would walk through all items for each turn.
    """
    row = connection.execute("SELECT num FROM sessions WHERE deleted = ? LIMIT 1", (_HIDDEN,)).fetchone()
    if row is None:
        return False
    number = row[0]
    found = [row[0] for row in connection.execute(_ITEMS_OF, (number, _PIECE)).fetchall()]
    for item_id in found:
        _remove_item(connection, item_id)
    if len(found) < _PIECE:
        _remove_turns(connection, number)
        connection.execute("UPDATE sessions SET deleted = ? WHERE num = ?", (_PURGED, number))
    return True


def _remove_item(connection: sqlite3.Connection, item_id: int) -> None:
    search.forget(connection, item_id)
    connection.execute("DELETE FROM chunks WHERE item_id = ?", (item_id,))
    connection.execute("DELETE FROM events WHERE item_id = ?", (item_id,))
    if connection.execute("SELECT max(id) FROM items").fetchone()[0] == item_id:
        connection.execute(
            "UPDATE items SET key = NULL, final = 1, length = 0, data = '{}', text = '' WHERE id = ?", (item_id,)
        )
    else:
        connection.execute("DELETE FROM items WHERE id = ?", (item_id,))


def _remove_turns(connection: sqlite3.Connection, number: int) -> None:
    """Remove the turns of a session without items. The last turn of all stays as an empty one for its numbers, and one
    for an item that stays."""
    found = connection.execute("SELECT id FROM turns WHERE session_num = ?", (number,)).fetchall()
    last = connection.execute("SELECT max(id) FROM turns").fetchone()[0]
    left = connection.execute("SELECT turn_id FROM items WHERE id = (SELECT max(id) FROM items)").fetchone()
    for turn in [row[0] for row in found]:
        for table in ("prompts", "marks", "to_index"):
            connection.execute(f"DELETE FROM {table} WHERE turn_id = ?", (turn,))
        row = connection.execute("SELECT message_id, accepted_at FROM turns WHERE id = ?", (turn,)).fetchone()
        connection.execute("DELETE FROM turns WHERE id = ?", (turn,))
        if turn == last or (left is not None and left[0] == turn):
            connection.execute(
                "INSERT INTO turns (id, session_num, message_id, state, origin, accepted_at, ended_at, changed_at)"
                " VALUES (?, ?, ?, 'completed', 'import', ?, ?, ?)",
                (turn, number, row[0], row[1], row[1], row[1]),
            )
    connection.execute(
        "DELETE FROM events WHERE session_num = ? AND (kind != 'session' OR seq !="
        " (SELECT max(seq) FROM events WHERE session_num = ? AND kind = 'session'))",
        (number, number),
    )
