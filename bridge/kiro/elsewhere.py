"""Conversations in Kiro's own stores: listed, read, and deleted.

Invariant: read-only but for `delete`, which is kiro-cli's own doing; whatever stands in a store, listing and reading
raise nothing for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bridge.core.feed import Engine
from bridge.core.records import KiroConversation, PastTurn
from bridge.kiro.command import LaunchOptions
from bridge.kiro.file_past import v2_past, v3_past
from bridge.kiro.installation import Installation
from bridge.kiro.locations import StoreLocations, find_locations
from bridge.kiro.past import PastTurns
from bridge.kiro.removal import Removal
from bridge.kiro.v1_past import V1Past

MOST = 300
"""Conversations that a list shows, the newest of all stores together."""


class _Past(Protocol):
    """The conversations of one engine."""

    def listed(self, cwd: str | None, most: int) -> list[KiroConversation]:
        """Return the newest ones."""

    def find(self, kiro_id: str) -> KiroConversation | None:
        """Return one of them."""

    def past(self, found: KiroConversation) -> PastTurns:
        """Return what one of them holds."""


class KiroConversations:
    """The conversations of all three engines (`bridge.engine.conversations.Conversations`)."""

    def __init__(
        self, locations: StoreLocations, removal: Removal | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._removal = removal
        self._stores: Mapping[Engine, _Past] = {
            "v1": V1Past(locations.database),
            "v2": v2_past(locations.v2_sessions, clock),
            "v3": v3_past(locations.v3_sessions, clock),
        }

    def listed(self, cwd: str | None) -> list[KiroConversation]:
        """Return the newest conversations, of the folder `cwd` or of all, the last changed first."""
        found = [one for store in self._stores.values() for one in store.listed(cwd, MOST)]
        return sorted(found, key=lambda one: -one.updated_at)[:MOST]

    def find(self, engine: Engine, kiro_id: str) -> KiroConversation | None:
        """Return the conversation of that id, None when there is none."""
        return self._stores[engine].find(kiro_id)

    def past(self, found: KiroConversation) -> tuple[Sequence[PastTurn], int]:
        """Return the newest turns of a conversation, oldest first, and how many there are before them."""
        return self._stores[found.engine].past(found).turns()

    def delete(self, engine: Engine, kiro_id: str, cwd: str) -> None:
        """Have kiro-cli delete its record of a conversation. Raises RequestRefused where it cannot or did not."""
        assert self._removal is not None  # given where anything is deleted
        self._removal.delete(engine, kiro_id, cwd, lambda: self.find(engine, kiro_id) is not None)


def make_conversations(
    environ: Mapping[str, str],
    *,
    database: Path | None,
    v2_sessions: Path | None,
    v3_sessions: Path | None,
    kiro_cli: Path | None,
    cache_file: Path,
) -> KiroConversations:
    """Return the conversations of this machine; the paths are those of the settings."""
    locations = find_locations(
        environ, database=_text(database), v2_sessions=_text(v2_sessions), v3_sessions=_text(v3_sessions)
    )
    installation = Installation(environ, LaunchOptions(), explicit=_text(kiro_cli), cache_file=cache_file)
    return KiroConversations(locations, Removal(installation))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
