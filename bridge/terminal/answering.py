"""Which key answers what Kiro asks, at this moment.

Invariant: only keys that are shown answer; a key that was on its way before the question could be seen is text, and
nothing is answered twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.core.records import StoredItem
from bridge.terminal.approvals import Way, ways

UNSEEN_SECONDS = 0.7
"""For so long after a question has appeared it has no keys: somebody may just be typing."""


@dataclass
class Answering:
    """`asked` is what Kiro waits for, `why` the refusal whose reason is being typed. Times in seconds of one clock."""

    asked: StoredItem | None = None
    why: Way | None = None
    _since: float = 0.0
    _sent: set[int] = field(default_factory=set)

    def look(self, pending: StoredItem | None, now: float) -> bool:
        """Take note of what Kiro waits for; return whether that is new."""
        known = None if self.asked is None else self.asked.id
        self.asked = pending
        if pending is None or pending.id == known:
            self.why = self.why if pending else None
            return False
        self.why, self._since = None, now
        return True

    def ways(self, now: float) -> list[Way]:
        """Return the ways to answer with a key now."""
        if self.asked is None or self.asked.id in self._sent or self.why or now < self._since + UNSEEN_SECONDS:
            return []
        return ways(self.asked.item)

    def sent(self, item_id: int) -> None:
        """Take note that an answer is on its way."""
        self.why = None
        self._sent.add(item_id)

    def failed(self, item_id: int) -> None:
        """Take note that the answer did not arrive: it can be given again."""
        self._sent.discard(item_id)
