"""Files of a folder by a part of their path, for the one who types `@`.

Invariants: no link to a directory is followed; the work is bounded in time, files and bytes, however large the folder
is. Git is asked with an argument vector, and starts nothing that a repository's own configuration names.
"""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

FRESH = 3.0
"""Seconds a list of files is kept: long enough for one word to be typed."""

_SECONDS = 3.0
_FILES = 50_000
_BYTES = 8 * 1024 * 1024
_KEPT = 4
_QUERY = 256
_GIT = (
    *("git", "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false", "-c", "core.quotePath=false"),
    *("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"),
)
_UNSEEN = frozenset({".git", ".hg", ".svn", ".tox", ".venv", "__pycache__", "node_modules", "venv"})


class Finder:
    """Finds files by a part of their path. Safe for several threads. `monotonic` is a clock in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = monotonic
        self._lock = threading.Lock()
        self._lists: dict[str, tuple[float, list[str]]] = {}

    def find(self, root: str, query: str, limit: int) -> list[str]:
        """Return up to `limit` paths within `root` that fit, best first: POSIX, relative, of files that exist."""
        wanted = query[:_QUERY].lower()
        ranked = sorted((rank, len(path), path) for path in self._paths(root) if (rank := _rank(path, wanted)) < _NONE)
        found = (path for _, _, path in ranked if os.path.lexists(os.path.join(root, path)))
        return [path for path, _ in zip(found, range(limit), strict=False)]

    def _paths(self, root: str) -> list[str]:
        with self._lock:
            at, paths = self._lists.get(root, (float("-inf"), []))
            if self._clock() - at < FRESH:
                return paths
        listed = _from_git(root)
        paths = list(_walked(root)) if listed is None else listed
        with self._lock:
            self._lists.pop(root, None)
            self._lists[root] = self._clock(), paths
            while len(self._lists) > _KEPT:
                del self._lists[next(iter(self._lists))]
        return paths


_NONE = 9


def _rank(path: str, wanted: str) -> int:
    """Return how well a path fits, 0 being best and `_NONE` not at all."""
    lower = path.lower()
    name = lower.rpartition("/")[2]
    if name == wanted or lower == wanted:
        return 0
    if name.startswith(wanted):
        return 1
    if wanted in name:
        return 2
    if wanted in lower:
        return 3
    letters = iter(lower)
    return 4 if all(letter in letters for letter in wanted) else _NONE


def _from_git(root: str) -> list[str] | None:
    """Return the files that Git knows or does not ignore, None where it is no work tree or Git does not answer."""
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/"), "GIT_OPTIONAL_LOCKS": "0"}
    try:
        child = subprocess.Popen(
            _GIT, cwd=root, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return None
    try:
        data = _read(child, time.monotonic() + _SECONDS)
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
    if data is None:
        return None
    names = data.split(b"\0")[:-1][:_FILES]
    return [name.decode() for name in names if _sayable(name)]


def _read(child: subprocess.Popen[bytes], deadline: float) -> bytes | None:
    """Return what the child wrote, as far as time and size allow; None when it failed or was cut before any of it."""
    assert child.stdout is not None
    data = bytearray()
    while len(data) < _BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
            return bytes(data) or None
        piece = os.read(child.stdout.fileno(), 65536)
        if not piece:
            return bytes(data) if child.wait() == 0 else None
        data += piece
    return bytes(data)


def _walked(root: str) -> Iterator[str]:
    """Yield the files below `root`, those of higher folders first."""
    deadline, seen = time.monotonic() + _SECONDS, 0
    folders = deque([""])
    while folders:
        folder = folders.popleft()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    seen += 1
                    if seen > _FILES or time.monotonic() > deadline:
                        return
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in _UNSEEN:
                            folders.append(path)
                    elif _sayable(os.fsencode(path)):
                        yield path
        except OSError:
            continue


def _sayable(name: bytes) -> bool:
    """Return whether a path can be told in JSON and named again: UTF-8 without control characters."""
    try:
        return name.decode().isprintable()
    except UnicodeDecodeError:
        return False
