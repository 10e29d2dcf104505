"""`POST /message`: the body rules, prompts and keys (contract 1.5; design: raw text)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import LedgerFull

from .memory import MemoryChat

LIMIT = 1024 * 1024
JSON = "application/json"


def send(client: FlaskClient, body: bytes, content_type: str | None = JSON) -> tuple[int, Any]:
    """POST a body; returns the code and the parsed reply, whose frame is checked."""
    response = client.post("/message", data=body, content_type=content_type)
    found = json.loads(response.data)
    name = "MessageResponseBody" if response.status_code == 200 else "ErrorModel"
    assert next(iter(found.items())) == ("$schema", f"http://localhost/schemas/{name}.json")
    assert response.headers["Link"] == f'</schemas/{name}.json>; rel="describedBy"'
    assert response.content_type == (JSON if response.status_code == 200 else "application/problem+json")
    assert response.data.endswith(b"}\n")
    return response.status_code, found


def errors(client: FlaskClient, body: object) -> list[dict[str, Any]]:
    """POST a JSON value that must be refused with 422; returns the entries."""
    code, found = send(client, json.dumps(body).encode())
    assert (code, found["title"], found["status"]) == (422, "Unprocessable Entity", 422)
    assert list(found)[:5] == ["$schema", "title", "status", "detail", "errors"]
    assert found["detail"] == "validation failed"
    listed: list[dict[str, Any]] = found["errors"]
    return listed


def test_empty_body(client: FlaskClient) -> None:
    """No body is 400, whatever its content type says."""
    for content_type in (JSON, "text/plain", None):
        code, found = send(client, b"", content_type)
        assert (code, found["detail"], "errors" in found) == (400, "request body is required", False)


@pytest.mark.parametrize(
    "body",
    [
        b'{"content":',
        b"hello",
        b"\xef\xbb\xbf{}",
        b'{"content":"","type":"raw"}garbage',
        b'{"content":NaN,"type":"raw"}',
        b'{"content":-Infinity,"type":"raw"}',
        b'{"content":1e999,"type":"raw"}',
        b'{"content":"\n","type":"raw"}',
        b'{"content":"\xff","type":"user"}',
        b'{"content":' + b"9" * 400 + b',"type":"raw"}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b"\x00",
    ],
)
def test_malformed(client: FlaskClient, body: bytes) -> None:
    """What is no JSON is 400 with the body as text in the entry."""
    code, found = send(client, body)
    assert (code, found["title"], found["detail"]) == (400, "Bad Request", "validation failed")
    (entry,) = found["errors"]
    assert list(entry) == ["message", "location", "value"]
    assert (entry["location"], entry["value"]) == ("body", body.decode("utf-8", "replace"))


def test_trailing_garbage_is_named(client: FlaskClient) -> None:
    """The message AgentAPI has for what follows the value."""
    _, found = send(client, b'{"content":"","type":"raw"}garbage')
    assert found["errors"][0]["message"] == "invalid character 'g' after top-level value"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/json ;x",
        "a+b+json",
        "application/cbor",
    ],
)
def test_unsupported_content_types(client: FlaskClient, content_type: str) -> None:
    """415 repeats the whole header."""
    code, found = send(client, b"{}", content_type)
    assert (code, found["title"]) == (415, "Unsupported Media Type")
    message = f"unknown content type: {content_type}"
    assert found["errors"] == [{"message": message, "location": "body", "value": "{}"}]


@pytest.mark.parametrize(
    "content_type", [None, JSON, "application/json; charset=x", "json", "application/problem+json", "a+json; b", "; x"]
)
def test_json_content_types(client: FlaskClient, content_type: str | None) -> None:
    """What AgentAPI reads as JSON."""
    assert send(client, b'{"content":"","type":"raw"}', content_type)[0] == 200


def missing(name: str, value: object) -> dict[str, Any]:
    """The entry for a missing property."""
    return {"message": f"expected required property {name} to be present", "location": "body", "value": value}


def test_missing_then_unexpected(client: FlaskClient) -> None:
    """Missing properties first, content before type, then unexpected ones."""
    assert errors(client, {}) == [missing("content", {}), missing("type", {})]
    body = {"foo": 1, "Type": "raw"}
    extra = {"message": "unexpected property", "location": "body.foo", "value": body}
    assert errors(client, body) == [missing("content", body), extra]


@pytest.mark.parametrize("value", [5, 0, 1.5, False, [], {}, [1, {"a": None}]])
def test_wrong_type(client: FlaskClient, value: object) -> None:
    """The value is echoed, also where it is empty."""
    expected = {"message": "expected string", "location": "body.content", "value": value}
    assert errors(client, {"content": value, "type": "raw"}) == [expected]


def test_null_is_not_echoed(client: FlaskClient) -> None:
    """Null has no value entry, at every level."""
    assert errors(client, {"content": None, "type": "raw"}) == [
        {"message": "expected string", "location": "body.content"}
    ]
    assert errors(client, None) == [{"message": "expected object", "location": "body"}]
    assert errors(client, [None]) == [{"message": "expected object", "location": "body", "value": [None]}]


@pytest.mark.parametrize("value", ["system", "User", ""])
def test_enum(client: FlaskClient, value: str) -> None:
    """A wrong type is refused with what is allowed."""
    (entry,) = errors(client, {"content": "x", "type": value})
    assert (entry["location"], entry["value"]) == ("body.type", value)
    assert "user" in entry["message"]
    assert "raw" in entry["message"]


def test_lone_surrogates(client: FlaskClient, chat: MemoryChat) -> None:
    """Text that cannot be written as UTF-8 is refused."""
    code, found = send(client, b'{"content":"\\ud800","type":"user"}')
    assert (code, found["errors"][0]["location"]) == (422, "body.content")
    assert send(client, b'{"content":"\\ud83d\\ude00","type":"user"}')[0] == 200
    assert chat.turns[0].prompt == "😀"


@pytest.mark.parametrize(
    "body",
    [
        b'{"Content":"","TYPE":"raw"}',
        b'{"content":5,"content":"","type":"bogus","Type":"raw"}',
        b'{"$schema":{"a":[]},"$SCHEMA":5,"content":"","type":"raw"}',
        b' \r\n\t{"content":"","type":"raw"} ',
    ],
)
def test_odd_but_legal(client: FlaskClient, body: bytes) -> None:
    """Keys in any case, the last of several, `$schema` of any type."""
    assert send(client, body) == (
        200,
        {"$schema": "http://localhost/schemas/MessageResponseBody.json", "ok": True},
    )


def test_limit(client: FlaskClient) -> None:
    """One byte below the limit is read, the limit is not."""
    head, tail = b'{"content":"', b'","type":"user"}'
    for size, expected in ((LIMIT - 1, 200), (LIMIT, 413), (3 * LIMIT, 413)):
        code, found = send(client, head + b"x" * (size - len(head) - len(tail)) + tail)
        assert code == expected
    assert (found["title"], found["detail"]) == (
        "Request Entity Too Large",
        "request body is too large limit=1048576 bytes",
    )


def test_prompt(client: FlaskClient, chat: MemoryChat) -> None:
    """Outer white space goes, everything inside stays."""
    send(client, json.dumps({"content": "\n\t a\r\n\x1b[201~b \x0b\x0c", "type": "user"}).encode())
    assert [turn.prompt for turn in chat.turns] == ["a\r\n\x1b[201~b"]


@pytest.mark.parametrize("content", ["", "   ", "\n\t \r\f\v"])
def test_empty_prompt(client: FlaskClient, content: str) -> None:
    """500 in AgentAPI's words, with our type."""
    code, found = send(client, json.dumps({"content": content, "type": "user"}).encode())
    assert (code, found["detail"]) == (500, "unexpected error occurred")
    assert found["errors"] == [{"message": "failed to send message: message must not be empty"}]
    assert found["type"] == "urn:kiro-bridge:empty-prompt"


def test_busy(client: FlaskClient) -> None:
    """500 in AgentAPI's words, with our type."""
    prompt = b'{"content":"hello","type":"user"}'
    assert send(client, prompt)[0] == 200
    code, found = send(client, prompt)
    expected = "failed to send message: message can only be sent when the agent is waiting for user input"
    assert (code, found["errors"]) == (500, [{"message": expected}])
    assert found["type"] == "urn:kiro-bridge:agent-busy"


def test_a_full_disk(client: FlaskClient, chat: MemoryChat) -> None:
    """What keeps a prompt from being recorded is said, and it is not accepted."""
    chat.failure = LedgerFull("The disk is full.", "Make room.")
    code, found = send(client, b'{"content":"hello","type":"user"}')
    assert (code, found["errors"]) == (500, [{"message": "failed to send message: The disk is full."}])
    assert (found["type"], found["remedy"]) == ("urn:kiro-bridge:ledger-full", "Make room.")


@pytest.mark.parametrize("key", ["\x1b", "\x03"])
def test_stop_keys(client: FlaskClient, chat: MemoryChat, key: str) -> None:
    """ESC and Ctrl-C stop the running turn; with none running they do nothing."""
    body = json.dumps({"content": key, "type": "raw"}).encode()
    assert send(client, body)[0] == 200
    send(client, b'{"content":"hello","type":"user"}')
    assert send(client, body)[0] == 200
    assert [turn.state for turn in chat.turns] == ["cancelled"]


@pytest.mark.parametrize("text", ["y", "n", "t", "hello", " ", "\r", "\x1b[A", "\x1b\x1b"])
def test_other_raw_text_is_refused(client: FlaskClient, chat: MemoryChat, text: str) -> None:
    """Raw text that means nothing here is refused, and never becomes a prompt."""
    code, found = send(client, json.dumps({"content": text, "type": "raw"}).encode())
    assert (code, found["type"]) == (422, "urn:kiro-bridge:raw-refused")
    assert found["remedy"]
    assert not chat.turns


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)
KEYS = st.sampled_from(["content", "type", "Content", "TYPE", "$schema", "foo", "\u017f", "\ud800"])
ROUGH = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ROUGH
@given(body=st.binary(max_size=200), content_type=st.sampled_from([JSON, "json", "text/plain", "", "+", ";"]))
def test_any_bytes_get_a_proper_answer(client: FlaskClient, body: bytes, content_type: str) -> None:
    """No bytes make the server fail."""
    assert send(client, body, content_type)[0] in (400, 415, 422)


@ROUGH
@given(body=st.dictionaries(KEYS, JSON_VALUES | st.sampled_from(["user", "raw"]), max_size=5) | JSON_VALUES)
def test_any_json_gets_a_proper_answer(client: FlaskClient, chat: MemoryChat, body: object) -> None:
    """No JSON makes the server fail: what is accepted has two strings, what is refused says why."""
    code, found = send(client, json.dumps(body).encode())
    assert code in (200, 400, 422) or found["errors"][0]["message"].startswith("failed to send message: ")
    if code in (400, 422):
        assert found["errors"]
        assert all(entry["location"].startswith("body") for entry in found["errors"])
    if chat.turns:
        chat.finish()
