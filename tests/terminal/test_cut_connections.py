"""A prompt whose connection breaks on the way: asked once or kept, never lost and never doubled."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.terminal.conftest import Attach, Run
from tests.whole.conftest import WAIT, Bridge

CUTS = ("reply", "request")


class CuttingProxy:
    """Passes connections on to a server; the first that posts a prompt loses its reply or its request."""

    def __init__(self, url: str, cut: str) -> None:
        self._target = ("127.0.0.1", int(url.rpartition(":")[2]))
        self._cut = cut
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WAIT)
        for each in (self._listener, *self._open):
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._pass, args=(one, other, one is near)))
                    self._threads[-1].start()

    def _pass(self, one: socket.socket, other: socket.socket, request: bool) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if request and self._cut and data.startswith(b"POST") and b"/messages" in data:
                    self._break(one, other, data)
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def _break(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        cut, self._cut = self._cut, ""
        while not data.endswith(b"}"):  # the head and the body may come apart
            data += near.recv(65536)
        near.shutdown(socket.SHUT_RDWR)
        if cut == "reply":
            far.sendall(data)
        raise ConnectionAbortedError


@pytest.fixture(params=CUTS)
def proxy(request: pytest.FixtureRequest, bridge: Bridge) -> Iterator[CuttingProxy]:
    bridge.start()
    made = CuttingProxy(bridge.url, request.param)
    yield made
    made.close()


def test_on_the_screen(bridge: Bridge, attach: Attach, proxy: CuttingProxy, request: pytest.FixtureRequest) -> None:
    with attach("--url", proxy.url) as terminal:
        terminal.shows("● ready")
        terminal.type("!standin text once\r")
        if "request" in request.node.name.rpartition("[")[2]:
            terminal.shows("it is kept")
            assert "\u276f !standin text once" in terminal.visible()
            terminal.type("\r")
        terminal.until(lambda text: "\nonce\n" in text and "● ready" in text, "the answer")
        assert "Write to Kiro" in terminal.visible()
    assert [turn["prompt"] for turn in bridge.turns()] == ["!standin text once"]


def test_in_lines(bridge: Bridge, attach: Attach, proxy: CuttingProxy, request: pytest.FixtureRequest) -> None:
    with attach("--url", proxy.url, term="dumb") as terminal:
        terminal.shows(">")
        terminal.type("!standin text once\n")
        if "request" in request.node.name.rpartition("[")[2]:
            terminal.shows("it is kept")
            terminal.type("\n")
        terminal.shows("\nonce\n")
    assert [turn["prompt"] for turn in bridge.turns()] == ["!standin text once"]


def test_once(bridge: Bridge, run: Run, proxy: CuttingProxy, request: pytest.FixtureRequest) -> None:
    done = run("--url", proxy.url, "--once", "!standin text once")
    if "request" in request.node.name.rpartition("[")[2]:
        assert (done.returncode, done.stdout) == (1, "") and "Send it again" in done.stderr
        assert not bridge.turns()
    else:
        assert (done.returncode, done.stdout) == (0, "once\n"), done.stderr
        assert [turn["prompt"] for turn in bridge.turns()] == ["!standin text once"]
