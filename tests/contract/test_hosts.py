"""Section 1.7: the Host check and CORS; H3 to H12."""

from __future__ import annotations

import json
import socket

import pytest

from .servers import JSON_TYPE, Server, Workshop
from .wire import Reply, raw_exchange, request_bytes

DEFAULT_REFUSAL = b"Invalid host header. Allowed hosts: localhost, 127.0.0.1, ::1\n"
LISTED_REFUSAL = b"Invalid host header. Allowed hosts: localhost, app.example.com, 2001:db8::1, UPPER.example.com\n"
DEFAULT_HOSTS = {
    "localhost": True,
    "LOCALHOST:99": True,
    "127.0.0.1": True,
    "127.0.0.1:1": True,
    "[::1]": True,
    "[::1]:3284": True,
    "localhost.": False,
    "example.com": False,
    "localhost.example.com": False,
    "127.0.0.2": False,
    "[::2]": False,
}
LISTED_HOSTS = {
    "localhost:3000": True,
    "app.example.com": True,
    "APP.example.com:80": True,
    "upper.example.com": True,
    "[2001:db8::1]": True,
    "[2001:db8::1]:443": True,
    "[2001:db8::2]": False,
    "127.0.0.1": False,
    "app.example.com.": False,
    "x.app.example.com": False,
}


def refused(reply: Reply, body: bytes) -> None:
    """Check a refusal by host."""
    assert (reply.status, reply.body) == (400, body)
    assert reply.header("Content-Type") == "text/plain; charset=utf-8"
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert reply.all("Vary") == []
    assert reply.header("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize(("host", "allowed"), DEFAULT_HOSTS.items(), ids=[f"1.7-host-{h}" for h in DEFAULT_HOSTS])
def test_1_7_default_hosts(server: Server, host: str, allowed: bool) -> None:
    """The default list: the name counts, in any case, the port does not."""
    reply = server.call("GET", "/status", host=host)
    if allowed:
        assert reply.status == 200
    else:
        refused(reply, DEFAULT_REFUSAL)


@pytest.mark.parametrize(("host", "allowed"), LISTED_HOSTS.items(), ids=[f"1.7-H3-H6-{h}" for h in LISTED_HOSTS])
def test_1_7_listed_hosts(listed_server: Server, host: str, allowed: bool) -> None:
    """A configured list, shown in its order and case, IPv6 without brackets."""
    reply = listed_server.call("GET", "/status", host=host)
    if allowed:
        assert reply.status == 200
    else:
        refused(reply, LISTED_REFUSAL)


def test_1_7_host_check_comes_first(server: Server) -> None:
    """Every method and path, preflights and unknown paths too (H9)."""
    preflight = [("Origin", "http://localhost:3284"), ("Access-Control-Request-Method", "GET")]
    for method, path in (("POST", "/message"), ("GET", "/events"), ("GET", "/none"), ("GET", "/"), ("PUT", "/status")):
        refused(server.call(method, path, host="evil.example"), DEFAULT_REFUSAL)
    refused(server.call("OPTIONS", "/status", host="evil.example", headers=preflight), DEFAULT_REFUSAL)
    data = request_bytes("GET", "/status", host="")
    reply = raw_exchange(server.address, data)
    assert reply is not None
    refused(reply, DEFAULT_REFUSAL)


def test_1_7_missing_host(server: Server) -> None:
    """HTTP/1.1 without Host is refused before anything else."""
    reply = raw_exchange(server.address, request_bytes("GET", "/status", host=None))
    assert reply is not None
    assert (reply.status, reply.body) == (400, b"400 Bad Request: missing required Host header")


@pytest.mark.parametrize("host", ["a b", "a/b", "local\x01host"], ids=["space", "slash", "control"])
def test_1_7_malformed_host(server: Server, host: str) -> None:
    """A Host that is no host name is refused."""
    reply = raw_exchange(server.address, request_bytes("GET", "/status", host=host))
    assert reply is not None
    assert reply.status == 400


def test_h7_star_allows_all(workshop: Workshop) -> None:
    """`*` in the list disables the check, whatever else is in it."""
    server = workshop.launch("--allowed-hosts", "*,http://x,y:80")
    assert server.call("GET", "/status", host="whatever.example:1").status == 200


def test_1_7_listens_on(server: Server) -> None:
    """AgentAPI listens on every interface, the bridge on 127.0.0.1 (127.0.0.2 is this machine too)."""
    with socket.socket() as link:
        reached = link.connect_ex(("127.0.0.2", server.address[1])) == 0
    assert reached == server.pick("loopback", agentapi=True, bridge=False)


ALLOWED_ORIGIN = "http://localhost:3284"
LISTED_ORIGINS = {
    "https://app.example.com": True,
    "HTTPS://APP.example.com": True,
    "https://a.b.example.org": True,
    "http://[2001:db8::1]:80": True,
    "http://app.example.com": False,
    "https://example.org": False,
    "https://app.example.com:444": False,
}


def cors_of(reply: Reply) -> tuple[str | None, str | None, str | None]:
    """The three CORS headers of an actual response."""
    names = ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers")
    return reply.header(names[0]), reply.header(names[1]), reply.header(names[2])


@pytest.mark.parametrize(("origin", "allowed"), LISTED_ORIGINS.items(), ids=[f"1.7-H10-{o}" for o in LISTED_ORIGINS])
def test_1_7_origins(listed_server: Server, origin: str, allowed: bool) -> None:
    """A listed origin is echoed as sent, another is served without CORS headers (H10, H11)."""
    expected = (origin, "true", "Link") if allowed else (None, None, None)
    for path, status in {"/status": 200, "/none": 404}.items():
        reply = listed_server.call("GET", path, host="localhost", headers=[("Origin", origin)])
        assert (reply.status, cors_of(reply)) == (status, expected)
    asked = [("Origin", origin), ("Access-Control-Request-Method", "GET")]
    preflight = listed_server.call("OPTIONS", "/status", host="localhost", headers=asked)
    assert (preflight.status, preflight.header("Access-Control-Allow-Origin")) == (200, expected[0])


def test_1_7_cors_on_every_status(server: Server) -> None:
    """CORS headers are also on 405, 422 and SSE; not for HEAD and PATCH; not without an Origin (H10)."""
    origin = [("Origin", ALLOWED_ORIGIN)]
    expected = (ALLOWED_ORIGIN, "true", "Link")
    replies = {
        405: server.call("DELETE", "/status", headers=origin),
        422: server.call("POST", "/message", headers=[*origin, JSON_TYPE], body=b"{}"),
        307: server.call("GET", "/", headers=origin),
    }
    for status, reply in replies.items():
        assert (reply.status, cors_of(reply)) == (status, expected)
        assert reply.all("Vary") == ["Origin"]
    for method in ("HEAD", "PATCH"):
        assert cors_of(server.call(method, "/status", headers=origin)) == (None, None, None)
    assert cors_of(server.get("/status")) == (None, None, None)
    with server.events(headers=origin) as stream:
        assert stream.response.getheader("Access-Control-Allow-Origin") == ALLOWED_ORIGIN


def test_h10_star_origin(workshop: Workshop) -> None:
    """`*` allows every origin and is answered as `*`, also beside garbage (H11)."""
    server = workshop.launch("--allowed-origins", "*,not a url")
    reply = server.call("GET", "/status", headers=[("Origin", "https://any.example")])
    assert cors_of(reply) == ("*", "true", "Link")


VARY = ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"]
PREFLIGHT_HEADERS = {
    "Content-Type": "Content-Type",
    "content-type, x-csrf-token": "Content-Type, X-Csrf-Token",
    "accept,authorization,origin": "Accept, Authorization, Origin",
    None: None,
}


@pytest.mark.parametrize(
    ("asked", "answered"), PREFLIGHT_HEADERS.items(), ids=[f"1.7-H9-{h}" for h in PREFLIGHT_HEADERS]
)
def test_1_7_preflight(server: Server, asked: str | None, answered: str | None) -> None:
    """A preflight that is fine, on a known and an unknown path."""
    headers = [("Origin", ALLOWED_ORIGIN), ("Access-Control-Request-Method", "post")]
    headers += [("Access-Control-Request-Headers", asked)] if asked else []
    for path in ("/message", "/status", "/no-such-path"):
        reply = server.call("OPTIONS", path, headers=headers)
        assert (reply.status, reply.body, reply.all("Vary")) == (200, b"", VARY)
        assert reply.header("Access-Control-Allow-Origin") == ALLOWED_ORIGIN
        assert reply.header("Access-Control-Allow-Methods") == "POST"
        assert reply.header("Access-Control-Allow-Headers") == answered
        assert reply.header("Access-Control-Allow-Credentials") == "true"
        assert reply.header("Access-Control-Max-Age") == "300"


BAD_PREFLIGHTS = {
    "origin": ("https://evil.example", "GET", "Content-Type"),
    "method": (ALLOWED_ORIGIN, "TRACE", "Content-Type"),
    "patch": (ALLOWED_ORIGIN, "PATCH", "Content-Type"),
    "header": (ALLOWED_ORIGIN, "GET", "X-Other"),
}


@pytest.mark.parametrize("name", BAD_PREFLIGHTS, ids=[f"1.7-H12-{name}" for name in BAD_PREFLIGHTS])
def test_1_7_refused_preflight(server: Server, name: str) -> None:
    """A preflight that is not fine: 200 with the Vary lines and nothing else."""
    origin, method, header = BAD_PREFLIGHTS[name]
    headers = [("Origin", origin), ("Access-Control-Request-Method", method)]
    reply = server.call("OPTIONS", "/status", headers=[*headers, ("Access-Control-Request-Headers", header)])
    assert (reply.status, reply.body, reply.all("Vary")) == (200, b"", VARY)
    assert [key for key, _ in reply.headers if key.lower().startswith("access-control")] == []


FOREIGN = {
    "foreign": ([("Origin", "http://evil.example")], True),
    "null": ([("Origin", "null")], True),
    "cross-site": ([("Sec-Fetch-Site", "cross-site")], True),
    "listed": ([("Origin", ALLOWED_ORIGIN)], False),
    "same-origin": ([("Sec-Fetch-Site", "same-origin")], False),
    "navigation": ([("Sec-Fetch-Site", "none")], False),
}


@pytest.mark.parametrize("name", FOREIGN, ids=[f"1.7-W13-{name}" for name in FOREIGN])
def test_1_7_foreign_origin(server: Server, name: str) -> None:
    """A state-changing request from a foreign page: AgentAPI carries it out, the bridge refuses it."""
    headers, foreign = FOREIGN[name]
    body = json.dumps({"content": "", "type": "raw"}).encode()
    reply = server.call("POST", "/message", headers=headers, body=body)
    upload = server.call("POST", "/upload", headers=headers, body=b"")
    refusal = foreign and server.pick("foreign-origin", agentapi=False, bridge=True)
    assert (reply.status, upload.status) == ((403, 403) if refusal else (200, 422))
    if refusal:
        assert reply.header("Content-Type") == "application/problem+json"
        assert reply.json()["status"] == 403
    assert server.call("GET", "/status", headers=headers).status == 200


def test_1_7_own_origin(server: Server) -> None:
    """The page this server itself sends out may post, whatever name it was reached by."""
    reply = server.call(
        "POST", "/message", headers=[("Origin", f"http://{server.host}")], body=b'{"content":"","type":"raw"}'
    )
    assert reply.status == 200
