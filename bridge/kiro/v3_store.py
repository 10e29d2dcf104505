"""The v3 store: one folder per session in buckets named by a hash of the workspace, `~/.kiro/sessions`.

Invariant: the bucket's name is never computed; sessions are found by their `session.json` (facts/kiro-stores.md B.2).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from bridge.core.feed import FeedEvent
from bridge.kiro import loose
from bridge.kiro.history import TurnStart
from bridge.kiro.session_files import Place, RecordLog, Session, is_session_id, same_folder
from bridge.kiro.session_reader import SessionReader
from bridge.kiro.v3_records import V3Turn

_V2_FOLDER = "cli"
_SUB_FOLDER = "sub-executions"


class V3Layout:
    """Buckets of session folders. The list of buckets is read again when the root has changed."""

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self._root = root
        self._clock = clock
        self._buckets: list[Path] = []
        self._changed = -1

    def shelves(self) -> list[Path]:
        """Return the buckets there are."""
        try:
            changed = os.stat(self._root).st_mtime_ns
            if changed != self._changed:
                self._buckets = [
                    self._root / entry.name
                    for entry in os.scandir(self._root)
                    if entry.name != _V2_FOLDER and entry.is_dir()
                ]
                settled = abs(self._clock() - changed / 1e9) > 0.1
                self._changed = changed if settled else -1
        except (OSError, ValueError):
            self._buckets, self._changed = [], -1
        return self._buckets

    def ids(self, shelf: Path) -> set[str]:
        """Return the sessions in a bucket; those that came from the IDE have bare uuids as names. May raise OSError."""
        return {entry.name for entry in os.scandir(shelf) if is_session_id(entry.name) and entry.is_dir()}

    def at(self, shelf: Path, kiro_id: str) -> Place:
        """Return where the files of that session of the bucket are."""
        folder = shelf / kiro_id
        return Place(kiro_id, folder / "session.json", folder / "messages.jsonl")

    def place(self, kiro_id: str) -> Place | None:
        """Return where the session of that id is; None while it has no folder, which comes 1 to 3 s into its turn."""
        if not is_session_id(kiro_id):
            return None
        holding = (bucket for bucket in self.shelves() if (bucket / kiro_id).is_dir())
        return next((self.at(bucket, kiro_id) for bucket in holding), None)

    def belongs(self, side: loose.JsonDict, cwd: str) -> bool:
        """Return whether `cwd` is one of the session's folders and the session is no sub-agent's."""
        if side.get("parentSessionId") is not None and side.get("createdReason") == "subagent":
            return False
        return same_folder([*loose.rows(side.get("workspacePaths")), *loose.rows(side.get("rootPaths"))], cwd)

    def older(self, side: loose.JsonDict, since: float) -> bool:
        """Return whether the session was begun before `since`, or with the rows of a parent."""
        created = loose.stamp(side.get("createdAt"))
        return side.get("parentSessionId") is not None or (created is not None and created < since)


class V3Reader(SessionReader):
    """Follows one session of the v3 engine, with its sub-agents.

    `sessions_root` is the folder of the buckets, `cwd` the folder of the turn, `started_at` in seconds since the epoch,
    `kiro_id` the session to be continued or None, `prompt` what is sent to Kiro.
    """

    engine = "v3"

    def __init__(
        self,
        sessions_root: Path,
        cwd: str,
        started_at: float,
        kiro_id: str | None,
        prompt: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._start = TurnStart(started_at, clock)
        self._v3_turn = V3Turn(prompt, self._start)
        self._subs: dict[str, RecordLog] = {}
        self._subs_changed = -1
        self._clock = clock
        super().__init__(V3Layout(sessions_root, clock), self._v3_turn, cwd, self._start, kiro_id, clock)

    def _beside(self, session: Session, final: bool) -> list[FeedEvent]:
        """Return what the session's sub-agents did; only rows since the turn began count."""
        folder = session.place.log.parent / _SUB_FOLDER
        self._list_subs(folder, final)
        events: list[FeedEvent] = []
        for agent, log in self._subs.items():
            for record in log.records(final=final):
                events += self._v3_turn.take(record, agent)
        return events

    def _list_subs(self, folder: Path, final: bool) -> None:
        try:
            changed = os.stat(folder).st_mtime_ns
            if changed == self._subs_changed and not final:
                return
            names = [entry.name for entry in os.scandir(folder) if entry.name.endswith(".jsonl")]
        except (OSError, ValueError):
            return
        self._subs_changed = changed if abs(self._clock() - changed / 1e9) > 0.1 else -1
        for name in names:
            agent = name.removesuffix(".jsonl")
            if agent in self._subs or not is_session_id(agent) or self._is_old(folder / name):
                continue
            self._subs[agent] = RecordLog(folder / name, self._is_of_turn, skipping=True)

    def _is_old(self, path: Path) -> bool:
        try:
            return os.stat(path).st_mtime < self._start.earliest()
        except (OSError, ValueError):
            return True

    def _is_of_turn(self, data: loose.JsonDict) -> bool:
        """Return whether a sub-agent's row was written since the turn began; the engine's clock is ours, to 1 ms."""
        at = loose.stamp(data.get("timestamp"))
        return at is None or at >= self._start.earliest(0.002)
