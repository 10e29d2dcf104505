"""What processes use, read from `/proc` (proc(5)).

Invariant: a process that ends while it is looked at counts as one that used nothing. Without `/proc` nothing is found.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """A live process: its parent, the processor time it has used (seconds), and its resident memory (bytes).

    `started` tells it from another that gets the same number later.
    """

    pid: int
    parent: int
    cpu_seconds: float
    rss_bytes: int
    started: int


@dataclass(frozen=True)
class Usage:
    """What some processes use together. `cpu_percent` is since the sample before; 100 is one processor."""

    cpu_percent: float
    rss_bytes: int
    processes: int


def all_processes() -> dict[int, Process]:
    """Return the live processes of this machine, or of its container, by their number."""
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return {}
    return {found.pid: found for pid in numbers if (found := process(pid)) is not None}


def family(processes: Mapping[int, Process], roots: Iterable[int]) -> set[int]:
    """Return these processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for one in processes.values():
        children.setdefault(one.parent, []).append(one.pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in processes]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def of_runs(processes: Mapping[int, Process], ancestors: Iterable[int], name: str) -> set[int]:
    """Return the processes of the runs that `ancestors` have started, those that left their family included.

    A run is known by the value of the environment variable `name`.
    """
    runs = {run for pid in family(processes, ancestors) if (run := _variable(pid, name))}
    return {pid for pid in processes if _variable(pid, name) in runs} if runs else set()


def usage(now: Iterable[Process], before: Mapping[int, Process], seconds: float) -> Usage:
    """Return what the processes use; `before` is the sample `seconds` ago. A new one counts from its beginning."""
    spent, memory, count = 0.0, 0, 0
    for one in now:
        earlier = before.get(one.pid)
        known = earlier is not None and earlier.started == one.started
        spent += one.cpu_seconds - (earlier.cpu_seconds if known and earlier is not None else 0.0)
        memory += one.rss_bytes
        count += 1
    percent = 100.0 * spent / seconds if seconds > 0 and before else 0.0
    return Usage(round(max(0.0, percent), 1), memory, count)


def process(pid: int) -> Process | None:
    """Return a live process, None for one that is dead or gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        if fields[0] in (b"Z", b"X"):
            return None
        cpu = (int(fields[11]) + int(fields[12])) / _TICKS
        return Process(pid, int(fields[1]), cpu, int(fields[21]) * _PAGE, int(fields[19]))
    except (OSError, IndexError, ValueError):
        return None


def _variable(pid: int, name: str) -> bytes:
    """Return the value of a variable in a process's environment, empty where it has none."""
    start = f"{name}=".encode()
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return next((entry for entry in file.read().split(b"\0") if entry.startswith(start)), b"")
    except OSError:
        return b""
