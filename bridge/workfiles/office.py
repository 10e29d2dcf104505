"""Workbooks and slides, read by a process of their own.

Invariant: whatever is in such a file, this process neither grows nor waits long: the reader (`office_reader`) has its
own memory and time, and only a few run at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, Literal

from bridge.workfiles import office_reader
from bridge.workfiles.refusals import FileRefused

FILE_LIMIT = 20 * 1024 * 1024
INSTALL = "pip install 'kiro-bridge[office]'"

_SECONDS = 30.0
_AT_ONCE = threading.BoundedSemaphore(2)
_PATIENCE = 10.0
_ANSWER = 16 * 1024 * 1024


class OfficeMissing(FileRefused):
    """The libraries that read such files are not installed."""

    code = "office_missing"


def read(file: IO[bytes], what: Literal["table", "slides"]) -> dict[str, Any]:
    """Return `{"sheets": [...]}` or `{"slides": [...]}` of an open file, each with `truncated`.

    Raises OfficeMissing, and FileRefused for a file that is damaged, a bomb, or takes too long.
    """
    if not _AT_ONCE.acquire(timeout=_PATIENCE):
        raise FileRefused("Other files are being read just now.", "Try again in a moment.", code="busy")
    try:
        code, answer = _run(file, what)
    finally:
        _AT_ONCE.release()
    if code == office_reader.MISSING:
        raise OfficeMissing("Workbooks and slides cannot be read here: a library is missing.", f"Run {INSTALL}.")
    if code == office_reader.TOO_LARGE:
        raise FileRefused("The file is far larger inside than outside.", "Download it.", code="file_too_large")
    if code != office_reader.READ:
        raise FileRefused("The file is damaged, or took too long to read.", "Download it.", code="unreadable")
    found: dict[str, Any] = json.loads(answer)
    return found


def _run(file: IO[bytes], what: str) -> tuple[int, bytes]:
    child = subprocess.Popen(
        [sys.executable, "-I", str(Path(office_reader.__file__)), what],
        cwd="/",
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        stdin=file.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    timer = threading.Timer(_SECONDS, child.kill)
    timer.daemon = True
    timer.start()
    try:
        assert child.stdout is not None
        with child.stdout:
            answer = child.stdout.read(_ANSWER)
        return child.wait(), answer
    finally:
        timer.cancel()
        timer.join()
        if child.poll() is None:
            child.kill()
            child.wait()
