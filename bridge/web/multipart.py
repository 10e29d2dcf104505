"""A multipart form, read piece by piece.

Invariant: whatever bytes come, the outcome is the events of a form or a `Refusal` in AgentAPI's words
(facts/agentapi-contract.md 1.6); no more than a piece is held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Epilogue, Event, MultipartDecoder, NeedData

from bridge.web import bodies
from bridge.web.replies import INVALID, Refusal, entry

_HEADER_LIMIT = 256 * 1024
_MAX_PARTS = 1000


def decoder() -> MultipartDecoder:
    """Return a decoder for the current request. Refuses one that is no multipart form."""
    kind, options = parse_options_header(request.headers.get("Content-Type"))
    if kind.lower() != "multipart/form-data":
        raise _unreadable("request Content-Type isn't multipart/form-data")
    boundary = options.get("boundary", "")
    if not boundary:
        raise _unreadable("no multipart boundary param in Content-Type")
    return MultipartDecoder(boundary.encode("utf-8", "replace"), max_parts=_MAX_PARTS)


def events(
    decoder: MultipartDecoder, body: bodies.Body, limit: int, too_large: Callable[[], Refusal]
) -> Iterator[Event]:
    """Yield what the body holds. Refuses what is no multipart form, and with `too_large` what is over `limit` bytes."""
    total = 0
    while True:
        event = _next_event(decoder, total)
        if isinstance(event, Epilogue):
            return
        if not isinstance(event, NeedData):
            yield event
            continue
        if len(decoder.buffer) > _HEADER_LIMIT:
            raise _unreadable("message too large")
        piece = body.read()
        total += len(piece)
        if total > limit:
            raise too_large()
        decoder.receive_data(piece or None)


def _next_event(decoder: MultipartDecoder, total: int) -> Event:
    try:
        return decoder.next_event()
    except RequestEntityTooLarge as error:
        raise _unreadable("too many parts") from error
    except ValueError as error:
        if not decoder.complete:
            raise _unreadable("malformed MIME header") from error
        raise _unreadable("unexpected EOF" if total else "multipart: NextPart: EOF") from error


def _unreadable(reason: str) -> Refusal:
    return Refusal(422, INVALID, [entry(f"cannot read multipart form: {reason}", "body")])
