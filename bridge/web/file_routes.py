"""`/api/v1/sessions/<id>/files`: what was touched, finding, previews, and the bytes themselves.

Invariant: the bytes of a file never run in the page's own origin: an active kind is a download or plain text, and all
are given with a policy that forbids everything.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import quote

from flask import Response, request

from bridge.web import validation
from bridge.web.areas.files import FOUND_DEFAULT, FOUND_MOST, PATH_MOST, QUERY_MOST
from bridge.web.file_service import session_files
from bridge.web.replies import Refusal, reply
from bridge.web.wire import JsonObject, utc_time
from bridge.workfiles import kinds
from bridge.workfiles.folder import Folder, OpenFile
from bridge.workfiles.preview import preview
from bridge.workfiles.refusals import FileRefused, FileTooLarge, NoSuchFile, OutsideFolder
from bridge.workfiles.touched import TouchedFile

WHOLE_LIMIT = 8 * 1024 * 1024
"""Bytes up to which a file is answered whole, with its length and with ranges."""

DOWNLOAD_LIMIT = 512 * 1024 * 1024
LONG_DOWNLOADS = 3
"""How many larger ones go out at a time: each holds a thread."""

_PIECE = 256 * 1024
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_PDF_POLICY = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'"  # no viewer works in a sandbox
_downloads = threading.BoundedSemaphore(LONG_DOWNLOADS)


def list_files(session_id: str) -> Response:
    """Answer `GET …/files`."""
    folder = session_files().folder(session_id)
    listed = [_file_json(folder, found) for found in session_files().touched(session_id)]
    return reply("FileList", {"files": listed})


def find_files(session_id: str) -> Response:
    """Answer `GET …/files/find`."""
    wanted = validation.query_str("q", most=QUERY_MOST)
    limit = validation.query_int("limit", lowest=1, highest=FOUND_MOST)
    folder = session_files().folder(session_id)
    found = session_files().finder.find(folder.root, wanted, FOUND_DEFAULT if limit is None else limit)
    return reply("FoundFiles", {"paths": found})


def preview_file(session_id: str) -> Response:
    """Answer `GET …/files/preview`."""
    path = validation.query_str("path", required=True, most=PATH_MOST)
    folder = session_files().folder(session_id)
    try:
        shown = preview(folder, path)
    except FileRefused as refused:
        raise _refusal(refused) from refused
    found: JsonObject = {
        "path": shown.path,
        "kind": shown.kind,
        "size": shown.size,
        "truncated": shown.truncated,
        "text": shown.text,
        "language": shown.language,
        "sheets": shown.sheets,
        "slides": shown.slides,
        "hint": shown.hint or None,
    }
    return reply("FilePreview", {name: value for name, value in found.items() if value is not None})


def get_file(session_id: str) -> Response:
    """Answer `GET …/files/content`."""
    path = validation.query_str("path", required=True, most=PATH_MOST)
    download = validation.query_word("download", "false", "true") == "true"
    folder = session_files().folder(session_id)
    try:
        found = folder.open(path)
    except FileRefused as refused:
        raise _refusal(refused) from refused
    try:
        response = _content(found)
        _describe(response, found, download)
    except BaseException:
        found.file.close()
        raise
    return response


def _content(found: OpenFile) -> Response:
    """Return the bytes: whole or the range that was asked for, or as they are read where there are many."""
    if found.size > DOWNLOAD_LIMIT:
        limit = DOWNLOAD_LIMIT // 1024 // 1024
        refused = FileTooLarge(f"{found.path!r} is larger than {limit} MiB.", "Copy it out of the workspace.")
        raise _refusal(refused)
    if found.size > WHOLE_LIMIT:
        if not _downloads.acquire(blocking=False):
            remedy = "Wait until one of them is through."
            raise Refusal(503, "too many large files are being sent", kind="busy", remedy=remedy)
        pieces = _Pieces(found)
        response = Response(pieces, direct_passthrough=True)
        response.call_on_close(pieces.close)
        return response
    start, end = _range(found.size)
    with found.file:
        found.file.seek(start)
        data = found.file.read(end - start)
    response = Response(data)
    response.headers["Accept-Ranges"] = "bytes"
    if (start, end) != (0, found.size):
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
    return response


def _range(size: int) -> tuple[int, int]:
    """Return the one range of bytes that the request asks for, else all; a server may always send all (RFC 9110)."""
    asked = request.range
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1 or "If-Range" in request.headers:
        return 0, size
    return asked.range_for_length(size) or (0, size)


def _describe(response: Response, found: OpenFile, download: bool) -> None:
    with_beginning = kinds.kind_by_name(found.path)
    kind = with_beginning or ("text" if _begins_as_text(response) else "other")
    shown = None if download else kinds.content_type(found.path, kind)
    response.content_type = shown or "application/octet-stream"
    name = quote(found.path.rpartition("/")[2], safe="")
    response.headers["Content-Disposition"] = f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{name}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = _PDF_POLICY if shown == "application/pdf" else _POLICY
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Referrer-Policy"] = "no-referrer"


def _begins_as_text(response: Response) -> bool:
    """Return whether what is sent begins as text does; of a long file that is not known."""
    return not response.is_streamed and kinds.is_text(response.get_data()[: kinds.LOOK])


class _Pieces:
    """The bytes of a large file as they are read."""

    def __init__(self, found: OpenFile) -> None:
        self._file = found.file
        self._left = found.size
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        while self._left > 0 and (piece := self._file.read(min(_PIECE, self._left))):
            self._left -= len(piece)
            yield piece

    def close(self) -> None:
        """Make room for the next; once."""
        if not self._closed:
            self._closed = True
            self._file.close()
            _downloads.release()


def _file_json(folder: Folder, found: TouchedFile) -> JsonObject:
    size = folder.size(found.path)
    return {
        "path": found.path,
        "touched": sorted(found.how),
        "at": utc_time(found.at),
        "size": size,
        "kind": kinds.kind_by_name(found.path) or "other",
    }


def _refusal(refused: FileRefused) -> Refusal:
    statuses: tuple[tuple[type[FileRefused], int], ...] = (
        (NoSuchFile, 404),
        (OutsideFolder, 403),
        (FileTooLarge, 413),
    )
    status = next((status for kind, status in statuses if isinstance(refused, kind)), 422)
    found = refused.problem
    return Refusal(status, found.cause, kind=found.code.replace("_", "-"), remedy=found.remedy)
