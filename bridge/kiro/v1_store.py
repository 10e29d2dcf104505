"""The v1 store: rows of `conversations_v2`, and of the older `conversations`, in Kiro's database.

Invariant: a row's value is read and parsed only when the row was written. What stood there at the baseline, and
whatever comes before it in the history, is never told.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bridge.core.feed import FeedEvent, Notice, SessionKnown
from bridge.kiro import loose, v1_entries
from bridge.kiro.history import Told, TurnEvidence, TurnWatch
from bridge.kiro.v1_database import Database, DatabaseTrouble
from bridge.kiro.v1_search import Found, V1Search

_ORDINARY_WAIT_MS = 20
_FINAL_WAIT_MS = 5000
_LOCK_WORTH_TELLING = 3.0
_MARKED_KEYS = 4

_TROUBLES = {
    "missing": "Kiro's database has vanished. What was read of this turn stays; Kiro makes a new one when it starts.",
    "locked": "Kiro's database is locked by another process, so what Kiro records is shown late.",
    "unreadable": "Kiro's database cannot be opened. Check that the bridge may read the file and its folder.",
    "damaged": "Kiro's database is damaged or of an unknown form. What Kiro prints is shown instead of its record.",
}
_REPLACED = "Kiro's database was replaced by another file while the turn ran. The new one is read from now on."
_VANISHED = "Kiro no longer keeps this conversation. What was read of this turn stays."
_SHRUNK = "Kiro shortened its history of this conversation. What was shown stays."
_COMPACTED = "Kiro has summarised the earlier part of this conversation to make room."
_NOT_JSON = "Kiro's record of this conversation cannot be read at the moment. What Kiro prints is shown instead."


class V1Reader:
    """Follows one conversation of the v1 engine; implements `bridge.core.ports.StoreReader`.

    `database` is Kiro's SQLite file, `cwd` the folder of the turn, `started_at` in seconds since the epoch, `kiro_id`
    the conversation to be continued or None, `prompt` what is sent to Kiro. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        database: Path,
        cwd: str,
        started_at: float,
        kiro_id: str | None,
        prompt: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = Database(database)
        self._clock = clock
        self._watch = TurnWatch(prompt)
        self._told = Told()
        self._search = V1Search(self._database, os.path.realpath(cwd), started_at, self._watch.match, clock)
        self._id = kiro_id
        self._certain = False
        self._version: tuple[int, int] | None = None
        self._was_there = False
        self._locked_since: float | None = None
        self._seen: set[str] = set()
        self._length = 0
        self._last_keys: list[str] = []
        self._old_tools: set[str] = set()
        self._turn: list[Any] = []
        self._summary: str | None = None
        self._times_shrunk = 0

    def baseline(self) -> Mapping[str, Any]:
        """Note what the store holds; see `StoreReader.baseline`."""
        mark: dict[str, Any] = {"engine": "v1", "kiro_id": self._id}
        try:
            self._database.ready(_FINAL_WAIT_MS)
            version = self._database.version()
            self._database.find_tables()
            self._was_there = True
            mark["conversations"] = self._search.note_present()
            found = self._search.of_id(self._id, final=True) if self._id is not None else None
            if found is not None and found.conversation is not None:
                self._note_old(found.conversation)
            self._version = version
        except DatabaseTrouble as trouble:
            self._version = None
            if trouble.condition == "missing":
                mark["conversations"] = {}
        mark["count"], mark["summary"] = self._length, self._summary
        mark["tail"] = self._last_keys
        return mark

    def _note_old(self, conversation: v1_entries.Conversation) -> None:
        self._seen = set(conversation.keys)
        self._length = len(conversation.keys)
        self._summary = conversation.summary
        self._last_keys = conversation.keys[-_MARKED_KEYS:]

    def resume_from(self, mark: Mapping[str, Any]) -> None:
        """Take the state of a `baseline` of another process."""
        self._search.take_present(loose.table(mark.get("conversations")))
        marked = loose.name(mark.get("kiro_id"))
        self._id = self._id or marked
        if marked is not None and marked == self._id:
            self._seen = {key for one in loose.rows(mark.get("tail")) if (key := loose.name(one))}
            self._length = loose.whole(mark.get("count")) or 0
            self._summary = loose.name(mark.get("summary"))
        self._was_there = bool(mark.get("conversations"))
        self._version = None

    def follow(self, kiro_id: str) -> None:
        """Follow the conversation `kiro_id` and no other."""
        self._certain = True
        if kiro_id != self._id:
            self._switch_to(kiro_id)
            self._search.forget_reads()
            self._version = None

    def _switch_to(self, kiro_id: str) -> None:
        self._id = kiro_id
        self._seen, self._old_tools, self._turn = set(), set(), []
        self._length, self._summary = 0, None
        self._watch.restart()

    def poll(self, *, final: bool = False) -> Sequence[FeedEvent]:
        """Return what is new; see `StoreReader.poll`."""
        events: list[FeedEvent] = []
        try:
            self._look(final, events)
            self._locked_since = None
        except DatabaseTrouble as trouble:
            events += self._told.fresh(self._troubled(trouble, final))
        return events

    def _troubled(self, trouble: DatabaseTrouble, final: bool) -> list[FeedEvent]:
        condition = trouble.condition
        if condition == "missing":
            gone, self._was_there = self._was_there, False
            return [Notice("v1:missing", _TROUBLES[condition], "warning")] if gone else []
        if condition == "locked":
            now = self._clock()
            self._locked_since = now if self._locked_since is None else self._locked_since
            if not final and now - self._locked_since < _LOCK_WORTH_TELLING:
                return []
        return [Notice(f"v1:{condition}", _TROUBLES[condition], "warning")]

    def _look(self, final: bool, events: list[FeedEvent]) -> None:
        """Add what is new to `events`, so that what was read before a failure is not lost. Raises DatabaseTrouble."""
        if self._database.ready(_FINAL_WAIT_MS if final else _ORDINARY_WAIT_MS):
            events += self._told.fresh([Notice("v1:replaced", _REPLACED, "warning")])
            self._search.forget_reads()
        version = self._database.version()
        self._was_there = True
        if version == self._version and not final:
            return
        self._database.find_tables()
        if self._id is not None:
            events += self._followed(self._id, final)
        if not self._certain and not self._watch.ours_seen:
            events += self._searched(final)
        self._version = version

    def _followed(self, kiro_id: str, final: bool) -> list[FeedEvent]:
        found = self._search.of_id(kiro_id, final=final)
        if found is None:
            gone = self._length > 0 and self._search.gone(kiro_id)
            return self._told.fresh([Notice("v1:vanished", _VANISHED, "warning")] if gone else [])
        return self._taken(found, kiro_id)

    def _searched(self, final: bool) -> list[FeedEvent]:
        found = self._search.of_prompt(final=final, but=self._id)
        if found is None or found.conversation is None or found.conversation.id is None:
            return []
        self._switch_to(found.conversation.id)
        return self._taken(found, found.conversation.id)

    def _taken(self, found: Found, kiro_id: str) -> list[FeedEvent]:
        conversation = found.conversation
        if conversation is None:
            return self._told.fresh([Notice("v1:not_json", _NOT_JSON, "warning")])
        keys = conversation.keys
        start = self._start(found)
        events = self._shortened(conversation)
        if start > 0 and not self._turn:
            self._old_tools = set(v1_entries.tools_of(conversation.history[start - 1]))
        for key, entry in zip(keys[start:], conversation.history[start:], strict=True):
            events += v1_entries.events_of(key, entry, self._old_tools, self._watch)
            self._turn.append(entry)
        if start < len(keys):
            events += v1_entries.usage_of(conversation, self._turn)
        self._seen.update(keys)
        self._length, self._summary = len(keys), conversation.summary
        return self._told.fresh([SessionKnown(kiro_id, "v1"), *events] if events else [])

    def _start(self, found: Found) -> int:
        """Return where what is new begins: behind the last entry that is known."""
        assert found.conversation is not None
        keys = found.conversation.keys
        for place in range(len(keys) - 1, -1, -1):
            if keys[place] in self._seen:
                return place + 1
        if self._turn or (found.new and not self._seen):
            return 0
        return self._search.first_of_turn(found.conversation)

    def _shortened(self, conversation: v1_entries.Conversation) -> list[FeedEvent]:
        events: list[FeedEvent] = []
        if conversation.summary is not None and conversation.summary != self._summary:
            events.append(Notice(f"v1:compacted:{len(conversation.keys)}", _COMPACTED))
        if len(conversation.keys) < self._length:
            self._times_shrunk += 1
            events.append(Notice(f"v1:shrunk:{self._times_shrunk}", _SHRUNK))
        if self._turn:
            present = {*conversation.keys, *map(v1_entries.prompt_key, conversation.keys)}
            events += self._told.removed(present, "Kiro shortened its history.")
        return events

    def finished(self) -> bool:
        """Return whether the last entry is the model's finished answer to our prompt."""
        return self.evidence().finished

    def evidence(self) -> TurnEvidence:
        """Return what the row proves about our prompt."""
        return self._watch.evidence()

    def close(self) -> None:
        """Close the connection."""
        self._database.close()
