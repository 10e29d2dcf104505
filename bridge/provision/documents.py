"""JSON files that belong to the user and in which we keep some entries up to date.

Invariant: a file is replaced whole or not at all, in its own layout; what is about to be changed is kept beside it
first, and an unchanged file is not touched. What we wrote is remembered, so that the user's edits are told from ours.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.files import replace_file
from bridge.provision.download import local_failure
from bridge.provision.merging import ABSENT, merge
from bridge.provision.progress import say, warn

BACKUP = ".before-module"
INVALID = ".invalid"


def keep(path: Path, wanted: Mapping[str, Any], memory: Path) -> dict[str, Any]:
    """Bring the entries that are wanted into the JSON object at `path` and return the whole of it.

    `memory` is where what we wrote is remembered. Raises `ProvisionError` when the file cannot be written.
    """
    path = Path(os.path.realpath(path))
    try:
        text = _text(path)
        now = _object(text, path)
        before = _object(_text(memory), None)
        merged: dict[str, Any] = merge(ABSENT if before is None or now is None else before, now or {}, dict(wanted))
        if now is None or json.dumps(merged) != json.dumps(now):
            _save(path, text, now, merged, first=before is None)
        remembered = json.dumps(wanted, indent=2).encode()
        if before is None or _text(memory) != remembered.decode():
            replace_file(memory, remembered)
    except OSError as error:
        raise local_failure(error, path) from error
    return merged


def _save(path: Path, text: str | None, now: object, merged: Mapping[str, Any], *, first: bool) -> None:
    mode = path.stat().st_mode & 0o777 if text is not None else 0o600
    if text is not None and now is None:
        aside = path.with_name(path.name + INVALID)
        replace_file(aside, path.read_bytes())
        warn(f"{path} is no JSON object; it is kept as {aside.name} and written anew.")
    elif text is not None and first:
        replace_file(path.with_name(path.name + BACKUP), path.read_bytes())
        say(f"{path} was there already; the old one is kept as {path.name}{BACKUP}.")
    replace_file(path, _in_layout_of(text if now is not None else None, merged).encode())
    path.chmod(mode)
    say(f"Wrote {path}")


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        return None


def _object(text: str | None, path: Path | None) -> dict[str, Any] | None:
    """Return the JSON object in the text, None when there is none; an empty file counts as an empty object."""
    if text is None:
        return None
    if path is not None and not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _in_layout_of(text: str | None, value: Mapping[str, Any]) -> str:
    """Return the value as JSON with the indentation, escapes and line end of `text`."""
    if not text or not text.strip():
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    found = re.search(r"^\s*\{\s*?\n([ \t]+)", text)
    indent = found[1] if found else (None if "\n" not in text.strip() else 2)
    escaped = text.isascii() and re.search(r"\\u[0-9a-fA-F]{4}", text) is not None
    return json.dumps(value, indent=indent, ensure_ascii=escaped) + ("\n" if text.endswith("\n") else "")
