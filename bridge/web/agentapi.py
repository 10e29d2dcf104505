"""AgentAPI's REST routes for the primary session (facts/agentapi-contract.md 1.4, 1.5).

Invariant: bodies and codes are AgentAPI's; what is ours is in extra fields, and in raw text, which means keys that this
bridge can honour or is refused.
"""

from __future__ import annotations

from flask import Response, request

from bridge.core.agentapi import KEYS
from bridge.core.text import strip_prompt
from bridge.errors import AgentBusy, BridgeError, EmptyPrompt, RawRefused
from bridge.web import validation, wire
from bridge.web.operation import View
from bridge.web.problems import kind_of
from bridge.web.replies import UNEXPECTED, Refusal, entry, problem, reply
from bridge.web.service import chat, config, streams

BODY_LIMIT = 1024 * 1024
BODY_SECONDS = 5.0

_SENDING = "failed to send message: "
_EMPTY = "message must not be empty"
_BUSY = "message can only be sent when the agent is waiting for user input"
_STOP_KEYS = frozenset({"\x1b", "\x03"})


def status() -> Response:
    """Answer `GET /status`: 503 while the bridge starts, else 200 with our fields after AgentAPI's."""
    found = chat().status()
    if found.phase == "starting":
        refused = problem(Refusal(503, "the bridge is starting", kind="starting", remedy="Try again in a second."))
        refused.headers["Retry-After"] = "1"
        return refused
    fields: dict[str, object] = {
        "status": found.agentapi_status,
        "agent_type": config().agent_type,
        "transport": config().transport,
        "phase": found.phase,
        "ready": found.ready,
    }
    if found.problem:
        fields["problem"] = found.problem.as_dict()
    return reply("StatusResponseBody", fields)


def messages() -> Response:
    """Answer `GET /messages`."""
    listed = [wire.message_json(message) for message in chat().messages()]
    return reply("MessagesResponseBody", {"messages": listed})


def message() -> Response:
    """Answer `POST /message`."""
    body = validation.json_body("MessageRequestBody", limit=BODY_LIMIT, seconds=BODY_SECONDS)
    if body["type"] == "user":
        _prompt(strip_prompt(body["content"]))
    else:
        _key(body["content"])
    return reply("MessageResponseBody", {"ok": True})


def events() -> Response:
    """Answer `GET /events`."""
    return streams().agentapi(request)


def screen() -> Response:
    """Answer `GET /internal/screen`."""
    return streams().screen(request)


VIEWS: dict[str, View] = {
    "get-status": status,
    "get-messages": messages,
    "post-message": message,
    "subscribeEvents": events,
    "subscribeScreen": screen,
}


def _prompt(text: str) -> None:
    try:
        if not text:
            raise EmptyPrompt("The prompt is empty.", "Write something.")
        chat().submit(text)
    except BridgeError as error:
        cause = _EMPTY if isinstance(error, EmptyPrompt) else error.problem.cause
        cause = _BUSY if isinstance(error, AgentBusy) else cause
        remedy = error.problem.remedy
        raise Refusal(500, UNEXPECTED, [entry(_SENDING + cause)], kind=kind_of(error), remedy=remedy) from error


def _key(text: str) -> None:
    """Do what a key means (design: difference to AgentAPI): stop the turn, nothing, or be refused."""
    if text in _STOP_KEYS:
        chat().cancel()
    elif text in KEYS:
        try:
            chat().answer_key(text)
        except RawRefused as error:
            raise _raw_refused(error.problem.cause, error.problem.remedy) from error
    elif text:
        cause = "There is no terminal behind this bridge, so raw text has nowhere to go."
        remedy = (
            "Send ESC (\\u001b) or Ctrl-C (\\u0003) to stop the running turn, and prompts as messages of type 'user'."
        )
        raise _raw_refused(cause, remedy)


def _raw_refused(cause: str, remedy: str) -> Refusal:
    return Refusal(422, cause, [entry(cause, "body.content")], kind="raw-refused", remedy=remedy)
