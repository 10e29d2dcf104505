"""An initial prompt on standard input.

Invariant: the start is never held up by a pipe that nobody closes, which is what supervisors leave there
(facts/agentapi-contract.md 9 W20). A terminal, a socket and a device are not read at all.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass

SILENCE = 1.0
MOST_BYTES = 16 * 1024 * 1024
CHUNK = 65536


@dataclass(frozen=True)
class Piped:
    """What standard input held: a prompt, or none; `ignored` says why something that was there is not used."""

    prompt: str | None = None
    ignored: str | None = None


def read_piped_prompt(
    descriptor: int, longest: float, *, silence: float = SILENCE, clock: Callable[[], float] = time.monotonic
) -> Piped:
    """Return the whole text of a pipe or file, if it ends.

    It is given up when it says nothing for `silence` seconds, has not ended after `longest` seconds, or is larger than
    16 MiB. White space alone is no prompt.
    """
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return Piped()
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode)):
        return Piped()
    parts: list[bytes] = []
    size = 0
    deadline = clock() + longest
    while True:
        left = deadline - clock()
        if left <= 0 or not select.select([descriptor], [], [], min(silence, left))[0]:
            return Piped(ignored="standard input is an open pipe that does not end; it is not read as initial prompt")
        part = os.read(descriptor, CHUNK)
        if not part:
            text = b"".join(parts).decode("utf-8", errors="replace")
            return Piped(prompt=text if text.strip() else None)
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            return Piped(ignored=f"standard input holds more than {MOST_BYTES} bytes; it is not used as initial prompt")
