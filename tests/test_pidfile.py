"""The PID file: facts/agentapi-contract.md 4.3 and 8 C6."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.errors import StartError
from bridge.pidfile import PidFile


@pytest.fixture
def living() -> Iterator[int]:
    """Return the id of another process that lives as long as the test."""
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield child.pid
    child.communicate()


def dead() -> int:
    """Return the id of a process that has ended and was waited for."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def mode(path: Path) -> int:
    """Return the permission bits of a path."""
    return stat.S_IMODE(path.stat().st_mode)


def test_holds_our_id_in_private_directories_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "bridge.pid"
    with PidFile(path):
        assert path.read_text() == f"{os.getpid()}\n"
        assert mode(path) == 0o600
        assert [mode(path.parent), mode(path.parent.parent)] == [0o700, 0o700]
        assert list(path.parent.iterdir()) == [path]
    assert not path.exists()


def test_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with PidFile(tmp_path / "bridge.pid"):
        assert mode(tmp_path) == 0o755


@pytest.mark.parametrize("content", ["", "garbage", "-1", "0", "12 34", "99999999999999999999", "4294967295", "\u0663"])
def test_content_that_names_no_process_is_overwritten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bridge.pid"
    path.write_text(content, encoding="utf-8")
    with PidFile(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_stale_id_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "bridge.pid"
    path.write_text(f"{dead()}\n")
    with PidFile(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_own_id_left_by_an_earlier_life_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "bridge.pid"
    path.write_text(f"{os.getpid()}\n")
    with PidFile(path):
        assert path.exists()
    assert not path.exists()


def test_live_process_is_named_and_its_file_untouched(tmp_path: Path, living: int) -> None:
    path = tmp_path / "bridge.pid"
    path.write_text(f"{living}\n")
    with pytest.raises(StartError) as refused:
        PidFile(path).acquire()
    assert f"another instance is already running with PID {living} (PID file: {path})" in str(refused.value)
    assert path.read_text() == f"{living}\n"


def test_file_that_became_another_process_is_left_to_it(tmp_path: Path, living: int) -> None:
    path = tmp_path / "bridge.pid"
    with PidFile(path):
        path.write_text(f"{living}\n")
    assert path.read_text() == f"{living}\n"


def test_missing_file_at_the_end_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "bridge.pid"
    with PidFile(path):
        path.unlink()
    assert not path.exists()


def test_place_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"cannot be written: .* Name a path in a directory of yours with --pid-file"):
        PidFile(tmp_path / "file" / "bridge.pid").acquire()


def test_directory_in_its_place_is_refused_and_nothing_left(tmp_path: Path) -> None:
    (tmp_path / "bridge.pid").mkdir()
    with pytest.raises(StartError, match="cannot be written"):
        PidFile(tmp_path / "bridge.pid").acquire()
    assert [path.name for path in tmp_path.iterdir()] == ["bridge.pid"]
