"""Imports point one way: web, terminal, cli -> engine -> core, with kiro and ledger beside the engine.

A room is a package or module directly in `bridge`. A new room must be given its place in `MAY_IMPORT` first.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BESIDE_ENGINE = frozenset({"core", "errors", "files", "settings"})
BELOW_CLI = frozenset(
    {"coder", "core", "diagnostics", "engine", "errors", "files", "kiro", "ledger", "logs", "pidfile", "settings"}
    | {"workfiles"}
)
MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "files": frozenset(),
    "logs": frozenset(),
    "piped_prompt": frozenset(),
    "pidfile": frozenset({"errors", "files"}),
    "settings": frozenset({"errors"}),
    "coder": BESIDE_ENGINE,
    "core": frozenset({"errors"}),
    "diagnostics": BESIDE_ENGINE | {"coder", "kiro"},
    "kiro": BESIDE_ENGINE,
    "ledger": BESIDE_ENGINE,
    "engine": BESIDE_ENGINE | {"ledger"},
    "provision": BESIDE_ENGINE | {"coder", "kiro", "pidfile"},
    "terminal": frozenset({"core", "errors", "settings"}),
    "workfiles": frozenset({"core", "errors", "settings"}),
    "web": BELOW_CLI,
    "cli": BELOW_CLI | {"piped_prompt", "provision", "terminal", "web"},
    "__main__": frozenset({"cli"}),
}
MEETING_PLACES = frozenset({f"bridge.web.{name}" for name in ("assembly", "session_parts", "things", "transports")})
"""The only modules above the engine that know both it and kiro-cli."""

PURE = frozenset(
    {"__future__", "bisect", "collections", "dataclasses", "enum", "functools", "hashlib", "html"}
    | {"itertools", "json", "math", "re", "string", "typing", "unicodedata"}
)
"""What `core` may use of the standard library: nothing that reads, writes, waits or tells the time by itself."""


def modules(folder: str) -> list[Path]:
    """Return the Python files of a top folder, executables without an extension too."""
    scripts = [path for path in (ROOT / folder).iterdir() if path.is_file() and not path.suffix]
    return sorted([*(ROOT / folder).rglob("*.py"), *scripts])


def name_of(path: Path) -> str:
    """Return the dotted name of a module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Yield the dotted name of everything the source imports anywhere, `from a import b` as `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")
            base = parents[: len(parents) - node.level + is_package] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def faults(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return what the rules have against the imports of a module of `bridge`."""
    room = module.split(".")[1] if "." in module else ""
    found = []
    for name in imported_by(source, module, is_package):
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if top in ("standin", "tests", "tools"):
            found.append(f"{module} imports {name}, which is no part of the product")
        elif top == "bridge" and room and target in MAY_IMPORT and target not in MAY_IMPORT[room] | {room}:
            found.append(f"{module} imports {name}: {room} may not know {target}")
        elif top == "bridge" and room in ("web", "cli") and target == "kiro" and module not in MEETING_PLACES:
            found.append(f"{module} imports {name}: only {', '.join(sorted(MEETING_PLACES))} may know kiro")
        elif room == "core" and top not in PURE | {"bridge"}:
            found.append(f"{module} imports {name}: core is pure")
    return found


@pytest.mark.parametrize("path", modules("bridge"), ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8"), name_of(path), path.name == "__init__.py") == []


@pytest.mark.parametrize("path", modules("standin"), ids=name_of)
def test_stand_in_shares_nothing_with_the_bridge(path: Path) -> None:
    names = imported_by(path.read_text(encoding="utf-8"), name_of(path), path.name == "__init__.py")
    assert [name for name in names if name.split(".")[0] in ("bridge", "tests", "tools")] == []


def test_every_room_has_its_place() -> None:
    entries = (ROOT / "bridge").iterdir()
    rooms = {path.stem for path in entries if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__"} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bridge.core.turn", "import time"),
        ("bridge.core.turn", "from os import path"),
        ("bridge.core.turn", "from ..ledger import Ledger"),
        ("bridge.core.turn", "from bridge import settings"),
        ("bridge.kiro.finder", "from bridge.engine import hub"),
        ("bridge.kiro.finder", "def late():\n    import bridge.ledger.rows"),
        ("bridge.ledger.rows", "from bridge.kiro import finder"),
        ("bridge.engine.run", "from bridge.kiro import finder"),
        ("bridge.engine.run", "import bridge.web"),
        ("bridge.web.wire", "from bridge.kiro.finder import find_binary"),
        ("bridge.web.wire", "from bridge import cli"),
        ("bridge.settings.file", "import standin.model"),
    ],
)
def test_wrong_import_is_seen(module: str, source: str) -> None:
    assert len(faults(source, module)) == 1
