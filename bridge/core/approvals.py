"""What an approval and a plan look like as items.

Invariant: an approval that is over stays as it ended; only a pending one can be answered.
"""

from __future__ import annotations

from typing import Any

from bridge.core.feed import ApprovalAsked, ApprovalClosed, PlanSeen
from bridge.core.items import Item

PENDING = "pending"


def is_pending(item: Item) -> bool:
    """Return whether somebody still has to answer the item."""
    return item.kind == "approval" and item.data.get("status") == PENDING


def approval_data(event: ApprovalAsked) -> dict[str, Any]:
    """Return the data of an approval that was just asked."""
    return {
        "status": PENDING,
        "title": event.title,
        "tool_key": event.tool_key,
        "question": event.question,
        "options": [{"id": option.id, "label": option.label, "kind": option.kind} for option in event.options],
        "answer": None,
        "reason": "",
    }


def closed(event: ApprovalClosed) -> dict[str, Any]:
    """Return what changes in the data of an approval that is over."""
    return {"status": event.status, "answer": event.option, "reason": event.reason}


def interrupted() -> dict[str, Any]:
    """Return what changes in the data of an approval whose turn ended before anybody answered."""
    return {"status": "interrupted"}


def plan_data(event: PlanSeen) -> dict[str, Any]:
    """Return the data of a plan."""
    return {"steps": [{"text": step.text, "status": step.status} for step in event.steps]}
