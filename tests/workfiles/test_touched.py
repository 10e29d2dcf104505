"""Which files a conversation has touched."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.items import Item
from bridge.workfiles.touched import TouchedFiles


def tool(**data: Any) -> Item:
    """A tool call."""
    return Item("k", "tool", 1, "", data)


def listed(*items: Item) -> list[tuple[str, list[str], float]]:
    """What a session in /srv/p lists, each item a second after the one before."""
    files = TouchedFiles("/srv/p")
    for at, item in enumerate(items):
        files.add_item(item, float(at))
    return [(found.path, sorted(found.how), found.at) for found in files.newest_first()]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"name": "fs_read", "locations": ["/srv/p/a.txt"]}, ["read"]),
        ({"kind": "read", "locations": ["a.txt"]}, ["read"]),
        ({"kind": "edit", "locations": ["./a.txt"]}, ["write"]),
        ({"name": "fs_write", "input": {"path": "a.txt", "command": "create"}}, ["write"]),
        ({"name": "read", "input": {"operations": [{"path": "/srv/p/a.txt"}]}}, ["read"]),
        ({"kind": "edit", "locations": ["file:///srv/p/a.txt"]}, ["write"]),
        ({"kind": "read", "locations": [{"path": "a.txt", "line": 3}]}, ["read"]),
        ({"kind": "read", "locations": ["a.txt:12"]}, ["read"]),
        ({"kind": "execute", "name": "shell", "input": {"path": "a.txt"}}, None),
        ({"kind": "read", "locations": ["a.txt"], "status": "failed"}, None),
        ({"kind": "read", "locations": ["/etc/passwd"]}, None),
        ({"kind": "read", "locations": ["../a.txt"]}, None),
        ({"kind": "read", "locations": ["/srv/p"]}, None),
        ({"kind": "read", "locations": [None, 5, "\0"]}, None),
        ({"kind": "read", "input": "a.txt"}, None),
        ({"name": "glob", "kind": "search", "input": {"path": "a.txt"}}, None),
    ],
)
def test_what_a_call_does(data: dict[str, Any], expected: list[str] | None) -> None:
    assert listed(tool(**data)) == ([] if expected is None else [("a.txt", expected, 0.0)])


def test_newest_first_and_all_that_was_done() -> None:
    assert listed(
        tool(kind="read", locations=["a"]), tool(kind="read", locations=["b"]), tool(kind="edit", locations=["a"])
    ) == [("a", ["read", "write"], 2.0), ("b", ["read"], 1.0)]


def test_other_items_touch_nothing() -> None:
    assert listed(Item("k", "text", 1, "a.txt", {"locations": ["a.txt"], "kind": "read"})) == []
