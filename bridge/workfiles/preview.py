"""What a file holds, ready to be shown.

Invariants: a preview is bounded, however large the file; what is left out is said. Nothing of the file is run.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from bridge.workfiles import office
from bridge.workfiles.folder import Folder, OpenFile
from bridge.workfiles.kinds import LOOK, SEPARATED, UTF16, Kind, kind_of, language_of
from bridge.workfiles.refusals import FileRefused

TEXT_LIMIT = 512 * 1024
_ROWS, _COLUMNS, _CELL = 500, 100, 500


@dataclass(frozen=True)
class Preview:
    """A file as it is shown. `sheets` are `{name, rows, truncated}`, `slides` `{number, text}`.

    `hint` says why there is less to see than there could be.
    """

    path: str
    kind: Kind
    size: int
    truncated: bool = False
    text: str | None = None
    language: str | None = None
    sheets: list[dict[str, Any]] | None = None
    slides: list[dict[str, Any]] | None = None
    hint: str = ""


def preview(folder: Folder, path: str) -> Preview:
    """Return a preview of a file in the folder. Raises FileRefused for one that cannot be opened."""
    with folder.opened(path) as found:
        kind = kind_of(found.path, found.file.read(LOOK))
        found.file.seek(0)
        if kind in ("text", "code"):
            return _text(found, kind)
        if kind == "table" and PurePosixPath(found.path).suffix[1:].lower() in SEPARATED:
            return _separated(found)
        if kind == "table" or kind == "slides":
            return _office(found, kind)
        return Preview(found.path, kind, found.size)


def _text(found: OpenFile, kind: Kind) -> Preview:
    text, truncated = _decoded(found)
    return Preview(found.path, kind, found.size, truncated, text, language_of(found.path) or None)


def _decoded(found: OpenFile) -> tuple[str, bool]:
    data = found.file.read(TEXT_LIMIT + 1)
    truncated = len(data) > TEXT_LIMIT
    if truncated:
        whole = data.rfind(b"\n", TEXT_LIMIT // 2, TEXT_LIMIT)
        data = data[: whole + 1 if whole >= 0 else TEXT_LIMIT]
    if data.startswith(UTF16):
        return data.decode("utf-16", "replace"), truncated
    return data.decode("utf-8-sig", "replace"), truncated


def _separated(found: OpenFile) -> Preview:
    """Return comma- or tab-separated values as one sheet."""
    text, truncated = _decoded(found)
    separator = "\t" if found.path.lower().endswith(".tsv") else _separator(text)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=separator):
            if len(rows) == _ROWS:
                truncated = True
                break
            truncated = truncated or len(row) > _COLUMNS
            rows.append([cell[:_CELL] for cell in row[:_COLUMNS]])
    except csv.Error:
        return Preview(found.path, "text", found.size, truncated, text)
    sheet = {"name": PurePosixPath(found.path).name, "rows": rows, "truncated": truncated}
    return Preview(found.path, "table", found.size, truncated, sheets=[sheet])


def _separator(text: str) -> str:
    """Return the one of `,` and `;` that the first line has more of; German and French programs write `;`."""
    first = text.partition("\n")[0]
    return ";" if first.count(";") > first.count(",") else ","


def _office(found: OpenFile, kind: Literal["table", "slides"]) -> Preview:
    if found.size > office.FILE_LIMIT:
        hint = f"It is larger than {office.FILE_LIMIT // 1024 // 1024} MiB, so it is not shown here. Download it."
        return Preview(found.path, "other", found.size, hint=hint)
    try:
        read = office.read(found.file, kind)
    except FileRefused as refused:
        return Preview(found.path, "other", found.size, hint=str(refused))
    return Preview(
        found.path, kind, found.size, bool(read["truncated"]), sheets=read.get("sheets"), slides=read.get("slides")
    )
