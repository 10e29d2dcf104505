"""Markdown that grows, as a list of rendered blocks.

Invariants: what a text looks like does not depend on the pieces in which it came; what is appended costs what the last
blocks cost, however long the text is. A block that is too long for that is cut, its code or table going on in the next.

A block is settled once the one after it has two complete lines: by then nothing that follows can reach back
(a `#` may become a `#word`, a line of dashes a heading or a table).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

LONGEST = 2000
"""Characters from which on a block is cut."""

_WINDOW = 4
"""How many times `LONGEST` is looked at together."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[^\r\n]*(?:\r\n|\r|\n)")
_TABLE = re.compile(r"[^\r\n]*\|[^\r\n]*(?:\r\n|\r|\n) {0,3}[|:-][-|: \t]*(?:\r\n|\r|\n)")
_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass
class GrowingBlocks:
    """A text and its blocks. `settled` counts those that will not change any more."""

    longest: int = LONGEST
    length: int = 0
    settled: int = 0
    blocks: list[str] = field(default_factory=list)
    _tail: str = ""
    _head: str = ""
    _known: dict[tuple[str, str], str] = field(default_factory=dict)

    def append(self, text: str) -> None:
        """Take text that follows."""
        self.length += len(text)
        self._tail += text
        del self.blocks[self.settled :]
        while self._settle():
            pass
        self._show_rest()

    def _settle(self) -> bool:
        """Settle what can be settled of the beginning of the tail; return whether there may be more."""
        window = self._tail[: _WINDOW * self.longest]
        starts = self._starts(window)
        if starts and self._too_long(window[: starts[1]] if len(starts) > 1 else window):
            return self._settle_part(window, starts[0])
        count = next((i for i in range(len(starts) - 1, 0, -1) if _complete_lines(window[starts[i] :]) >= 2), 0)
        if not count and len(starts) > 1 and len(window) == _WINDOW * self.longest:
            count = len(starts) - 1
        if count:
            for start, end in itertools.pairwise(starts[: count + 1]):
                self._add(window[start:end], self._head if start == starts[0] else "")
            self._move(starts[count], "")
            return True
        return False

    def _settle_part(self, window: str, start: int) -> bool:
        """Cut the block at the beginning of the window; the rest of it is read as what the block is."""
        cut = self._cut(window)
        head = self._head or _head_of(window[start:cut])
        self._add(window[:cut], self._head)
        self._move(cut, head)
        return True

    def _starts(self, window: str) -> list[int]:
        """Return the offsets in the window at which blocks begin; the first one includes what goes on in it."""
        from bridge.web.rendering import block_lines

        lines = block_lines(self._head + window)
        ends = [0, *(match.end() for match in _BREAK.finditer(self._head + window))]
        offsets = [max(0, ends[line] - len(self._head)) for line in lines if line < len(ends)]
        return sorted(set(offsets))

    def _too_long(self, block: str) -> bool:
        if len(block) >= 2 * self.longest:
            return True
        ends = [match.end() for match in _BREAK.finditer(block)]
        return len(ends) > 2 and ends[-3] > self.longest

    def _cut(self, window: str) -> int:
        """Return where to cut: after a line if possible, best before one that is not indented."""
        begin, end = self.longest // 2, self.longest
        ends = [match.end() for match in _BREAK.finditer(window, 0, end + 2) if begin < match.end() <= end]
        flush = [place for place in ends if window[place : place + 1].strip()]
        if flush or ends:
            return (flush or ends)[-1]
        space = window.rfind(" ", begin, end)
        return space + 1 if space > 0 else end

    def _move(self, offset: int, head: str) -> None:
        self._tail, self._head = self._tail[offset:], head
        self._known.clear()

    def _add(self, source: str, head: str) -> None:
        self.blocks.append(self._rendered(source, head))
        self.settled += 1

    def _show_rest(self) -> None:
        starts = self._starts(self._tail)
        for start, end in itertools.pairwise([*starts, len(self._tail)]):
            self.blocks.append(self._rendered(self._tail[start:end], self._head if start == starts[0] else ""))

    def _rendered(self, source: str, head: str) -> str:
        from bridge.web.rendering import render

        key = (source, head)
        if key not in self._known:
            if len(self._known) > 8:
                self._known.clear()
            self._known[key] = render(head + source, more=bool(head))
        return self._known[key]


def blocks_of(text: str) -> list[str]:
    """Return the rendered blocks of a whole text."""
    growing = GrowingBlocks()
    growing.append(text)
    return growing.blocks


def _complete_lines(text: str) -> int:
    return len(_BREAK.findall(text))


def _head_of(piece: str) -> str:
    """Return what the rest of a cut block needs before it to be read as what it is."""
    fence = _FENCE.match(piece)
    if fence is not None:
        return fence.group()
    table = _TABLE.match(piece)
    return table.group() if table is not None else ""
