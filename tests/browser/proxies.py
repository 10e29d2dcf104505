"""What stands between a browser and the bridge: a proxy that strips a path prefix, and one that can be cut."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PREFIX = "/@me/workspace/apps/kiro"
HOP = ("connection", "transfer-encoding", "keep-alive")


class Proxy(ThreadingHTTPServer):
    """Hands on what begins with `prefix`, without it.

    While `cut` it answers 502, while `login` a page to log in on, as Coder does when its session is over; while
    `mute` it keeps connections and hands on nothing; `drop` cuts what is open.
    """

    daemon_threads = True

    def __init__(self, upstream: str, prefix: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = upstream
        self.prefix = prefix
        self.cut = False
        self.login = False
        self.mute = False
        self.links: set[socket.socket] = set()
        self.pages: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Return the address under which browsers see the bridge."""
        return f"http://127.0.0.1:{self.server_address[1]}{self.prefix}"

    def drop(self) -> None:
        """Cut every connection that is open."""
        for link in list(self.links):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error."""


class Handler(BaseHTTPRequestHandler):
    """Hands on one request."""

    server: Proxy

    def forward(self) -> None:
        """Answer with what the bridge answers."""
        page = self.server.pages.get(self.path)
        if page is not None:
            return self._answer(200, page)
        if self.server.cut:
            return self._answer(502, "cut")
        if self.server.login:
            return self._answer(200, "<h1>Sign in to Coder</h1>")
        if not self.path.startswith(self.server.prefix + "/"):
            return self._answer(404, "not here")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        host = urlsplit(self.server.upstream).netloc
        link = http.client.HTTPConnection(host, timeout=60)
        self.server.links.add(self.connection)
        try:
            link.request(self.command, self.path[len(self.server.prefix) :], body, headers)
            self._hand_on(link.getresponse())
        except (OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            self.server.links.discard(self.connection)
            link.close()

    def _hand_on(self, reply: http.client.HTTPResponse) -> None:
        self.send_response_only(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.end_headers()
        while piece := reply.read1(65536):
            if self.server.mute:
                continue
            self.wfile.write(piece)
            self.wfile.flush()

    def _answer(self, status: int, text: str) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "text/html" if status == 200 else "text/plain")
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = forward

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def proxy(upstream: str, prefix: str = "") -> Iterator[Proxy]:
    """Run a proxy in front of a bridge."""
    server = Proxy(upstream, prefix)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.drop()
        thread.join()
        server.server_close()
