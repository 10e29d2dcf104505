"""`POST /upload`: one file, streamed to disk, kept as long as the conversation (facts/agentapi-contract.md 1.6).

Invariant: a file ends up at `<root>/<start of its SHA-256>/<name>`, where name is one path element; a stored file never
changes, and two different files never share a path. Memory use does not depend on the file's size.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flask import Flask, Response, current_app, request
from werkzeug.datastructures import Headers
from werkzeug.sansio.multipart import Data, Event, Field, File

from bridge.files import make_private_directory
from bridge.web import bodies, multipart
from bridge.web.replies import INVALID, UNEXPECTED, Refusal, entry, reply

FILE_LIMIT = 10 * 1024 * 1024
# A request is read to its end so far, to answer in words rather than with a cut connection.
REQUEST_LIMIT = 64 * 1024 * 1024
REQUEST_SECONDS = 300.0

_FIELD = "file"
_DIGEST_LENGTHS = (16, 32, 64)
_CHUNK = 64 * 1024


@dataclass
class _Received:
    """The file part of a request: its temporary copy, and what is known of it."""

    target: IO[bytes]
    name: str
    headers: Headers
    size: int = 0

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Take more of the file; what is over the limit is only counted."""
        self.size += len(data)
        if self.size <= FILE_LIMIT:
            self.digest.update(data)
            self.target.write(data)


class UploadStore:
    """The directory of uploaded files. One process owns it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        for leftover in root.glob("incoming-*"):
            leftover.unlink(missing_ok=True)

    @contextlib.contextmanager
    def receiving(self) -> Iterator[tuple[Path, IO[bytes]]]:
        """Give a temporary file (0600) in the store; it is gone afterwards unless it was kept."""
        make_private_directory(self._root)
        handle, name = tempfile.mkstemp(prefix="incoming-", dir=self._root)
        path = Path(name)
        try:
            with open(handle, "wb") as target:
                yield path, target
        finally:
            path.unlink(missing_ok=True)

    def keep(self, temporary: Path, digest: str, name: str) -> Path:
        """Move a received file to its place and return that. Raises OSError in AgentAPI's words where it cannot."""
        with self._lock:
            for length in _DIGEST_LENGTHS:
                place = self._root / digest[:length] / name
                if name in ("", ".", "..", "/"):
                    raise IsADirectoryError(f"open {place}: is a directory")
                try:
                    place.parent.mkdir(mode=0o700, exist_ok=True)
                    if not place.exists():
                        temporary.rename(place)
                        return place
                    if _digest_of(place) == digest:
                        return place
                except OSError as error:
                    reason = os.strerror(error.errno or 0)
                    raise OSError(f"open {place}: {reason[:1].lower()}{reason[1:]}") from error
        raise OSError(f"open {place}: another file is stored there")


def install(app: Flask, root: Path) -> None:
    """Give `app` its store of uploaded files under `root`, which is made when the first one comes."""
    app.extensions["uploads"] = UploadStore(root)


def upload() -> Response:
    """Answer `POST /upload`."""
    store: UploadStore = current_app.extensions["uploads"]
    decoder = multipart.decoder()
    length = request.content_length
    if length is not None and length > REQUEST_LIMIT:
        raise _too_large()
    with bodies.opened(REQUEST_SECONDS) as body, _writing(), store.receiving() as (path, target):
        received = _receive(multipart.events(decoder, body, REQUEST_LIMIT, _too_large), target)
        target.flush()
        name = _checked_name(received)
        place = store.keep(path, received.digest.hexdigest(), name)
    return reply("UploadResponseBody", {"ok": True, "filePath": str(place)})


def _receive(events: Iterator[Event], target: IO[bytes]) -> _Received:
    """Read the whole form and return its one file; refuses none, several, and one without a name."""
    found: list[_Received] = []
    nameless = current = False
    for event in events:
        if isinstance(event, File):
            current = event.name == _FIELD and bool(event.filename)
            nameless |= event.name == _FIELD and not event.filename
            if current:
                found.append(_Received(target, event.filename, event.headers))
        elif isinstance(event, Field):
            current = False
            nameless |= event.name == _FIELD
        elif isinstance(event, Data) and current and len(found) == 1:
            found[0].add(event.data)
    if len(found) == 1:
        return found[0]
    if found:
        raise _bad_file("Multiple files received but only one was expected")
    raise _bad_file("File name required" if nameless else "File required")


def _checked_name(received: _Received) -> str:
    """Return the name to store the file under: the last element of what was sent (contract 1.6)."""
    if not received.size and not received.headers.get("Content-Type"):
        raise _bad_file("Failed to infer file media type")
    if received.size > FILE_LIMIT:
        raise _too_large()
    name = received.name.rstrip("/").rpartition("/")[2]
    if any(ord(character) < 32 or character == "\x7f" for character in name):
        raise _bad_file("File name holds a control character")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise _bad_file("File name is not valid Unicode")
    return name


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"failed to write file: {error}"
        remedy = "Send the file under another name, or see that there is room on the disk of the workspace."
        raise Refusal(500, UNEXPECTED, [entry(message)], kind="upload-failed", remedy=remedy) from error


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _too_large() -> Refusal:
    return Refusal(400, "file size exceeds 10MB limit")


def _bad_file(message: str) -> Refusal:
    return Refusal(422, INVALID, [entry(message, _FIELD)])
