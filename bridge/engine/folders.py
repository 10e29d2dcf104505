"""The folders sessions work in.

Invariant: a folder that somebody names is used only if it lies, links resolved, within an allowed one, or is one that
was used before; a new one is made by this process or not used.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from bridge.errors import RequestRefused

_TRIES = 1000


class Folders:
    """`root` is where new ones are made; `allowed` are those within which somebody may name one."""

    def __init__(self, root: Path, allowed: Collection[Path]) -> None:
        self.root = root
        self._allowed = tuple(allowed)

    def new(self, now: float) -> str:
        """Make a folder `task-YYYYMMDD-HHMMSS[-NN]`, the moment `now` in local time, and return its real path.

        Raises RequestRefused (code `folder_not_made`).
        """
        stem = f"task-{datetime.fromtimestamp(now):%Y%m%d-%H%M%S}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for number in range(1, _TRIES):
                folder = self.root / (stem if number == 1 else f"{stem}-{number:02d}")
                try:
                    folder.mkdir()
                except FileExistsError:
                    continue
                return os.path.realpath(folder)
        except OSError as error:
            raise RequestRefused(
                f"No folder can be made in {self.root}: {error.strerror or error}.",
                "Make room there, or name another place with the setting sessions_root.",
                code="folder_not_made",
            ) from error
        raise RequestRefused(
            f"There are {_TRIES - 1} folders {stem} in {self.root} already.", "Wait a second.", code="folder_not_made"
        )

    def given(self, cwd: str, used: Collection[str]) -> str:
        """Return the real path of a folder that somebody named. Raises RequestRefused."""
        if not os.path.isabs(cwd) or "\0" in cwd:
            raise RequestRefused(
                f"The folder {cwd!r} is not an absolute path.", "Name it from the root on.", code="folder_missing"
            )
        try:
            real = os.path.realpath(cwd)
            there = os.path.isdir(real)
        except (OSError, ValueError):
            there = False
        if not there:
            raise RequestRefused(
                f"There is no folder {cwd}.", "Make it, or leave it out: a new one is made then.", code="folder_missing"
            )
        if real not in used and not self._is_allowed(real):
            places = ", ".join(map(str, self._allowed)) or "none"
            raise RequestRefused(
                f"The folder {real} lies outside of the folders that sessions may work in ({places}).",
                "Name one within those, or add it to the setting allowed_folders.",
                code="folder_not_allowed",
            )
        return real

    def _is_allowed(self, real: str) -> bool:
        return any(Path(real).is_relative_to(os.path.realpath(place)) for place in (*self._allowed, self.root))
