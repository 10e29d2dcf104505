"""One value changed in the text of a JSON document, every other character left as it is.

Invariant: pure. The result is checked by reading it: it differs from what was there in that one value and in nothing
else, or `Unchangeable` is raised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)
_SCALAR = re.compile(r"[^,\]\}\s]+")


class Unchangeable(ValueError):
    """The document is no JSON, or holds no object at the path."""


@dataclass(frozen=True)
class _Member:
    """Where a member of an object stands: its name begins at `start`, its value at `value`, and ends at `end`."""

    name: str
    start: int
    value: int
    end: int


def with_member(text: str, path: Sequence[str], name: str, value: bool) -> str:
    """Return the document with `value` for `name` in the object at `path`. Raises Unchangeable.

    Where a name stands twice, the last one counts, as it does for readers of JSON.
    """
    before = _parsed(text)
    start = _SPACE.match(text).end()  # type: ignore[union-attr]  # it matches nothing too
    for step in path:
        members = _members(text, start)
        found = [member for member in members if member.name == step]
        if not found:
            raise Unchangeable(f"there is no {step!r}")
        start = found[-1].value
    changed = _changed(text, start, name, json.dumps(value))
    if _parsed(changed) != _expected(before, path, name, value):
        raise Unchangeable("it cannot be changed in one place")
    return changed


def _changed(text: str, start: int, name: str, literal: str) -> str:
    members = _members(text, start)
    same = [member for member in members if member.name == name]
    if same:
        return text[: same[-1].value] + literal + text[same[-1].end :]
    added = f"{json.dumps(name)}: {literal}"
    if not members:
        return text[: start + 1] + added + text[start + 1 :]
    last = members[-1]
    before = text[: last.start]
    gap = before[len(before.rstrip()) :]  # as much as there is before the member above
    return text[: last.end] + "," + (gap or " ") + added + text[last.end :]


def _members(text: str, start: int) -> list[_Member]:
    """Return the members of the object that begins at `start`; the document is valid."""
    if text[start] != "{":
        raise Unchangeable("it is no object")
    members: list[_Member] = []
    at = _after_space(text, start + 1)
    while text[at] != "}":
        key = _end_of(text, at)
        value = _after_space(text, _after_space(text, key) + 1)
        end = _end_of(text, value)
        members.append(_Member(json.loads(text[at:key]), at, value, end))
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    return members


def _end_of(text: str, start: int) -> int:
    """Return where the value that begins at `start` ends."""
    if text[start] not in '{["':
        return _matched(_SCALAR, text, start)
    depth, at = 0, start
    while True:
        if text[at] == '"':
            at = _matched(_STRING, text, at)
        else:
            depth += (text[at] in "{[") - (text[at] in "}]")
            at += 1
        if not depth:
            return at


def _matched(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None  # the document was parsed
    return found.end()


def _after_space(text: str, at: int) -> int:
    return _matched(_SPACE, text, at)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unchangeable(str(error) or "it is nested too deep") from None


def _expected(document: Any, path: Sequence[str], name: str, value: bool) -> Any:
    """Return the parsed document with the one change."""
    if not path:
        return {**document, name: value}
    return {**document, path[0]: _expected(document[path[0]], path[1:], name, value)}
