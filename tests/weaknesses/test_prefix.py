"""Behind a proxy that strips a path prefix without telling, as Coder's does for apps without a subdomain (W25)."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from tests.whole.conftest import WAIT, Bridge, bridge

__all__ = ["bridge"]  # the fixture

PREFIX = "/@me/workspace/apps/kiro"
HOP = ("connection", "transfer-encoding", "keep-alive")


class Proxy(BaseHTTPRequestHandler):
    """Hands on what begins with the prefix, without it; everything else is 404."""

    upstream = 0

    def forward(self) -> None:
        if not self.path.startswith(PREFIX + "/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        link = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=WAIT)
        with contextlib.closing(link):
            link.request(self.command, self.path[len(PREFIX) :], body, headers)
            reply = link.getresponse()
            self.send_response_only(reply.status)
            for name, value in reply.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError):
                while piece := reply.read1(65536):
                    self.wfile.write(piece)

    do_GET = do_POST = forward

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def outside(bridge: Bridge) -> Iterator[str]:
    """Give the address under which a browser sees the running bridge, ending in the prefix and a slash."""
    bridge.start("--chat-base-path", f"{PREFIX}/chat")
    handler = type("Forwarding", (Proxy,), {"upstream": urlsplit(bridge.url).port})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{PREFIX}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def page(address: str) -> tuple[str, str]:
    """Return the address where a page ended up after redirections, and its text."""
    reply = requests.get(address, timeout=WAIT)
    assert reply.status_code == 200 and reply.headers["Content-Type"].startswith("text/html")
    return reply.url, reply.text


@pytest.mark.parametrize("start", ["", "chat", "chat/", "chat/embed", "chat/embed/", "docs"])
def test_w25_pages_lead_only_to_what_is_there(outside: str, start: str) -> None:
    """Every link, script and style of every page is found where the browser looks for it."""
    address, text = page(outside + start)
    links = re.findall(r'(?:href|src)="([^"#][^"]*)"', text)
    links = [link for link in links if not link.startswith("data:")]
    assert links
    for link in links:
        assert requests.get(urljoin(address, link), timeout=WAIT).status_code == 200, link


def test_w25_the_chat_works(bridge: Bridge, outside: str) -> None:
    """The root leads to the chat; from there prompt, events and answer travel as the page's script asks for them."""
    address, text = page(outside)
    assert address == f"{outside}chat/embed"
    base = re.search(r'data-base="([^"]*)"', text)
    assert base is not None
    api = urljoin(address, base[1])
    assert api == outside
    session = requests.get(urljoin(api, "api/v1/sessions"), timeout=WAIT).json()["primary"]
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(outside))
    events = urljoin(api, f"api/v1/sessions/{session}/events?last_event_id=0")
    with requests.get(events, stream=True, timeout=WAIT) as stream:
        sent = requests.post(
            urljoin(api, f"api/v1/sessions/{session}/messages"),
            json={"content": "!standin text Through the proxy."},
            headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"},
            timeout=WAIT,
        )
        assert sent.status_code == 202, sent.text
        state = ""
        for line in stream.iter_lines(chunk_size=1):
            if line.startswith(b"data: "):
                state = json.loads(line[6:]).get("turn", {}).get("state", "")
            if state == "completed":
                break
    assert bridge.answer() == "Through the proxy."
    listed = requests.get(urljoin(api, "messages"), timeout=WAIT).json()
    assert [message["role"] for message in listed["messages"]] == ["user", "agent"]
