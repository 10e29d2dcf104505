"""Which row of Kiro's database holds the conversation of our turn.

Invariant: never "any row of that folder". A conversation is ours by its id, else by folder, time and our prompt in it;
each version of a row is read and parsed at most once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

from bridge.core.prompts import PromptMatch
from bridge.kiro import loose, v1_entries
from bridge.kiro.growing import GrowingObject
from bridge.kiro.history import TurnStart
from bridge.kiro.v1_database import Database

_KEPT = 50
_SAME_MOMENT_MS = 50


@dataclass(frozen=True)
class Found:
    """A row that was read; `conversation` is None when it could not be, `new` when it was not there at the baseline."""

    conversation: v1_entries.Conversation | None
    new: bool


@dataclass
class _Read:
    """What was seen when a row was last read: its `updated_at`, our clock and the database's version."""

    updated: int
    at_ms: float
    version: tuple[int, int]


@dataclass
class _Legacy:
    """The row of the older table when last read; `given` out already, and whether it is still `as_at_baseline`."""

    version: tuple[int, int] | None = None
    digest: bytes = b""
    found: Found | None = None
    given: bool = False
    as_at_baseline: bool = False


class V1Search:
    """Finds rows and reads those that were written since they were last read. Methods raise DatabaseTrouble."""

    def __init__(
        self, database: Database, key: str, started_at: float, match: PromptMatch, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._key = key
        self._start = TurnStart(started_at, clock)
        self._match = match
        self._clock = clock
        self._present: dict[str, int] = {}
        self._reads: dict[str, _Read] = {}
        self._legacy = _Legacy()
        self._strangers: dict[str | None, Found] = {}
        self._row: tuple[str | None, GrowingObject] = (None, GrowingObject())

    def note_present(self) -> dict[str, int]:
        """Note the folder's conversations, and return the newest 50 of them with their `updated_at` in milliseconds."""
        self._present = {}
        for rowid, updated in self._database.newest(self._key, _KEPT):
            found = self._database.conversation_id(rowid)
            if found is not None:
                self._present[found] = updated
        legacy = self._read_legacy()
        self._legacy.as_at_baseline = True
        if legacy is not None and (found := _id(legacy)) is not None:
            self._present.setdefault(found, 0)
        return dict(self._present)

    def take_present(self, present: Mapping[str, object]) -> None:
        """Take what `note_present` returned in another process."""
        self._present = {name: loose.whole(updated) or 0 for name, updated in present.items()}

    def forget_reads(self) -> None:
        """Forget what was read: it was another database."""
        self._reads.clear()
        self._legacy = _Legacy()

    def of_id(self, kiro_id: str, *, final: bool) -> Found | None:
        """Return the conversation of that id if it was written since it was last read."""
        place = self._database.place(self._key, kiro_id)
        if place is None:
            legacy = self._read_legacy()
            if legacy is None or _id(legacy) != kiro_id or self._legacy.given:
                return None
            self._legacy.given = True
            return legacy
        rowid, key = place
        updated = self._database.updated_at(key, rowid)
        if updated is None:
            return None
        return self._read(kiro_id, rowid, updated, final)

    def gone(self, kiro_id: str) -> bool:
        """Return whether the conversation was there once and is not any more."""
        if self._database.place(self._key, kiro_id) is not None:
            return False
        legacy = self._read_legacy()
        return legacy is None or _id(legacy) != kiro_id

    def of_prompt(self, *, final: bool, but: str | None) -> Found | None:
        """Return the conversation in which our prompt stands, other than `but`; the one nearest in time of several.

        Where Kiro replaces the prompt by another text, the only new conversation is ours, but only `final` can tell.
        """
        matching: list[tuple[float, Found]] = []
        for found in self._candidates(final, but):
            assert found.conversation is not None
            place = self._our_prompt(found.conversation)
            if place is not None:
                at = v1_entries.time_of(found.conversation.history[place])
                matching.append((abs((at or self._start.began) - self._start.began), found))
            elif found.new and self._match.rewritten_by_kiro:
                self._strangers[found.conversation.id] = found
        if matching:
            return min(matching, key=lambda pair: (not pair[1].new, pair[0]))[1]
        if final and but is None and len(self._strangers) == 1:
            return self._strangers.popitem()[1]
        return None

    def first_of_turn(self, conversation: v1_entries.Conversation) -> int:
        """Return the place of our turn's first entry in a conversation of which nothing is known: our prompt's, else
        that of the first entry begun after the turn."""
        place = self._our_prompt(conversation)
        if place is not None:
            return place
        times = [v1_entries.time_of(entry) for entry in conversation.history]
        return next((n for n, at in enumerate(times) if at is not None and at >= self._start.earliest()), len(times))

    def _our_prompt(self, conversation: v1_entries.Conversation) -> int | None:
        for place in range(len(conversation.history) - 1, -1, -1):
            entry = conversation.history[place]
            at = v1_entries.time_of(entry)
            if at is not None and at < self._start.earliest():
                return None
            prompt = v1_entries.prompt_of(entry)
            if prompt is not None and self._match.matches(prompt):
                return place
        return None

    def _candidates(self, final: bool, but: str | None) -> Iterator[Found]:
        for rowid, updated in self._database.newest(self._key, _KEPT):
            if updated < self._start.earliest() * 1000:
                break
            found = self._database.conversation_id(rowid)
            if found is None or found == but or self._present.get(found) == updated:
                continue
            read = self._read(found, rowid, updated, final)
            if read is not None and _id(read) is not None:
                yield read
        legacy = self._read_legacy()
        if legacy is not None and _id(legacy) not in (None, but) and not self._legacy.as_at_baseline:
            yield legacy

    def _read(self, kiro_id: str, rowid: int, updated: int, final: bool) -> Found | None:
        """Return a row unless it is as it was when last read.

        A second write within the same millisecond shows only in the database's version.
        """
        version, now = self._database.version(), self._clock() * 1000
        last = self._reads.get(kiro_id)
        if last is not None and last.updated == updated:
            too_early = last.at_ms <= updated + _SAME_MOMENT_MS
            if last.version == version or not (final or too_early):
                return None
        value = self._database.value(rowid)
        self._reads[kiro_id] = _Read(updated, now, version)
        if value is None:
            return Found(None, new=False)
        return self._parsed(value, kiro_id)

    def _parsed(self, value: bytes, kiro_id: str | None) -> Found:
        if self._row[0] != kiro_id:
            self._row = (kiro_id, GrowingObject())
        try:
            conversation = v1_entries.conversation(value, self._row[1])
        except loose.NotJson:
            return Found(None, new=False)
        conversation = replace(conversation, id=kiro_id or conversation.id)
        first = v1_entries.time_of(conversation.history[0]) if conversation.history else None
        fresh = first is None or first >= self._start.earliest()
        return Found(conversation, fresh and conversation.id not in self._present)

    def _read_legacy(self) -> Found | None:
        """Return the row of the older table as it is now.

        That table has no times: its value is read when the database has changed, and parsed when its digest has.
        """
        version = self._database.version()
        if version != self._legacy.version:
            value = self._database.legacy_value(self._key)
            digest = blake2b(value, digest_size=16).digest() if value is not None else b""
            if digest != self._legacy.digest:
                found = self._parsed(value, None) if value is not None else None
                self._legacy = _Legacy(digest=digest, found=found)
            self._legacy.version = version
        return self._legacy.found


def _id(found: Found) -> str | None:
    return found.conversation.id if found.conversation is not None else None
