"""The leak check itself: it must see each kind of leak, and only those."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import leaks

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes and files are seen through /proc")
SLEEPER = "import sys; sys.stdin.read()"
ORPHANING = f"""
import subprocess, sys
quiet = subprocess.DEVNULL
child = subprocess.Popen(
    [sys.executable, "-c", {SLEEPER!r}], stdin=0, stdout=quiet, stderr=quiet, start_new_session=True
)
print(child.pid, flush=True)
"""


def test_thread_is_seen_until_it_ends() -> None:
    before = leaks.take()
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="left-over")
    thread.start()
    assert leaks.left_behind(before, patience=0) == {"threads": ["left-over"]}
    release.set()
    thread.join()
    assert leaks.left_behind(before) == {}


@linux
def test_file_is_seen_until_it_is_closed(tmp_path: Path) -> None:
    before = leaks.take()
    path = tmp_path / "open"
    with path.open("w") as file:
        assert leaks.left_behind(before, patience=0) == {"files": [f"{file.fileno()} -> {path}"]}
    assert leaks.left_behind(before) == {}


@linux
def test_child_is_seen_until_it_is_waited_for() -> None:
    before = leaks.take()
    child = subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE)
    assert f"process {child.pid}" in str(leaks.left_behind(before, patience=0)["processes"])
    child.communicate()
    assert leaks.left_behind(before) == {}


@linux
def test_orphan_in_a_session_of_its_own_is_seen() -> None:
    before = leaks.take()
    reading, writing = os.pipe()
    parent = subprocess.run([sys.executable, "-c", ORPHANING], stdin=reading, capture_output=True, check=True)
    os.close(reading)
    left = leaks.left_behind(before, patience=0)
    os.close(writing)
    assert f"process {int(parent.stdout)}" in str(left["processes"])
    assert leaks.left_behind(before) == {}


@linux
def test_grandchild_of_a_process_that_was_there_before_is_not_ours_to_judge() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys\nsys.stdin.readline()\n{ORPHANING}sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    assert parent.stdin and parent.stdout
    before = leaks.take()
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert int(parent.stdout.readline())
    assert leaks.left_behind(before, patience=0) == {}
    parent.communicate()


@pytest.mark.leaves("files", "this is the mark's own test; the handle is closed by the next one")
def test_mark_allows_one_kind(tmp_path: Path) -> None:
    LEFT_OPEN.append(os.open(tmp_path, os.O_RDONLY))


def test_what_the_mark_allowed_is_put_away() -> None:
    os.close(LEFT_OPEN.pop())


LEFT_OPEN: list[int] = []
