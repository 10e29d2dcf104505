"""`/api/v1`: sessions, their items and events, for our own clients.

Invariant: every error is problem+json with a machine-readable `type` where its status does not say all.
"""

from __future__ import annotations

from flask import Response, request

from bridge.core.text import strip_prompt
from bridge.errors import EmptyPrompt
from bridge.web import validation, wire
from bridge.web.operations import View
from bridge.web.replies import reply
from bridge.web.service import chat, streams

BODY_LIMIT = 16 * 1024 * 1024
BODY_SECONDS = 60.0
ITEMS_DEFAULT = 100
ITEMS_MOST = 500


def sessions() -> Response:
    """Answer `GET /api/v1/sessions`."""
    listed = [wire.session_json(session) for session in chat().sessions()]
    return reply("SessionList", {"sessions": listed, "primary": chat().primary()})


def session(session_id: str) -> Response:
    """Answer `GET /api/v1/sessions/<id>`."""
    return reply("SessionBody", {"session": wire.session_json(chat().session(session_id))})


def items(session_id: str) -> Response:
    """Answer `GET /api/v1/sessions/<id>/items`."""
    before = validation.query_int("before", lowest=1)
    limit = validation.query_int("limit", lowest=1, highest=ITEMS_MOST)
    page = chat().items(session_id, before=before, limit=ITEMS_DEFAULT if limit is None else limit)
    return reply("ItemPage", wire.page_json(page))


def events(session_id: str) -> Response:
    """Answer `GET /api/v1/sessions/<id>/events`; the header `Last-Event-ID` wins over the query."""
    header = request.headers.get("Last-Event-ID", "")
    if header:
        last: int | None = validation.whole_number(header, "header.Last-Event-ID", lowest=0)
    else:
        last = validation.query_int("last_event_id", lowest=0)
    chat().session(session_id)
    return streams().session(request, session_id, last)


def prompt(session_id: str) -> Response:
    """Answer `POST /api/v1/sessions/<id>/messages`: 202 once the prompt is durable."""
    body = validation.json_body("PromptRequestBody", limit=BODY_LIMIT, seconds=BODY_SECONDS)
    text = strip_prompt(body["content"])
    if not text:
        raise EmptyPrompt("The prompt is empty.", "Write something.")
    turn = chat().submit(text, session_id=session_id)
    return reply("PromptResponseBody", {"turn_id": turn.id, "message_id": turn.message_id}, 202)


def cancel(session_id: str) -> Response:
    """Answer `POST /api/v1/sessions/<id>/cancel`."""
    return reply("CancelResponseBody", {"cancelled": chat().cancel(session_id=session_id)})


VIEWS: dict[str, View] = {
    "list-sessions": sessions,
    "get-session": session,
    "list-items": items,
    "subscribe-session-events": events,
    "post-prompt": prompt,
    "cancel-turn": cancel,
}
