"""An item in the making, as the turn state machine holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.core.items import Item, ItemKind

Stage = Literal["live", "closed", "recorded"]


@dataclass
class Entry:
    """An item in the making. `stage`: text still flows, no more flows but nothing confirmed it, or the store has it."""

    key: str
    kind: ItemKind
    position: int
    stage: Stage
    parts: list[str] = field(default_factory=list)
    length: int = 0
    data: dict[str, Any] = field(default_factory=dict)
    final: bool = False
    agent: str | None = None
    stream_id: str | None = None
    streamed_at: int | None = None

    @property
    def preview(self) -> bool:
        """Return whether this is text that no record has confirmed."""
        return self.kind in ("text", "thought") and self.stage != "recorded"

    def text(self) -> str:
        """Return the whole text."""
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    def replace(self, text: str) -> None:
        """Take `text` for all that was there."""
        self.parts, self.length = [text], len(text)

    def item(self) -> Item:
        """Return the item as it stands now."""
        return Item(
            key=self.key,
            kind=self.kind,
            position=self.position,
            text=self.text(),
            data=dict(self.data),
            final=self.final,
            recorded=self.stage == "recorded",
        )
