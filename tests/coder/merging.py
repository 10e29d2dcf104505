"""What `coder exp mcp server` makes of reports before it passes them on (facts/coder-platform.md 2.2, 2.3).

Written from the facts alone; it shares nothing with the bridge.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """An app status: what a user sees in the dashboard."""

    state: str
    summary: str = ""
    link: str = ""


class Merging:
    """The queue's predicate. `old` are the rules up to 2.31.0; `agentapi` says that it follows `/events` too."""

    def __init__(self, *, old: bool = False, agentapi: bool = False) -> None:
        self._old = old
        self._agentapi = agentapi
        self._last: Status | None = None
        self._last_user_id = -1

    def self_report(self, state: str, summary: str, link: str) -> Status | None:
        """Take a call of the tool; return what goes on to Coder, if anything."""
        if self._agentapi and (self._old or state == "idle"):
            state = "working"
        return self._merge(Status(state, summary, link))

    def status_change(self, status: str) -> Status | None:
        """Take a `status_change` of AgentAPI."""
        state = "idle" if status == "stable" else "working"
        if state == "working" and self._last is not None:
            return None
        return self._merge(Status(state))

    def message_update(self, message_id: int, role: str) -> Status | None:
        """Take a `message_update` of AgentAPI: only those of the user count."""
        if role != "user" or message_id <= self._last_user_id:
            return None
        self._last_user_id = message_id
        return self._merge(Status("working"))

    def _merge(self, new: Status) -> Status | None:
        if not new.state:
            return None
        if not new.summary and self._last is not None:
            new = Status(new.state, self._last.summary, self._last.link)
        if new == self._last:
            return None
        self._last = new
        return new
