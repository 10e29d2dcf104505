"""What a running turn does just now, in a few words, told from its items."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bridge.core.approvals import is_pending
from bridge.core.feed import TOOL_ENDED
from bridge.core.items import Change, Item, ItemPut, TextAppended
from bridge.core.text import first_line
from bridge.core.tools import subject

LENGTH = 160

_SPOKEN = {"text": "Writing the answer", "thought": "Thinking"}


@dataclass(frozen=True)
class Doing:
    """`text` says what runs, `since` in seconds since the epoch since when."""

    text: str
    since: float


class Watch:
    """Follows the changes of one turn. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begun = Doing("Starting Kiro", clock())
        self._spoken: Doing | None = None
        self._speaker = ""
        self._tools: dict[str, Doing] = {}
        self._asked: dict[str, Doing] = {}

    @property
    def waiting(self) -> bool:
        """Return whether Kiro waits for somebody's answer."""
        return bool(self._asked)

    def take(self, changes: Iterable[Change]) -> None:
        """Take what changed."""
        for change in changes:
            if isinstance(change, ItemPut):
                self._take_item(change.item)
            elif isinstance(change, TextAppended):
                self._speaks("text")

    def now(self) -> Doing:
        """Return what goes on: what somebody is asked, else the tool that began last, else what is said."""
        for group in (self._asked, self._tools):
            if group:
                return list(group.values())[-1]
        return self._spoken or self._begun

    def _take_item(self, item: Item) -> None:
        if item.kind == "tool":
            self._tools.pop(item.key, None) if item.data.get("status") in TOOL_ENDED else self._begins(item)
        elif item.kind == "approval":
            if is_pending(item):
                self._asked.setdefault(item.key, self._told(f"Waiting for an answer: {item.data.get('title')}"))
            else:
                self._asked.pop(item.key, None)
        elif item.kind in _SPOKEN and not item.final:
            self._speaks(item.kind)

    def _begins(self, item: Item) -> None:
        known = self._tools.get(item.key)
        text = str(item.data.get("title") or subject(item) or item.data.get("name") or "A tool")
        self._tools[item.key] = Doing(self._told(text).text, known.since if known else self._clock())

    def _speaks(self, kind: str) -> None:
        if self._spoken is None or (kind != self._speaker and kind in _SPOKEN):
            self._spoken, self._speaker = self._told(_SPOKEN[kind]), kind

    def _told(self, text: str) -> Doing:
        return Doing(first_line(text, LENGTH), self._clock())
