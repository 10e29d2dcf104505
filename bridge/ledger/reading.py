"""Every question the ledger is asked, as SQL.

Invariant: each function takes a connection that sees one committed state and changes nothing; the cost of a
page is that of the page, whatever stands before or after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from bridge.core.records import (
    TURN_OVER,
    Event,
    ItemEvent,
    RemovedEvent,
    Session,
    SessionEvent,
    StoredItem,
    Turn,
    TurnEvent,
)
from bridge.errors import UnknownSession
from bridge.ledger import rows

SESSION = """SELECT id, cwd, title, engine, kiro_id, created_at, updated_at, pinned, archived, origin, options,
    last_line, deleted, (SELECT count(*) FROM queue WHERE session_num = num) AS queued FROM sessions"""
TURN = """SELECT t.id, s.id AS session_id, t.message_id, p.text AS prompt, p.sent, t.state, t.accepted_at, t.ended_at,
    t.changed_at, t.problem, m.mark, t.origin
    FROM turns t CROSS JOIN sessions s ON s.num = t.session_num
    LEFT JOIN prompts p ON p.turn_id = t.id LEFT JOIN marks m ON m.turn_id = t.id"""
ITEM_COLUMNS = """SELECT i.id, s.id AS session_id, i.turn_id, i.key, i.kind, i.position, i.text, i.data,
    i.final, i.recorded, i.created_at, e.at AS updated_at, e.seq"""
ITEM = f"""{ITEM_COLUMNS}
    FROM items i CROSS JOIN events e ON e.item_id = i.id CROSS JOIN sessions s ON s.num = i.session_num"""
EVENTS = """SELECT e.seq, s.id AS session_id, e.kind, e.turn_id, e.item_id, e.state, e.at
    FROM events e CROSS JOIN sessions s ON s.num = e.session_num"""

_HIGHEST = (1 << 63) - 1
_UPWARDS = "ORDER BY i.turn_id DESC, i.position DESC, i.id DESC LIMIT ?"
_KEYS_AT_ONCE = 500


def number_of(connection: sqlite3.Connection, session_id: str) -> int | None:
    """Return the session's number, by which the other tables know it, or None."""
    row = connection.execute(
        "SELECT num FROM sessions WHERE id = ? AND NOT deleted", (rows.clean(session_id),)
    ).fetchone()
    return None if row is None else int(row[0])


def known_number(connection: sqlite3.Connection, session_id: str) -> int:
    """Return the session's number. Raises `UnknownSession`."""
    number = number_of(connection, session_id)
    if number is None:
        raise UnknownSession(
            f"There is no session '{session_id}'.", "Ask for the list of sessions and use an id from it."
        )
    return number


def session(connection: sqlite3.Connection, session_id: str) -> Session | None:
    """Return a session, or None."""
    row = connection.execute(f"{SESSION} WHERE id = ? AND NOT deleted", (rows.clean(session_id),)).fetchone()
    return row and rows.session_of(row)


def session_as_told(connection: sqlite3.Connection, session_id: str) -> Session:
    """Return a session that is there or was deleted, as its events tell of it."""
    return rows.session_of(connection.execute(f"{SESSION} WHERE id = ?", (session_id,)).fetchone())


def sessions(connection: sqlite3.Connection, archived: bool | None) -> list[Session]:
    """Return all sessions, or those that are `archived` or not, pinned ones first, then the newest updated."""
    found = connection.execute(
        f"{SESSION} WHERE NOT deleted AND NOT adopting AND archived = coalesce(?, archived)"
        " ORDER BY pinned DESC, updated_at DESC, num DESC",
        (archived,),
    )
    return [rows.session_of(row) for row in found]


def session_of_kiro(connection: sqlite3.Connection, engine: str, kiro_id: str) -> Session | None:
    """Return the session that holds a conversation of Kiro's, or None."""
    row = connection.execute(
        f"{SESSION} WHERE engine = ? AND kiro_id = ? AND NOT deleted ORDER BY num DESC LIMIT 1",
        (engine, rows.clean(kiro_id)),
    ).fetchone()
    return row and rows.session_of(row)


def context(connection: sqlite3.Connection, session_id: str) -> tuple[str, str] | None:
    """Return title and text of what the session's first prompt takes along, or None."""
    row = connection.execute(
        "SELECT title, text FROM contexts WHERE session_num = ?", (number_of(connection, session_id),)
    ).fetchone()
    return None if row is None else (row[0], row[1])


def turn(connection: sqlite3.Connection, turn_id: int) -> Turn | None:
    """Return a turn, or None."""
    row = connection.execute(f"{TURN} WHERE t.id = ?", (_bounded(turn_id),)).fetchone()
    return row and rows.turn_of(row)


def turns(connection: sqlite3.Connection, session_id: str, before: int | None, limit: int | None) -> list[Turn]:
    """Return the newest `limit` (None: all) turns with an id below `before` (None: the end), ascending."""
    found = connection.execute(
        f"{TURN} WHERE t.session_num = ? AND t.id < ? ORDER BY t.id DESC LIMIT ?",
        (number_of(connection, session_id), _bounded(_HIGHEST if before is None else before), _limit(limit)),
    )
    return [rows.turn_of(row) for row in found][::-1]


def unfinished(connection: sqlite3.Connection) -> list[Turn]:
    """Return the turns that have no end, ascending."""
    found = connection.execute(f"{TURN} WHERE t.ended_at IS NULL")  # ordered in SQL, it would walk through all turns
    return sorted((rows.turn_of(row) for row in found), key=lambda turn: turn.id)


def active_turn(connection: sqlite3.Connection, session_id: str) -> Turn | None:
    """Return the oldest turn of the session that has no end, or None."""
    row = connection.execute(
        f"{TURN} WHERE t.session_num = ? AND t.ended_at IS NULL ORDER BY t.id LIMIT 1",
        (number_of(connection, session_id),),
    ).fetchone()
    return row and rows.turn_of(row)


def turn_items(connection: sqlite3.Connection, turn_id: int) -> list[StoredItem]:
    """Return the items of a turn with their whole text, in their places."""
    owner = connection.execute("SELECT session_num FROM turns WHERE id = ?", (_bounded(turn_id),)).fetchone()
    if owner is None:
        return []
    found = connection.execute(
        f"{ITEM} WHERE i.session_num = ? AND i.turn_id = ? AND i.key IS NOT NULL ORDER BY i.position, i.id",
        (owner[0], turn_id),
    )
    return _items(connection, found)


def conversation(
    connection: sqlite3.Connection, session_id: str, after: int, limit: int
) -> list[tuple[Turn, list[StoredItem]]]:
    """Return the first `limit` turns with an id above `after`, ascending, each with its items in their places."""
    number = number_of(connection, session_id)
    found = [
        rows.turn_of(row)
        for row in connection.execute(
            f"{TURN} WHERE t.session_num = ? AND t.id > ? ORDER BY t.id LIMIT ?", (number, _bounded(after), limit)
        )
    ]
    if not found:
        return []
    grouped: dict[int, list[StoredItem]] = {turn.id: [] for turn in found}
    for stored in _items(
        connection,
        connection.execute(
            f"{ITEM} WHERE i.session_num = ? AND i.turn_id BETWEEN ? AND ? AND i.key IS NOT NULL"
            " ORDER BY i.turn_id, i.position, i.id",
            (number, found[0].id, found[-1].id),
        ),
    ):
        grouped[stored.turn_id].append(stored)
    return [(turn, grouped[turn.id]) for turn in found]


def has_initial(connection: sqlite3.Connection, session_id: str, prompt: str) -> bool:
    """Return whether the session has a turn whose initial prompt was `prompt`."""
    row = connection.execute(
        "SELECT 1 FROM turns t JOIN prompts p ON p.turn_id = t.id"
        " WHERE t.session_num = ? AND t.origin = 'initial' AND p.text = ? LIMIT 1",
        (number_of(connection, session_id), rows.clean(prompt)),
    ).fetchone()
    return row is not None


def items(connection: sqlite3.Connection, session_id: str, before: int | None, limit: int) -> list[StoredItem]:
    """Return the newest `limit` items that stand before the item `before` (None: the end), ascending."""
    number = number_of(connection, session_id)
    if before is None:
        found = connection.execute(
            f"{ITEM} WHERE i.session_num = ? AND i.key IS NOT NULL {_UPWARDS}", (number, _limit(limit))
        )
        return _items(connection, found)[::-1]
    cursor = connection.execute("SELECT turn_id, position, id FROM items WHERE id = ?", (_bounded(before),)).fetchone()
    if cursor is None:
        return []
    found = connection.execute(
        f"{ITEM} WHERE i.session_num = ? AND i.key IS NOT NULL"
        f" AND (i.turn_id, i.position, i.id) < (?, ?, ?) {_UPWARDS}",
        (number, *cursor, _limit(limit)),
    )
    return _items(connection, found)[::-1]


def item(connection: sqlite3.Connection, item_id: int) -> StoredItem | None:
    """Return an item with its whole text, or None where there is none or it was taken back."""
    found = _items(connection, connection.execute(f"{ITEM} WHERE i.id = ? AND i.key IS NOT NULL", (_bounded(item_id),)))
    return found[0] if found else None


def pending_approvals(connection: sqlite3.Connection, turn_id: int) -> list[StoredItem]:
    """Return the approvals of a turn that are not over, in their places."""
    owner = connection.execute("SELECT session_num FROM turns WHERE id = ?", (_bounded(turn_id),)).fetchone()
    if owner is None:
        return []
    found = connection.execute(
        f"{ITEM} WHERE i.session_num = ? AND i.turn_id = ? AND i.key IS NOT NULL AND i.kind = 'approval'"
        " AND NOT i.final ORDER BY i.position, i.id",
        (owner[0], turn_id),
    )
    return _items(connection, found)


def keys(connection: sqlite3.Connection, session_id: str, asked: Iterable[str]) -> set[str]:
    """Return which of the keys the session has items for."""
    number, by_stored = number_of(connection, session_id), {key: rows.clean(key) for key in asked}
    stored: set[str] = set()
    for some in _batches(sorted(set(by_stored.values()))):
        found = connection.execute(
            f"SELECT key FROM items WHERE session_num = ? AND key IN ({','.join('?' * len(some))})",
            (number, *some),
        )
        stored.update(row[0] for row in found)
    return {key for key, form in by_stored.items() if form in stored}


def highest_message_id(connection: sqlite3.Connection) -> int | None:
    """Return the highest AgentAPI id of a prompt (its answer has the next id), or None without turns."""
    highest = connection.execute("SELECT max(message_id) FROM turns").fetchone()[0]
    return None if highest is None else int(highest)


def growing_texts(connection: sqlite3.Connection, session_num: int, turn_id: int) -> list[tuple[int, str]]:
    """Return id and whole text of each item of the turn that is not final."""
    found = connection.execute(
        "SELECT id, text FROM items WHERE session_num = ? AND turn_id = ? AND key IS NOT NULL AND NOT final",
        (session_num, turn_id),
    )
    return [(row[0], row[1] + _appended(connection, row[0])) for row in found.fetchall()]


def last_seq(connection: sqlite3.Connection) -> int:
    """Return the highest sequence number ever given, 0 for none."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0


def events_after(connection: sqlite3.Connection, seq: int, session_id: str | None, limit: int) -> list[Event]:
    """Return the first `limit` kept events above `seq`, of one session or of all (None), ascending."""
    scope, value = "", tuple[int | None, ...]()
    if session_id is not None:
        scope, value = " AND e.session_num = ?", (_any_number(connection, session_id),)
    page = connection.execute(
        f"{EVENTS} WHERE e.seq > ?{scope} ORDER BY e.seq LIMIT ?", (_bounded(seq), *value, _limit(limit))
    ).fetchall()
    if not page:
        return []
    found = connection.execute(
        f"{ITEM_COLUMNS} FROM events e CROSS JOIN items i ON i.id = e.item_id CROSS JOIN sessions s"
        f" ON s.num = i.session_num WHERE e.seq > ? AND e.seq <= ?{scope} AND e.kind = 'item'",
        (_bounded(seq), page[-1]["seq"], *value),
    )
    items_by_seq = {record.seq: record for record in _items(connection, found)}
    return [_event(connection, row, items_by_seq) for row in page]


def overview_after(connection: sqlite3.Connection, seq: int, limit: int) -> tuple[list[Event], int]:
    """Return what a list of sessions needs of the kept events above `seq`, ascending: those of sessions, turns and
    approvals; and the sequence up to which that is all. Looks at no more than `limit` events.
    """
    page = connection.execute(
        "SELECT e.seq, s.id AS session_id, e.kind, e.turn_id, e.item_id, e.state, e.at, i.kind AS item_kind"
        " FROM events e CROSS JOIN sessions s ON s.num = e.session_num LEFT JOIN items i ON i.id = e.item_id"
        " WHERE e.seq > ? ORDER BY e.seq LIMIT ?",
        (_bounded(seq), limit),
    ).fetchall()
    reached = page[-1]["seq"] if len(page) == limit else max(seq, last_seq(connection))
    told: list[Event] = []
    for row in page:
        if row["kind"] in ("session", "turn"):
            told.append(_event(connection, row, {}))
        elif row["kind"] == "item" and row["item_kind"] == "approval":
            stored = item(connection, row["item_id"])
            if stored is not None:
                told.append(ItemEvent(row["seq"], stored))
    return told, reached


def _any_number(connection: sqlite3.Connection, session_id: str) -> int | None:
    """Return the number of a session, also of one that was deleted: its last event tells so."""
    row = connection.execute("SELECT num FROM sessions WHERE id = ?", (rows.clean(session_id),)).fetchone()
    return None if row is None else int(row[0])


def _event(connection: sqlite3.Connection, row: sqlite3.Row, items_by_seq: Mapping[int, StoredItem]) -> Event:
    if row["kind"] == "item":
        return ItemEvent(row["seq"], items_by_seq[row["seq"]])
    if row["kind"] == "removed":
        return RemovedEvent(row["seq"], row["session_id"], row["turn_id"], row["item_id"])
    if row["kind"] == "session":
        return SessionEvent(row["seq"], session_as_told(connection, row["session_id"]))
    stands = turn(connection, row["turn_id"])
    assert stands is not None  # a foreign key
    return TurnEvent(row["seq"], _as_it_was(stands, row))


def _as_it_was(now: Turn, event: sqlite3.Row) -> Turn:
    """Return the turn in the state that the event told of."""
    if event["state"] in TURN_OVER:
        return now
    return replace(now, state=event["state"], ended_at=None, problem=None, changed_at=event["at"])


def _items(connection: sqlite3.Connection, found: Iterable[sqlite3.Row]) -> list[StoredItem]:
    return [rows.item_of(row, "" if row["final"] else _appended(connection, row["id"])) for row in found]


def _appended(connection: sqlite3.Connection, item_id: int) -> str:
    parts = connection.execute("SELECT text FROM chunks WHERE item_id = ? ORDER BY start", (item_id,))
    return "".join(row[0] for row in parts)


def _bounded(number: int) -> int:
    """Return a number that SQLite can compare: clients send any."""
    return max(-_HIGHEST, min(number, _HIGHEST))


def _limit(limit: int | None) -> int:
    """Return a page's size for SQLite, where a negative one means no limit."""
    return -1 if limit is None else max(0, _bounded(limit))


def _batches(values: Sequence[Any]) -> Iterator[list[Any]]:
    rest = iter(values)
    while some := list(islice(rest, _KEYS_AT_ONCE)):
        yield some
