"""What a tool call carries on the wire: its output, its files, the change it makes.

Invariant: pure; texts are bounded where the agent could make them long for nothing, and a path is never a URI.
"""

from __future__ import annotations

import difflib
from urllib.parse import unquote, urlsplit

from bridge.core.feed import ToolStatus
from bridge.kiro import loose
from bridge.kiro.loose import JsonDict
from bridge.kiro.tool_results import ToolResult, from_blocks, from_v3

PURPOSE = "__tool_use_purpose"
_LONGEST_DIFF = 400_000
"""Characters of both sides up to which the changed lines are worked out; that takes time beyond."""


def result(update: JsonDict, status: ToolStatus | None) -> ToolResult | None:
    """Return what a tool gave so far, None when the update does not say.

    `rawOutput.items` is v2's result; v3's is a text, or an object whose `message`, `response` or `content` is one; and
    `content` is what v3 fills as well and v2 shows while the tool runs (facts/kiro-stores.md A.6, kiro-wire.md 12).
    """
    given = update.get("rawOutput")
    raw = loose.table(given)
    if isinstance(raw.get("items"), list):
        return from_blocks(raw["items"], "error" if status == "failed" else "success")
    message = loose.name(given) or next((text for key in _TEXTS if (text := loose.name(raw.get(key)))), None)
    if message is None:
        parts = [_shown(loose.table(part)) for part in loose.rows(update.get("content"))]
        message = "\n".join(part for part in parts if part)
    if not message:
        return None
    found = from_v3(message, status != "failed")
    code = loose.whole(raw.get("exitCode"))
    return found if code is None else ToolResult(found.output, found.status, code)


_TEXTS = ("message", "response", "content", "output")


def live_output(update: JsonDict) -> str | None:
    """Return the further output of a running tool; None when the update holds anything else (kiro-wire.md 4 no. 4)."""
    if update.keys() - {"sessionUpdate", "toolCallId", "content", "_meta"}:
        return None
    parts = [loose.table(part) for part in loose.rows(update.get("content"))]
    if not parts or any(part.get("type") != "content" for part in parts):
        return None
    return "".join(loose.text(loose.table(part.get("content")).get("text")) or "" for part in parts)


def paths(value: object) -> tuple[str, ...] | None:
    """Return the paths of a list of locations, each once, None when there is no list."""
    if not isinstance(value, list):
        return None
    found = (loose.name(loose.table(item).get("path")) for item in value)
    return tuple(dict.fromkeys(plain_path(path) for path in found if path))


def plain_path(path: str) -> str:
    """Return a path; v3 writes some as `file:` URIs (facts/kiro-wire.md 12)."""
    return unquote(urlsplit(path).path) if path.startswith("file://") else path


def change(update: JsonDict) -> str:
    """Return the changes that the diffs of an update make, as a unified diff; empty when it has none."""
    parts = (_diff(loose.table(part)) for part in loose.rows(update.get("content")))
    return "\n".join(part for part in parts if part)


def _shown(part: JsonDict) -> str | None:
    if part.get("type") == "diff":
        return _diff(part)
    return loose.text(loose.table(part.get("content")).get("text"))


def _diff(part: JsonDict) -> str:
    """Return one change; an empty one says nothing (facts/kiro-wire.md 12)."""
    path = loose.name(part.get("path"))
    old, new = loose.text(part.get("oldText")) or "", loose.text(part.get("newText")) or ""
    if part.get("type") != "diff" or path is None or old == new:
        return ""
    name = plain_path(path)
    if len(old) + len(new) > _LONGEST_DIFF:
        return f"--- {name}\n+++ {name}\n{new}"
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name if old else "/dev/null", name, lineterm="")
    return "\n".join(lines)
