"""`POST /api/v1/sessions/<id>/files`: several files at once into the session's folder.

Invariants: each file has a result of its own; one that fails takes none of the others with it. Memory use depends on
neither size nor number.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from flask import Response, request
from werkzeug.sansio.multipart import Data, Event, Field, File

from bridge.errors import Problem
from bridge.web import bodies, multipart
from bridge.web.areas.files import FORM_FIELD
from bridge.web.file_service import session_files
from bridge.web.replies import INVALID, Refusal, entry, reply
from bridge.web.wire import JsonObject
from bridge.workfiles.folder import Folder
from bridge.workfiles.receiving import Arrival, receiving
from bridge.workfiles.refusals import FileRefused

FILE_LIMIT = 64 * 1024 * 1024
REQUEST_LIMIT = 256 * 1024 * 1024
REQUEST_SECONDS = 600.0
FILES_MOST = 100


def upload_files(session_id: str) -> Response:
    """Answer the request: 200 with a result for each file, also when none was kept."""
    files = session_files()
    folder = files.folder(session_id)
    form = multipart.decoder()
    if request.content_length is not None and request.content_length > REQUEST_LIMIT:
        raise _too_large()
    with bodies.opened(REQUEST_SECONDS) as body:
        results = _Receiver(folder).results(multipart.events(form, body, REQUEST_LIMIT, _too_large))
    if not results:
        raise Refusal(422, INVALID, [entry("File required", FORM_FIELD)])
    kept = [str(result["path"]) for result in results if result["ok"]]
    if kept:
        files.uploaded(session_id, kept)
    return reply("UploadedFiles", {"files": results})


class _Receiver:
    """Takes the parts of a form one after the other; only the current one is open."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._results: list[JsonObject] = []

    def results(self, events: Iterator[Event]) -> list[JsonObject]:
        """Read the form to its end and return what became of each file."""
        event = next(events, None)
        while event is not None:
            if isinstance(event, File) and event.name == FORM_FIELD and event.filename:
                event = self._file(event.filename, events)
            elif isinstance(event, (File, Field)) and event.name != FORM_FIELD:
                raise Refusal(422, INVALID, [entry("unexpected property", f"body.{event.name}"[:200])])
            else:
                event = next(events, None)
        return self._results

    def _file(self, sent: str, events: Iterator[Event]) -> Event | None:
        """Receive one file and return the event that follows it."""
        if len(self._results) >= FILES_MOST:
            raise Refusal(422, INVALID, [entry(f"expected array length <= {FILES_MOST}", FORM_FIELD)])
        part = _Part(sent)
        with contextlib.ExitStack() as open_files:
            with part.failing():
                part.arrival = open_files.enter_context(receiving(self._folder))
            following = part.read(events)
            with part.failing():
                part.keep()
        self._results.append(part.result())
        return following


class _Part:
    """One file of the form: how much of it came, and why it is not kept if it is not."""

    def __init__(self, sent: str) -> None:
        self.arrival: Arrival | None = None
        self._sent = sent
        self._size = 0
        self._path: str | None = None
        self._problem: Problem | None = None

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Make an error the result of this file."""
        try:
            yield
        except FileRefused as refused:
            self._problem = refused.problem
        except OSError as error:
            cause = f"It could not be written: {os.strerror(error.errno or 0).lower()}."
            remedy = "See that the session's folder can be written and that its disk has room."
            self._problem = Problem("not_written", cause, remedy)

    def read(self, events: Iterator[Event]) -> Event | None:
        """Write the data of this part as long as it may be kept, and return the event after it."""
        for event in events:
            if not isinstance(event, Data):
                return event
            self._size += len(event.data)
            if self._size > FILE_LIMIT and self._problem is None:
                cause = f"It is larger than {FILE_LIMIT // 1024 // 1024} MiB."
                self._problem = Problem("file_too_large", cause, "Bring it into the workspace in another way.")
            if self._problem is None and self.arrival is not None:
                with self.failing():
                    self.arrival.target.write(event.data)
        return None

    def keep(self) -> None:
        """Put the file in its place if nothing has gone wrong."""
        if self._problem is None and self.arrival is not None:
            self._path = self.arrival.keep(self._sent)

    def result(self) -> JsonObject:
        """Return what became of it."""
        found: JsonObject = {
            "name": _sayable(self._sent),
            "path": self._path,
            "size": self._size,
            "ok": self._path is not None,
        }
        return {**found, "problem": self._problem.as_dict()} if self._problem else found


def _sayable(name: str) -> str:
    return name[:1024].encode("utf-8", "replace").decode()


def _too_large() -> Refusal:
    remedy = "Send fewer files at once."
    cause = f"the files are larger than {REQUEST_LIMIT // 1024 // 1024} MiB together"
    return Refusal(413, cause, kind="request-too-large", remedy=remedy)
