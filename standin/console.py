"""The two output streams as bytes, written at once and completely.

Invariant: nothing is buffered, so what was written has left the process when it is killed; writes of two threads do
not mix.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

_lock = threading.Lock()


def _write(descriptor: int, data: bytes) -> None:
    """All of `data`, however often the pipe takes only a part."""
    view = memoryview(data)
    with _lock:
        while view:
            view = view[os.write(descriptor, view) :]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def out(text: str) -> None:
    """Text to stdout as it stands."""
    _write(1, _bytes(text))


def raw(data: bytes) -> None:
    """Bytes to stdout as they stand."""
    _write(1, data)


def err(text: str) -> None:
    """Text to stderr as it stands."""
    _write(2, _bytes(text))


def dumps(value: Any) -> str:
    """Compact JSON with non-ASCII letters as they are, as the real program writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def line(value: Any) -> None:
    """One JSON line to stdout."""
    out(dumps(value) + "\n")
