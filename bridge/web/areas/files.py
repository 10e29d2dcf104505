"""Files of a session: uploads, what was read and written, finding, previews, and the bytes themselves."""

from __future__ import annotations

from bridge.web.operation import Operation
from bridge.web.shapes import (
    JsonObject,
    choice,
    document,
    flag,
    listing,
    query,
    query_text,
    ref,
    shape,
    text,
    time,
    whole,
)

FOUND_DEFAULT = 20
FOUND_MOST = 200
QUERY_MOST = 256
PATH_MOST = 4096
FORM_FIELD = "files"

_SESSION = "/api/v1/sessions/{session_id}/files"
_PATH = query_text("path", "The file: relative to the session's folder, or absolute within it.", required=True)

_FORM: JsonObject = {
    "type": "object",
    "required": [FORM_FIELD],
    "properties": {
        FORM_FIELD: {
            "type": "array",
            "description": "The files, up to 64 MiB each and 256 MiB together.",
            "items": {"type": "string", "format": "binary"},
        }
    },
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "upload-files",
        "POST",
        _SESSION,
        "Upload files",
        "Puts files into the session's folder. None that is there is overwritten: a name that is taken gets a number. "
        "Each file has a result of its own.",
        gives="UploadedFiles",
        form=_FORM,
    ),
    Operation(
        "list-files",
        "GET",
        _SESSION,
        "List files",
        "Returns the files of the folder that Kiro has read or written in this session, and those that were uploaded, "
        "the last touched first.",
        gives="FileList",
    ),
    Operation(
        "find-files",
        "GET",
        f"{_SESSION}/find",
        "Find files",
        "Returns files of the folder by a part of their path, best match first; what Git ignores is left out.",
        gives="FoundFiles",
        parameters=(
            query_text("q", "A part of the path.", maxLength=QUERY_MOST),
            query("limit", "How many at most.", minimum=1, maximum=FOUND_MOST, default=FOUND_DEFAULT),
        ),
    ),
    Operation(
        "preview-file",
        "GET",
        f"{_SESSION}/preview",
        "Preview a file",
        "Returns what a file holds, bounded: text, code, tables, slides. Images and PDF are shown by their bytes.",
        gives="FilePreview",
        parameters=(_PATH,),
    ),
    Operation(
        "get-file",
        "GET",
        f"{_SESSION}/content",
        "Get a file",
        "Returns the bytes of a file. What a browser could run is given as a download or as plain text.",
        sends="*/*",
        parameters=(_PATH, query_text("download", "Whether it is to be saved, not shown.", "false", "true")),
    ),
)

SCHEMAS: dict[str, JsonObject] = {
    "FileKind": choice("FileKind", "text", "code", "image", "pdf", "table", "slides", "other"),
    "FileTouch": choice("FileTouch", "read", "write", "upload"),
    "UploadedFile": shape(
        {
            "name": text("The name that was sent."),
            "path": text("Where it is, relative to the session's folder.", nullable=True),
            "size": whole("Its size in bytes."),
            "ok": flag("It was kept."),
            "problem": ref("Problem", "Why not."),
        },
        optional=("problem",),
    ),
    "UploadedFiles": document({"files": listing(ref("UploadedFile"), "One result for each file, as sent.")}),
    "SessionFile": shape(
        {
            "path": text("The file, relative to the session's folder."),
            "touched": listing(ref("FileTouch"), "What was done with it."),
            "at": time("When last."),
            "size": whole("Its size in bytes, null when it is gone.", nullable=True),
            "kind": ref("FileKind", "What its name says that it is."),
        }
    ),
    "FileList": document({"files": listing(ref("SessionFile"), "The files, the last touched first.")}),
    "FoundFiles": document({"paths": listing({"type": "string"}, "Paths relative to the session's folder.")}),
    "Sheet": shape(
        {
            "name": text("The name of the sheet."),
            "rows": listing(listing({"type": "string"}, "The cells of a row."), "The rows."),
            "truncated": flag("There is more of it."),
        }
    ),
    "Slide": shape({"number": whole("Its place, from 1."), "text": text("What stands on it.")}),
    "FilePreview": document(
        {
            "path": text("The file, relative to the session's folder."),
            "kind": ref("FileKind", "What it is; `other` can only be downloaded."),
            "size": whole("Its size in bytes."),
            "truncated": flag("There is more in it than is shown."),
            "text": text("What a text holds."),
            "language": text("The language of code, as highlighters call it."),
            "sheets": listing(ref("Sheet"), "The sheets of a table."),
            "slides": listing(ref("Slide"), "The slides."),
            "hint": text("Why there is no more to see."),
        },
        optional=("text", "language", "sheets", "slides", "hint"),
    ),
}
