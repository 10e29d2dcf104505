"""What a tool gave back, as text for people, and how it ended.

Invariant: one meaning for all three engines, so that a tool card looks alike whichever engine ran it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.feed import ToolStatus
from bridge.kiro import loose

CANCELLED_TEXT = "Tool use was cancelled by the user"
"""What v1 and v2 store as the result of a cancelled tool (facts/kiro-cli.md 3.2, facts/kiro-wire.md 18)."""

_EXIT_STATUS = re.compile(r"(?:exit status: )?(-?\d{1,9})", re.ASCII)
_V3_EXIT = "\nExit Code: "
_INTERRUPTED = re.compile(r"\b(?:cancell?ed by the user|session was interrupted)\b", re.IGNORECASE)
_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("fs_read", "read", "read_file", "read_files", "list_directory"), "read"),
    **dict.fromkeys(("fs_write", "write", "fs_append", "str_replace"), "edit"),
    **dict.fromkeys(("execute_bash", "execute_cmd", "execute_pwsh", "shell"), "execute"),
    **dict.fromkeys(("grep", "glob", "file_search", "grep_search"), "search"),
    **dict.fromkeys(("web_fetch", "web_search", "remote_web_search"), "fetch"),
    "delete_file": "delete",
}


@dataclass(frozen=True)
class ToolResult:
    """The end of a tool call; `exit_code` of a shell command, None where there is none."""

    output: str
    status: ToolStatus
    exit_code: int | None = None


def kind_of(tool: str | None) -> str | None:
    """Return the kind of a tool known by name, in the words of ACP; None for any other."""
    return _KINDS.get(tool or "")


def paths_of(arguments: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the files a tool call names in its arguments, None when it names none."""
    candidates = [arguments, *(loose.table(one) for one in loose.rows(arguments.get("operations")))]
    found = [path for one in candidates if (path := loose.name(one.get("path")))]
    return tuple(dict.fromkeys(found)) or None


def from_blocks(blocks: object, status: object, *, cancelled: bool = False) -> ToolResult:
    """Return the result that v1 `{"Text"|"Json": ...}` or v2 `{"kind": "text"|"json", "data": ...}` blocks tell.

    A shell command that exits with another code than 0 has succeeded as a tool (facts/kiro-cli.md 14 no. 4).
    """
    texts: list[str] = []
    exit_code: int | None = None
    for block in loose.rows(blocks):
        told, code = _block(loose.table(block))
        texts.append(told)
        exit_code = code if code is not None else exit_code
    output = "\n".join(one for one in texts if one)
    failed = isinstance(status, str) and status.lower() == "error"
    if failed and (cancelled or output.strip() == CANCELLED_TEXT):
        return ToolResult(output, "cancelled", exit_code)
    return ToolResult(output, "failed" if failed else "completed", exit_code)


def from_v3(content: object, success: object) -> ToolResult:
    """Return the result that a v3 `tool_result` row tells; a shell's text ends with its exit code."""
    output = loose.prose(content) or (loose.compact(content) if isinstance(content, (dict, list)) and content else "")
    if success is False:
        interrupted = len(output) < 400 and _INTERRUPTED.search(output) is not None
        return ToolResult(output, "cancelled" if interrupted else "failed", _v3_exit_code(output))
    return ToolResult(output, "completed", _v3_exit_code(output))


def _v3_exit_code(output: str) -> int | None:
    """Return N of `Output:\\n...\\n\\n\\nExit Code: N` (facts/kiro-stores.md B.4)."""
    if not output.startswith("Output:\n"):
        return None
    found = _EXIT_STATUS.fullmatch(output[-20:].rpartition(_V3_EXIT)[2].strip())
    return int(found[1]) if found else None


def _block(block: loose.JsonDict) -> tuple[str, int | None]:
    kind = block.get("kind")
    if kind in ("text", "json"):
        value: object = block.get("data")
    else:
        value = block.get("Text", block.get("Json"))
    if isinstance(value, str):
        return loose.clean(value), None
    if isinstance(value, dict) and "exit_status" in value and ("stdout" in value or "stderr" in value):
        return _shell(value)
    return ("" if value is None else loose.compact(value)), None


def _shell(value: loose.JsonDict) -> tuple[str, int | None]:
    streams = [loose.text(value.get("stdout")) or "", loose.text(value.get("stderr")) or ""]
    joined = _joined(streams)
    status = value["exit_status"]
    code = loose.whole(status)
    if isinstance(status, str):
        found = _EXIT_STATUS.fullmatch(status.strip())
        code = int(found[1]) if found else None
        if found is None and status.strip():
            joined = _joined([joined, loose.clean(status)])
    return joined, code


def _joined(texts: list[str]) -> str:
    """Return the texts one after the other, the next beginning on a line of its own."""
    result = ""
    for one in texts:
        between = "\n" if result and one and not result.endswith("\n") else ""
        result += between + one
    return result
