"""The ledger as the rest of the bridge sees it.

Invariant: a method that changes something does so in one transaction and returns the events of it; a method
that asks sees one committed state. All of them may be called from any thread.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from bridge.core.feed import Engine
from bridge.core.items import Change, ItemPut, TurnEnded
from bridge.core.records import (
    Event,
    Found,
    KiroConversation,
    Queue,
    Session,
    SessionChange,
    SessionEvent,
    SessionOptions,
    StoredItem,
    Turn,
    TurnEvent,
)
from bridge.files import make_private_directory
from bridge.ledger import failures, imports, queue, reading, rows, search, sessions
from bridge.ledger.changes import Batch, NewTurn
from bridge.ledger.connections import Readers, Writer, prepare
from bridge.ledger.imports import ImportedMessage, ImportedTurn
from bridge.ledger.lockfile import LockFile

_NO_WISHES = SessionOptions()


class Ledger:
    """Sessions, turns, items and their events in one SQLite file, owned by this process.

    Every method raises `LedgerError` (or `LedgerFull`, `LedgerCorrupt`) when the file cannot be used, and has
    then changed nothing. Texts come back as they were given, but for lone surrogates (see
    `bridge.ledger.rows`). Do not fork a process that has a ledger open and use it in the child.
    """

    def __init__(self, path: Path, lock: LockFile, writer: Writer, clock: Callable[[], float]) -> None:
        """For `open` alone."""
        self.path = path
        self._lock = lock
        self._writer = writer
        self._readers = Readers(path)
        self._clock = clock
        self._open = True

    @classmethod
    def open(cls, path: str | os.PathLike[str], clock: Callable[[], float] = time.time) -> Ledger:
        """Open the ledger, made or migrated where needed; missing directories get mode 0700, the file 0600.

        `clock` gives seconds since the epoch. Raises `LedgerLocked` naming the process that owns it,
        `LedgerTooNew`, `LedgerCorrupt`, `LedgerFull`, `LedgerError`; a file that is refused is left as it
        was.
        """
        place = Path(os.path.realpath(path))
        with failures.explained(place):
            make_private_directory(place.parent)
            lock = LockFile(place.with_name(place.name + ".lock"))
        try:
            return cls(place, lock, Writer(prepare(place), place), clock)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Wait for what runs, close every connection, give the lock back. Again: does nothing."""
        if self._open:
            self._open = False
            self._readers.close()
            self._writer.close()
            self._lock.release()

    def create_session(
        self,
        cwd: str,
        *,
        session_id: str | None = None,
        title: str = "",
        options: SessionOptions = _NO_WISHES,
        context: tuple[str, str] | None = None,
    ) -> tuple[Session, SessionEvent]:
        """Make a session for the real path `cwd`, with a new id unless one is given.

        A `title` given here is somebody's own. `context` is what its first prompt takes along: a title and a text.
        Raises `LedgerError` (code `session_exists`) for an id that is taken.
        """
        with self._batch(durable=True) as batch:
            event = batch.create_session(session_id or str(uuid.uuid4()), cwd, title, options)
            if context is not None:
                batch.keep_context(event.session.id, *context)
        return event.session, event

    def adopt_session(self, found: KiroConversation) -> Session:
        """Make a session for a conversation of Kiro's; it is not listed before `adopted` was called for it."""
        with self._batch(durable=True) as batch:
            return batch.adopt_session(
                str(uuid.uuid4()), found.cwd, found.title, found.engine, found.kiro_id, found.updated_at
            )

    def adopted(self, session_id: str) -> tuple[Session, list[Event]]:
        """Have the session listed: all of its history is there."""
        with self._batch(durable=True) as batch:
            event = batch.end_adoption(session_id)
        return event.session, batch.journal.events

    def import_turns(self, session_id: str, turns: Sequence[ImportedTurn]) -> list[Event]:
        """Write turns that are over, with their items, to a session. Raises `UnknownSession`."""
        with self._batch() as batch:
            imports.write_turns(batch, session_id, turns)
        return batch.journal.events

    def change_session(self, session_id: str, change: SessionChange) -> tuple[Session, list[Event]]:
        """Change what is given of a session. Raises `UnknownSession`."""
        with self._batch(durable=True) as batch:
            session = batch.change_session(session_id, change).session
        return session, batch.journal.events

    def delete_session(self, session_id: str) -> list[Event]:
        """Delete a session for every reader; `purge` takes away what it held. Raises `UnknownSession`.

        No turn of it may run.
        """
        with self._batch(durable=True) as batch:
            batch.delete_session(session_id)
        return batch.journal.events

    def purge(self) -> bool:
        """Take away a piece of what deleted sessions held; return whether there may be more."""
        with self._writer.transaction(references=False) as connection:
            return sessions.purge_piece(connection)

    def unfinished_adoptions(self) -> list[str]:
        """Return the sessions whose history was not wholly read when the bridge was ended."""
        with self._readers.snapshot() as connection:
            found = connection.execute("SELECT id FROM sessions WHERE adopting AND NOT deleted")
            return [row[0] for row in found]

    def session_of_kiro(self, engine: Engine, kiro_id: str) -> Session | None:
        """Return the session that holds a conversation of Kiro's, or None."""
        with self._readers.snapshot() as connection:
            return reading.session_of_kiro(connection, engine, kiro_id)

    def context(self, session_id: str) -> tuple[str, str] | None:
        """Return title and text of what the session's first prompt takes along, or None."""
        with self._readers.snapshot() as connection:
            return reading.context(connection, session_id)

    def queue(self, session_id: str) -> Queue:
        """Return the prompts that wait. Raises `UnknownSession`."""
        with self._readers.snapshot() as connection:
            return queue.listed(connection, reading.known_number(connection, session_id))

    def enqueue(self, session_id: str, text: str, *, first: bool = False) -> tuple[int, list[Event]]:
        """Add a prompt to the queue, at its end or as the `first`; return its id. Raises `UnknownSession`, and
        RequestRefused where too many wait."""
        with self._batch(durable=True) as batch:
            number = batch.enqueue(session_id, text, first=first)
        return number, batch.journal.events

    def change_queued(
        self, session_id: str, queued_id: int, *, text: str | None = None, place: int | None = None
    ) -> list[Event]:
        """Change text or place of a prompt that waits. Raises `UnknownSession`, RequestRefused (`unknown_queued`)."""
        with self._batch(durable=True) as batch:
            batch.change_queued(session_id, queued_id, text, place)
        return batch.journal.events

    def remove_queued(self, session_id: str, queued_id: int) -> list[Event]:
        """Take a prompt out of the queue. Raises `UnknownSession`, RequestRefused (`unknown_queued`)."""
        with self._batch(durable=True) as batch:
            batch.remove_queued(session_id, queued_id)
        return batch.journal.events

    def hold_queue(self, session_id: str, reason: str) -> list[Event]:
        """Hold the queue, saying why, or have it go on (an empty reason). Nothing changes where nothing waits to be
        held. Raises `UnknownSession`."""
        with self._batch(durable=True) as batch:
            batch.hold_queue(session_id, reason)
        return batch.journal.events

    def waiting_queues(self) -> list[str]:
        """Return the sessions in which prompts wait and are not held."""
        with self._readers.snapshot() as connection:
            found = connection.execute(
                "SELECT id FROM sessions WHERE held = '' AND NOT deleted"
                " AND EXISTS (SELECT 1 FROM queue WHERE session_num = num)"
            )
            return [row[0] for row in found]

    def accept_queued(self, session_id: str, sent: Callable[[str], str]) -> tuple[Turn, list[Event]] | None:
        """Make a turn of the next prompt of the queue; None when none waits or the queue is held.

        `sent` returns what Kiro is given for a prompt where that is another text, else an empty one.
        """
        with self._batch(durable=True) as batch:
            turn = batch.accept_queued(session_id, sent)
        return None if turn is None else (turn, batch.journal.events)

    def search(self, query: str, limit: int) -> list[Found]:
        """Return the places where all the words stand. Raises RequestRefused (code `search_unavailable`)."""
        with self._readers.snapshot() as connection:
            return search.find(connection, query, limit)

    def index(self) -> bool:
        """Take a piece of what was said into the search index; return whether there is more."""
        with self._readers.snapshot() as connection:
            if connection.execute("SELECT 1 FROM to_index LIMIT 1").fetchone() is None:
                return False
        with self._writer.transaction() as connection:
            return search.index_piece(connection) if search.prepare(connection) else False

    def session(self, session_id: str) -> Session | None:
        """Return the session, or None."""
        with self._readers.snapshot() as connection:
            return reading.session(connection, session_id)

    def sessions(self, *, archived: bool | None = None) -> list[Session]:
        """Return all sessions, or those that are `archived` or not, pinned ones first, then the newest updated."""
        with self._readers.snapshot() as connection:
            return reading.sessions(connection, archived)

    def accept(
        self, session_id: str, prompt: str, *, origin: Literal["user", "initial"] = "user", sent: str = ""
    ) -> tuple[Turn, list[Event]]:
        """Store a prompt as a new turn with its prompt item; it survives even the machine's death from here on.

        `Turn.message_id` is even and above every AgentAPI id given before. `sent` is what Kiro is given where that is
        another text. Raises `UnknownSession`.
        """
        with self._batch(durable=True) as batch:
            turn = batch.create_turn(session_id, NewTurn(batch.even_message_id(), prompt, origin, batch.now, sent=sent))
        return turn, batch.journal.events

    def start(self, turn_id: int) -> TurnEvent:
        """Bring an accepted turn to `running`. Raises `LedgerError` (`turn_over` or `turn_running`)."""
        with self._batch() as batch:
            return batch.start(turn_id)

    def remember(self, turn_id: int, mark: Mapping[str, Any]) -> None:
        """Keep the JSON-ready `mark` with the turn, durably, instead of what was kept before."""
        with self._batch(durable=True) as batch:
            batch.remember(turn_id, mark)

    def apply(self, turn_id: int, changes: Sequence[Change]) -> list[Event]:
        """Write the changes of a turn in their order and return the event of each; all of them or none.

        A change that changes nothing gives no event: an empty appended text, a removed key that is not there,
        facts of the session that were known. An item already known under `key` stays in the turn it was first
        seen in. Changes to items may follow the end of a turn. Raises `LedgerError`: code `turn_over` for a
        second `TurnEnded`, `bad_change` for appended text that does not follow the item's text or follows a
        final item.
        """
        if not changes:
            return []
        with self._batch(durable=any(map(_must_last, changes))) as batch:
            batch.make(turn_id, changes)
        return batch.journal.events

    def turn(self, turn_id: int) -> Turn | None:
        """Return the turn, or None."""
        with self._readers.snapshot() as connection:
            return reading.turn(connection, turn_id)

    def turns(self, session_id: str, *, before: int | None = None, limit: int | None = None) -> list[Turn]:
        """Return the session's newest `limit` turns with an id below `before`, ascending."""
        with self._readers.snapshot() as connection:
            return reading.turns(connection, session_id, before, limit)

    def unfinished(self) -> list[Turn]:
        """Return the turns without an end, ascending: after a start, those that a crash cut."""
        with self._readers.snapshot() as connection:
            return reading.unfinished(connection)

    def active_turn(self, session_id: str) -> Turn | None:
        """Return the session's oldest turn that has no end, or None."""
        with self._readers.snapshot() as connection:
            return reading.active_turn(connection, session_id)

    def turn_items(self, turn_id: int) -> list[StoredItem]:
        """Return the items of the turn in their places, with their whole text, without those taken back."""
        with self._readers.snapshot() as connection:
            return reading.turn_items(connection, turn_id)

    def conversation(self, session_id: str, *, after: int = 0, limit: int = 100) -> list[tuple[Turn, list[StoredItem]]]:
        """Return the session's first `limit` turns with an id above `after`, ascending, with their items in place."""
        with self._readers.snapshot() as connection:
            return reading.conversation(connection, session_id, after, limit)

    def has_initial(self, session_id: str, prompt: str) -> bool:
        """Return whether the session was begun with this initial prompt before."""
        with self._readers.snapshot() as connection:
            return reading.has_initial(connection, session_id, prompt)

    def items(self, session_id: str, *, before: int | None = None, limit: int = 100) -> list[StoredItem]:
        """Return the newest `limit` items that stand before the item with the id `before`, ascending.

        For paging upwards: `before` is the id of the first item of the page below, None for the end; an item
        that was taken back meanwhile still tells its place, an unknown id gives an empty page.
        """
        with self._readers.snapshot() as connection:
            return reading.items(connection, session_id, before, limit)

    def item(self, item_id: int) -> StoredItem | None:
        """Return the item with its whole text, or None where there is none or it was taken back."""
        with self._readers.snapshot() as connection:
            return reading.item(connection, item_id)

    def pending_approvals(self, turn_id: int) -> list[StoredItem]:
        """Return the approvals of the turn that nobody has answered yet, oldest first."""
        with self._readers.snapshot() as connection:
            return reading.pending_approvals(connection, turn_id)

    def keys(self, session_id: str, keys: Iterable[str]) -> set[str]:
        """Return which of the keys the session has items for."""
        with self._readers.snapshot() as connection:
            return reading.keys(connection, session_id, keys)

    def last_seq(self) -> int:
        """Return the highest sequence number given, 0 for none."""
        with self._readers.snapshot() as connection:
            return reading.last_seq(connection)

    def events_after(self, seq: int, *, session_id: str | None = None, limit: int = 1000) -> list[Event]:
        """Return what a client that saw everything up to `seq` needs next, ascending, at most `limit` events.

        Each item comes once, as it is now, at the number of its last change, or as taken back; each state of
        a turn and each change of a session comes, the session as it is now. Fewer than `limit` means that
        nothing follows.
        """
        with self._readers.snapshot() as connection:
            return reading.events_after(connection, seq, session_id, limit)

    def overview_after(self, seq: int, limit: int = 1000) -> tuple[list[Event], int]:
        """Return what a list of sessions needs of the events after `seq`: those of sessions, turns and approvals; and
        the sequence up to which that is all. Looks at no more than `limit` events of any kind.
        """
        with self._readers.snapshot() as connection:
            return reading.overview_after(connection, seq, limit)

    def import_messages(self, session_id: str, messages: Sequence[ImportedMessage]) -> list[Event]:
        """Take in the messages of an AgentAPI state file as turns that are `completed`; all of them or none.

        Ids are kept; an answer is a final text item with the key `import:<id>`. A turn without a prompt item
        has an agent's message that followed no prompt; its `message_id` is one below that message's, so -1
        for a first message 0. Raises `UnknownSession`, and `LedgerError` (code `bad_import`) for ids that do
        not rise strictly above all ids of the ledger or an unknown role.
        """
        with self._batch(durable=True) as batch:
            imports.check(messages, batch.free_message_id())
            imports.write(batch, session_id, messages)
        return batch.journal.events

    def meta(self, name: str) -> str | None:
        """Return the value kept under `name`, or None."""
        with self._readers.snapshot() as connection:
            row = connection.execute("SELECT value FROM meta WHERE name = ?", (rows.clean(name),)).fetchone()
            return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Keep `value` under `name`, durably; see `sessions` for what goes with a session."""
        with self._writer.transaction(durable=True) as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (rows.clean(name), rows.clean(value)))

    @contextmanager
    def _batch(self, *, durable: bool = False) -> Iterator[Batch]:
        with self._writer.transaction(durable=durable) as connection:
            batch = Batch(connection, self._clock())
            yield batch
            batch.journal.finish()


def _must_last(change: Change) -> bool:
    """Return whether a change must survive the machine's death: an end, and what somebody answered."""
    return isinstance(change, TurnEnded) or (
        isinstance(change, ItemPut) and change.item.kind == "approval" and change.item.final
    )
