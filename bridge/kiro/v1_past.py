"""Conversations of the engine v1, rows of Kiro's database.

Invariant: read-only. A list walks through the indexes alone; a title costs its row's whole value, so titles are read
for the newest rows, each version once, and only for a while.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from bridge.core.feed import PromptRecorded
from bridge.core.records import KiroConversation
from bridge.core.text import TITLE_LENGTH, first_line
from bridge.kiro import loose, v1_entries
from bridge.kiro.growing import GrowingObject
from bridge.kiro.history import TurnWatch
from bridge.kiro.past import PastTurns
from bridge.kiro.v1_database import Database, DatabaseTrouble

_WAIT_MS = 1000
_LOOKED_AT = 2000
_TITLES_SECONDS = 0.3
_BEGINNING = 64 << 10
_KEPT = 4000
_PROMPT = re.compile(rb'"prompt"\s*:\s*("(?:[^"\\]|\\.)*")')


class V1Past:
    """The conversations in the database at `path`. `steady` is a clock in seconds."""

    def __init__(self, path: Path, steady: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._steady = steady
        self._titles: dict[tuple[int, int], str] = {}

    def listed(self, cwd: str | None, most: int) -> list[KiroConversation]:
        """Return the newest conversations, of the folder `cwd` or of all."""
        database = Database(self._path)
        try:
            database.ready(_WAIT_MS)
            database.find_tables()
            until = self._steady() + _TITLES_SECONDS
            told: list[KiroConversation] = []
            for rowid, key, updated in database.listed(cwd, _LOOKED_AT if cwd is None else most):
                kiro_id = database.conversation_id(rowid)
                if kiro_id and os.path.isabs(key) and len(told) < most:
                    title = self._title(database, rowid, updated, until)
                    told.append(KiroConversation("v1", kiro_id, key, title, updated / 1000))
            return told
        except DatabaseTrouble:
            return []
        finally:
            database.close()

    def find(self, kiro_id: str) -> KiroConversation | None:
        """Return the conversation of that id, None when there is none."""
        database = Database(self._path)
        try:
            database.ready(_WAIT_MS)
            database.find_tables()
            place = database.place("", kiro_id)
            if place is None:
                return None
            rowid, key = place
            updated = database.updated_at(key, rowid) or 0
            title = self._title(database, rowid, updated, self._steady() + _TITLES_SECONDS)
            return KiroConversation("v1", kiro_id, key, title, updated / 1000)
        except DatabaseTrouble:
            return None
        finally:
            database.close()

    def past(self, found: KiroConversation) -> PastTurns:
        """Return what a conversation holds."""
        turns = PastTurns(found.updated_at)
        database = Database(self._path)
        try:
            database.ready(_WAIT_MS)
            database.find_tables()
            place = database.place(found.cwd, found.kiro_id)
            value = None if place is None else database.value(place[0])
            if value is not None:
                _take(v1_entries.conversation(value, GrowingObject()), turns)
        except (DatabaseTrouble, loose.NotJson):
            pass
        finally:
            database.close()
        return turns

    def _title(self, database: Database, rowid: int, updated: int, until: float) -> str:
        known = self._titles.get((rowid, updated))
        if known is not None or self._steady() >= until:
            return known or ""
        beginning = (database.value(rowid) or b"")[:_BEGINNING]
        title = ""
        for found in _PROMPT.finditer(beginning):
            prompt = _text(found[1])
            if prompt.strip():
                title = first_line(prompt, TITLE_LENGTH)
                break
        while len(self._titles) >= _KEPT:
            del self._titles[next(iter(self._titles))]
        self._titles[(rowid, updated)] = title
        return title


def _take(conversation: v1_entries.Conversation, turns: PastTurns) -> None:
    watch = TurnWatch("")
    last = 0
    for number, (key, entry) in enumerate(zip(conversation.keys, conversation.history, strict=True)):
        events = v1_entries.events_of(key, entry, set(), watch)
        if any(isinstance(event, PromptRecorded) for event in events):
            last = number
        turns.take(events)
    turns.take(v1_entries.usage_of(conversation, conversation.history[last:]))


def _text(literal: bytes) -> str:
    try:
        return loose.clean(str(json.loads(literal)))
    except ValueError:
        return ""
