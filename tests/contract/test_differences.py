"""The table of differences is exactly what the tests use, and what the documentation shows."""

from __future__ import annotations

import ast
from pathlib import Path

from .differences import DIFFERENCES, by_id, render

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parents[1] / "docs" / "agentapi.md"


def picked() -> set[str]:
    """The ids that the suite's code hands to `Server.pick`."""
    found = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "pick":
                first = node.args[0]
                assert isinstance(first, ast.Constant), f"{path.name}:{node.lineno}: the id must be written out"
                found.add(str(first.value))
    return found


def test_every_difference_is_tested() -> None:
    """No entry without a test, no test without an entry."""
    assert picked() == {entry.id for entry in DIFFERENCES}


def test_entries_are_whole() -> None:
    """Ids are unique and no field is empty or breaks the table."""
    assert len({entry.id for entry in DIFFERENCES}) == len(DIFFERENCES)
    for entry in DIFFERENCES:
        fields = (entry.id, entry.row, entry.agentapi, entry.bridge, entry.source)
        assert all(field.strip() and "|" not in field and "\n" not in field for field in fields), entry.id
        assert entry.agentapi != entry.bridge
        assert by_id(entry.id) is entry


def test_servers_are_told_apart_in_one_place() -> None:
    """No test asks which server it talks to, but through `pick`."""
    for path in FOLDER.glob("test_*.py"):
        if path.name != Path(__file__).name:
            text = path.read_text()
            assert "target.name" not in text and "targets.BRIDGE" not in text and "targets.AGENTAPI" not in text, (
                path.name
            )


def test_document_shows_the_table() -> None:
    """docs/agentapi.md holds the rendered table."""
    assert render() in DOCUMENT.read_text()
