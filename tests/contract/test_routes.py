"""Section 1.1 (route table), 1.3 (not found, method not allowed), 1.8 (`/` and the chat page)."""

from __future__ import annotations

import pytest

from .servers import Server, Workshop
from .wire import raw_exchange, request_bytes

JSON = "application/json"
OPENAPI_JSON = "application/vnd.oai.openapi+json"
OPENAPI_YAML = "application/vnd.oai.openapi+yaml"
#: GET routes that answer at once, with their content type.
GET_ROUTES = {
    "/status": JSON,
    "/messages": JSON,
    "/docs": "text/html",
    "/openapi.json": OPENAPI_JSON,
    "/openapi-3.0.json": OPENAPI_JSON,
    "/openapi.yaml": OPENAPI_YAML,
    "/openapi-3.0.yaml": OPENAPI_YAML,
    "/schemas/Message": JSON,
    "/schemas/Message.json": JSON,
}
STREAMS = ("/events", "/internal/screen")
POST_ROUTES = ("/message", "/upload")
ALLOWED = {**dict.fromkeys((*GET_ROUTES, *STREAMS), "GET"), **dict.fromkeys(POST_ROUTES, "POST")}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WRONG = [(method, path) for path, allowed in ALLOWED.items() for method in METHODS if method != allowed]
UNKNOWN = (
    *(f"{path}/" for path in ALLOWED),
    *("//status", "/STATUS", "/nothing", "/status/x", "/schemas", "/schemas/", "/internal", "/api", "/chatx"),
)


@pytest.mark.parametrize(("path", "content_type"), GET_ROUTES.items(), ids=[f"1.1-GET-{path}" for path in GET_ROUTES])
def test_1_1_get(server: Server, path: str, content_type: str) -> None:
    """Each GET route answers 200 with its content type, and ignores unknown query parameters."""
    for target in (path, f"{path}?unknown=1"):
        reply = server.get(target)
        assert (reply.status, (reply.header("Content-Type") or "").split(";")[0]) == (200, content_type)
        assert reply.body


@pytest.mark.parametrize("path", STREAMS, ids=[f"1.1-GET-{path}" for path in STREAMS])
def test_1_1_stream(server: Server, path: str) -> None:
    """The SSE routes answer 200 text/event-stream at once."""
    with server.events(path) as stream:
        assert (stream.response.status, stream.response.getheader("Content-Type")) == (200, "text/event-stream")


@pytest.mark.parametrize(("method", "path"), WRONG, ids=[f"1.3-405-{method}-{path}" for method, path in WRONG])
def test_1_3_method_not_allowed(server: Server, method: str, path: str) -> None:
    """405: empty body, the allowed method in Allow, no content type."""
    reply = server.call(method, path)
    assert (reply.status, reply.header("Allow"), reply.body) == (405, ALLOWED[path], b"")
    assert reply.header("Content-Type") is None
    assert reply.all("Vary") == ["Origin"]
    if method != "HEAD":
        assert reply.header("Content-Length") == "0"


@pytest.mark.parametrize("path", UNKNOWN, ids=[f"1.3-404-{path}" for path in UNKNOWN])
def test_1_3_not_found(server: Server, path: str) -> None:
    """404: plain text, also for a trailing slash, a doubled one and the wrong case."""
    for method in ("GET", "POST"):
        reply = server.call(method, path)
        assert (reply.status, reply.body) == (404, b"404 page not found\n"), method
        assert reply.header("Content-Type") == "text/plain; charset=utf-8"
        assert reply.header("X-Content-Type-Options") == "nosniff"
        assert reply.all("Vary") == ["Origin"]


@pytest.mark.parametrize("method", METHODS, ids=[f"1.8-{method}-root" for method in METHODS])
def test_1_8_root(server: Server, method: str) -> None:
    """Any method on `/` is a 307 to the embedded chat (H2 with the default base path)."""
    reply = server.call(method, "/")
    assert (reply.status, reply.header("Location")) == (307, "/chat/embed")
    if method == "GET":
        assert reply.body == b'<a href="/chat/embed">Temporary Redirect</a>.\n\n'
    if method in ("GET", "HEAD"):
        assert reply.header("Content-Type") == "text/html; charset=utf-8"
    if method == "HEAD":
        assert reply.body == b""


BASES = {"/custom": "/custom/embed", "/custom/": "/custom/embed", "/": "/embed", "chat": "/chat/embed",
         "/a b": "/a%20b/embed"}  # fmt: skip


@pytest.mark.parametrize(("base", "location"), BASES.items(), ids=[f"1.8-base-{base}" for base in BASES])
def test_1_8_chat_base_path(workshop: Workshop, base: str, location: str) -> None:
    """`--chat-base-path` rewrites the redirect (H2)."""
    reply = workshop.launch("--chat-base-path", base).get("/")
    assert (reply.status, reply.header("Location")) == (307, location)


def test_1_8_chat_page(server: Server) -> None:
    """The chat is mounted at /chat and at /chat/; what it holds is each server's own."""
    for path in ("/chat", "/chat/", "/chat/embed"):
        reply = server.get(path)
        for _ in range(2):
            if reply.status in (301, 307, 308):
                location = str(reply.header("Location"))
                reply = server.get(location if location.startswith("/") else f"/chat/{location}")
        built_without_page = reply.status == 404 and reply.body.startswith(b"Looks like you're running")
        page = reply.status == 200 and str(reply.header("Content-Type")).startswith("text/html")
        assert page or server.pick("chat-page", agentapi=built_without_page, bridge=False), path


def test_1_8_chat_missing_file(server: Server) -> None:
    """A file the chat does not have."""
    reply = server.get("/chat/no-such-file.js")
    assert reply.status in server.pick("chat-page", agentapi=(200, 404), bridge=(404,))


def test_1_1_docs_page(server: Server) -> None:
    """/docs is a page titled after the API; only AgentAPI's loads scripts from elsewhere."""
    page = server.get("/docs").body.decode()
    assert "<title>" in page
    assert ("https://" in page) == server.pick("docs-offline", agentapi=True, bridge=False)


def test_1_1_http_1_0(server: Server) -> None:
    """An HTTP/1.0 client with a Host header is served."""
    data = request_bytes("GET", "/status", host=server.host).replace(b"HTTP/1.1", b"HTTP/1.0")
    reply = raw_exchange(server.address, data)
    assert reply is not None
    assert (reply.status, reply.json()["status"]) == (200, "stable")
    assert reply.header("Transfer-Encoding") is None
