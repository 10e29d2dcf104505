"""Text that kiro-cli prints for a terminal: control sequences taken out, and v1's answer told from its
tool chatter.

Invariant: any cutting of the same bytes into reads gives the same text. What comes out is a preview: v1
prints rendered Markdown, so only its store holds the faithful text (facts/kiro-cli.md 3.4).
"""

from __future__ import annotations

import codecs
import re

from bridge.core.feed import FeedEvent, MessageBreak, TextDelta

_STYLE = "\0"
"""Stands for a change of style (SGR) where its place matters; NUL itself never passes."""

_ESCAPE = re.compile(
    r"\x1b(?:"
    r"(\[[0-9;:]{0,64}m)"  # SGR
    r"|\[[0-?]{0,64}[ -/]{0,8}[@-~]"  # other CSI
    r"|[\]PX^_][^\x07\x1b]{0,4000}(?:\x07|\x1b\\)"  # OSC, DCS, SOS, PM, APC up to BEL or ST
    r"|[ -/]{1,8}[0-~]"  # nF
    r"|[0-OQ-WYZ\\`-~]"  # Fp, Fe, Fs of one letter
    r")"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}|[\]PX^_][^\x07\x1b]{0,4000}\x1b?|[ -/]{0,8})?\Z")
_LONGEST = 4096
_CONTROL = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")
_OPENING = 2048
_MARKER = "> "
_CHATTER = ("🛠", " ⋮", " ● ", " ↳ ", " ✓ ", " ▸ ", " - Completed in ")
"""Beginnings of lines that v1 prints about its tools (facts/kiro-cli.md 5.4, 14 no. 21)."""

_MAYBE_CHATTER = ("I will run the following ", "Reading ", "Searching ")
"""Beginnings that are chatter only in a line that names a tool; such a line is held back until it ends."""

_NAMES_TOOL = re.compile(r"\(using tool: |Using tool: ")
_LONGEST_HELD = 2000


def plain(text: str) -> str:
    """Return `text` without control sequences and control characters; line breaks and tabs stay."""
    return _CONTROL.sub("", _ESCAPE.sub("", text.replace("\0", "")))


class Stripper:
    """Takes control sequences out of a byte stream, also those cut between two reads.

    With `styles`, each change of style leaves one NUL, so that its place is still known.
    """

    def __init__(self, *, styles: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._mark = _STYLE if styles else ""

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """Return the text of the next bytes; `final` gives what was held back, too."""
        text = self._held + self._decoder.decode(data, final).replace("\0", "")
        self._held = ""
        cut = None if final else _UNFINISHED.search(text, max(0, len(text) - _LONGEST))
        if cut:
            text, self._held = text[: cut.start()], text[cut.start() :]
        return _CONTROL.sub("", _ESCAPE.sub(lambda found: self._mark if found.group(1) else "", text))


class TextOutput:
    """The answer as v2 and v3 print it in text mode: raw chunks (facts/kiro-cli.md 5.4)."""

    def __init__(self) -> None:
        self._stripper = Stripper()
        self._blank: list[str] = []
        self.opening = ""
        self.answered = False

    def feed(self, data: bytes) -> list[FeedEvent]:
        """Return the events of the next bytes of stdout."""
        return self._take(self._stripper.feed(data))

    def close(self) -> list[FeedEvent]:
        """Return the events of what was held back."""
        return self._take(self._stripper.feed(b"", final=True))

    def _take(self, text: str) -> list[FeedEvent]:
        """White space waits for text behind it: that at both ends is not part of the answer."""
        self.opening = (self.opening + text[:_OPENING])[:_OPENING]
        shown = text.rstrip()
        if not shown:
            if text and self.answered:
                self._blank.append(text)
            return []
        whole = "".join([*self._blank, shown]) if self.answered else shown.lstrip()
        self._blank = [text[len(shown) :]]
        self.answered = True
        return [TextDelta(whole)]


class ClassicOutput:
    """The answer as v1 prints it: `> ` begins a message, lines about tools and their output follow it.

    `opening` is what came before the first message, bounded: a login prompt would stand there.
    """

    def __init__(self) -> None:
        self._stripper = Stripper(styles=True)
        self._in_message = False
        self._styled = False
        self._line = ""
        self._decided = False
        self._breaks = 0
        self._open = False
        self.opening = ""
        self.answered = False

    def feed(self, data: bytes) -> list[FeedEvent]:
        """Return the events of the next bytes of stdout."""
        return self._take(self._stripper.feed(data))

    def close(self) -> list[FeedEvent]:
        """Return the events of what was held back."""
        events = self._take(self._stripper.feed(b"", final=True))
        self._decide(events, complete=True)
        return events

    def _take(self, text: str) -> list[FeedEvent]:
        events: list[FeedEvent] = []
        pieces = text.split("\n")
        for number, piece in enumerate(pieces, 1):
            ended = number < len(pieces)
            if self._decided:
                self._say(piece, events)
            else:
                self._line += piece
                self._decide(events, complete=ended)
            if ended:
                self._end_line()
        return events

    def _end_line(self) -> None:
        self._breaks += 1
        self._line, self._decided = "", False
        if not self._in_message:
            self._note("\n")

    def _decide(self, events: list[FeedEvent], *, complete: bool) -> None:
        """Find out what the current line is as soon as its beginning tells; a line not understood yet is
        held.
        """
        if self._decided:
            return
        seen = self._line.replace(_STYLE, "")
        styled = self._line.startswith(_STYLE)
        if not complete and len(seen) < len(_MARKER) and _MARKER.startswith(seen):
            self._line = (_STYLE if styled else "") + seen
            return
        if seen.startswith(_MARKER) and (styled or not (self._styled or self._in_message)):
            self._styled = self._styled or styled
            self._begin(events)
            self._pass(seen[len(_MARKER) :], events)
        elif not self._in_message:
            self._pass(seen, events)
        elif _is_chatter(seen):
            self._in_message = False
            self._end_message(events)
            self._pass(seen, events)
        elif complete or not _undecided(seen):
            self._pass(seen, events)

    def _begin(self, events: list[FeedEvent]) -> None:
        self._end_message(events)
        self._in_message = True
        self._breaks = 0

    def _pass(self, seen: str, events: list[FeedEvent]) -> None:
        self._line, self._decided = "", True
        self._say(seen, events)

    def _say(self, text: str, events: list[FeedEvent]) -> None:
        text = text.replace(_STYLE, "")
        if not self._in_message:
            self._note(text)
            return
        if not text:
            return
        lead = "\n" * self._breaks if self._open else ""
        self._breaks = 0
        self._open = self.answered = True
        events.append(TextDelta(lead + text))

    def _note(self, text: str) -> None:
        """Keep what stands outside messages as long as there was none."""
        if not self.answered and len(self.opening) < _OPENING:
            self.opening += text[: _OPENING - len(self.opening)]

    def _end_message(self, events: list[FeedEvent]) -> None:
        if self._open:
            events.append(MessageBreak())
        self._open = False


def _is_chatter(seen: str) -> bool:
    if seen.startswith(_CHATTER):
        return True
    return seen.startswith(_MAYBE_CHATTER) and _NAMES_TOOL.search(seen[:_LONGEST_HELD]) is not None


def _undecided(seen: str) -> bool:
    """Return whether a line that begins with `seen` may still turn out to be about a tool."""
    if len(seen) > _LONGEST_HELD:
        return False
    if any(opener.startswith(seen) for opener in (*_CHATTER, *_MAYBE_CHATTER)):
        return True
    return seen.startswith(_MAYBE_CHATTER)
