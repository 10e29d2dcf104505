"""What processes use, and measuring only while somebody listens."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.diagnostics import machine, meter
from bridge.diagnostics.meter import Gauge, UsageMeter
from bridge.diagnostics.processes import Process, Usage, all_processes, family, of_runs, usage
from bridge.kiro.environment import RUN_ID
from tests.kiro.runner.scripts import PATIENCE, until

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")


OURS = f"RUN_{uuid.uuid4().hex}"
"""Runs of other tests may have runs of their own going on, in the same family."""


@pytest.fixture
def run() -> Iterator[subprocess.Popen[bytes]]:
    """A process of a run that uses a processor and has a child, until its input ends."""
    source = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'])\n"
        "print('up', flush=True)\n"
        "x = bytearray(30_000_000)\n"
        "import select\n"
        "while not select.select([sys.stdin], [], [], 0)[0]: pass\n"
        "child.wait()\n"
    )
    env = {**os.environ, RUN_ID: uuid.uuid4().hex, OURS: "1"}
    process = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    assert process.stdout is not None and process.stdin is not None
    process.stdout.readline()
    yield process
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_families_and_runs(run: subprocess.Popen[bytes]) -> None:
    found: set[int] = set()

    def has_a_child() -> bool:
        found.clear()
        found.update(of_runs(all_processes(), [os.getpid()], OURS))
        return len(found) == 2

    until(has_a_child)
    assert run.pid in found and os.getpid() not in found
    assert found <= family(all_processes(), [os.getpid()])
    assert of_runs(all_processes(), [run.pid], OURS) == found
    assert of_runs(all_processes(), [1 << 30], OURS) == set()


def test_a_process_that_works_is_seen(run: subprocess.Popen[bytes], tmp_path: Path) -> None:
    gauge = Gauge(tmp_path, lambda: {os.getpid()})
    assert gauge.look().kiro.cpu_percent == 0.0
    until(lambda: (kiro := gauge.look().kiro).cpu_percent > 0 and kiro.rss_bytes > 30_000_000)
    sample = gauge.look()
    assert sample.bridge.rss_bytes > 1_000_000 and sample.bridge.processes == 1
    assert 0 < sample.memory.available_bytes <= sample.memory.total_bytes
    assert 0 < sample.disk.available_bytes <= sample.disk.total_bytes


def test_a_number_that_was_given_again_is_another_process() -> None:
    before = {7: Process(7, 1, 90.0, 10, started=1)}
    again = Process(7, 1, 1.0, 20, started=2)
    assert usage([again], before, 2.0) == Usage(50.0, 20, 1)
    assert usage([Process(7, 1, 91.0, 10, started=1)], before, 2.0) == Usage(50.0, 10, 1)
    assert usage([again], {}, 2.0).cpu_percent == 0.0


def test_memory_of_a_container_counts() -> None:
    files = {
        "/proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 900 kB\n",
        "/sys/fs/cgroup/memory.max": "500000\n",
        "/sys/fs/cgroup/memory.current": "400000\n",
        "/sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 50000\n",
    }

    def read(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    assert machine.memory(read) == machine.Room(500_000, 150_000)
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert machine.memory(read) == machine.Room(1000 * 1024, 900 * 1024)
    files.clear()
    assert machine.memory(read) is None


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    room = machine.disk(tmp_path / "not" / "there")
    assert room is not None and room.total_bytes > 0


def test_nothing_is_measured_unless_somebody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "INTERVAL", 0.01)
    monkeypatch.setattr(meter, "_FIRST", 0.01)
    woken = threading.Event()
    measured = UsageMeter(Gauge(tmp_path, set), woken.set)
    try:
        assert "usage" not in [thread.name for thread in threading.enumerate()] and not woken.is_set()
        number, sample = measured.latest()
        assert sample is None
        assert woken.wait(PATIENCE)
        until(lambda: measured.latest()[0] > number + 1)
        assert measured.latest()[1] is not None
        until(lambda: "usage" not in [thread.name for thread in threading.enumerate()])
        woken.clear()
        measured.latest()
        assert woken.wait(PATIENCE)
    finally:
        measured.close()
    assert measured.latest() is not None
    assert "usage" not in [thread.name for thread in threading.enumerate()]
