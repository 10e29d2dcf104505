"""What is the same of a tool call wherever it is shown.

Invariant: pure; what is returned comes from the agent as it is, and is cleaned by whoever shows it.
"""

from __future__ import annotations

from bridge.core.items import Item

STATUS_REPORT = "coder_report_task"
"""The tool by which the model itself tells Coder how its task is, whatever server name stands in front."""

_SUBJECTS = ("command", "path")


def is_status_report(item: Item) -> bool:
    """Return whether the item is the model's own report to Coder, which is not shown in a conversation."""
    return item.kind == "tool" and str(item.data.get("name") or "").endswith(STATUS_REPORT)


def subject(item: Item) -> str:
    """Return what a tool works on by its arguments, its command or path; empty where they tell neither."""
    arguments = item.data.get("input")
    named = arguments if isinstance(arguments, dict) else {}
    return next((str(named[key]) for key in _SUBJECTS if named.get(key)), "")
