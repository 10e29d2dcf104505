"""Server-sent events, taken out of the bytes they arrive in.

Invariant: how the bytes are cut into pieces makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """One event: its name (`message` without one), its data, and its `id:`, empty without one."""

    name: str
    data: str
    id: str = ""


class Frames:
    """Collects bytes and gives out the events that are complete. Comments, which keep the stream open, are dropped."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take the bytes that follow and return the events they complete."""
        self._rest += data.replace(b"\r", b"")
        found = []
        while (end := self._rest.find(b"\n\n", self._searched)) >= 0:
            frame = _frame(self._rest[:end].decode("utf-8", "replace"))
            del self._rest[: end + 2]
            self._searched = 0
            if frame is not None:
                found.append(frame)
        self._searched = max(0, len(self._rest) - 1)
        return found


def _frame(block: str) -> Frame | None:
    fields: dict[str, list[str]] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value[1:] if value.startswith(" ") else value)
    if "data" not in fields:
        return None
    return Frame(fields.get("event", ["message"])[-1], "\n".join(fields["data"]), fields.get("id", [""])[-1])
