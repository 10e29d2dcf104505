"""Appending lines to a store file, and doing it badly on request.

Invariant: an orderly append is one write of whole lines to a file opened and closed for it (facts/kiro-cli.md 4.1).
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from standin.console import dumps
from standin.processes import die


def _encoded(lines: Sequence[Any]) -> bytes:
    return "".join(dumps(line) + "\n" for line in lines).encode("utf-8", "surrogateescape")


def append(path: Path, lines: Sequence[Any]) -> None:
    """Append the lines as JSON."""
    with path.open("ab", buffering=0) as stream:
        stream.write(_encoded(lines))


def replace_file(path: Path, text: str) -> None:
    """Write a temporary file beside `path` and rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, "utf-8")
    os.replace(temporary, path)


def append_in_halves(path: Path, lines: Sequence[Any], seconds: float | None) -> None:
    """Append the lines but stop in their middle: for `seconds`, or for ever by dying there when that is None."""
    data = _encoded(lines)
    half = len(data) // 2
    with path.open("ab", buffering=0) as stream:
        stream.write(data[:half])
        if seconds is None:
            die()
        else:
            time.sleep(seconds)
            stream.write(data[half:])
