"""`GET /api/v1/sessions/<id>/export`: a whole session as one document.

Invariant: a document is made page by page while it is sent; memory does not depend on its length. Only a few are sent
at a time, as each holds a thread.
"""

from __future__ import annotations

import contextlib
import re
import threading
import unicodedata
from collections.abc import Iterator
from typing import Protocol, cast
from urllib.parse import quote

from flask import Response, current_app

from bridge.core import export
from bridge.core.records import Session, StoredItem, Turn
from bridge.web import validation, wire
from bridge.web.replies import Refusal
from bridge.web.service import chat
from bridge.web.wire import utc_time

AT_ONCE = 3

_PAGE = 20
_sending = threading.BoundedSemaphore(AT_ONCE)


class History(Protocol):
    """The ledger, as far as a document needs it."""

    def conversation(self, session_id: str, *, after: int = 0, limit: int = 100) -> list[tuple[Turn, list[StoredItem]]]:
        """Return the first turns with an id above `after`, each with its items in their places."""


def export_session(session_id: str) -> Response:
    """Answer the request."""
    kind = validation.query_word("format", "markdown", "json")
    session = chat().session(session_id)
    if not _sending.acquire(blocking=False):
        remedy = "Wait until one of them is through."
        raise Refusal(503, "too many sessions are being exported", kind="busy", remedy=remedy)
    history = cast(History, current_app.extensions["things"].history)
    released = contextlib.ExitStack()
    released.callback(_sending.release)
    pieces = _markdown(session, history) if kind == "markdown" else _json(session, history)
    response = Response(pieces)
    response.call_on_close(released.close)
    response.content_type = "text/markdown; charset=utf-8" if kind == "markdown" else "application/octet-stream"
    name = _file_name(session, "md" if kind == "markdown" else "json")
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _markdown(session: Session, history: History) -> Iterator[bytes]:
    yield _encoded(export.heading(session, utc_time))
    for turn, items in _turns(session, history):
        yield _encoded(export.turn_text(turn, (stored.item for stored in items), utc_time))


def _json(session: Session, history: History) -> Iterator[bytes]:
    """Yield `{"session": …, "turns": [{…, "items": […]}, …]}`."""
    yield b'{"session":' + wire.dumps(wire.record_json(session)) + b',"turns":['
    separator = b""
    for turn, items in _turns(session, history):
        fields = {**wire.turn_json(turn), "items": [wire.item_json(stored) for stored in items]}
        yield separator + wire.dumps(fields)
        separator = b",\n"
    yield b"]}\n"


def _turns(session: Session, history: History) -> Iterator[tuple[Turn, list[StoredItem]]]:
    after = 0
    while page := history.conversation(session.id, after=after, limit=_PAGE):
        yield from page
        after = page[-1][0].id


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _file_name(session: Session, extension: str) -> str:
    """Return a name for the document: the title as far as any file system takes it."""
    plain = "".join(c for c in unicodedata.normalize("NFC", session.title) if c.isalnum() or c in " -_.")
    stem = re.sub(r"[\s.]+", "-", plain)[:80].strip("-")
    return f"{stem or 'session'}.{extension}"
