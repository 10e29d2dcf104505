"""The usage of the bridge and Kiro, measured while somebody listens.

Invariant: nothing is measured and no thread runs while nobody listens; all listeners share one measurement.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bridge.diagnostics import machine, processes
from bridge.kiro.environment import RUN_ID

INTERVAL = 2.0
_FIRST = 0.2
"""Seconds to the first measurement: processor time needs two looks."""

_FORGOTTEN = 3
"""Measurements that nobody takes after which it ends."""


@dataclass(frozen=True)
class Sample:
    """What was measured; `at` in seconds since the epoch."""

    at: float
    bridge: processes.Usage
    kiro: processes.Usage
    memory: machine.Room
    disk: machine.Room

    def as_dict(self) -> dict[str, Any]:
        """Return the fields but the time, JSON-ready."""
        return {name: asdict(getattr(self, name)) for name in ("bridge", "kiro", "memory", "disk")}


class Gauge:
    """Measures. `place` is on the disk that counts; `own` are the processes of the bridge itself."""

    def __init__(self, place: Path, own: Callable[[], set[int]]) -> None:
        self._place = place
        self._own = own
        self._before: dict[int, processes.Process] = {}
        self._looked_at = 0.0

    def look(self) -> Sample:
        """Return what is used now; processor time is since the last look."""
        now, at = processes.all_processes(), time.monotonic()
        seconds = at - self._looked_at
        own = self._own() & now.keys()
        kiro = processes.of_runs(now, own, RUN_ID) - own
        sample = Sample(
            time.time(),
            processes.usage([now[pid] for pid in own], self._before, seconds),
            processes.usage([now[pid] for pid in kiro], self._before, seconds),
            machine.memory() or machine.Room(0, 0),
            machine.disk(self._place) or machine.Room(0, 0),
        )
        self._before, self._looked_at = now, at
        return sample


class UsageMeter:
    """Measures every `INTERVAL` seconds while it is asked, and calls `wake` when there is something new."""

    def __init__(self, gauge: Gauge, wake: Callable[[], None]) -> None:
        self._gauge = gauge
        self._wake = wake
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._sample: Sample | None = None
        self._number = 0
        self._unasked = 0

    def latest(self) -> tuple[int, Sample | None]:
        """Return the last measurement and its number; whoever asks is a listener. Never blocks for long."""
        with self._lock:
            self._unasked = 0
            if self._thread is None and not self._ending.is_set():
                self._sample = None
                self._thread = threading.Thread(target=self._measure, name="usage", daemon=True)
                self._thread.start()
            return self._number, self._sample

    def close(self) -> None:
        """End measuring, for good."""
        self._ending.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _measure(self) -> None:
        self._gauge.look()
        wait = _FIRST
        while not self._ending.wait(wait):
            sample, wait = self._gauge.look(), INTERVAL
            with self._lock:
                self._unasked += 1
                if self._unasked > _FORGOTTEN:
                    self._thread = None
                    return
                self._sample = sample
                self._number += 1
            self._wake()
        with self._lock:
            self._thread = None


def bridge_processes(worker: int) -> set[int]:
    """Return the process that serves and the one that looks after it, if that is the bridge's too (gunicorn's master).

    Nothing where `worker` is no process of a bridge, such as one that got the number of a dead one.
    """
    command = _command(worker)
    if b"bridge" not in command:
        return set()
    process = processes.process(worker)
    return {worker} if process is None or _command(process.parent) != command else {worker, process.parent}


def _command(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""
