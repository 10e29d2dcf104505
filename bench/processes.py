"""What Linux says of processes: their CPU time and memory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    parents: dict[int, int] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
            except OSError:
                continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time of the processes' threads so far, exact to less than a microsecond (proc_pid_schedstat)."""
    total = 0
    for pid in pids:
        for task in (PROC / str(pid) / "task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory(pids: Iterable[int]) -> tuple[float, float]:
    """Return (RSS, PSS) of the processes together, in MB of 10^6 bytes."""
    sums = {"Rss": 0, "Pss": 0}
    for pid in pids:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
        for name in sums:
            found = re.search(rf"^{name}:\s+(\d+) kB", text, re.M)
            sums[name] += int(found[1]) * 1024 if found else 0
    return sums["Rss"] / 1e6, sums["Pss"] / 1e6
