"""Files by a part of their path."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bridge.workfiles import finding
from bridge.workfiles.finding import Finder


@pytest.fixture(params=["git", "plain"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with some files, in a Git work tree and not."""
    root = tmp_path / "work"
    for path in ("src/app.py", "src/app_test.py", "README.md", "docs/apple.md", "node_modules/app.js"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    if request.param == "git":
        (root / ".gitignore").write_text("node_modules/\n*.log\n")
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        subprocess.run(["git", "-C", str(root), "add", "README.md"], check=True)
    return root


def found(root: Path, query: str, limit: int = 20) -> list[str]:
    """Ask a new finder."""
    return Finder().find(str(root), query, limit)


def test_best_first_and_ignored_ones_left_out(root: Path) -> None:
    assert found(root, "app") == ["src/app.py", "docs/apple.md", "src/app_test.py"]
    assert found(root, "src/") == ["src/app.py", "src/app_test.py"]
    assert found(root, "app.py")[0] == "src/app.py"
    assert found(root, "READ") == ["README.md"]
    assert found(root, "sapy") == ["src/app.py", "src/app_test.py"]
    assert found(root, "nothing like it") == []
    assert len(found(root, "", 2)) == 2


def test_a_file_that_is_gone_is_not_found(root: Path) -> None:
    (root / "README.md").unlink()
    assert found(root, "README") == []


def test_names_nobody_can_say_are_left_out(root: Path) -> None:
    for name in (b"line\nbreak.py", b"\xff\xfe.py", b"\x1b[31mred.py"):
        with open(os.fsencode(root) + b"/" + name, "wb"):
            pass
    (root / "→ ünï.py").write_text("x")
    assert found(root, ".py") == ["→ ünï.py", "src/app.py", "src/app_test.py"]


def test_links_to_folders_are_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.txt").write_text("x")
    (root / "out").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    assert found(root, "secret") == []


def test_one_word_is_typed_on_one_list(root: Path) -> None:
    now = 100.0
    finder = Finder(lambda: now)
    assert finder.find(str(root), "new", 5) == []
    (root / "new.txt").write_text("x")
    assert finder.find(str(root), "new", 5) == []
    now += finding.FRESH + 1
    assert finder.find(str(root), "new", 5) == ["new.txt"]


def test_a_repository_starts_no_program_of_its_own(tmp_path: Path) -> None:
    """A hostile `.git/config` names a program that Git would run while it lists."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "evil").write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    (tmp_path / "evil").chmod(0o755)
    subprocess.run(["git", "-C", str(tmp_path), "config", "core.fsmonitor", str(tmp_path / "evil")], check=True)
    (tmp_path / "a.txt").write_text("x")
    assert "a.txt" in found(tmp_path, "a.txt")
    assert not (tmp_path / "pwned").exists()


def test_a_huge_folder_is_walked_in_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        (tmp_path / f"{number}.txt").write_text("")
    monkeypatch.setattr(finding, "_FILES", 100)
    assert len(found(tmp_path, ".txt", 1000)) == 100


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert found(tmp_path / "gone", "x") == []
