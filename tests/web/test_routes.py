"""Which methods and paths are answered, and how the others are refused (contract 1.1, 1.2, 1.3, 1.8)."""

from __future__ import annotations

import json
import logging

import pytest
from flask.testing import FlaskClient

from bridge.errors import LedgerFull, Problem
from bridge.web.service import ServiceStatus

from .conftest import MakeClient
from .memory import MemoryChat

GETS = (
    "/status",
    "/messages",
    "/events",
    "/internal/screen",
    "/docs",
    "/openapi.json",
    "/openapi.yaml",
    "/openapi-3.0.json",
    "/openapi-3.0.yaml",
    "/schemas/Message",
    "/schemas/Message.json",
    "/api/v1/sessions",
    "/api/v1/sessions/s-1",
    "/api/v1/sessions/s-1/items",
    "/api/v1/sessions/s-1/events",
)
POSTS = ("/message", "/upload", "/api/v1/sessions/s-1/messages", "/api/v1/sessions/s-1/cancel")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")


@pytest.mark.parametrize("path", GETS)
def test_get_routes_ignore_unknown_parameters(client: FlaskClient, path: str) -> None:
    """Every GET route answers 200, whatever stands behind the question mark."""
    assert client.get(f"{path}?unknown=1").status_code == 200


MORE = {"/api/v1/sessions": "GET, POST", "/api/v1/sessions/s-1": "DELETE, GET, PATCH"}
"""Paths with several methods."""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [*((path, MORE.get(path, "GET")) for path in GETS), *((path, "POST") for path in POSTS)],
)
def test_other_methods_are_405(client: FlaskClient, path: str, allowed: str) -> None:
    """Empty body, no content type, the allowed methods; also for HEAD and OPTIONS."""
    for method in METHODS:
        if method not in allowed.split(", "):
            response = client.open(path, method=method)
            assert (response.status_code, response.headers["Allow"], response.data) == (405, allowed, b""), method
            assert "Content-Type" not in response.headers
            assert response.headers.getlist("Vary") == ["Origin"]


@pytest.mark.parametrize(
    "path",
    [
        *(f"{path}/" for path in (*GETS, *POSTS)),
        "//status",
        "///",
        "/STATUS",
        "/status//",
        "/schemas",
        "/api",
        "/chatx",
    ],
)
def test_unknown_paths_are_404(client: FlaskClient, path: str) -> None:
    """No trailing slash, no merged slashes, no other case."""
    response = client.get("/", environ_overrides={"PATH_INFO": path})
    assert (response.status_code, response.data) == (404, b"404 page not found\n")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", METHODS[:-1])
@pytest.mark.parametrize(
    ("base", "location"),
    [("/chat", "/chat/embed"), ("/custom/", "/custom/embed"), ("/", "/embed"), ("", "/embed"), ("chat", "/chat/embed")],
)
def test_root_leads_to_the_chat(make_client: MakeClient, method: str, base: str, location: str) -> None:
    """`/` is a 307 for any method; only GET and HEAD have a body's content type."""
    response = make_client(chat_base_path=base).open("/", method=method)
    assert (response.status_code, response.headers["Location"]) == (307, location)
    assert ("Content-Type" in response.headers) == (method in ("GET", "HEAD"))


def test_root_escapes_its_base(make_client: MakeClient) -> None:
    """A base path is made an address, and never leads to another host."""
    response = make_client(chat_base_path="/a b").get("/")
    assert response.headers["Location"] == "/a%20b/embed"
    assert response.data == b'<a href="/a%20b/embed">Temporary Redirect</a>.\n\n'
    assert make_client(chat_base_path="//evil.example").get("/").headers["Location"] == "/evil.example/embed"


@pytest.mark.parametrize(("base", "location"), [("./chat", "./chat/embed"), ("./", "./embed"), (".//x", "./x/embed")])
def test_root_stays_relative_where_it_is_asked_to(make_client: MakeClient, base: str, location: str) -> None:
    """Under a prefix that a proxy strips, only a relative address leads back to us."""
    assert make_client(chat_base_path=base).get("/").headers["Location"] == location


def test_status_has_our_fields_after_agentapis(client: FlaskClient, chat: MemoryChat) -> None:
    """A bridge that cannot answer is 200 and says why."""
    problem = Problem("not_logged_in", "Kiro is not logged in.", "Run kiro-cli login.")
    chat.now_status = ServiceStatus("failed", "stable", False, problem)
    response = client.get("/status")
    assert response.status_code == 200
    assert list(json.loads(response.data).items()) == [
        ("$schema", "http://localhost/schemas/StatusResponseBody.json"),
        ("status", "stable"),
        ("agent_type", "custom"),
        ("transport", "acp"),
        ("phase", "failed"),
        ("ready", False),
        ("problem", problem.as_dict()),
    ]


def test_status_is_503_only_while_starting(client: FlaskClient, chat: MemoryChat) -> None:
    """While the bridge starts, whoever waits for it is told to come again."""
    chat.now_status = ServiceStatus("starting", "running", False)
    response = client.get("/status")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.json is not None
    assert response.json["type"] == "urn:kiro-bridge:starting"


def test_messages(client: FlaskClient, chat: MemoryChat) -> None:
    """Key order, integer ids, and an empty list that is a list."""
    assert client.get("/messages").json == {
        "$schema": "http://localhost/schemas/MessagesResponseBody.json",
        "messages": [],
    }
    chat.submit("hello <&>")
    chat.say("the answer \ud800")
    body = client.get("/messages").data
    assert body.endswith(b"}\n")
    assert b"hello <&>" in body
    first, second = json.loads(body)["messages"]
    assert list(first) == ["id", "content", "role", "time"]
    assert (first["id"], first["role"], second["id"], second["role"]) == (0, "user", 1, "agent")
    assert second["content"] == "the answer ?"


def test_a_surprise_shows_nothing(client: FlaskClient, chat: MemoryChat, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception is a 500 problem; what it was stands in the log alone."""
    chat.failure = KeyError("secret detail")
    with caplog.at_level(logging.ERROR):
        response = client.get("/messages")
    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert b"secret" not in response.data
    assert b"Traceback" not in response.data
    assert "secret detail" in caplog.text


def test_an_error_of_ours_tells_cause_and_remedy(client: FlaskClient, chat: MemoryChat) -> None:
    """Errors raised on purpose keep their words, their code as `type`."""
    chat.failure = LedgerFull("The disk is full.", "Make room.")
    response = client.get("/messages")
    assert response.status_code == 507
    assert response.json is not None
    assert (response.json["detail"], response.json["remedy"]) == ("The disk is full.", "Make room.")
    assert response.json["type"] == "urn:kiro-bridge:ledger-full"


@pytest.mark.parametrize(
    ("host", "start"),
    [
        ("localhost:3284", "http://localhost:3284"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]:3284", "https://[::1]:3284"),
        ("LOCALHOST:1", "https://LOCALHOST:1"),
        ("dev.example.com", "https://dev.example.com"),
        ("a..b", "https://a..b"),
        ("x" * 300, "https://" + "x" * 300),
    ],
)
def test_schema_follows_the_host_header(make_client: MakeClient, host: str, start: str) -> None:
    """`$schema` repeats the Host header, and `Link` goes with it."""
    response = make_client(allowed_hosts=("*",)).get("/status", headers={"Host": host})
    assert response.json is not None
    assert response.json["$schema"] == f"{start}/schemas/StatusResponseBody.json"
    assert response.headers.getlist("Link") == ['</schemas/StatusResponseBody.json>; rel="describedBy"']
