"""One finding, and findings as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed", "unknown"]


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, what was found, and what to do about it (empty: nothing)."""

    name: str
    state: State
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the finding as JSON-ready fields."""
        return {"name": self.name, "state": self.state, "found": self.found, "remedy": self.remedy}


def failed(checks: Iterable[Check]) -> bool:
    """Return whether a prompt cannot be answered, by any of these findings."""
    return any(check.state == "failed" for check in checks)


def table(checks: Iterable[Check]) -> str:
    """Return the findings as lines of text, each remedy under its own."""
    rows = list(checks)
    states = max((len(check.state) for check in rows), default=0)
    names = max((len(check.name) for check in rows), default=0)
    lines = []
    for check in rows:
        lines.append(f"{check.state:<{states}}  {check.name:<{names}}  {check.found}")
        if check.remedy:
            lines.append(f"{'':<{states}}  {'':<{names}}  -> {check.remedy}")
    return "\n".join(lines) + "\n"
