"""Which files a conversation has read and written, told from its tool calls.

Invariant: pure. Paths are the agent's own words: whoever opens one confines it first.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from bridge.core.items import Item

Touch = Literal["read", "write", "upload"]

_WRITING = re.compile(r"write|edit|creat|delete|append|replace|patch|insert|move|rename", re.I)
_READING = re.compile(r"read|view|cat|open|image", re.I)
_NAMED = ("path", "file_path", "filePath", "file")
_NO_FILES = ("search", "fetch", "think", "execute")
_LINE = re.compile(r":\d+(?:[-:]\d+)?$")


@dataclass
class TouchedFile:
    """A file by its path as the folder sees it, what was done with it, and when last (seconds since the epoch)."""

    path: str
    how: set[Touch] = field(default_factory=set)
    at: float = 0.0


class TouchedFiles:
    """Collects files. `cwd` is the folder of the session; a path that leads out of it is left out."""

    def __init__(self, cwd: str) -> None:
        self._cwd = cwd
        self._files: dict[str, TouchedFile] = {}

    def add_item(self, item: Item, at: float) -> None:
        """Take note of what a tool call did; other items, and calls that failed, do nothing to files."""
        how = touch_of(item)
        if how is not None:
            for path in paths_of(item):
                self.add(path, how, at)

    def add(self, path: str, how: Touch, at: float) -> None:
        """Take note that a file was touched at `at`."""
        inside = self._inside(path)
        if inside is not None:
            found = self._files.setdefault(inside, TouchedFile(inside))
            found.how.add(how)
            found.at = max(found.at, at)

    def newest_first(self) -> list[TouchedFile]:
        """Return what was found, the last touched first."""
        return sorted(self._files.values(), key=lambda found: (-found.at, found.path))

    def _inside(self, path: str) -> str | None:
        joined = posixpath.normpath(posixpath.join(self._cwd, path))
        inside = posixpath.relpath(joined, self._cwd)
        return None if inside in (".", "..") or inside.startswith("../") else inside


def touch_of(item: Item) -> Touch | None:
    """Return what a tool call does to the files it names, None where it is no such call."""
    if item.kind != "tool" or item.data.get("status") == "failed":
        return None
    kind, name = str(item.data.get("kind") or ""), str(item.data.get("name") or "")
    if kind in ("edit", "delete", "move", "write"):
        return "write"
    if kind == "read":
        return "read"
    if kind in _NO_FILES:
        return None
    if _WRITING.search(name):
        return "write"
    return "read" if _READING.search(name) else None


def paths_of(item: Item) -> Iterator[str]:
    """Yield the paths a tool call names: its locations, else its arguments; a file's URI is made a path."""
    places = item.data.get("locations")
    found = [*_texts(places)] if isinstance(places, (list, tuple)) else []
    arguments = item.data.get("input")
    if not found and isinstance(arguments, Mapping):
        found = [*_arguments(arguments)]
    for path in found:
        if plain := _plain(path):
            yield plain


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping) and isinstance(value.get("path"), str):
            yield value["path"]


def _arguments(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths in the arguments; v2's `read` has them in a list of operations."""
    yield from _texts(arguments.get(name) for name in _NAMED)
    for name in ("operations", "files", "paths"):
        nested = arguments.get(name)
        if isinstance(nested, list):
            yield from _texts(nested)


def _plain(path: str) -> str:
    if path.startswith("file://"):
        path = unquote(urlsplit(path).path)
    return _LINE.sub("", path) if "\0" not in path else ""
