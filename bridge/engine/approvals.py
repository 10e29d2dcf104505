"""Answering what Kiro waits for.

Invariant: the first answer counts, and it is durable before Kiro is told.
"""

from __future__ import annotations

from typing import Any

from bridge.core.agentapi import answer_keys
from bridge.core.approvals import is_pending
from bridge.core.records import StoredItem
from bridge.core.text import strip_prompt
from bridge.engine.engine import Engine
from bridge.errors import BridgeError, RawRefused, RequestRefused
from bridge.ledger import Ledger


class AlreadyAnswered(BridgeError):
    """Somebody was faster, or nobody is waited for any more; `item` says how it ended."""

    code = "already_answered"

    def __init__(self, item: StoredItem) -> None:
        self.item = item
        super().__init__(f"This is over: {outcome(item.item.data)}.", "Nothing is left to be done.")


class Approvals:
    """Answers the approvals of all sessions."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        self._engine = engine
        self._ledger = ledger

    def pending(self, session_id: str) -> list[StoredItem]:
        """Return what Kiro waits for in a session, oldest first. Cheap while it waits for nothing."""
        run = self._engine.running(session_id)
        if run is None or not run.watch.waiting:
            return []
        return self._ledger.pending_approvals(run.turn_id)

    def answer(self, session_id: str, item_id: int, option: str, reason: str = "") -> StoredItem:
        """Answer with one of the item's options and return the item as it is then.

        A `reason` for a rejection is queued as the next prompt. Raises UnknownSession, RequestRefused (codes
        `unknown_item`, `unknown_option`), AlreadyAnswered, LedgerError.
        """
        self._engine.session(session_id)
        stored = self._ledger.item(item_id)
        if stored is None or stored.session_id != session_id or stored.item.kind != "approval":
            raise RequestRefused(
                f"There is no approval {item_id} in this session.", "Take one from its items.", code="unknown_item"
            )
        chosen = next((one for one in stored.item.data["options"] if one["id"] == option), None)
        if chosen is None:
            known = ", ".join(repr(one["id"]) for one in stored.item.data["options"])
            raise RequestRefused(f"There is no option {option!r}.", f"Choose one of: {known}.", code="unknown_option")
        return self._give(stored, chosen, strip_prompt(reason))

    def answer_key(self, session_id: str, key: str) -> None:
        """Answer the oldest approval of a session by one of the keys `y`, `n` and `t`. Raises RawRefused."""
        waiting = self.pending(session_id)
        if not waiting:
            raise RawRefused(
                f"{key!r} answers a request for approval, and none is pending.",
                "Send it as a message of type 'user' if it is meant as a prompt.",
            )
        chosen = answer_keys(waiting[0].item.data).get(key)
        if chosen is None:
            labels = ", ".join(repr(one["label"]) for one in waiting[0].item.data["options"])
            raise RawRefused(
                f"{key!r} is no answer to what Kiro asks.",
                f"It can be answered with {labels}, in the chat or by the API.",
            )
        self._give(waiting[0], chosen, "")

    def _give(self, stored: StoredItem, chosen: dict[str, Any], reason: str) -> StoredItem:
        rejects = chosen["kind"].startswith("reject")

        def then() -> None:
            if rejects and reason:
                self._engine.queue_first(stored.session_id, reason)

        run = self._engine.running(stored.session_id)
        first = (
            run is not None
            and run.turn_id == stored.turn_id
            and is_pending(stored.item)
            and run.answer(stored.item.key, chosen["id"], reason, then)
        )
        now = self._ledger.item(stored.id) or stored
        if not first:
            raise AlreadyAnswered(now)
        return now


def outcome(data: dict[str, Any]) -> str:
    """Return in words how an approval ended."""
    if data.get("status") != "answered":
        return {"expired": "nobody answered in time", "interrupted": "the turn ended before"}.get(
            str(data.get("status")), "it waits"
        )
    label = next((one["label"] for one in data["options"] if one["id"] == data["answer"]), data["answer"])
    return f"it was answered with “{label}”"
