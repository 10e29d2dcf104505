"""Conversations of the engines that keep them as files: v2 and v3.

Invariant: a list costs a `stat` of each session's files and reads the side documents of the newest ones, each version
once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from bridge.core.feed import Engine, FeedEvent, PromptRecorded, UsageSeen
from bridge.core.records import KiroConversation
from bridge.core.text import TITLE_LENGTH, first_line
from bridge.kiro import loose
from bridge.kiro.history import TurnStart
from bridge.kiro.past import LOG_MOST, PastTurns, cut
from bridge.kiro.session_files import Layout, Place, Record, RecordLog, is_session_id
from bridge.kiro.session_reader import TurnRecords
from bridge.kiro.v2_records import V2Turn
from bridge.kiro.v2_store import V2Layout
from bridge.kiro.v3_records import DEFAULT_TITLE, V3Turn
from bridge.kiro.v3_store import V3Layout

_SIDE_MOST = 8 << 20
_FIRST_LINES = 64 << 10
_LOOKED_AT = 2000
_KEPT = 4000


@dataclass(frozen=True)
class Side:
    """What a side document tells of its conversation; `hidden` is that of a sub-agent."""

    cwd: str = ""
    title: str = ""
    prompts: int | None = None
    created_at: float = 0.0
    hidden: bool = True


class FilePast:
    """The conversations of one engine. `side_of` reads a side document, `turn` makes what reads the records of a turn,
    `is_prompt` tells with which record one begins."""

    def __init__(
        self,
        engine: Engine,
        layout: Layout,
        side_of: Callable[[loose.JsonDict], Side],
        turn: Callable[[TurnStart], TurnRecords],
        is_prompt: Callable[[loose.JsonDict], bool],
        clock: Callable[[], float],
    ) -> None:
        self._engine: Engine = engine
        self._layout = layout
        self._side_of = side_of
        self._turn = turn
        self._is_prompt = is_prompt
        self._clock = clock
        self._known: dict[Path, tuple[tuple[int, int], KiroConversation | None]] = {}

    def listed(self, cwd: str | None, most: int) -> list[KiroConversation]:
        """Return the newest conversations, of the folder `cwd` or of all."""
        newest = sorted(self._places(), key=lambda pair: -pair[0])[:_LOOKED_AT]
        told = (self._told(place, at) for at, place in newest)
        fitting = (one for one in told if one is not None and (cwd is None or one.cwd == cwd))
        return list(islice(fitting, most))

    def find(self, kiro_id: str) -> KiroConversation | None:
        """Return the conversation of that id, None when there is none."""
        place = self._layout.place(kiro_id) if is_session_id(kiro_id) else None
        at = None if place is None else _changed(place)
        return None if place is None or at is None else self._told(place, at)

    def past(self, found: KiroConversation) -> PastTurns:
        """Return what a conversation holds."""
        place = self._layout.place(found.kiro_id)
        value = {} if place is None else _read(place.side) or {}
        turns = PastTurns(self._side_of(value).created_at or found.updated_at)
        if place is None:
            return turns
        log = RecordLog(place.log, lambda _data: True)
        size = _size(place.log)
        if size > LOG_MOST:
            log.tail.go_to({"offset": size - LOG_MOST})
            turns.take([cut(place.log)])
        self._take(log, value, turns)
        return turns

    def _take(self, log: RecordLog, value: loose.JsonDict, turns: PastTurns) -> None:
        start = TurnStart(0.0, self._clock)
        reader: TurnRecords | None = None
        for record in log.records(final=True):
            if reader is None or self._is_prompt(record.data):
                reader = self._turn(start)
                turns.take(reader.take(record))
                turns.at_end(_Usage(reader, value))
            else:
                turns.take(reader.take(record))

    def _places(self) -> Iterator[tuple[float, Place]]:
        for shelf in self._layout.shelves():
            try:
                ids = self._layout.ids(shelf)
            except (OSError, ValueError):
                continue
            for kiro_id in ids:
                place = self._layout.at(shelf, kiro_id)
                at = _changed(place)
                if at is not None:
                    yield at, place

    def _told(self, place: Place, at: float) -> KiroConversation | None:
        """Return a conversation as its side document tells of it; None for a sub-agent's or a damaged one."""
        try:
            about = os.stat(place.side)
        except (OSError, ValueError):
            return None
        version = about.st_mtime_ns, about.st_size
        known = self._known.get(place.side)
        if known is None or known[0] != version:
            while len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            known = self._known[place.side] = version, self._summary(place)
        found = known[1]
        return found and replace(found, updated_at=at)

    def _summary(self, place: Place) -> KiroConversation | None:
        value = _read(place.side)
        side = Side() if value is None else self._side_of(value)
        if side.hidden or not os.path.isabs(side.cwd):
            return None
        title = first_line(side.title or self._first_prompt(place), TITLE_LENGTH)
        return KiroConversation(self._engine, place.id, side.cwd, title, 0.0, side.prompts)

    def _first_prompt(self, place: Place) -> str:
        try:
            with place.log.open("rb") as file:
                lines = file.read(_FIRST_LINES).split(b"\n")
        except (OSError, ValueError):
            return ""
        for line in lines:
            try:
                value = loose.parsed(line)
            except loose.NotJson:
                continue
            if isinstance(value, dict) and self._is_prompt(value):
                events = self._turn(TurnStart(0.0, self._clock)).take(Record(0, value))
                return next((event.text for event in events if isinstance(event, PromptRecorded)), "")
        return ""


@dataclass(frozen=True)
class _Usage:
    """What a side document tells of the costs of the turn that `reader` has read."""

    reader: TurnRecords
    value: loose.JsonDict

    def __call__(self) -> list[FeedEvent]:
        return [event for event in self.reader.side(self.value) if isinstance(event, UsageSeen)]


def v2_past(folder: Path, clock: Callable[[], float]) -> FilePast:
    """Return the conversations of engine v2."""
    return FilePast("v2", V2Layout(folder), _v2_side, lambda start: V2Turn("", start), _is_v2_prompt, clock)


def v3_past(root: Path, clock: Callable[[], float]) -> FilePast:
    """Return the conversations of engine v3; what their sub-agents did by themselves is not read."""
    return FilePast("v3", V3Layout(root, clock), _v3_side, lambda start: V3Turn("", start), _is_v3_prompt, clock)


def _v2_side(value: loose.JsonDict) -> Side:
    state = loose.table(loose.table(value.get("session_state")).get("conversation_metadata"))
    turns = state.get("user_turn_metadatas")
    return Side(
        cwd=loose.text(value.get("cwd")) or "",
        title=loose.text(value.get("title")) or "",
        prompts=len(turns) if isinstance(turns, list) else None,
        created_at=loose.stamp(value.get("created_at")) or 0.0,
        hidden=value.get("parent_session_id") is not None and value.get("session_created_reason") != "rewind",
    )


def _v3_side(value: loose.JsonDict) -> Side:
    folders = [*loose.rows(value.get("workspacePaths")), *loose.rows(value.get("rootPaths"))]
    title = loose.text(value.get("title")) or ""
    return Side(
        cwd=next((folder for one in folders if (folder := loose.text(one))), ""),
        title="" if title == DEFAULT_TITLE else title,
        created_at=loose.stamp(value.get("createdAt")) or 0.0,
        hidden=value.get("parentSessionId") is not None and value.get("createdReason") == "subagent",
    )


def _is_v2_prompt(data: loose.JsonDict) -> bool:
    return data.get("kind") == "Prompt"


def _is_v3_prompt(data: loose.JsonDict) -> bool:
    return loose.table(data.get("payload")).get("type") == "user"


def _changed(place: Place) -> float | None:
    """Return when a conversation's files were last changed; None without a side document."""
    try:
        side = os.stat(place.side)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(side.st_mode):
        return None
    try:
        return max(side.st_mtime, os.stat(place.log).st_mtime)
    except (OSError, ValueError):
        return side.st_mtime


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return 0


def _read(path: Path) -> loose.JsonDict | None:
    """Return the object in a side document, None where there is none that is of a size to be read."""
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode) or about.st_size > _SIDE_MOST:
            return None
        value = loose.parsed(path.read_bytes())
    except (OSError, ValueError, loose.NotJson):
        return None
    return value if isinstance(value, dict) else None
