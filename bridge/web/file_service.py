"""The files of each session: where they are, and which of them the conversation has touched.

Invariant: knows a session's folder from the chat service alone; what was uploaded is kept in the ledger.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Protocol, cast

from flask import current_app

from bridge.web.service import ChatService
from bridge.workfiles.finding import Finder
from bridge.workfiles.folder import Folder
from bridge.workfiles.touched import TouchedFile, TouchedFiles

_PAGE = 200
_PAGES = 50
_UPLOADS = 500


class Notes(Protocol):
    """Texts that outlive the process, by name: the ledger's."""

    def meta(self, name: str) -> str | None:
        """Return a text, None where there is none."""

    def set_meta(self, name: str, value: str) -> None:
        """Keep a text."""


class SessionFiles:
    """The files of all sessions. Safe for several threads. `clock` gives seconds since the epoch."""

    def __init__(self, chat: ChatService, notes: Notes, clock: Callable[[], float] = time.time) -> None:
        self._chat = chat
        self._notes = notes
        self._clock = clock
        self._noting = threading.Lock()
        self.finder = Finder()

    def folder(self, session_id: str) -> Folder:
        """Return the folder of a session. Raises UnknownSession."""
        return Folder(self._chat.session(session_id).cwd)

    def uploaded(self, session_id: str, names: list[str]) -> None:
        """Take note of files that were put into the session's folder. Raises a LedgerError."""
        with self._noting:
            known = self._uploads(session_id)
            at = self._clock()
            for name in names:
                known.pop(name, None)
                known[name] = at
            kept = dict(list(known.items())[-_UPLOADS:])
            self._notes.set_meta(_note(session_id), json.dumps(kept))

    def touched(self, session_id: str) -> list[TouchedFile]:
        """Return the files that the newest part of the conversation has touched, the last first."""
        files = TouchedFiles(self._chat.session(session_id).cwd)
        before: int | None = None
        for _ in range(_PAGES):
            page = self._chat.items(session_id, before=before, limit=_PAGE)
            for stored in page.items:
                files.add_item(stored.item, stored.updated_at)
            if not page.more or not page.items:
                break
            before = page.items[0].id
        for name, at in self._uploads(session_id).items():
            files.add(name, "upload", at)
        return files.newest_first()

    def _uploads(self, session_id: str) -> dict[str, float]:
        try:
            found = json.loads(self._notes.meta(_note(session_id)) or "{}")
            return {str(name): float(at) for name, at in found.items()}
        except (ValueError, TypeError, AttributeError):
            return {}


def _note(session_id: str) -> str:
    return f"uploads:{session_id}"


def session_files() -> SessionFiles:
    """Return the files of the running application."""
    return cast(SessionFiles, current_app.extensions["things"].files)
