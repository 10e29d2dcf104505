"""Key paths with JSON types, of recordings and of what the stand-in writes.

Invariant: a path names every key on the way, `[]` for list items, and ends in the JSON type. Rules for maps with free
keys (their keys are data, not shape): `*` stands for the keys of `results` (tool call ids) and of `tools` (origins);
nothing below a call's arguments (`args`, `orig_args`, `input`, `rawInput`), which belong to the tool, is compared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

FREE_KEYS = ("results", "tools")
OPAQUE = ("args", "orig_args", "input", "rawInput")
TYPES = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}


def recordings() -> Path:
    """The folder of the recordings; skips the test without it."""
    folder = os.environ.get("KIRO_RECORDINGS")
    if not folder:
        pytest.skip("KIRO_RECORDINGS names no folder: not compared with the real program")
    return Path(folder)


def paths(value: Any, at: str) -> Iterator[str]:
    """Every leaf, and every object and list as such, below `value`."""
    if isinstance(value, dict):
        yield f"{at}: object"
        for key, child in value.items():
            if key in OPAQUE:
                yield f"{at}.{key}: opaque"
            elif key in FREE_KEYS and isinstance(child, dict):
                for free in child.values():
                    yield from paths(free, f"{at}.{key}.*")
            else:
                yield from paths(child, f"{at}.{key}")
    elif isinstance(value, list):
        yield f"{at}: array"
        for child in value:
            yield from paths(child, f"{at}[{_block(child)}]")
    else:
        yield f"{at}: {TYPES[type(value)]}"


def _block(child: Any) -> str:
    """The kind of a content block, which decides its shape; empty for other items."""
    kind = child.get("kind") if isinstance(child, dict) and "data" in child else None
    return kind if isinstance(kind, str) else ""


def all_paths(values: Iterable[tuple[str, Any]]) -> set[str]:
    """Paths of many values, each under its own root."""
    return {path for root, value in values for path in paths(value, root)}


def v2_line(line: dict[str, Any]) -> tuple[str, Any]:
    """A line of the v2 file under its kind."""
    return f"line<{line['kind']}>", line


def v3_row(row: dict[str, Any]) -> tuple[str, Any]:
    """A row of the v3 file under its type."""
    return f"row<{row['payload']['type']}>", row


def update(body: dict[str, Any]) -> tuple[str, Any]:
    """The update of a sessionUpdate event or of an ACP notification, under its kind."""
    name = str(body["sessionUpdate"])
    kind = body.get("_meta", {}).get("kiro", {}).get("kind") if name == "session_info_update" else None
    return f"update<{name}{'/' + kind if kind else ''}>", body


def events(lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Stream events under their types, updates on their own."""
    for line in lines:
        event = json.loads(line)
        if event["type"] == "sessionUpdate":
            yield update(event["data"].pop("update"))
        yield f"event<{event['type']}>", event


def acp_updates(folder: Path) -> Iterator[tuple[str, Any]]:
    """Updates of ACP recordings: the stream forwards their bodies as they are."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            frame = json.loads(line)["frame"]
            if frame.get("method") == "session/update":
                yield update(frame["params"]["update"])
