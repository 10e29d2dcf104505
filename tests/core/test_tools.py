"""What is told of a tool call alike in every view."""

from __future__ import annotations

import pytest

from bridge.core.items import Item
from bridge.core.tools import is_status_report, subject


def tool(**data: object) -> Item:
    return Item("k", "tool", 1, data=data)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"command": "ls", "path": "/a"}, "ls"),
        ({"command": "", "path": "/a"}, "/a"),
        ({"command": 7}, "7"),
        ({"query": "x"}, ""),
        ("ls", ""),
        (None, ""),
    ],
)
def test_subject_is_the_command_or_path(given: object, words: str) -> None:
    assert subject(tool(input=given)) == words
    assert subject(tool()) == ""


def test_status_reports_are_known_whatever_server_they_go_to() -> None:
    assert is_status_report(tool(name="coder_report_task"))
    assert is_status_report(tool(name="mcp_coder_coder_report_task"))
    assert not is_status_report(tool(name="shell"))
    assert not is_status_report(tool())
    assert not is_status_report(Item("k", "text", 1, data={"name": "coder_report_task"}))
