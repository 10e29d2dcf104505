"""Changes to sessions, turns and items, written in one transaction.

Invariant: a change that cannot follow what is stored is refused, and with it the whole transaction; a turn
ends once; an item stays in the turn it was first seen in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bridge.core.items import Change, Item, ItemPut, ItemRemoved, SessionLearned, TextAppended, TurnEnded
from bridge.core.records import Session, SessionChange, SessionEvent, SessionOptions, Turn, TurnEvent
from bridge.core.text import first_line
from bridge.errors import LedgerError
from bridge.ledger import queue, reading, rows, search, sessions
from bridge.ledger.journal import Journal, Place
from bridge.ledger.schema import LAST_LINE_LENGTH

_NO_WISHES = SessionOptions()
_REPORT = "This is a fault of the bridge: please report it with the log."


@dataclass(frozen=True)
class NewTurn:
    """A turn to be written: see `Turn`. With `ended_at` it is over, as `completed`; without, it is to be run.

    `prompt` None means that no user's message belongs to it: it gets no prompt item. `sent` is what Kiro is given
    where that is another text.
    """

    message_id: int
    prompt: str | None
    origin: str
    at: float
    ended_at: float | None = None
    sent: str = ""


@dataclass(frozen=True)
class _Known:
    """What must be known of a stored item to change it; `finish` is the length of its whole text."""

    id: int
    place: Place
    position: int
    final: bool
    created_at: float
    finish: int


class Batch:
    """The changes of one transaction, made at `now` (epoch seconds) unless they bring their own time.

    `journal` has the events they gave; its `finish` must be called before the commit.
    """

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        """Begin with no changes, on a connection that is in a transaction."""
        self.journal = Journal(connection)
        self.now = now
        self._connection = connection

    def free_message_id(self) -> int:
        """Return the lowest AgentAPI id that is above those of all prompts and of their answers."""
        highest = reading.highest_message_id(self._connection)
        return 0 if highest is None else highest + 2

    def create_session(
        self, session_id: str, cwd: str, title: str, options: SessionOptions = _NO_WISHES
    ) -> SessionEvent:
        """Write a new session; a title is somebody's own.

        Raises `LedgerError` (code `session_exists`) for an id that is or was taken.
        """
        stored_id = rows.clean(session_id)
        if self._connection.execute("SELECT 1 FROM sessions WHERE id = ?", (stored_id,)).fetchone():
            raise LedgerError(
                f"There is already a session '{session_id}'.", "Use it, or another id.", code="session_exists"
            )
        cursor = self._connection.execute(
            "INSERT INTO sessions (id, cwd, title, named, options, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                stored_id,
                rows.to_path(cwd),
                rows.clean(title),
                int(bool(title)),
                rows.to_options(options),
                self.now,
                self.now,
            ),
        )
        return self.journal.session_changed(stored_id, _new_id(cursor))

    def adopt_session(self, session_id: str, cwd: str, title: str, engine: str, kiro_id: str, at: float) -> Session:
        """Write a session for a conversation of Kiro's that changed last at `at`; it is not told of yet."""
        self._connection.execute(
            "INSERT INTO sessions (id, cwd, title, engine, kiro_id, origin, adopting, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, 'kiro', 1, ?, ?)",
            (session_id, rows.to_path(cwd), rows.clean(title), engine, rows.clean(kiro_id), at, at),
        )
        return reading.session_as_told(self._connection, session_id)

    def even_message_id(self) -> int:
        """Return the id for a new prompt."""
        free = self.free_message_id()
        return free + free % 2

    def change_session(self, session_id: str, change: SessionChange) -> SessionEvent:
        """Change a session. Raises `UnknownSession`."""
        sessions.change(self._connection, session_id, change)
        return self._session_changed(session_id)

    def delete_session(self, session_id: str) -> None:
        """Delete a session for every reader. Raises `UnknownSession`."""
        stored_id, number = sessions.hide(self._connection, session_id)
        self.journal.session_changed(stored_id, number)

    def keep_context(self, session_id: str, title: str, text: str) -> None:
        """Keep what the session's first prompt takes along."""
        number = reading.known_number(self._connection, session_id)
        self._connection.execute(
            "INSERT OR REPLACE INTO contexts VALUES (?, ?, ?)", (number, rows.clean(title), rows.clean(text))
        )

    def end_adoption(self, session_id: str) -> SessionEvent:
        """Note that all of the history is there."""
        self._connection.execute("UPDATE sessions SET adopting = 0 WHERE id = ?", (session_id,))
        return self._session_changed(session_id)

    def enqueue(self, session_id: str, text: str, *, first: bool) -> int:
        """Add a prompt to the queue; return its id. Raises `UnknownSession`, RequestRefused."""
        number = reading.known_number(self._connection, session_id)
        queued_id = queue.add(self._connection, number, text, self.now, first=first)
        self._session_changed(session_id)
        return queued_id

    def change_queued(self, session_id: str, queued_id: int, text: str | None, place: int | None) -> None:
        """Change a prompt that waits. Raises `UnknownSession`, RequestRefused."""
        number = reading.known_number(self._connection, session_id)
        queue.change(self._connection, number, queued_id, text, place)
        self._session_changed(session_id)

    def remove_queued(self, session_id: str, queued_id: int) -> None:
        """Take a prompt out of the queue. Raises `UnknownSession`, RequestRefused."""
        queue.remove(self._connection, reading.known_number(self._connection, session_id), queued_id)
        self._session_changed(session_id)

    def hold_queue(self, session_id: str, reason: str) -> None:
        """Hold the queue if prompts wait, or have it go on. Raises `UnknownSession`."""
        number = reading.known_number(self._connection, session_id)
        found = queue.listed(self._connection, number)
        if found.held != reason and (found.prompts or not reason):
            self._connection.execute("UPDATE sessions SET held = ? WHERE num = ?", (reason, number))
            self._session_changed(session_id)

    def accept_queued(self, session_id: str, sent: Callable[[str], str]) -> Turn | None:
        """Make a turn of the next prompt of the queue, if one is to be sent."""
        taken = queue.take(self._connection, reading.known_number(self._connection, session_id))
        if taken is None:
            return None
        new = NewTurn(self.even_message_id(), taken.text, "user", self.now, sent=sent(taken.text))
        turn = self.create_turn(session_id, new)
        self._session_changed(session_id)
        return turn

    def _session_changed(self, session_id: str) -> SessionEvent:
        stored_id = rows.clean(session_id)
        return self.journal.session_changed(stored_id, reading.known_number(self._connection, stored_id))

    def create_turn(self, session_id: str, new: NewTurn) -> Turn:
        """Write a new turn with its prompt item. Raises `UnknownSession`."""
        number = reading.known_number(self._connection, session_id)
        state, changed = ("accepted", new.at) if new.ended_at is None else ("completed", new.ended_at)
        cursor = self._connection.execute(
            "INSERT INTO turns (session_num, message_id, state, origin, accepted_at, ended_at, changed_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (number, new.message_id, state, new.origin, new.at, new.ended_at, changed),
        )
        place = Place(rows.clean(session_id), number, _new_id(cursor))
        self._connection.execute(
            "INSERT INTO prompts VALUES (?, ?, ?)", (place.turn_id, rows.clean(new.prompt or ""), rows.clean(new.sent))
        )
        search.mark(self._connection, place.turn_id)
        self._touch_session(place, new.prompt or "")
        event = self.journal.turn_changed(place)
        if new.prompt is not None:
            key = f"prompt:{place.turn_id}"
            self._insert(place, Item(key, "prompt", position=0, text=new.prompt, final=True), new.at)
        return event.turn

    def create_item(self, turn_id: int, item: Item, at: float) -> None:
        """Write an item whose key is new to its session, made at `at`."""
        self._insert(self._place(turn_id), item, at)

    def start(self, turn_id: int) -> TurnEvent:
        """Bring an accepted turn to `running`. Raises `LedgerError` (code `turn_over` or `turn_running`)."""
        place = self._place(turn_id)
        if self._open_state(place) == "running":
            raise LedgerError(f"Turn {turn_id} is already running.", _REPORT, code="turn_running")
        self._connection.execute("UPDATE turns SET state = 'running', changed_at = ? WHERE id = ?", (self.now, turn_id))
        return self.journal.turn_changed(place)

    def remember(self, turn_id: int, mark: Mapping[str, Any]) -> None:
        """Keep `mark` with the turn, instead of what was kept before."""
        place = self._place(turn_id)
        self._connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (place.turn_id, rows.to_json(mark)))

    def make(self, turn_id: int, changes: Sequence[Change]) -> None:
        """Write the changes in order. Raises `LedgerError` for one that cannot follow what is stored."""
        place = self._place(turn_id)
        for change in changes:
            if isinstance(change, TextAppended):
                self._append(place, change)
            elif isinstance(change, ItemPut):
                self._put(place, change)
            elif isinstance(change, ItemRemoved):
                self._remove(place, change.key)
            elif isinstance(change, SessionLearned):
                self._learn(place, change)
            else:
                self._end(place, change)
        if any(isinstance(change, TurnEnded) or _is_final(change) for change in changes):
            search.mark(self._connection, turn_id)

    def _put(self, place: Place, change: ItemPut) -> None:
        known = self._find(place, change.item.key)
        if change.old_key is not None and change.old_key != change.item.key:
            if known is None:
                known = self._find(place, change.old_key)
            else:
                self._remove(place, change.old_key)
        if known is None:
            self._insert(place, change.item, self.now)
        else:
            self._update(place, known, change.item)

    def _insert(self, place: Place, item: Item, at: float) -> None:
        stored, data = rows.stored_form(item)
        values = {"session_num": place.session_num, "turn_id": place.turn_id, "at": at}
        cursor = self._connection.execute(
            "INSERT INTO items (session_num, turn_id, created_at, position, key, kind, final, recorded, length,"
            " data, text) VALUES (:session_num, :turn_id, :at, :position, :key, :kind, :final, :recorded,"
            " :length, :data, :text)",
            {**vars(stored), **values, "length": len(stored.text), "data": data},
        )
        self.journal.item_put(place, _new_id(cursor), stored, at, at)

    def _update(self, place: Place, known: _Known, item: Item) -> None:
        stored, data = rows.stored_form(item)
        if known.place != place:
            stored = replace(stored, position=known.position)
        search.forget(self._connection, known.id)
        self._connection.execute(
            "UPDATE items SET position = :position, key = :key, kind = :kind, final = :final,"
            " recorded = :recorded, length = :length, data = :data, text = :text WHERE id = :id",
            {**vars(stored), "length": len(stored.text), "data": data, "id": known.id},
        )
        self._connection.execute("DELETE FROM chunks WHERE item_id = ?", (known.id,))
        self.journal.item_put(known.place, known.id, stored, known.created_at, self.now)

    def _append(self, place: Place, change: TextAppended) -> None:
        known, text = self._find(place, change.key), rows.clean(change.text)
        if known is None or known.final or known.finish != change.offset:
            found = "is not there" if known is None else "is final" if known.final else f"ends at {known.finish}"
            raise LedgerError(
                f"Text cannot follow at {change.offset}: the item '{change.key}' {found}.",
                _REPORT,
                code="bad_change",
            )
        if text:
            self._connection.execute(
                "INSERT INTO chunks VALUES (?, ?, ?, ?)",
                (known.id, known.finish, known.finish + len(text), text),
            )
            self.journal.text_appended(known.place, known.id, change.offset, text, self.now)

    def _remove(self, place: Place, key: str) -> None:
        """Leave a tombstone without key, text and data. A key that is not there is left alone."""
        known = self._find(place, key)
        if known is None:
            return
        search.forget(self._connection, known.id)
        self._connection.execute(
            "UPDATE items SET key = NULL, final = 1, length = 0, data = '{}', text = '' WHERE id = ?",
            (known.id,),
        )
        self._connection.execute("DELETE FROM chunks WHERE item_id = ?", (known.id,))
        self.journal.item_removed(known.place, known.id, self.now)

    def _learn(self, place: Place, change: SessionLearned) -> None:
        known = reading.session_as_told(self._connection, place.session_id)
        named = self._connection.execute("SELECT named FROM sessions WHERE num = ?", (place.session_num,)).fetchone()[0]
        title = None if named else change.title
        learned = {"kiro_id": change.kiro_id, "engine": change.engine, "title": title}
        facts = {name: rows.clean(value) for name, value in learned.items() if value is not None}
        after = {**vars(known), **facts}
        if after != vars(known):
            self._connection.execute(
                "UPDATE sessions SET kiro_id = ?, engine = ?, title = ?, updated_at = ? WHERE num = ?",
                (after["kiro_id"], after["engine"], after["title"], self.now, place.session_num),
            )
            self.journal.session_changed(place.session_id, place.session_num)

    def _end(self, place: Place, change: TurnEnded) -> None:
        self._open_state(place)
        self._fold(place)
        problem = None if change.problem is None else rows.to_json(change.problem.as_dict())
        self._connection.execute(
            "UPDATE turns SET state = ?, ended_at = ?, changed_at = ?, problem = ? WHERE id = ?",
            (change.outcome, self.now, self.now, problem, place.turn_id),
        )
        self._touch_session(place, self._last_text(place) or (change.problem.cause if change.problem else ""))
        self.journal.turn_changed(place)

    def _fold(self, place: Place) -> None:
        """Join the chunks of the turn's items into their text; nothing that is read changes by it."""
        for item_id, text in reading.growing_texts(self._connection, place.session_num, place.turn_id):
            self._connection.execute("UPDATE items SET text = ?, length = ? WHERE id = ?", (text, len(text), item_id))
            self._connection.execute("DELETE FROM chunks WHERE item_id = ?", (item_id,))

    def _place(self, turn_id: int) -> Place:
        row = self._connection.execute(
            "SELECT s.id, s.num FROM turns t CROSS JOIN sessions s ON s.num = t.session_num WHERE t.id = ?",
            (turn_id,),
        ).fetchone()
        if row is None:
            raise LedgerError(f"There is no turn {turn_id}.", _REPORT, code="unknown_turn")
        return Place(row[0], row[1], turn_id)

    def _open_state(self, place: Place) -> str:
        """Return `accepted` or `running`. Raises `LedgerError` (code `turn_over`) after the end."""
        row = self._connection.execute("SELECT state, ended_at FROM turns WHERE id = ?", (place.turn_id,)).fetchone()
        if row[1] is not None:
            raise LedgerError(f"Turn {place.turn_id} is over: it is {row[0]}.", _REPORT, code="turn_over")
        return str(row[0])

    def _find(self, place: Place, key: str) -> _Known | None:
        row = self._connection.execute(
            "SELECT id, turn_id, position, final, created_at, length,"
            " (SELECT finish FROM chunks WHERE item_id = items.id ORDER BY start DESC LIMIT 1)"
            " FROM items WHERE session_num = ? AND key = ?",
            (place.session_num, rows.clean(key)),
        ).fetchone()
        if row is None:
            return None
        home = place if row[1] == place.turn_id else replace(place, turn_id=row[1])
        return _Known(row[0], home, row[2], bool(row[3]), row[4], row[5] if row[6] is None else row[6])

    def _last_text(self, place: Place) -> str:
        """Return the beginning of what the agent itself said last in the turn."""
        row = self._connection.execute(
            "SELECT substr(text, 1, 2000) FROM items WHERE session_num = ? AND turn_id = ? AND key IS NOT NULL"
            " AND kind = 'text' AND data = '{}' AND text != ''"
            " ORDER BY position DESC, id DESC LIMIT 1",
            (place.session_num, place.turn_id),
        ).fetchone()
        return "" if row is None else str(row[0])

    def _touch_session(self, place: Place, said: str) -> None:
        """Note that something was said in the session, and the first line of it unless it is blank."""
        self._connection.execute(
            "UPDATE sessions SET updated_at = ?, last_line = coalesce(nullif(?, ''), last_line) WHERE num = ?",
            (self.now, first_line(rows.clean(said), LAST_LINE_LENGTH), place.session_num),
        )


def _is_final(change: Change) -> bool:
    return isinstance(change, ItemPut) and change.item.final


def _new_id(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None  # set by every INSERT
    return cursor.lastrowid
