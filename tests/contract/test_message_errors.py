"""Section 1.5: POST /message, every row of the error table, compared as JSON."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from typing import Any

import pytest

from .servers import JSON_TYPE, Server
from .wire import HANG, HeaderList, Reply, raw_exchange, read_reply, request_bytes

LIMIT = 1_048_576
NOT_STABLE = "failed to send message: message can only be sent when the agent is waiting for user input"
EMPTY = "failed to send message: message must not be empty"
ANY = object()


@dataclass(frozen=True)
class Row:
    """One golden refusal: the request body and headers, and what must come back."""

    name: str
    body: bytes
    status: int
    title: str
    detail: str
    errors: list[dict[str, Any]] | None
    headers: HeaderList = field(default=(JSON_TYPE,))
    any_message: bool = False


def invalid(name: str, body: Any, *errors: dict[str, Any]) -> Row:
    """A 422 for a body that is JSON but breaks the schema."""
    return Row(name, json.dumps(body).encode(), 422, "Unprocessable Entity", "validation failed", list(errors))


def missing(name: str, value: Any) -> dict[str, Any]:
    """The error entry for a required property that is not there."""
    return {"message": f"expected required property {name} to be present", "location": "body", "value": value}


def unexpected(name: str, value: Any) -> dict[str, Any]:
    """The error entry for a property the schema does not know."""
    return {"message": "unexpected property", "location": f"body.{name}", "value": value}


def wrong_string(name: str, *value: Any) -> dict[str, Any]:
    """The error entry for a property that is not a string; no value for null."""
    entry = {"message": "expected string", "location": f"body.{name}"}
    return {**entry, "value": value[0]} if value else entry


def malformed(name: str, body: bytes) -> Row:
    """A 400 for a body that is no JSON; the parser's own words are not compared."""
    errors = [{"location": "body", "value": body.decode()}]
    return Row(name, body, 400, "Bad Request", "validation failed", errors, any_message=True)


def content_type(value: str) -> Row:
    """A 415 for a content type that is no JSON."""
    entry = {"message": f"unknown content type: {value}", "location": "body", "value": "{}"}
    errors = [entry]
    title = "Unsupported Media Type"
    return Row(f"type-{value}", b"{}", 415, title, "validation failed", errors, (("Content-Type", value),))


USER = {"content": "", "type": "user"}
ROWS = (
    Row("empty", b"", 400, "Bad Request", "request body is required", None),
    malformed("malformed", b'{"content":'),
    malformed("malformed-word", b"hello"),
    malformed("trailing", b'{"content":"","type":"raw"}garbage'),
    content_type("text/plain"),
    content_type("text/json"),
    content_type("text/plain; charset=utf-8"),
    content_type("APPLICATION/JSON"),
    content_type("application/x-www-form-urlencoded"),
    content_type("multipart/form-data"),
    content_type("application/cbor"),
    invalid("missing-both", {}, missing("content", {}), missing("type", {})),
    invalid("missing-type", {"content": "x"}, missing("type", {"content": "x"})),
    invalid("missing-content", {"type": "user"}, missing("content", {"type": "user"})),
    invalid("wrong-type", {"content": 5, "type": "raw"}, wrong_string("content", 5)),
    invalid("wrong-type-zero", {"content": 0, "type": "raw"}, wrong_string("content", 0)),
    invalid("wrong-type-false", {"content": False, "type": "raw"}, wrong_string("content", False)),
    invalid("wrong-type-list", {"content": [], "type": "raw"}, wrong_string("content", [])),
    invalid("wrong-type-object", {"content": {}, "type": "raw"}, wrong_string("content", {})),
    invalid("null", {"content": None, "type": "raw"}, wrong_string("content")),
    invalid("unknown-property", {**USER, "foo": 1}, unexpected("foo", {**USER, "foo": 1})),
    invalid(
        "unknown-properties",
        {**USER, "foo": 1, "bar": 2},
        unexpected("bar", {**USER, "foo": 1, "bar": 2}),
        unexpected("foo", {**USER, "foo": 1, "bar": 2}),
    ),
    invalid("together", {"x": 1}, missing("content", {"x": 1}), missing("type", {"x": 1}), unexpected("x", {"x": 1})),
    *(
        invalid(f"not-object-{name}", value, {"message": "expected object", "location": "body", "value": value})
        for name, value in {"list": [], "string": "x", "number": 5}.items()
    ),
    invalid("not-object-null", None, {"message": "expected object", "location": "body"}),
)


def order_of(entry: dict[str, Any]) -> str:
    """A sort key that keeps missing properties before unexpected ones."""
    return f"{entry.get('location', '') != 'body'}{json.dumps(entry, sort_keys=True)}"


def check(server: Server, reply: Reply, row: Row) -> dict[str, Any]:
    """Compare a refusal with its row; returns the parsed body."""
    assert reply.status == row.status, reply.body
    assert reply.header("Content-Type") == "application/problem+json"
    assert reply.header("Link") == '</schemas/ErrorModel.json>; rel="describedBy"'
    body: dict[str, Any] = reply.json()
    entries = body.get("errors")
    expected = row.errors
    if row.any_message and entries:
        assert all(isinstance(entry.pop("message"), str) for entry in entries)
    sort = sorted(entries, key=order_of) if entries else entries
    assert sort == (sorted(expected, key=order_of) if expected else expected)
    assert (body["title"], body["status"], body["detail"]) == (row.title, row.status, row.detail)
    assert body["$schema"] == f"http://{server.host}/schemas/ErrorModel.json"
    keys = [key for key, _ in reply.pairs() if key in ("$schema", "title", "status", "detail", "errors")]
    assert keys == ["$schema", "title", "status", "detail", "errors"][: len(keys)]
    return body


@pytest.mark.parametrize("row", ROWS, ids=[f"1.5-{row.name}" for row in ROWS])
def test_1_5_refusal(server: Server, row: Row) -> None:
    """The golden refusals."""
    check(server, server.call("POST", "/message", headers=row.headers, body=row.body), row)


@pytest.mark.parametrize("value", ["system", "User", ""])
def test_1_5_invalid_enum(server: Server, value: str) -> None:
    """`type` is an enum, case-sensitive; the bridge says what is allowed, AgentAPI says nothing."""
    body = json.dumps({"content": "", "type": value}).encode()
    reply = server.call("POST", "/message", headers=[JSON_TYPE], body=body)
    entries = reply.json()["errors"]
    messages = [entry.pop("message", None) for entry in entries]
    assert (reply.status, entries) == (422, [{"location": "body.type", "value": value}])
    explained = [isinstance(text, str) and "user" in text and "raw" in text for text in messages]
    assert explained == server.pick("enum-message", agentapi=[False], bridge=[True])


def refused_500(server: Server, reply: Reply, message: str) -> str | None:
    """Check a semantic refusal; returns its machine-readable type where the server gives one."""
    row = Row("", b"", 500, "Internal Server Error", "unexpected error occurred", [{"message": message}])
    kind: str | None = check(server, reply, row).get("type")
    assert (kind is not None) == server.pick("problem-type", agentapi=False, bridge=True)
    return kind


@pytest.mark.parametrize("content", ["", "   ", "\n\t \r\f\v"], ids=["none", "spaces", "all-kinds"])
def test_1_5_empty_prompt(server: Server, content: str) -> None:
    """A user message of nothing but white space is a 500."""
    refused_500(server, server.post(content), EMPTY)


def test_1_5_busy(server: Server) -> None:
    """A user message during a turn is a 500; its type differs from that of an empty message."""
    server.wait_stable()
    assert server.post(server.target.prompt_slow(2, "busyrow")).status == 200
    kind = refused_500(server, server.post("a second prompt"), NOT_STABLE)
    server.wait_stable()
    assert "a second prompt" not in [text for _, text in server.texts()]
    empty = refused_500(server, server.post(" "), EMPTY)
    assert (kind != empty) == server.pick("problem-type", agentapi=False, bridge=True)


def test_1_5_mute_agent(server: Server) -> None:
    """A terminal that never reacts to Enter costs AgentAPI 17 s and a 500; without a terminal there is no such case."""
    before = len(server.messages())
    reply = server.post("!mute" + server.target.short_answer)
    late = "failed to send message: failed to send message: failed to wait for processing to start: "
    if server.pick("no-terminal", agentapi=True, bridge=False):
        refused_500(server, reply, late + "timeout waiting for condition")
        assert len(server.messages()) == before
        server.post("\x1b", "raw")
    else:
        assert reply.status == 200
        server.wait_stable()
        assert len(server.messages()) == before + 2
    server.wait_stable()


ACCEPTED_TYPES = (None, "application/json", "application/json; charset=utf-8", "json", "application/problem+json")


@pytest.mark.parametrize("value", ACCEPTED_TYPES, ids=[f"1.5-accepts-{value}" for value in ACCEPTED_TYPES])
def test_1_5_accepted_content_types(server: Server, value: str | None) -> None:
    """JSON under any of these content types, or none, is read."""
    headers = [("Content-Type", value)] if value else []
    reply = server.call("POST", "/message", headers=headers, body=b'{"content":"","type":"raw"}')
    assert (reply.status, reply.json()["ok"]) == (200, True)
    assert [key for key, _ in reply.pairs()] == ["$schema", "ok"]


ACCEPTED = {
    "empty-raw": b'{"content":"","type":"raw"}',
    "any-case-keys": b'{"Content":"","TYPE":"raw"}',
    "last-duplicate-wins": b'{"content":"x","content":"","type":"bogus","type":"raw"}',
    "schema-key": b'{"$schema":"anything","content":"","type":"raw"}',
    "schema-key-number": b'{"$schema":5,"content":"","type":"raw"}',
}


@pytest.mark.parametrize("name", ACCEPTED, ids=[f"1.5-accepts-{name}" for name in ACCEPTED])
def test_1_5_accepted_bodies(server: Server, name: str) -> None:
    """Odd but legal bodies; empty raw text writes nothing."""
    before = server.messages()
    reply = server.call("POST", "/message", headers=[JSON_TYPE], body=ACCEPTED[name])
    assert reply.status == 200, reply.body
    assert server.messages() == before


def padded(size: int) -> bytes:
    """A legal body of exactly that many bytes that writes nothing."""
    head, tail = b'{"content":"","type":"raw"', b"}"
    return head + b" " * (size - len(head) - len(tail)) + tail


def test_1_5_body_limit(server: Server) -> None:
    """1 048 575 bytes are read, one more is 413."""
    assert server.call("POST", "/message", headers=[JSON_TYPE], body=padded(LIMIT - 1)).status == 200
    for size in (LIMIT, LIMIT + 1, 3 * LIMIT):
        reply = server.call("POST", "/message", headers=[JSON_TYPE], body=padded(size))
        detail = "request body is too large limit=1048576 bytes"
        check(server, reply, Row("", b"", 413, "Request Entity Too Large", detail, None))


def test_1_5_chunked_body(server: Server) -> None:
    """A body without a Content-Length is read to its end."""
    body = b'{"content":"","type":"raw"}'
    headers = [JSON_TYPE, ("Transfer-Encoding", "chunked")]
    data = request_bytes("POST", "/message", host=server.host, headers=headers)
    reply = raw_exchange(server.address, data + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), method="POST")
    assert reply is not None
    assert reply.status == 200, reply.body


def unfinished(server: Server) -> bytes:
    """A request that announces more than it sends."""
    whole = request_bytes("POST", "/message", host=server.host, headers=[JSON_TYPE], body=b" " * 200)
    return whole[:-150]


def test_1_5_half_closed_body(server: Server) -> None:
    """A client that stops sending early gets a 500 with the cause."""
    reply = raw_exchange(server.address, unfinished(server), method="POST", half_close=True)
    assert reply is not None
    row = Row("", b"", 500, "Internal Server Error", "cannot read request body", [{"message": "unexpected EOF"}])
    check(server, reply, row)


def test_1_5_slow_body(server: Server) -> None:
    """A body that does not arrive in 5 s is 408 and the connection is closed."""
    with socket.create_connection(server.address, timeout=HANG) as link:
        link.sendall(unfinished(server))
        reply = read_reply(link, "POST")
        assert reply is not None
        check(server, reply, Row("", b"", 408, "Request Timeout", "request body read timeout", None))
        assert link.recv(1) == b""
