"""Small programs that stand for kiro-cli where one behaviour of a process is tested."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bridge.core.ports import TurnMessage
from bridge.core.records import SessionOptions

PATIENCE = 30.0


def program(path: Path, source: str, shell: str = sys.executable) -> Path:
    """Write an executable file, Python unless said otherwise."""
    path.write_text(f"#!{shell}\n{source}")
    path.chmod(0o755)
    return path


def until(true: Callable[[], Any]) -> None:
    """Wait until something holds; fail if it does not within a time that only a hang takes."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    """Return whether a process runs; a dead one that nobody reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def pid_in(path: Path) -> int:
    """Return the process id that a script wrote, once it is whole (it ends with a line break)."""
    until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


class Control:
    """A turn's control for tests."""

    def __init__(self) -> None:
        self.marks: list[dict[str, Any]] = []
        self._cancelled = False
        self._read, self._write = os.pipe()

    def wake_fd(self) -> int:
        return self._read

    def cancelled(self) -> bool:
        return self._cancelled

    def take(self) -> Sequence[TurnMessage]:
        return ()

    def options(self) -> SessionOptions:
        return SessionOptions()

    def remember(self, mark: Mapping[str, Any]) -> None:
        self.marks.append(dict(mark))

    def cancel(self) -> None:
        self._cancelled = True
        os.write(self._write, b"x")

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)
