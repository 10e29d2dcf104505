"""A session kept as files: an append-only log of JSON lines beside a JSON document, as v2 and v3 keep it.

Invariant: a record is handed out once; a line that cannot be read is counted and passed over, as Kiro does itself
(facts/kiro-stores.md B.4).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bridge.kiro import loose
from bridge.kiro.history import TurnStart
from bridge.kiro.tail import Document, Tail

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)

_MOST_RECENT = 50

Begins = Callable[[loose.JsonDict], bool]


@dataclass(frozen=True)
class Record:
    """One line of a log as an object; `offset` is where the line begins, in bytes."""

    offset: int
    data: loose.JsonDict


class RecordLog:
    """The records appended to a log.

    While `skipping`, records are passed over until one `begins` our turn. A rewritten file is read from its beginning,
    skipping, up to its end as it is then; `rewritten` tells so of the last read, `bad_lines` of all reads.
    """

    def __init__(self, path: Path, begins: Begins, *, skipping: bool = False) -> None:
        self.tail = Tail(path)
        self.skipping = skipping
        self.rewritten = False
        self.bad_lines = 0
        self._begins = begins

    def records(self, *, final: bool = False) -> Iterator[Record]:
        """Yield the new records; to be read to its end."""
        self.rewritten = False
        for line in self.tail.lines(final=final):
            if self.tail.rewritten and not self.rewritten:
                self.rewritten = self.skipping = True
            record = self._parsed(line.data)
            if record is None:
                self.bad_lines += line.ended
                continue
            if self.skipping and not self._begins(record):
                continue
            self.skipping = False
            yield Record(line.offset, record)
        if self.tail.rewritten:
            self.rewritten, self.skipping = True, False

    @staticmethod
    def _parsed(data: bytes) -> loose.JsonDict | None:
        try:
            value = loose.parsed(data)
        except loose.NotJson:
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class Place:
    """Where a session's files are."""

    id: str
    side: Path
    log: Path


class Layout(Protocol):
    """How an engine lays its sessions out in folders."""

    def shelves(self) -> list[Path]:
        """Return the folders in which sessions are, whether they exist or not."""

    def ids(self, shelf: Path) -> set[str]:
        """Return the ids of the sessions in a folder. May raise OSError."""

    def at(self, shelf: Path, kiro_id: str) -> Place:
        """Return where the files of that session of the folder are."""

    def place(self, kiro_id: str) -> Place | None:
        """Return where the session of that id is or would be; None when nobody knows."""

    def belongs(self, side: loose.JsonDict, cwd: str) -> bool:
        """Return whether a session with that side document was begun in `cwd` and is no sub-agent's."""

    def older(self, side: loose.JsonDict, since: float) -> bool:
        """Return whether the session's log can hold records of turns before `since`, in seconds since the epoch."""


def is_session_id(kiro_id: object) -> bool:
    """Return whether `kiro_id` can name a session's files; anything else could lead out of their folder."""
    return isinstance(kiro_id, str) and _ID.fullmatch(kiro_id) is not None


def same_folder(paths: Iterable[object], cwd: str) -> bool:
    """Return whether one of `paths` is the folder `cwd`, a real path."""
    for path in paths:
        if not isinstance(path, str):
            continue
        try:
            if path == cwd or os.path.realpath(path) == cwd:
                return True
        except (OSError, ValueError):
            continue
    return False


@dataclass
class Session:
    """A session being read."""

    place: Place
    side: Document
    log: RecordLog


class SessionSearch:
    """Finds the session in which our prompt stands, among those that are new since the baseline.

    A folder is listed only when its time of change differs, or may still hide a change; `final` lists all of them and
    looks at older sessions too that were written since the turn began.
    """

    def __init__(self, layout: Layout, cwd: str, start: TurnStart, begins: Begins, clock: Callable[[], float]) -> None:
        self._layout = layout
        self._cwd = cwd
        self._start = start
        self._begins = begins
        self._clock = clock
        self._present: set[str] = set()
        self._done: set[str] = set()
        self._open: dict[str, Session] = {}
        self._listed: dict[Path, int] = {}

    def note_present(self) -> list[str]:
        """Note the sessions that are there; return those that, by their time, could be taken for new ones later."""
        recent: list[str] = []
        for shelf in self._layout.shelves():
            ids = self._ids(shelf)
            self._present |= ids
            recent += [one for one in ids if _modified(self._layout.at(shelf, one)) >= self._start.earliest()]
        return recent[:_MOST_RECENT]

    def take_present(self, recent: Iterable[object]) -> None:
        """Take what `note_present` returned in another process."""
        self._present = {one for one in recent if isinstance(one, str)}

    def opened(self, place: Place, *, skipping: bool = False) -> Session:
        """Return the session at `place`, to be read; `skipping` when it holds older turns whose end is not known."""
        return Session(place, Document(place.side), RecordLog(place.log, self._begins, skipping=skipping))

    def of_id(self, kiro_id: str) -> Session | None:
        """Return the session of that id, to be read from where our turn begins; None while there is none."""
        place = self._layout.place(kiro_id)
        if place is None:
            return None
        session = self.opened(place)
        session.side.refresh()
        older = session.side.value is not None and self._layout.older(session.side.value, self._start.earliest())
        session.log.skipping = older or kiro_id in self._present
        return session

    def found(self, *, but: str | None, final: bool) -> tuple[Session, list[Record]] | None:
        """Return the session other than `but` that holds our prompt, with its records from there on."""
        self._list_new(final)
        for kiro_id, session in list(self._open.items()):
            if kiro_id == but or not self._is_here(session, final):
                continue
            records = list(session.log.records(final=final))
            if records:
                del self._open[kiro_id]
                return session, records
        return None

    def _is_here(self, session: Session, final: bool) -> bool:
        """Return whether the session is of our folder; one that is not is dropped."""
        if session.side.refresh() and not self._layout.belongs(session.side.value or {}, self._cwd):
            self._open.pop(session.place.id, None)
            return False
        return session.side.value is not None

    def _list_new(self, final: bool) -> None:
        for shelf in self._layout.shelves():
            if not final and not self._may_have_changed(shelf):
                continue
            for kiro_id in self._ids(shelf) - self._done - (set() if final else self._present):
                place = self._layout.at(shelf, kiro_id)
                if _modified(place) < self._start.earliest():
                    self._present.add(kiro_id)
                    continue
                self._done.add(kiro_id)
                self._open[kiro_id] = self.opened(place, skipping=True)

    def _may_have_changed(self, shelf: Path) -> bool:
        """Return whether a folder's time of change is new, or so fresh that a later change can have the same."""
        try:
            changed = os.stat(shelf).st_mtime_ns
        except (OSError, ValueError):
            return False
        if self._listed.get(shelf) == changed:
            return False
        settled = abs(self._clock() - changed / 1e9) > 0.1
        self._listed[shelf] = changed if settled else -1
        return True

    def _ids(self, shelf: Path) -> set[str]:
        try:
            return self._layout.ids(shelf)
        except (OSError, ValueError):
            return set()


def _modified(place: Place) -> float:
    """Return when a session's files were last changed, in seconds since the epoch; infinity while neither is there."""
    times = []
    for path in (place.side, place.log):
        try:
            times.append(os.stat(path).st_mtime)
        except (OSError, ValueError):
            continue
    return max(times, default=float("inf"))
