"""Nothing outside the session's folder is opened, whatever names, links and races there are."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bridge.workfiles.folder import Folder
from bridge.workfiles.refusals import FileRefused, NoSuchFile, OutsideFolder

SECRET = b"not for anybody"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file, beside which lies a secret."""
    (tmp_path / "secret").write_bytes(SECRET)
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "c.txt").write_text("inside")
    return root


def content(root: Path, path: str) -> bytes:
    """Read a file through the folder."""
    with Folder(str(root)).opened(path) as found:
        return found.file.read()


@pytest.mark.parametrize("path", ["a/b/c.txt", "./a//b/../b/c.txt", "{root}/a/b/c.txt", "a/link/c.txt", "file-link"])
def test_paths_that_stay_inside(root: Path, path: str) -> None:
    (root / "a" / "link").symlink_to("b")
    (root / "file-link").symlink_to(root / "a/b/c.txt")
    with Folder(str(root)).opened(path.format(root=root)) as found:
        assert (found.path, found.file.read(), found.size) == ("a/b/c.txt", b"inside", 6)


def test_a_folder_behind_a_link_is_that_folder(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other-name").symlink_to(root)
    assert content(tmp_path / "other-name", "a/b/c.txt") == b"inside"


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "a/../../secret",
        "/etc/passwd",
        "{root}/../secret",
        "out",
        "out-folder/secret",
        "..",
        "a/b/up/secret",
    ],
)
def test_paths_that_lead_out(root: Path, path: str) -> None:
    (root / "out").symlink_to("../secret")
    (root / "out-folder").symlink_to(root.parent)
    (root / "a" / "b" / "up").symlink_to("../../..")
    with pytest.raises(OutsideFolder):
        content(root, path.format(root=root))
    assert not Folder(str(root)).exists(path.format(root=root))


@pytest.mark.parametrize("path", ["", "\0", "a\0b", "x" * 5000, "\ud800"])
def test_what_is_no_path(root: Path, path: str) -> None:
    with pytest.raises(FileRefused, match="no path"):
        content(root, path)


@pytest.mark.parametrize("path", ["missing", "a/missing/c.txt", "ä" * 200, "x" * 300, "line\nbreak", "dangling"])
def test_what_is_not_there(root: Path, path: str) -> None:
    (root / "dangling").symlink_to("nothing")
    with pytest.raises(NoSuchFile):
        content(root, path)


def test_only_ordinary_files_are_opened(root: Path) -> None:
    os.mkfifo(root / "fifo")
    for path in ("fifo", "a", "."):
        with pytest.raises(FileRefused):
            content(root, path)


def test_a_loop_of_links_is_refused(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    with pytest.raises(FileRefused):
        content(root, "loop")


def test_a_folder_without_the_right_to_read_says_so(root: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (root / "a/b/c.txt").chmod(0)
    with pytest.raises(FileRefused, match="permission denied"):
        content(root, "a/b/c.txt")


@pytest.mark.parametrize("swapped", ["file", "folder"])
def test_a_link_put_in_between_leads_nowhere(root: Path, swapped: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody changes the path after it was resolved and before it is opened."""
    folder = Folder(str(root))
    resolved = Folder.relative

    def relative_then_swap(self: Folder, path: str) -> str:
        found = resolved(self, path)
        if swapped == "file":
            (root / "a/b/c.txt").unlink()
            (root / "a/b/c.txt").symlink_to(root.parent / "secret")
        else:
            (root / "a/b").rename(root / "a/old")
            (root.parent / "c.txt").write_bytes(SECRET)
            (root / "a/b").symlink_to(root.parent)
        return found

    monkeypatch.setattr(Folder, "relative", relative_then_swap)
    with pytest.raises(OutsideFolder, match="changed into a link"):
        folder.open("a/b/c.txt")


def test_links_that_come_and_go_give_nothing_away(root: Path) -> None:
    """One thread swaps a folder for a link to the outside all the time; many reads see the file or a refusal."""
    inside, spare = root / "swap", root / "spare"
    inside.mkdir()
    (inside / "secret").write_bytes(b"public")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            inside.rename(spare)
            inside.symlink_to(root.parent)
            inside.unlink()
            spare.rename(inside)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen: set[bytes] = set()
    try:
        for _ in range(3000):
            try:
                seen.add(content(root, "swap/secret"))
            except FileRefused:
                seen.add(b"refused")
    finally:
        stop.set()
        swapper.join()
    assert seen <= {b"public", b"refused"}
