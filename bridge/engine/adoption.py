"""Taking over conversations that were begun elsewhere.

Invariant: a conversation is read once, into one session; one whose reading was cut by a crash is dropped at the next
start and can be taken over again.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace

from bridge.core.feed import Ended, Engine, Notice
from bridge.core.items import Item, ItemPut, ItemRemoved, TextAppended
from bridge.core.records import KiroConversation, PastTurn, Session
from bridge.core.turn import TurnMachine
from bridge.engine.conversations import Conversations
from bridge.engine.journal import Journal
from bridge.errors import RequestRefused
from bridge.ledger import ImportedTurn, Ledger

_PIECE = 25

_LEFT_OUT = "The conversation is longer: {count} earlier prompts stand only in Kiro's own record of it."


class Adoption:
    """Reads conversations of Kiro's into sessions."""

    def __init__(self, ledger: Ledger, journal: Journal, conversations: Conversations) -> None:
        self._ledger = ledger
        self._journal = journal
        self._conversations = conversations
        self._lock = threading.Lock()

    def listed(self, cwd: str | None) -> list[tuple[KiroConversation, Session | None]]:
        """Return the conversations that were begun elsewhere, each with the session that continues it."""
        told = []
        for found in self._conversations.listed(cwd):
            session = self._ledger.session_of_kiro(found.engine, found.kiro_id)
            if session is None or session.origin == "kiro":
                told.append((found, session))
        return told

    def find(self, engine: Engine, kiro_id: str) -> KiroConversation:
        """Return a conversation. Raises RequestRefused (code `unknown_conversation`)."""
        found = self._conversations.find(engine, kiro_id)
        if found is None:
            raise RequestRefused(
                f"Kiro's engine {engine} holds no conversation {kiro_id!r}.",
                "Take one from GET /api/v1/kiro-sessions.",
                code="unknown_conversation",
            )
        return found

    def adopt(self, found: KiroConversation) -> Session:
        """Return the session that continues a conversation, with its history read if it is new. Raises LedgerError."""
        with self._lock:
            self._drop_unfinished()
            known = self._ledger.session_of_kiro(found.engine, found.kiro_id)
            if known is not None:
                return known
            session = self._ledger.adopt_session(found)
            for piece in _pieces(self._history(found)):
                self._ledger.import_turns(session.id, piece)
            self._journal.tell(lambda: self._ledger.adopted(session.id)[1])
            return self._ledger.session(session.id) or session

    def drop_unfinished(self) -> None:
        """Delete the sessions whose reading was cut."""
        with self._lock:
            self._drop_unfinished()

    def _drop_unfinished(self) -> None:
        for session_id in self._ledger.unfinished_adoptions():
            self._ledger.delete_session(session_id)

    def _history(self, found: KiroConversation) -> Iterator[ImportedTurn]:
        turns, before = self._conversations.past(found)
        told: set[str] = set()
        for number, turn in enumerate(turns):
            if before and number == 0:
                turn = replace(turn, events=(Notice("left_out", _LEFT_OUT.format(count=before)), *turn.events))
            yield _imported(turn, f"past:{number}", told)


def _imported(past: PastTurn, name: str, told: set[str]) -> ImportedTurn:
    """Return a turn as it would stand had it been run here, without items whose key was `told` in another one."""
    machine = TurnMachine(name)
    items: dict[str, Item] = {}
    for event in (*past.events, Ended("completed", recorded=True)):
        for change in machine.apply(event):
            if isinstance(change, ItemPut):
                items.pop(change.old_key or "", None)
                items[change.item.key] = change.item
            elif isinstance(change, ItemRemoved):
                items.pop(change.key, None)
            else:
                assert not isinstance(change, TextAppended)  # a store tells whole texts
    ordered = sorted((item for key, item in items.items() if key not in told), key=lambda item: item.position)
    told.update(items)
    placed = [replace(item, position=item.position + 1) for item in ordered]
    return ImportedTurn(past.prompt, placed, past.began_at, past.ended_at)


def _pieces(turns: Iterator[ImportedTurn]) -> Iterator[list[ImportedTurn]]:
    while piece := list(itertools.islice(turns, _PIECE)):
        yield piece
