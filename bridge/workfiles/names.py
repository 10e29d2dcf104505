"""Names for files that come from outside.

Invariant: a name is one path element of at most 255 bytes that a terminal shows as it is: no separator, no control
character, nothing that turns the direction of writing.
"""

from __future__ import annotations

import os
import re
import unicodedata

LONGEST = 255
_FALLBACK = "file"
_UNSHOWN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def safe_name(sent: str) -> str:
    """Return the name to keep a file under that was sent as `sent`, which may hold a path of any system."""
    last = re.split(r"[/\\]", sent.rstrip("/\\"))[-1]
    shown = "".join("_" if _hides(character) else character for character in unicodedata.normalize("NFC", last))
    name = shown.strip().rstrip(".") if set(shown) <= {".", " "} else shown.strip()
    return fitting(f"_{name}" if name.startswith("-") else name or _FALLBACK)


def fitting(name: str, mark: str = "") -> str:
    """Return the name with `mark` before its extension, the middle shortened until it fits into 255 bytes."""
    stem, extension = os.path.splitext(name)
    if len(extension.encode()) > LONGEST // 4:
        stem, extension = name, ""
    room = LONGEST - len((mark + extension).encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + mark + extension


def _hides(character: str) -> bool:
    return unicodedata.category(character) in _UNSHOWN or character in _TURNING
