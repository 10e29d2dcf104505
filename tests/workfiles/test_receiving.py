"""Names from outside, and files that come whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.workfiles.folder import Folder
from bridge.workfiles.names import LONGEST, fitting, safe_name
from bridge.workfiles.receiving import receiving
from bridge.workfiles.refusals import NoSuchFile


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.txt", "a.txt"),
        ("/etc/passwd", "passwd"),
        ("../../x.txt", "x.txt"),
        (r"C:\Users\me\report.docx", "report.docx"),
        ("nested/dir/", "dir"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        ("/", "file"),
        ("...", "file"),
        (".env", ".env"),
        ("-rf", "_-rf"),
        ("a\0b\nc\x7f.txt", "a_b_c_.txt"),
        ("gnp.\u202eexe", "gnp._exe"),
        ("\ud800.txt", "_.txt"),
        ("u\u0308n.txt", "\u00fcn.txt"),
        ("  spaces  .txt ", "spaces  .txt"),
        ("👩‍💻.md", "👩‍💻.md"),
    ],
)
def test_names(sent: str, kept: str) -> None:
    assert safe_name(sent) == kept


@given(st.text(max_size=400))
def test_every_name_is_one_element_of_a_path(sent: str) -> None:
    name = safe_name(sent)
    assert 0 < len(name.encode()) <= LONGEST
    assert name not in (".", "..") and not set("/\\\0\n") & set(name)
    assert safe_name(name) == name


@pytest.mark.parametrize("name", ["x" * 400 + ".txt", "ä" * 300 + ".tar", "x." + "y" * 300, "." + "z" * 300])
def test_long_names_keep_their_ending_and_fit(name: str) -> None:
    fitted = fitting(name, "-12")
    assert len(fitted.encode()) <= LONGEST
    assert fitted.endswith("-12.txt" if name.endswith(".txt") else "-12.tar" if name.endswith(".tar") else "-12")


def put(root: Path, name: str, data: bytes) -> str:
    """Receive one file."""
    with receiving(Folder(str(root))) as arrival:
        arrival.target.write(data)
        return arrival.keep(name)


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    assert [put(tmp_path, "a.txt", data) for data in (b"1", b"2", b"3")] == ["a.txt", "a-1.txt", "a-2.txt"]
    assert [(tmp_path / name).read_bytes() for name in ("a.txt", "a-1.txt", "a-2.txt")] == [b"1", b"2", b"3"]


def test_links_and_folders_of_that_name_are_left_alone(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    (root / "a.txt").symlink_to(outside)
    (root / "b.txt").mkdir()
    assert put(root, "a.txt", b"x") == "a-1.txt"
    assert put(root, "b.txt", b"x") == "b-1.txt"
    assert not outside.exists() and (root / "a.txt").is_symlink()


def test_what_is_not_kept_is_gone(tmp_path: Path) -> None:
    with receiving(Folder(str(tmp_path))) as arrival:
        arrival.target.write(b"half")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile), receiving(Folder(str(tmp_path / "gone"))):
        pass


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    """Eight threads send the same name; each file is there once, whole."""
    names: list[str] = []

    def send(number: int) -> None:
        names.extend(put(tmp_path, "same.bin", bytes([number]) * 10_000) for _ in range(10))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 80 and set(os.listdir(tmp_path)) == set(names)
    contents = sorted((tmp_path / name).read_bytes() for name in names)
    assert contents == sorted(bytes([number]) * 10_000 for number in range(8) for _ in range(10))
