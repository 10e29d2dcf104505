"""`kiro-cli settings`: flat JSON with dotted keys (facts/kiro-cli.md 8.3).

Invariant: the file is replaced whole, by rename.
"""

from __future__ import annotations

import json
from pathlib import Path

from standin import console, places
from standin.linefile import replace_file
from standin.model import Json


def _read(path: Path) -> Json:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def _write(path: Path, values: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(values, indent=2) + "\n")


def _list(values: Json, as_json: bool) -> int:
    if as_json:
        console.out(json.dumps(values, indent=2) + "\n")
    else:
        console.out("".join(f"{key} = {json.dumps(value)}\n" for key, value in sorted(values.items())))
    return 0


def put(key: str, value: object) -> None:
    """Set one value of the user's file."""
    path = places.settings_file()
    _write(path, {**_read(path), key: value})


def listed() -> Json:
    """All values of the user's file."""
    return _read(places.settings_file())


def settings(rest: list[str]) -> int:
    """`settings list [-f json]`, `settings KEY`, `settings KEY VALUE`, `settings -d KEY`, each with `--workspace`."""
    path = Path.cwd() / ".kiro" / "settings" / "cli.json" if "--workspace" in rest else places.settings_file()
    words = [
        word for word in rest if word not in ("--workspace", "--global", "--all", "-d", "--delete", "-f", "--format")
    ]
    values = _read(path)
    if not words or words[0] == "list":
        return _list(values, "json" in rest or "json-pretty" in rest)
    key = words[0]
    if "-d" in rest or "--delete" in rest:
        values.pop(key, None)
        _write(path, values)
        return 0
    if len(words) == 1:
        if key not in values:
            console.err(f"No value associated with {key}\n")
            return 1
        console.out(json.dumps(values[key]) + "\n")
        return 0
    try:
        values[key] = json.loads(words[1])
    except ValueError:
        values[key] = words[1]
    _write(path, values)
    return 0
