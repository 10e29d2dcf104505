"""Every way a request can fail, turned into a reply: refusals, errors of the bridge, 404, 405, and surprises.

Invariant: no exception leaves the application, and none shows its inside; surprises are logged with their trace.
"""

from __future__ import annotations

import logging

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from bridge.errors import (
    AgentBusy,
    BridgeError,
    EmptyPrompt,
    LedgerError,
    LedgerFull,
    RawRefused,
    RequestRefused,
    UnknownSession,
)
from bridge.web.replies import TITLES, UNEXPECTED, Refusal, problem

log = logging.getLogger(__name__)

# In order: the first class that fits.
_STATUS: tuple[tuple[type[BridgeError], int], ...] = (
    (EmptyPrompt, 422),
    (RawRefused, 422),
    (AgentBusy, 409),
    (UnknownSession, 404),
    (LedgerFull, 507),
    (LedgerError, 503),
    (RequestRefused, 409),
)

STATUS_OF_CODE = {
    "unknown_item": 404,
    "unknown_queued": 404,
    "unknown_conversation": 404,
    "unknown_option": 422,
    "folder_missing": 422,
    "folder_not_allowed": 403,
    "folder_not_made": 507,
    "not_running": 503,
    "search_unavailable": 503,
}
"""The status of single codes, before that of their class."""


def install(app: Flask) -> None:
    """Register the handlers on `app`."""
    app.register_error_handler(Refusal, problem)
    app.register_error_handler(BridgeError, _bridge_error)
    app.register_error_handler(NotFound, _not_found)
    app.register_error_handler(MethodNotAllowed, _method_not_allowed)
    app.register_error_handler(HTTPException, _other_http)
    app.register_error_handler(Exception, _surprise)


def kind_of(error: BridgeError) -> str:
    """Return the machine-readable name of an error as `Refusal.kind` wants it."""
    return error.problem.code.replace("_", "-")


def _bridge_error(error: BridgeError) -> Response:
    by_class = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    status = STATUS_OF_CODE.get(error.problem.code, by_class)
    if status >= 500:
        log.error("%s %s: %s", request.method, request.path, error)
    return problem(Refusal(status, error.problem.cause, kind=kind_of(error), remedy=error.problem.remedy))


def _not_found(_error: NotFound) -> Response:
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response("404 page not found\n", 404, headers, content_type="text/plain; charset=utf-8")


def _method_not_allowed(error: MethodNotAllowed) -> Response:
    response = Response(b"", 405, {"Allow": ", ".join(sorted(error.valid_methods or ()))})
    del response.headers["Content-Type"]
    return response


def _other_http(error: HTTPException) -> Response:
    status = error.code if error.code in TITLES else 500
    return problem(Refusal(status or 500, error.description or UNEXPECTED))


def _surprise(error: Exception) -> Response:
    log.error("%s %s: unexpected error", request.method, request.path, exc_info=error)
    remedy = "This is a defect of the bridge: its log holds the details."
    return problem(Refusal(500, UNEXPECTED, kind="internal", remedy=remedy))
