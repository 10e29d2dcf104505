"""What the engine asks of Kiro's own stores beyond a turn: conversations that were begun elsewhere.

Invariant: the engine knows this protocol and nothing of how Kiro keeps its conversations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bridge.core.feed import Engine
from bridge.core.records import KiroConversation, PastTurn


class Conversations(Protocol):
    """Kiro's own conversations. Nothing here changes anything but `delete`."""

    def listed(self, cwd: str | None) -> list[KiroConversation]:
        """Return the newest conversations, of the folder `cwd` or of all, the last changed first."""

    def find(self, engine: Engine, kiro_id: str) -> KiroConversation | None:
        """Return the conversation of that id, None when there is none."""

    def past(self, found: KiroConversation) -> tuple[Sequence[PastTurn], int]:
        """Return the newest turns of a conversation, oldest first, and how many there are before them."""

    def delete(self, engine: Engine, kiro_id: str, cwd: str) -> None:
        """Have kiro-cli delete its record of a conversation. Raises RequestRefused where it cannot or did not."""
