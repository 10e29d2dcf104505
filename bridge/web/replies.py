"""Replies in JSON with `$schema` and `Link`, and refusals as problem+json (contract 1.2, 1.3, 1.5).

Invariant: a body's first key is `$schema`, its last byte a line feed; a problem never shows anything of our inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import Response, request

from bridge.web import wire
from bridge.web.wire import JsonObject

# AgentAPI's words, which differ from http.HTTPStatus in some versions of Python.
TITLES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    409: "Conflict",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    500: "Internal Server Error",
    503: "Service Unavailable",
    507: "Insufficient Storage",
}

UNEXPECTED = "unexpected error occurred"
INVALID = "validation failed"


class Refusal(Exception):
    """A request ends here with a problem+json reply.

    `kind` is the stable machine-readable name that `type` carries as `urn:kiro-bridge:<kind>`; without it `type` is
    left out (RFC 9457: `about:blank`). `errors` are entries as `entry` makes them.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[Mapping[str, object]] = (),
        *,
        kind: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.kind = kind
        self.remedy = remedy


def entry(message: str, location: str = "", value: object = None) -> JsonObject:
    """Return one entry of a problem's `errors`; what is empty is left out, and a value only when it is null."""
    found: JsonObject = {"message": message, "location": location, "value": value}
    if not location:
        del found["location"]
    if value is None:
        del found["value"]
    return found


def reply(schema: str, fields: Mapping[str, object], status: int = 200) -> Response:
    """Return a JSON reply that names its schema in the body and in `Link`."""
    return _described(schema, fields, status, "application/json")


def problem(refusal: Refusal) -> Response:
    """Return a refusal as problem+json, keys in the contract's order, ours last."""
    fields: JsonObject = {
        "title": TITLES[refusal.status],
        "status": refusal.status,
        "detail": refusal.detail,
    }
    if refusal.errors:
        fields["errors"] = list(refusal.errors)
    if refusal.kind:
        fields["type"] = f"urn:kiro-bridge:{refusal.kind}"
    if refusal.remedy:
        fields["remedy"] = refusal.remedy
    return _described("ErrorModel", fields, refusal.status, "application/problem+json")


def _described(schema: str, fields: Mapping[str, object], status: int, content_type: str) -> Response:
    path = f"/schemas/{schema}.json"
    body = {"$schema": f"{_public_base()}{path}", **fields}
    headers = {"Link": f'<{path}>; rel="describedBy"'}
    return Response(wire.dumps(body) + b"\n", status, headers, content_type=content_type)


def _public_base() -> str:
    """Return scheme and host as AgentAPI derives them from the Host header (contract 1.2)."""
    host: str = request.environ.get("HTTP_HOST", "")
    scheme = "http" if host.startswith(("localhost", "127.0.0.1")) else "https"
    return f"{scheme}://{host}"
