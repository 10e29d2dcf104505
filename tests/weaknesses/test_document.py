"""docs/agentapi.md has a row for each weakness, and each row names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "agentapi.md"
COUNT = 26


def rows() -> dict[str, list[str]]:
    """Return the cells of each row of the table of weaknesses, by weakness."""
    found: dict[str, list[str]] = {}
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and re.fullmatch(r"W\d+", cells[0]):
            assert cells[0] not in found, f"{cells[0]} stands there twice"
            found[cells[0]] = cells[1:]
    return found


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_weakness_has_a_row() -> None:
    assert list(rows()) == [f"W{number}" for number in range(1, COUNT + 1)]
    for weakness, cells in rows().items():
        assert len(cells) == 3, f"{weakness}: there must be what they do, what we do, and the tests"
        theirs, ours, tests = cells
        assert theirs and ours and tests and theirs != ours


def test_every_row_names_tests_that_exist() -> None:
    for weakness, (_, _, tests) in rows().items():
        named = [entry.strip() for entry in tests.split(",") if entry.strip()]
        for entry in named:
            match = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", entry)
            assert match, f"{weakness}: {entry} is no test"
            assert (ROOT / match[1]).is_file(), f"{weakness}: {match[1]} does not exist"
            assert match[2] in functions(ROOT / match[1]), f"{weakness}: {entry} does not exist"


def test_every_test_of_a_weakness_is_named() -> None:
    text = DOCUMENT.read_text()
    for path in Path(__file__).parent.glob("test_*.py"):
        for name in functions(path):
            assert not re.match(r"test_w\d+_", name) or f"{path.name}::{name}`" in text, f"{name} is in no row"
