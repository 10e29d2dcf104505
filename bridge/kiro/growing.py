"""Large JSON objects whose arrays grow at their ends, read again and again.

Invariant: the result is that of `loose.parsed`; what is known of an earlier version is used only where its bytes stand
in the new one. A row of v1 is such an object: Kiro rewrites all of it for each new entry (facts/kiro-cli.md 2).
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.kiro import loose

_SMALL = 1 << 18
"""Bytes that take no time worth saving: smaller objects, and growth that is not yet taken down."""

_HEAD = 1 << 16
_SPACE = " \t\n\r"
_utf8 = codecs.getincrementaldecoder("utf-8")
_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True)
class _Known:
    """The first elements of an array: their `size` in bytes from the first one's beginning, and the hash of those."""

    elements: list[Any]
    size: int
    hash: int


_NOTHING = _Known([], 0, 0)


class GrowingObject:
    """Reads versions of one object. The elements of its arrays are shared between results: do not change them."""

    def __init__(self, small: int = _SMALL) -> None:
        self._small = small
        self._known: Mapping[str, _Known] = {}

    def parsed(self, data: bytes) -> Any:
        """Return the value that `data` holds, like `loose.parsed`, which see; raises loose.NotJson."""
        known, self._known = self._known, {}
        if len(data) < self._small:
            return loose.parsed(data)
        for one in (known, {}) if known else ({},):
            walk = _Walk(data, one, self._small)
            try:
                value = walk.value()
            except (ValueError, IndexError, RecursionError):
                continue
            self._known = walk.found
            return value
        return loose.parsed(data)


class _Walk:
    """One way through an object, member by member, over a window of its text; `found` is what it learned.

    Raises ValueError or IndexError where the text is not as expected; whether it is JSON at all is not its business.
    """

    def __init__(self, data: bytes, known: Mapping[str, _Known], small: int) -> None:
        self.found: dict[str, _Known] = {}
        self._data = data
        self._known = known
        self._small = small

    def _look_at(self, start: int, size: int) -> None:
        """Have the window begin at byte `start`."""
        self._whole = start + size >= len(self._data)
        self._text = _utf8().decode(self._data[start : start + size], self._whole)
        self._at = 0
        self._anchor, self._anchor_byte = 0, start

    def _byte(self, place: int) -> int:
        """Return the byte offset of a place in the window; places come in ascending order."""
        self._anchor_byte += len(self._text[self._anchor : place].encode())
        self._anchor = place
        return self._anchor_byte

    def _next(self) -> str:
        while self._text[self._at] in _SPACE:
            self._at += 1
        return self._text[self._at]

    def _step(self, allowed: str) -> str:
        found = self._next()
        if found not in allowed:
            raise ValueError(f"{found!r} is none of {allowed!r}")
        self._at += 1
        return found

    def _plain(self) -> Any:
        self._next()
        value, self._at = _decode(self._text, self._at)
        return value

    def value(self) -> dict[str, Any]:
        """Return the object, read to its end."""
        found: dict[str, Any] = {}
        self._look_at(0, _HEAD if self._known else len(self._data))
        self._step("{")
        more = self._next() != "}"
        while more:
            key = self._plain()
            if not isinstance(key, str):
                raise ValueError("a key is no text")
            self._step(":")
            found[key] = self._array(key) if self._next() == "[" else self._plain()
            more = self._step(",}") == ","
        if not self._whole or self._text[self._at :].strip(_SPACE):
            raise ValueError("more follows")
        return found

    def _array(self, key: str) -> list[Any]:
        self._step("[")
        start = self._byte(self._at)
        known = self._known.get(key, _NOTHING)
        if known.size:
            if hash(self._data[start : start + known.size]) != known.hash:
                raise ValueError("the array is not as it was")
            self._look_at(start + known.size, len(self._data))
        elements = list(known.elements)
        before_last = self._elements(elements)
        self._learn(key, start, known, elements, before_last)
        return elements

    def _elements(self, elements: list[Any]) -> int:
        """Add the elements up to the array's end; return where the one before the last ends in the window."""
        before_last = last = self._at
        more = self._next() != "]"
        if more and elements:
            self._step(",")
        while more:
            elements.append(self._plain())
            before_last, last = last, self._at
            more = self._step(",]") == ","
        if before_last == last:
            self._step("]")
        return before_last

    def _learn(self, key: str, start: int, known: _Known, elements: list[Any], before_last: int) -> None:
        """Note the array without its last element, which may still change."""
        size = self._byte(before_last) - start
        if size - known.size >= self._small:
            known = _Known(elements[:-1], size, hash(self._data[start : start + size]))
        self.found[key] = known
