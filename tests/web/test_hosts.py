"""The Host allow-list, CORS and the Origin rule (contract 1.7, H3 to H12; design: foreign origins)."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from bridge.web.hosts import HostList, OriginList

from .conftest import MakeClient
from .memory import MemoryChat

ORIGIN = "http://localhost:3284"
VARY = ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"]
RAW = b'{"content":"","type":"raw"}'


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("LOCALHOST:99", True),
        ("localhost:", True),
        ("127.0.0.1:1", True),
        ("[::1]", True),
        ("[::1]:3284", True),
        ("::1", False),
        ("localhost.", False),
        ("localhost:x", False),
        ("localhost,evil", False),
        ("localhost:1:2", False),
        ("xlocalhost", False),
        ("127.0.0.2", False),
        ("[::2]", False),
        ("[]", False),
        ("", False),
    ],
)
def test_default_hosts(host: str, allowed: bool) -> None:
    """Only the name counts, whole, in any case."""
    assert HostList(("localhost", "127.0.0.1", "[::1]")).allows(host) is allowed


def test_empty_entries_allow_nothing() -> None:
    """An empty name in the list does not let requests without a host in."""
    assert not HostList(("", "[]")).allows("")


@pytest.mark.parametrize(("method", "path"), [("GET", "/none"), ("POST", "/message"), ("OPTIONS", "/"), ("GET", "/")])
def test_foreign_host_is_refused_first(client: FlaskClient, method: str, path: str) -> None:
    """Every method and path, also a preflight: no Vary, no CORS headers."""
    headers = {"Host": "evil.example", "Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    response = client.open(path, method=method, headers=headers)
    assert (response.status_code, response.data) == (
        400,
        b"Invalid host header. Allowed hosts: localhost, 127.0.0.1, ::1\n",
    )
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Vary" not in response.headers
    assert "Access-Control-Allow-Origin" not in response.headers


def test_missing_host(make_client: MakeClient) -> None:
    """HTTP/1.1 needs a Host whatever is allowed; HTTP/1.0 does not."""
    everyone = make_client(allowed_hosts=("*",))
    late = everyone.get("/status", environ_overrides={"HTTP_HOST": None, "SERVER_PROTOCOL": "HTTP/1.1"})
    assert (late.status_code, late.data) == (400, b"400 Bad Request: missing required Host header")
    early = everyone.get("/status", environ_overrides={"HTTP_HOST": "", "SERVER_PROTOCOL": "HTTP/1.0"})
    assert early.json is not None
    assert early.json["$schema"] == "https:///schemas/StatusResponseBody.json"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example.com", True),
        ("HTTPS://APP.example.com", True),
        ("https://a.b.example.org", True),
        ("http://[2001:db8::1]:80", True),
        ("http://app.example.com", False),
        ("https://example.org", False),
        ("https://.example.org", True),
        ("https://app.example.com:444", False),
        ("null", False),
        ("", False),
    ],
)
def test_origins(origin: str, allowed: bool) -> None:
    """Entries lose path, query and fragment; one star stands for anything."""
    entries = ("https://app.example.com/path?x=1#y", "https://*.example.org", "http://[2001:db8::1]:80/")
    assert OriginList.of(entries).allows(origin) is allowed


def test_star_allows_every_origin(make_client: MakeClient) -> None:
    """A bare star is answered as a star, also beside what is no origin; `null` names nobody, and changes nothing."""
    client = make_client(allowed_origins=("*", "http://[broken"))
    response = client.get("/status", headers={"Origin": "https://any.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert client.post("/message", headers={"Origin": "https://any.example"}, data=RAW).status_code == 200
    assert client.post("/message", headers={"Origin": "null"}, data=RAW).status_code == 403


@pytest.mark.parametrize(
    ("path", "method"), [("/status", "GET"), ("/none", "GET"), ("/status", "DELETE"), ("/", "GET")]
)
def test_cors_on_actual_requests(client: FlaskClient, path: str, method: str) -> None:
    """An allowed origin is echoed whatever the status; another gets nothing but Vary."""
    response = client.open(path, method=method, headers={"Origin": ORIGIN})
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    assert response.headers["Access-Control-Expose-Headers"] == "Link"
    assert response.headers.getlist("Vary") == ["Origin"]
    plain = client.open(path, method="HEAD", headers={"Origin": ORIGIN})
    foreign = client.get(path, headers={"Origin": "http://evil.example"})
    for other in (plain, foreign):
        assert not [name for name, _ in other.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/message", "/status", "/none"])
@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("Content-Type", "Content-Type"),
        ("content-type, x-csrf-token", "Content-Type, X-Csrf-Token"),
        ("accept,authorization,origin", "Accept, Authorization, Origin"),
        ("", None),
    ],
)
def test_preflight(client: FlaskClient, path: str, asked: str, answered: str | None) -> None:
    """A preflight is 200 on any path and tells what was asked for."""
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "post", "Access-Control-Request-Headers": asked}
    response = client.options(path, headers=headers)
    assert (response.status_code, response.data, response.headers.getlist("Vary")) == (200, b"", VARY)
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Methods"] == "POST"
    assert response.headers.get("Access-Control-Allow-Headers") == answered
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    assert response.headers["Access-Control-Max-Age"] == "300"


@pytest.mark.parametrize(
    ("origin", "method", "header"),
    [("https://evil.example", "GET", ""), (ORIGIN, "PATCH", ""), (ORIGIN, "TRACE", ""), (ORIGIN, "GET", "X-Other")],
)
def test_refused_preflight(client: FlaskClient, origin: str, method: str, header: str) -> None:
    """What is not allowed is 200 with nothing but Vary."""
    headers = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": header}
    response = client.options("/status", headers=headers)
    assert (response.status_code, response.headers.getlist("Vary")) == (200, VARY)
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": ORIGIN}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "https://dev.example", "Host": "dev.example"}, True),
        ({"Origin": "http://dev.example", "Host": "dev.example:80"}, True),
        ({"Origin": "https://DEV.example:443", "Host": "dev.example"}, True),
        ({"Origin": "https://dev.example:8443", "Host": "dev.example"}, False),
        ({"Origin": "https://[2001:db8::1]", "Host": "[2001:db8::1]:443"}, True),
        ({"Origin": "https://evil.example", "Host": "dev.example", "X-Forwarded-Host": "evil.example"}, False),
        ({"Origin": "dev.example", "Host": "dev.example"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
    ],
)
def test_foreign_pages_change_nothing(
    make_client: MakeClient, chat: MemoryChat, headers: dict[str, str], allowed: bool
) -> None:
    """A request that changes something and comes from a foreign page is refused before its body is read."""
    client = make_client(allowed_hosts=("*",))
    response = client.post("/message", headers=headers, data=b'{"content":"hello","type":"user"}')
    assert response.status_code == (200 if allowed else 403)
    assert len(chat.turns) == allowed
    if not allowed:
        assert response.content_type == "application/problem+json"
        assert response.json is not None
        assert response.json["type"] == "urn:kiro-bridge:foreign-origin"
        assert "--allowed-origins" in response.json["remedy"]
    for path in ("/upload", "/api/v1/sessions/s-1/messages", "/api/v1/sessions/s-1/cancel"):
        assert (client.post(path, headers=headers, data=b"").status_code == 403) is not allowed
    assert client.get("/status", headers=headers).status_code == 200
    assert client.post("/status", headers=headers).status_code == 405
