"""What the machine or container has: memory and disk.

Invariant: a limit of the container (cgroup v2 or v1) counts as the whole memory; what caches could give back counts
as available.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)


@dataclass(frozen=True)
class Room:
    """How much there is of something and how much of it is left, in bytes."""

    total_bytes: int
    available_bytes: int


def memory(read: Callable[[str], str] = lambda path: Path(path).read_text()) -> Room | None:
    """Return the memory of the machine, or of the container where that has less; None where it is not told."""
    found = [room for room in (_of_machine(read), *(_of_container(read, *names) for names in _LIMITS)) if room]
    return min(found, key=lambda room: room.available_bytes, default=None)


def disk(path: Path) -> Room | None:
    """Return the disk that holds a path, or would hold it; None where that is not told."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        found = os.statvfs(place)
    except OSError:
        return None
    return Room(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


def _of_machine(read: Callable[[str], str]) -> Room | None:
    try:
        told = dict(re.findall(r"^(\w+):\s+(\d+) kB", read("/proc/meminfo"), re.M))
        return Room(int(told["MemTotal"]) * 1024, int(told["MemAvailable"]) * 1024)
    except (OSError, KeyError, ValueError):
        return None


def _of_container(read: Callable[[str], str], limit: str, used: str, stat: str, cache: str) -> Room | None:
    try:
        most = int(read(limit))
        taken = int(read(used)) - int(dict(re.findall(r"^(\w+) (\d+)$", read(stat), re.M)).get(cache, "0"))
    except (OSError, ValueError):
        return None
    return Room(most, max(0, most - taken)) if most < 1 << 60 else None  # v1 says "no limit" by a huge number
