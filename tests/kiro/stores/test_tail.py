"""The tail of a growing file, and documents that are replaced whole."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bridge.kiro.tail import Document, Tail


def read(tail: Tail, *, final: bool = False) -> list[bytes]:
    """Return the data of the new lines."""
    return [line.data for line in tail.lines(final=final)]


def test_lines_and_their_offsets(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(path)
    assert read(tail) == []
    path.write_bytes(b"one\r\n\n  \ntwo\nthr")
    assert [(line.offset, line.data) for line in tail.lines()] == [(0, b"one"), (9, b"two")]
    with path.open("ab") as file:
        file.write(b"ee\nfour\n")
    assert [(line.offset, line.data) for line in tail.lines()] == [(13, b"three"), (19, b"four")]
    assert read(tail) == []
    assert tail.trouble is None


@given(data=st.binary(max_size=400).map(lambda data: data.replace(b"\0", b"\n")), cuts=st.lists(st.integers(0, 400)))
def test_any_cutting_gives_the_same_lines(data: bytes, cuts: list[int]) -> None:
    folder = Path(os.environ["HOME"])
    path = folder / "log"
    path.unlink(missing_ok=True)
    tail = Tail(path)
    lines = []
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in itertools.pairwise(bounds):
        with path.open("ab") as file:
            file.write(data[start:end])
        lines += [(line.offset, line.data) for line in tail.lines()]
    offset, expected = 0, []
    for line in data.split(b"\n")[:-1]:
        if line.strip():
            expected.append((offset, line.strip()))
        offset += len(line) + 1
    assert lines == expected
    assert not tail.rewritten


def test_a_line_of_many_chunks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 3_500_000 + b"\nshort\n" + b"y" * 2_000_000)
    tail = Tail(path)
    assert [len(data) for data in read(tail)] == [3_500_000, 5]
    with path.open("ab") as file:
        file.write(b"z\n")
    assert [len(data) for data in read(tail)] == [2_000_001]


def test_a_file_rewritten_in_place_with_more_bytes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\nsecond\n")
    tail = Tail(path)
    read(tail)
    path.write_bytes(b"FIRST\nSECOND\nTHIRD\n")
    assert read(tail) == [b"FIRST", b"SECOND", b"THIRD"]
    assert tail.rewritten
    assert read(tail) == []
    assert not tail.rewritten


def test_a_copy_in_place_of_the_file_is_the_same_file(tmp_path: Path) -> None:
    path, copy = tmp_path / "log", tmp_path / "copy"
    path.write_bytes(b"first\n")
    tail = Tail(path)
    read(tail)
    copy.write_bytes(b"first\nsecond\n")
    copy.replace(path)
    assert read(tail) == [b"second"]
    assert not tail.rewritten


def test_a_mark_of_another_process(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\n" * 30)
    first = Tail(path)
    first.go_to_end()
    mark = first.mark()
    assert mark["offset"] == 180
    assert len(bytes.fromhex(mark["print"])) == 64
    with path.open("ab") as file:
        file.write(b"second\n")
    second = Tail(path)
    second.go_to(mark)
    assert read(second) == [b"second"]
    third = Tail(path)
    path.write_bytes(b"other\n" * 60)
    third.go_to(mark)
    assert len(read(third)) == 60
    assert third.rewritten


def test_marks_of_any_shape(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"line\n")
    for mark in ({}, {"offset": "x", "print": "zz"}, {"offset": -5}, {"offset": 1e300, "print": 7}, {"offset": None}):
        tail = Tail(path)
        tail.go_to(mark)
        assert read(tail) == [b"line"]


def test_documents(tmp_path: Path) -> None:
    path = tmp_path / "doc.json"
    document = Document(path)
    assert not document.refresh()
    assert document.trouble is None
    path.write_text('{"a": 1}')
    assert document.refresh()
    assert document.value == {"a": 1}
    assert not document.refresh()
    path.write_text('{"a": 1')
    assert not document.refresh()
    assert document.trouble == "damaged"
    assert document.value == {"a": 1}
    path.write_text("[1, 2, 3]")
    assert not document.refresh()
    assert document.trouble == "damaged"
    path.unlink()
    assert not document.refresh()
    assert document.trouble == "vanished"
    path.mkdir()
    assert not document.refresh()
    assert document.trouble == "unreadable"
