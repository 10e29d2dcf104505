"""The v2 store: `<id>.jsonl` and its side file `<id>.json` in one folder, `~/.kiro/sessions/cli`.

Invariant: the side file's `message_ids` are the only link between a turn and what it cost (facts/kiro-wire.md 18).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from bridge.kiro import loose
from bridge.kiro.history import TurnStart
from bridge.kiro.session_files import Place, is_session_id, same_folder
from bridge.kiro.session_reader import SessionReader
from bridge.kiro.v2_records import V2Turn

_ENDINGS = ("json", "jsonl")


class V2Layout:
    """All sessions lie flat in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def shelves(self) -> list[Path]:
        """Return the one folder."""
        return [self._folder]

    def ids(self, shelf: Path) -> set[str]:
        """Return the ids of the sessions in it. May raise OSError."""
        names = (entry.name.rpartition(".") for entry in os.scandir(shelf))
        return {stem for stem, _, ending in names if ending in _ENDINGS and is_session_id(stem)}

    def at(self, shelf: Path, kiro_id: str) -> Place:
        """Return where the files of that session are."""
        return Place(kiro_id, shelf / f"{kiro_id}.json", shelf / f"{kiro_id}.jsonl")

    def place(self, kiro_id: str) -> Place | None:
        """Return where the session of that id is or would be."""
        return self.at(self._folder, kiro_id) if is_session_id(kiro_id) else None

    def belongs(self, side: loose.JsonDict, cwd: str) -> bool:
        """Return whether the session is of that folder; only `parent_session_id` marks a child (kiro-stores.md C),
        and a rewound session has one too."""
        child = side.get("parent_session_id") is not None and side.get("session_created_reason") != "rewind"
        return not child and same_folder([side.get("cwd")], cwd)

    def older(self, side: loose.JsonDict, since: float) -> bool:
        """Return whether the session was begun before `since`, or with the lines of a rewound one."""
        created = loose.stamp(side.get("created_at"))
        return side.get("session_created_reason") == "rewind" or (created is not None and created < since)


class V2Reader(SessionReader):
    """Follows one session of the v2 engine.

    `sessions_dir` is Kiro's folder of v2 sessions, `cwd` the folder of the turn, `started_at` in seconds since the
    epoch, `kiro_id` the session to be continued or None, `prompt` what is sent to Kiro.
    """

    engine = "v2"

    def __init__(
        self,
        sessions_dir: Path,
        cwd: str,
        started_at: float,
        kiro_id: str | None,
        prompt: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        start = TurnStart(started_at, clock)
        super().__init__(V2Layout(sessions_dir), V2Turn(prompt, start), cwd, start, kiro_id, clock)
