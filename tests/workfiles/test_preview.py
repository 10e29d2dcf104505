"""What a file holds, bounded."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bridge.workfiles import kinds, office, office_reader
from bridge.workfiles.folder import Folder
from bridge.workfiles.preview import TEXT_LIMIT, Preview, preview

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


needs_office = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("openpyxl", "pptx")), reason="the extra office is not installed"
)


def shown(root: Path, name: str, data: bytes | str) -> Preview:
    """Write a file and preview it."""
    (root / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return preview(Folder(str(root)), name)


@pytest.mark.parametrize(
    ("name", "data", "kind", "language"),
    [
        ("a.txt", b"hello", "text", None),
        ("README.md", b"# hi", "text", None),
        ("app.py", b"print(1)", "code", "python"),
        ("Dockerfile", b"FROM x", "code", "dockerfile"),
        ("page.html", b"<script>alert(1)</script>", "code", "html"),
        ("drawing.svg", b"<svg onload='alert(1)'/>", "code", "xml"),
        ("notes", b"plain words", "text", None),
        ("data", b"\x00\x01\x02", "other", None),
        ("fake.txt", b"\x00\x01\x02", "other", None),
        ("latin.txt", "caf\xe9".encode("latin-1"), "text", None),
        ("wide.txt", "caf\xe9".encode("utf-16"), "text", None),
        ("picture.PNG", PNG, "image", None),
        ("paper.pdf", b"%PDF-1.7", "pdf", None),
        ("archive.zip", b"PK\x03\x04\x00", "other", None),
        ("empty", b"", "text", None),
    ],
)
def test_kinds(tmp_path: Path, name: str, data: bytes, kind: str, language: str | None) -> None:
    found = shown(tmp_path, name, data)
    assert (found.kind, found.language, found.size, found.truncated) == (kind, language, len(data), False)
    assert (found.text is not None) == (kind in ("text", "code"))


def test_encodings(tmp_path: Path) -> None:
    assert shown(tmp_path, "a.txt", b"\xef\xbb\xbfcaf\xc3\xa9").text == "café"
    assert shown(tmp_path, "b.txt", "café".encode("utf-16")).text == "café"
    assert shown(tmp_path, "c.txt", b"caf\xe9").text == "caf\ufffd"


def test_a_character_cut_by_the_look_is_still_text(tmp_path: Path) -> None:
    data = b"a" * (kinds.LOOK - 1) + "é".encode() * 10
    assert shown(tmp_path, "words", data).kind == "text"


def test_a_huge_file_is_cut_at_a_line(tmp_path: Path) -> None:
    path = tmp_path / "huge.log"
    with path.open("wb") as file:
        file.write(b"a line of words\n" * 60_000)
        file.truncate(3 * 1024**3)
    found = preview(Folder(str(tmp_path)), "huge.log")
    assert found.truncated and found.size == 3 * 1024**3
    assert found.text is not None and len(found.text) <= TEXT_LIMIT and found.text.endswith("words\n")


def test_one_endless_line_is_cut_too(tmp_path: Path) -> None:
    found = shown(tmp_path, "a.json", "[" + "1," * TEXT_LIMIT)
    assert found.truncated and found.text is not None and len(found.text) == TEXT_LIMIT


@pytest.mark.parametrize(
    ("name", "data", "rows"),
    [
        ("a.csv", 'a,b\n"x, y",2\n', [["a", "b"], ["x, y", "2"]]),
        ("a.tsv", "a\tb\n1\t2\n", [["a", "b"], ["1", "2"]]),
        ("a.csv", "a;b;c\n1,5;2;3\n", [["a", "b", "c"], ["1,5", "2", "3"]]),
        ("empty.csv", "", []),
        ("nul.csv", "a,b\0\n", [["a", "b"]]),
    ],
)
def test_separated_values(tmp_path: Path, name: str, data: str, rows: list[list[str]]) -> None:
    found = shown(tmp_path, name, data)
    assert found.kind == "table"
    assert found.sheets == [{"name": name, "rows": rows, "truncated": False}]


def test_long_and_odd_separated_values(tmp_path: Path) -> None:
    long = shown(tmp_path, "a.csv", "1,2\n" * 5000)
    assert long.sheets is not None and len(long.sheets[0]["rows"]) == 500 and long.truncated
    wide = shown(tmp_path, "b.csv", "1," * 5000)
    assert wide.sheets is not None and len(wide.sheets[0]["rows"][0]) == 100 and wide.truncated
    odd = shown(tmp_path, "c.csv", '"' + "x" * 200_000)
    assert odd.kind == "text" and odd.text is not None


def workbook(path: Path, rows: int = 3, sheets: tuple[str, ...] = ("One", "Two")) -> None:
    """Write a workbook."""
    openpyxl: Any = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name in sheets:
        sheet = book.create_sheet(name)
        for number in range(rows):
            sheet.append([number, f"row {number}", None, 1.5 * number, True])
    book.save(path)


def test_a_workbook(tmp_path: Path) -> None:
    workbook(tmp_path / "a.xlsx")
    found = preview(Folder(str(tmp_path)), "a.xlsx")
    rows = [["0", "row 0", "", "0", "True"], ["1", "row 1", "", "1.5", "True"], ["2", "row 2", "", "3", "True"]]
    assert (found.kind, found.hint) == ("table", "")
    assert found.sheets == [{"name": name, "rows": rows, "truncated": False} for name in ("One", "Two")]


def test_a_long_workbook_is_cut_and_says_so(tmp_path: Path) -> None:
    workbook(tmp_path / "a.xlsx", rows=250, sheets=tuple(f"S{n}" for n in range(22)))
    found = preview(Folder(str(tmp_path)), "a.xlsx")
    assert found.truncated and found.sheets is not None
    assert len(found.sheets) == 20 and all(len(sheet["rows"]) <= 200 for sheet in found.sheets)


def test_slides(tmp_path: Path) -> None:
    pptx: Any = pytest.importorskip("pptx")
    deck = pptx.Presentation()
    for number in range(3):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Title {number}"
        slide.placeholders[1].text = "Words"
    table = deck.slides[2].shapes.add_table(1, 2, 0, 0, 100, 100).table
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    deck.slides[1].notes_slide.notes_text_frame.text = "say this"
    deck.save(tmp_path / "a.pptx")
    found = preview(Folder(str(tmp_path)), "a.pptx")
    assert (found.kind, found.truncated) == ("slides", False)
    assert found.slides == [
        {"number": 1, "text": "Title 0\nWords"},
        {"number": 2, "text": "Title 1\nWords\nNotes: say this"},
        {"number": 3, "text": "Title 2\nWords\nleft | right"},
    ]


@needs_office
@pytest.mark.parametrize("name", ["a.xlsx", "a.pptx"])
@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04" + bytes(200)])
def test_damaged_office_files_say_so(tmp_path: Path, name: str, data: bytes) -> None:
    found = shown(tmp_path, name, data)
    assert found.kind == "other" and "damaged" in found.hint


@needs_office
@pytest.mark.parametrize("name", ["a.xlsx", "a.pptx"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    """A hundred kilobytes that would be a hundred megabytes."""
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(100 * 1024 * 1024))
    assert (tmp_path / name).stat().st_size < 1024 * 1024
    found = preview(Folder(str(tmp_path)), name)
    assert found.kind == "other" and "larger inside" in found.hint


def test_a_bomb_of_entities_takes_no_memory_of_ours(tmp_path: Path) -> None:
    """The reader of such a file ends by itself, in its own process."""
    workbook(tmp_path / "a.xlsx")
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "boom">{entities}]><x>&e9;</x>'
    with zipfile.ZipFile(tmp_path / "a.xlsx") as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, bomb if name.startswith("xl/worksheets/sheet1") else old.read(name))
    found = preview(Folder(str(tmp_path)), "b.xlsx")
    assert found.kind == "other" or all(len(row) < 100 for sheet in found.sheets or [] for row in sheet["rows"])


def test_a_reader_without_its_library_says_how_to_get_it(tmp_path: Path) -> None:
    """The real program, told to look where nothing is installed."""
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with (tmp_path / "a.xlsx").open("rb") as file:
        code = subprocess.run(
            [sys.executable, "-I", "-S", str(Path(office_reader.__file__)), "table"], stdin=file, check=False
        ).returncode
    assert code == office_reader.MISSING


def test_a_missing_library_leaves_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "_run", lambda file, what: (office_reader.MISSING, b""))
    found = shown(tmp_path, "a.xlsx", b"PK")
    assert found.kind == "other" and office.INSTALL in found.hint


def test_a_reader_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = tmp_path / "hanging.py"
    hanging.write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(office_reader, "__file__", str(hanging))
    monkeypatch.setattr(office, "_SECONDS", 0.3)
    found = shown(tmp_path, "a.xlsx", b"PK")
    assert found.kind == "other" and "too long" in found.hint


def test_an_office_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").touch()
    os.truncate(tmp_path / "a.xlsx", office.FILE_LIMIT + 1)
    assert "MiB" in preview(Folder(str(tmp_path)), "a.xlsx").hint


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("a.png", "image", "image/png"),
        ("a.pdf", "pdf", "application/pdf"),
        ("a.html", "code", "text/plain; charset=utf-8"),
        ("a.svg", "code", "text/plain; charset=utf-8"),
        ("a.csv", "table", "text/plain; charset=utf-8"),
        ("a.xlsx", "table", None),
        ("a.bin", "other", None),
    ],
)
def test_nothing_active_is_given_in_place(path: str, kind: kinds.Kind, expected: str | None) -> None:
    assert kinds.content_type(path, kind) == expected
