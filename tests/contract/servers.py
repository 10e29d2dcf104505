"""A running server as the tests see it, and the workshop that makes, shares and ends them.

Invariant: all a test learns of a server it learns through HTTP, its exit code, its output and its files.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

import pytest

from . import targets
from .differences import by_id
from .sse import Stream
from .wire import HANG, Address, HeaderList, Reply, raw_exchange, request_bytes

Choice = TypeVar("Choice")
JSON_TYPE = ("Content-Type", "application/json")
#: Read at import, before a run cleans its environment.
BINARY = os.environ.get("AGENTAPI_BIN")
URL = os.environ.get("CONTRACT_URL")
_PAUSE = threading.Event()


def wait_until(condition: Callable[[], Any], what: str, seconds: float = HANG, step: float = 0.03) -> None:
    """Ask ``condition`` again and again until it is true; AssertionError naming ``what`` when it never is."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"never happened: {what}"
        _PAUSE.wait(step)


def unique(word: str = "w") -> str:
    """A word no earlier answer held."""
    return f"{word}{uuid.uuid4().hex[:12]}"


class Server:
    """One server at an address, with the words its agent understands."""

    def __init__(self, target: targets.Target, address: Address, process: targets.Process | None, home: Path) -> None:
        """``process`` is None for a server somebody else started; ``home`` holds what this one writes."""
        self.target = target
        self.address = address
        self.host = f"{address[0]}:{address[1]}"
        self.home = home
        self._process = process

    @property
    def process(self) -> targets.Process:
        """The server's process; skips the test when the server was started by somebody else."""
        if self._process is None:
            pytest.skip("CONTRACT_URL names a running server; this row needs one of its own")
        return self._process

    def pick(self, difference: str, *, agentapi: Choice, bridge: Choice) -> Choice:
        """What this server is expected to do where the two differ on purpose; ``difference`` is its id."""
        by_id(difference)
        return agentapi if self.target.name == targets.AGENTAPI else bridge

    def exchange(
        self,
        method: str,
        path: str,
        *,
        headers: HeaderList = (),
        body: bytes | None = None,
        host: str | None = None,
    ) -> Reply | None:
        """One request with exactly these headers; None when the server closes without an answer."""
        data = request_bytes(method, path, host=host or self.host, headers=headers, body=body)
        return raw_exchange(self.address, data, method=method)

    def call(
        self,
        method: str,
        path: str,
        *,
        headers: HeaderList = (),
        body: bytes | None = None,
        host: str | None = None,
    ) -> Reply:
        """Like `exchange`, where an answer is expected."""
        reply = self.exchange(method, path, headers=headers, body=body, host=host)
        assert reply is not None, f"{method} {path}: the connection was closed without an answer"
        return reply

    def get(self, path: str) -> Reply:
        """GET with no headers but Host."""
        return self.call("GET", path)

    def post(self, content: str, kind: str = "user") -> Reply:
        """POST /message."""
        body = json.dumps({"content": content, "type": kind}).encode()
        return self.call("POST", "/message", headers=[JSON_TYPE], body=body)

    def events(self, path: str = "/events", headers: HeaderList = ()) -> Stream:
        """A new subscription."""
        return Stream(self.address, path, host=self.host, headers=headers)

    def status(self) -> str:
        """The status the server reports now."""
        return str(self.get("/status").json()["status"])

    def messages(self) -> list[dict[str, Any]]:
        """The conversation as the server reports it now."""
        found = self.get("/messages").json()["messages"]
        assert isinstance(found, list)
        return found

    def texts(self) -> list[tuple[str, str]]:
        """(role, text) of every message, leaving out the empty banner a terminal agent starts with."""
        pairs = [(message["role"], self.text(message)) for message in self.messages()]
        banner = self.pick("banner", agentapi=1, bridge=0)
        return pairs[banner:]

    def text(self, message: Mapping[str, Any]) -> str:
        """The text of a message or message_update, without the padding of a terminal's lines."""
        text = str(message["content"] if "content" in message else message["message"])
        if message["role"] == "agent" and self.pick("padding", agentapi=True, bridge=False):
            return "\n".join(line.rstrip() for line in text.split("\n"))
        return text

    def wait_answer(self, words: str) -> None:
        """Wait until the answer to the last prompt holds these words, while its turn may go on."""

        def there() -> bool:
            last = self.messages()[-1]
            return last["role"] == "agent" and words in str(last["content"])

        wait_until(there, f"{words!r} in the answer on {self.host}")

    def wait_stable(self) -> None:
        """Wait until the server reports `stable`."""
        wait_until(lambda: self.status() == "stable", f"stable on {self.host}")

    def turn(self, prompt: str) -> str:
        """Send a prompt, wait for the end of its turn and return the text of the last message."""
        self.wait_stable()
        reply = self.post(prompt)
        assert reply.status == 200, reply.body
        self.wait_stable()
        return self.text(self.messages()[-1])

    def listens(self) -> bool:
        """Whether the port answers HTTP now; AssertionError when the process has ended."""
        if self._process is not None:
            assert self._process.popen.poll() is None, f"ended early:\n{self._process.output()}"
        try:
            return raw_exchange(self.address, request_bytes("GET", "/status", host=self.host)) is not None
        except OSError:
            return False


class Workshop:
    """Makes servers of one kind and ends them."""

    def __init__(self, target: targets.Target, scratch: Path, url: str | None) -> None:
        """``scratch`` is an empty directory; ``url`` names a server that already runs, or is None."""
        self.target = target
        self._scratch = scratch
        self._url = url
        self._started: list[targets.Process] = []
        self._homes = 0

    def new_home(self) -> Path:
        """An empty directory for one server's files."""
        self._homes += 1
        home = self._scratch / f"home{self._homes}"
        home.mkdir()
        return home

    def launch(
        self,
        *flags: str,
        home: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        port_in_environment: bool = False,
        wait: bool = True,
        agent: str | None = None,
    ) -> Server:
        """Start a server of one's own; returns when it answers unless ``wait`` is false.

        The port is given by flag or by ``AGENTAPI_PORT``; ``agent`` names another agent program.
        """
        self.own()
        home = home or self.new_home()
        target = self.target.with_agent(agent) if agent else self.target
        port = targets.free_port()
        words = list(flags) if port_in_environment else [*flags, "--port", str(port)]
        variables = {"AGENTAPI_PORT": str(port)} if port_in_environment else {}
        process = targets.start(target, words, home, {**variables, **(env or {})}, stdin)
        self._started.append(process)
        server = Server(target, ("127.0.0.1", port), process, home)
        if wait:
            wait_until(server.listens, f"answer of a new server\n{process.output()}")
        return server

    def default(self) -> Server:
        """A server with default flags: the one at the given URL, else a new one."""
        return self._at_url() if self._url else self.launch()

    def run(self, *flags: str, env: Mapping[str, str] | None = None, agent: str | None = None) -> targets.Finished:
        """Run the server command with flags that make it end by itself."""
        target = self.target.with_agent(agent) if agent else self.target
        return self.run_command(target.command(flags), env)

    def run_command(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> targets.Finished:
        """Run a command in a server's environment to its end."""
        self.own()
        home = self.new_home()
        return targets.run(argv, targets.clean_environment(self.target, home, env or {}), home)

    def own(self) -> None:
        """Skip the test where only a running server is given."""
        if self._url:
            pytest.skip("CONTRACT_URL names a running server; this row starts its own")

    def mark(self) -> int:
        """How many processes were started so far; see `stop_since`."""
        return len(self._started)

    def stop_since(self, mark: int) -> None:
        """End the processes started after ``mark``."""
        for process in self._started[mark:]:
            process.stop()
        del self._started[mark:]

    def _at_url(self) -> Server:
        parts = urlsplit(str(self._url))
        assert parts.scheme == "http" and parts.hostname, f"CONTRACT_URL must be http://host:port, not {self._url}"
        assert re.fullmatch("/?", parts.path), f"CONTRACT_URL must have no path, not {parts.path}"
        return Server(self.target, (parts.hostname, parts.port or 80), None, self._scratch)


def target_of_environment() -> targets.Target:
    """The kind of server the environment asks for; the bridge by default."""
    return targets.AgentApiTarget(BINARY) if BINARY else targets.BridgeTarget()
