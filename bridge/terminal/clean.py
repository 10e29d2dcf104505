"""What the agent says, made harmless for a terminal.

Invariant: what `clean` returns holds no control character but newline and tab, nothing that reorders text, and nothing
that cannot be encoded. Cleaning twice changes nothing more.
"""

from __future__ import annotations

import re

from bridge.core.text import first_line

_SEQUENCE = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]{0,256}[ -/]{0,16}[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,65536}(?:\x07|\x1b\\\\|\x9c)"
    "|\x1b[ -/]{0,16}[0-~]"
)
"""ECMA-48: control sequences (5.4), control strings with their end (5.6), and the shorter escape sequences."""

_REORDERING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNSEEN = (
    *(0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF),
    *range(0x2060, 0x2066),
    *range(0x206A, 0x2070),
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
)
_TABLE: dict[int, str | None] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
    **{code: f"<U+{code:04X}>" for code in _REORDERING},
    **dict.fromkeys(_UNSEEN, None),
    **dict.fromkeys((0x2028, 0x2029), "\n"),
}
_LINE_END = re.compile("\r\n?")


def clean(text: str) -> str:
    """Return `text` without escape sequences; control characters that are left over become visible signs.

    Line ends become newlines. Characters that turn the direction of writing are spelled out, others that nobody
    sees are left out, save the joiners that emoji and some scripts need.
    """
    return _LINE_END.sub("\n", _SEQUENCE.sub("", text)).translate(_TABLE)


def clean_line(text: str, limit: int) -> str:
    """Return the first line of `text` that says something, cleaned, without tabs, at most `limit` characters long."""
    return first_line(clean(text).replace("\t", " "), limit)
