"""The prompts of a session that wait.

Invariant: places are 0, 1, 2 and so on; a prompt leaves the queue in the transaction that makes a turn of it; an empty
queue is not held.
"""

from __future__ import annotations

import sqlite3

from bridge.core.records import Queue, QueuedPrompt
from bridge.errors import RequestRefused
from bridge.ledger import rows

MOST = 100

LISTED = """SELECT q.id, s.id AS session_id, q.text, q.created_at FROM queue q
    CROSS JOIN sessions s ON s.num = q.session_num WHERE q.session_num = ? ORDER BY q.place"""


def listed(connection: sqlite3.Connection, number: int) -> Queue:
    """Return the queue of the session with that number."""
    held = connection.execute("SELECT held FROM sessions WHERE num = ?", (number,)).fetchone()[0]
    return Queue(tuple(rows.queued_of(row) for row in connection.execute(LISTED, (number,))), held)


def add(connection: sqlite3.Connection, number: int, text: str, at: float, *, first: bool) -> int:
    """Add a prompt at the end or as the next one; return its id. Raises RequestRefused when too many wait."""
    order = _order(connection, number)
    if len(order) >= MOST:
        raise RequestRefused(f"{MOST} prompts wait in this session already.", "Remove one, or wait.", code="queue_full")
    cursor = connection.execute(
        "INSERT INTO queue (session_num, place, created_at, text) VALUES (?, ?, ?, ?)",
        (number, len(order), at, rows.clean(text)),
    )
    assert cursor.lastrowid is not None
    if first:
        _arrange(connection, [cursor.lastrowid, *order])
    return cursor.lastrowid


def change(connection: sqlite3.Connection, number: int, queued_id: int, text: str | None, place: int | None) -> None:
    """Change text, place or both. Raises RequestRefused (code `unknown_queued`)."""
    order = _order(connection, number)
    _known(order, queued_id)
    if text is not None:
        connection.execute("UPDATE queue SET text = ? WHERE id = ?", (rows.clean(text), queued_id))
    if place is not None:
        order.remove(queued_id)
        order.insert(place, queued_id)
        _arrange(connection, order)


def remove(connection: sqlite3.Connection, number: int, queued_id: int) -> None:
    """Take a prompt out. Raises RequestRefused (code `unknown_queued`)."""
    order = _order(connection, number)
    _known(order, queued_id)
    order.remove(queued_id)
    connection.execute("DELETE FROM queue WHERE id = ?", (queued_id,))
    _arrange(connection, order)
    if not order:
        connection.execute("UPDATE sessions SET held = '' WHERE num = ?", (number,))


def take(connection: sqlite3.Connection, number: int) -> QueuedPrompt | None:
    """Take the next prompt out and return it; None when none waits or the queue is held."""
    queue = listed(connection, number)
    if queue.held or not queue.prompts:
        return None
    remove(connection, number, queue.prompts[0].id)
    return queue.prompts[0]


def _order(connection: sqlite3.Connection, number: int) -> list[int]:
    found = connection.execute("SELECT id FROM queue WHERE session_num = ? ORDER BY place", (number,))
    return [row[0] for row in found]


def _arrange(connection: sqlite3.Connection, order: list[int]) -> None:
    connection.executemany(
        "UPDATE queue SET place = ? WHERE id = ? AND place != ?",
        [(place, queued_id, place) for place, queued_id in enumerate(order)],
    )


def _known(order: list[int], queued_id: int) -> None:
    if queued_id not in order:
        raise RequestRefused(
            f"No prompt {queued_id} waits in this session.",
            "It was sent or removed: GET the queue again.",
            code="unknown_queued",
        )
