"""A program of its own: reads a workbook or slides from standard input and writes what they hold as JSON.

Invariants: it runs in a process with little memory and time, imports nothing of the bridge, and writes a bounded
answer. What is inside the file is hostile: sizes are checked before anything is unpacked. Exit codes: 0 read, 3 the
library for it is not installed, 4 the file is larger inside than allowed, 5 it cannot be read.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import resource
import sys
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

READ, MISSING, TOO_LARGE, UNREADABLE = 0, 3, 4, 5

MEMORY = 768 * 1024 * 1024
SECONDS = 20
_ENTRIES = 10_000
_INSIDE = 64 * 1024 * 1024
_SHEETS, _ROWS, _COLUMNS, _CELL = 20, 200, 50, 500
_SLIDES, _SLIDE = 300, 10_000
_CELLS = 40_000


def main() -> int:
    """Read `sys.argv[1]`, `table` or `slides`, and return the exit code."""
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # a lower one is in force, or the system has none (macOS)
            resource.setrlimit(limit, (most, most))
    read, library = (_table, "openpyxl") if sys.argv[1] == "table" else (_slides, "pptx")
    try:
        module = importlib.import_module(library)
    except ImportError:
        return MISSING
    try:
        if _too_large(sys.stdin.buffer):
            return TOO_LARGE
        found = read(module, sys.stdin.buffer)
    except MemoryError:
        return TOO_LARGE
    except Exception:  # the libraries raise anything for a damaged file
        return UNREADABLE
    sys.stdout.write(json.dumps(found))
    return READ


def _too_large(file: Any) -> bool:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    file.seek(0)
    return len(entries) > _ENTRIES or sum(entry.file_size for entry in entries) > _INSIDE


def _table(openpyxl: Any, file: Any) -> dict[str, Any]:
    book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    room, sheets = _CELLS, []
    for sheet in book.worksheets[:_SHEETS]:
        sheet.reset_dimensions()
        rows: list[list[str]] = []
        cut = False
        for row in sheet.iter_rows(max_row=_ROWS + 1, max_col=_COLUMNS + 1, values_only=True):
            if len(rows) == _ROWS or room <= 0:
                cut = cut or _filled(row)
                break
            cut = cut or _filled(row[_COLUMNS:])
            rows.append(_without_end([_cell(value) for value in row[:_COLUMNS]]))
            room -= len(rows[-1])
        while rows and not rows[-1]:
            rows.pop()
        sheets.append({"name": sheet.title, "rows": rows, "truncated": cut})
    return {"sheets": sheets, "truncated": len(book.worksheets) > _SHEETS or any(s["truncated"] for s in sheets)}


def _slides(pptx: Any, file: Any) -> dict[str, Any]:
    deck = pptx.Presentation(file)
    count = len(deck.slides)
    shown = [
        {"number": number, "text": "\n".join(_lines(slide))[:_SLIDE]}
        for number, slide in enumerate(islice(deck.slides, _SLIDES), start=1)
    ]
    return {"slides": shown, "truncated": count > _SLIDES}


def _lines(slide: Any) -> Iterator[str]:
    """Yield the text of a slide: of its shapes, groups and tables, and of the speaker's notes."""
    yield from _texts(slide.shapes, 5)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        if notes:
            yield f"Notes: {notes}"


def _texts(shapes: Any, depth: int) -> Iterator[str]:
    for shape in shapes:
        if getattr(shape, "has_text_frame", False) and shape.text_frame.text.strip():
            yield shape.text_frame.text.strip()
        elif getattr(shape, "has_table", False):
            for row in shape.table.rows:
                yield " | ".join(cell.text.strip() for cell in row.cells)
        elif depth and hasattr(shape, "shapes"):
            yield from _texts(shape.shapes, depth - 1)


def _filled(cells: Iterable[object]) -> bool:
    """Return whether anything stands there; the library fills rows up with empty cells."""
    return any(cell is not None for cell in cells)


def _cell(value: object) -> str:
    return "" if value is None else str(value)[:_CELL]


def _without_end(row: list[str]) -> list[str]:
    while row and not row[-1]:
        row.pop()
    return row


if __name__ == "__main__":
    sys.exit(main())
