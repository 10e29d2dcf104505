"""`/api/v1/sessions/<id>/…`: what happens in a session: items, events, prompts and their queue, approvals.

Invariant: every error is problem+json with a machine-readable `type` where its status does not say all.
"""

from __future__ import annotations

from flask import Response, request

from bridge.core.records import Queue
from bridge.core.text import strip_prompt
from bridge.engine.approvals import AlreadyAnswered
from bridge.errors import EmptyPrompt
from bridge.web import validation, wire
from bridge.web.operation import View
from bridge.web.rendered_feed import with_blocks
from bridge.web.replies import Refusal, entry, reply
from bridge.web.service import chat, streams
from bridge.web.session_service import Posted, session_service

BODY_LIMIT = 16 * 1024 * 1024
BODY_SECONDS = 60.0
ITEMS_DEFAULT = 100
ITEMS_MOST = 500
_MAX_DIGITS = 18


def items(session_id: str) -> Response:
    """Answer `GET /api/v1/sessions/<id>/items`."""
    before = validation.query_int("before", lowest=1)
    limit = validation.query_int("limit", lowest=1, highest=ITEMS_MOST)
    rendered = validation.query_word("render", "none", "html") == "html"
    page = wire.page_json(chat().items(session_id, before=before, limit=ITEMS_DEFAULT if limit is None else limit))
    if rendered:
        page["items"] = [with_blocks(item) for item in page["items"]]
    return reply("ItemPage", page)


def events(session_id: str) -> Response:
    """Answer `GET /api/v1/sessions/<id>/events`; the header `Last-Event-ID` wins over the query."""
    last = validation.last_event_id()
    rendered = validation.query_word("render", "none", "html") == "html"
    everything = validation.query_word("scope", "session", "all") == "all"
    chat().session(session_id)
    if rendered:
        return streams().rendered(request, session_id, last, everything)
    return streams().session(request, session_id, last)


def prompt(session_id: str) -> Response:
    """Answer `POST /api/v1/sessions/<id>/messages`: 202 once the prompt is durable, or given to the running turn."""
    body = validation.json_body("PromptRequestBody", limit=BODY_LIMIT, seconds=BODY_SECONDS)
    text = strip_prompt(body["content"])
    if not text:
        raise EmptyPrompt("The prompt is empty.", "Write something.")
    mode = body.get("mode", "now")
    if mode == "now":
        posted = Posted(chat().submit(text, session_id=session_id))
    else:
        posted = session_service().post(session_id, text, mode)
    return reply(
        "PromptResponseBody",
        {
            "turn_id": posted.turn.id if posted.turn else None,
            "message_id": posted.turn.message_id if posted.turn else None,
            "queued_id": posted.queued_id,
            "steered": posted.steered,
        },
        202,
    )


def cancel(session_id: str) -> Response:
    """Answer `POST /api/v1/sessions/<id>/cancel`."""
    return reply("CancelResponseBody", {"cancelled": chat().cancel(session_id=session_id)})


def queue(session_id: str) -> Response:
    """Answer `GET /api/v1/sessions/<id>/queue`."""
    return _queue(session_service().queue(session_id))


def change_queued(session_id: str, queued_id: str) -> Response:
    """Answer `PATCH /api/v1/sessions/<id>/queue/<id>`."""
    body = validation.json_body("QueuedChange", limit=BODY_LIMIT, seconds=BODY_SECONDS)
    content = body.get("content")
    if content is not None and not strip_prompt(content):
        raise EmptyPrompt("The prompt is empty.", "Remove it, if it is not to be sent.")
    number = _number(queued_id, "unknown-queued")
    text = None if content is None else strip_prompt(content)
    return _queue(session_service().change_queued(session_id, number, text, body.get("position")))


def remove_queued(session_id: str, queued_id: str) -> Response:
    """Answer `DELETE /api/v1/sessions/<id>/queue/<id>`."""
    return _queue(session_service().remove_queued(session_id, _number(queued_id, "unknown-queued")))


def resume_queue(session_id: str) -> Response:
    """Answer `POST /api/v1/sessions/<id>/queue/resume`."""
    return _queue(session_service().resume_queue(session_id))


def answer(session_id: str, item_id: str) -> Response:
    """Answer `POST /api/v1/sessions/<id>/approvals/<id>`."""
    body = validation.json_body("Answer", limit=BODY_LIMIT, seconds=BODY_SECONDS)
    number = _number(item_id, "unknown-item")
    try:
        stored = session_service().answer(session_id, number, body["option"], body.get("reason", ""))
    except AlreadyAnswered as error:
        given = entry(error.problem.cause, "item.data.answer", error.item.item.data.get("answer"))
        raise Refusal(
            409, error.problem.cause, [given], kind="already-answered", remedy=error.problem.remedy
        ) from error
    return reply("ItemBody", {"item": wire.item_json(stored)})


def _queue(found: Queue) -> Response:
    listed = [{"id": one.id, "content": one.text, "created_at": wire.utc_time(one.created_at)} for one in found.prompts]
    return reply("Queue", {"prompts": listed, "held": bool(found.held), "reason": found.held})


def _number(text: str, kind: str) -> int:
    """Return the number in a path; what is none names nothing."""
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    raise Refusal(404, f"There is no {text!r}.", kind=kind, remedy="Ask for the list again.")


VIEWS: dict[str, View] = {
    "list-items": items,
    "subscribe-session-events": events,
    "post-prompt": prompt,
    "cancel-turn": cancel,
    "get-queue": queue,
    "change-queued": change_queued,
    "remove-queued": remove_queued,
    "resume-queue": resume_queue,
    "answer-approval": answer,
}
