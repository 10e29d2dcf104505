"""What a test may leave behind: nothing.

Invariant: a thread, process or file handle counts as left behind when it is there after the test, was not there
before it, is not owned by something that was, and does not go away by itself within a generous time.

Processes are looked for in two ways, so that orphans are found too: as children of this process, and by a mark in
their environment, which every process that a test starts inherits unless the environment is built anew.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 10.0
MARK = "BRIDGE_TESTS_RUN"
PROC = Path("/proc")
LASTING_FILES = ("/dev/", "anon_inode:", "/proc/", "/sys/")
"""Handles that libraries keep for good: random sources, selectors of idle pools, open looks at /proc."""


@dataclass(frozen=True)
class Snapshot:
    """What exists at a moment: threads by name, descendants by process id, open files by descriptor."""

    threads: dict[int, str]
    processes: dict[int, str]
    files: dict[int, str]

    def left_since(self, before: Snapshot) -> dict[str, list[str]]:
        """Return what exists now and did not before, as words, by kind."""
        new = {pid: words for pid, words in self.processes.items() if pid not in before.processes}
        return {
            "threads": [name for ident, name in self.threads.items() if ident not in before.threads],
            "processes": [words for pid, words in new.items() if not has_ancestor(pid, before.processes)],
            "files": [f"{number} -> {path}" for number, path in self.files.items() if before.files.get(number) != path],
        }


def take() -> Snapshot:
    """Return what exists now. Without /proc only threads are seen."""
    threads = {thread.ident or 0: thread.name for thread in threading.enumerate()}
    if not sys.platform.startswith("linux"):
        return Snapshot(threads, {}, {})
    return Snapshot(threads, dict(descendants()), dict(open_files()))


def left_behind(before: Snapshot, *, allowed: Collection[str] = (), patience: float = PATIENCE) -> dict[str, list[str]]:
    """Return what is left since `before`, by kind, after giving it up to `patience` seconds to go away.

    `allowed` kinds are not looked at.
    """
    deadline = time.monotonic() + patience
    while True:
        left = {kind: found for kind, found in take().left_since(before).items() if found and kind not in allowed}
        if not left or time.monotonic() >= deadline:
            return left
        gc.collect()
        time.sleep(0.02)


def descendants() -> Iterator[tuple[int, str]]:
    """Yield our children and every process that carries our mark, zombies too, with words that describe it."""
    mark = f"{MARK}={os.environ.get(MARK, '')}".encode()
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            ours = parent_of(int(entry.name)) == os.getpid() or mark in (entry / "environ").read_bytes().split(b"\0")
            if ours:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                yield int(entry.name), f"process {entry.name}: {words or 'ended, and not waited for'}"
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue


def parent_of(pid: int) -> int:
    """Return the parent's process id. Raises `FileNotFoundError` or `ProcessLookupError` when the process is gone."""
    return int((PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])


def has_ancestor(pid: int, processes: dict[int, str]) -> bool:
    """Return whether one of `processes` is an ancestor of the process."""
    try:
        parent = parent_of(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return parent in processes or (parent > 1 and parent != os.getpid() and has_ancestor(parent, processes))


def open_files() -> Iterator[tuple[int, str]]:
    """Yield our open file descriptors and what they lead to, without those that are meant to last."""
    for entry in (PROC / "self" / "fd").iterdir():
        try:
            path = os.readlink(entry)
        except FileNotFoundError:
            continue
        if not path.startswith(LASTING_FILES):
            yield int(entry.name), path
