"""A small raw JSON-RPC client for the stand-in's `acp`.

Invariant: it keeps every line the agent wrote, in order, and answers requests of the agent by the test's own rules.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.standin.runs import DEADLINE, PROGRAM, Cli

Json = dict[str, Any]
Answer = Callable[[Json], Json | None]
TOKEN = {"accessToken": "a", "expiresAt": "2099-01-01T00:00:00.123456789Z", "profileArn": "p"}
UNKNOWN = {"error": {"code": -32601, "message": "Method not found"}}


def choose(kind: str) -> Answer:
    """Answer a permission request with the first option of that kind, `None` leaves it open."""

    def answer(frame: Json) -> Json | None:
        options = [one for one in frame["params"]["options"] if one["kind"] == kind]
        return selected(options[0]["optionId"])

    return answer


def selected(option: str, **more: Any) -> Json:
    """The answer of a permission request."""
    return {"result": {"outcome": {"outcome": "selected", "optionId": option, **more}}}


CANCELLED: Json = {"result": {"outcome": {"outcome": "cancelled"}}}


@dataclass
class Client:
    """The client's side of one process. `frames` is all that was read so far, answers included; `asked` what each of
    the client's ids was about: the method, of a command with its name."""

    process: subprocess.Popen[bytes]
    cwd: str
    frames: list[Json] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    permission: Answer = field(default_factory=lambda: choose("allow_once"))
    token: Answer = field(default_factory=lambda: lambda frame: {"result": TOKEN})
    asked: dict[int, str] = field(default_factory=dict)
    ids: int = 0

    def __post_init__(self) -> None:
        """Read stdout in a thread of its own."""
        self.lines: queue.Queue[bytes | None] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self.lines.put(line)
        self.lines.put(None)

    def send(self, frame: Json) -> None:
        """Write one frame."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **frame}).encode() + b"\n")
        self.process.stdin.flush()

    def notify(self, method: str, **params: Any) -> None:
        """Send a notification."""
        self.send({"method": method, "params": params})

    def request(self, method: str, **params: Any) -> int:
        """Send a request; its id."""
        self.ids += 1
        command = params.get("command")
        self.asked[self.ids] = f"{method} {command['command']}" if isinstance(command, dict) else method
        self.send({"id": self.ids, "method": method, "params": params})
        return self.ids

    def next(self, timeout: float = DEADLINE) -> Json | None:
        """The next frame, after answering it when it is a request; None at the end of stdout. Raises queue.Empty."""
        while True:
            line = self.lines.get(timeout=timeout)
            if line is None:
                return None
            self.raw.append(line)
            with contextlib.suppress(ValueError):
                frame = json.loads(line)
                if isinstance(frame, dict):
                    self.frames.append(frame)
                    self._answer(frame)
                    return frame

    def _answer(self, frame: Json) -> None:
        method = frame.get("method")
        if method is None or "id" not in frame:
            return
        by_method: dict[str, Answer] = {
            "session/request_permission": self.permission,
            "_kiro/auth/getAccessToken": self.token,
        }
        answer = by_method[method](frame) if method in by_method else UNKNOWN
        if answer is not None:
            self.send({"id": frame["id"], **answer})

    def until(self, wanted: Callable[[Json], bool]) -> Json:
        """Read up to the frame that is wanted."""
        while True:
            frame = self.next()
            assert frame is not None, f"stdout ended; last frames: {self.frames[-3:]}"
            if wanted(frame):
                return frame

    def answer_to(self, request: int) -> Json:
        """Read up to the answer of that request, the whole frame."""
        return self.until(lambda frame: "method" not in frame and frame.get("id") == request)

    def call(self, method: str, **params: Any) -> Any:
        """A request and its result."""
        answer = self.answer_to(self.request(method, **params))
        assert "result" in answer, answer
        return answer["result"]

    def error(self, method: str, **params: Any) -> Json:
        """A request and its error."""
        answer = self.answer_to(self.request(method, **params))
        return dict(answer["error"])

    def initialize(self, **capabilities: Any) -> Json:
        """The handshake's result."""
        info = {"name": "test", "version": "1"}
        result = self.call("initialize", protocolVersion=1, clientInfo=info, clientCapabilities=capabilities)
        return dict(result)

    def new(self, **capabilities: Any) -> str:
        """The handshake and a session; its id."""
        self.initialize(**capabilities)
        return str(self.call("session/new", cwd=self.cwd, mcpServers=[])["sessionId"])

    def start_prompt(self, session: str, *lines: str, directives: bool = True) -> int:
        """Send a prompt of directives; the request's id."""
        text = "\n".join(f"!standin {line}" if directives else line for line in lines)
        return self.request("session/prompt", sessionId=session, prompt=[{"type": "text", "text": text}])

    def prompt(self, session: str, *lines: str) -> str:
        """A whole turn of directives; the stop reason."""
        answer = self.answer_to(self.start_prompt(session, *lines))
        assert "result" in answer, answer
        return str(answer["result"]["stopReason"])

    def updates(self, session: str, kind: str = "") -> list[Json]:
        """All updates of a session so far, of that kind if one is named."""
        found = [
            frame["params"]["update"]
            for frame in self.frames
            if frame.get("method") == "session/update" and frame["params"]["sessionId"] == session
        ]
        return [one for one in found if isinstance(one, dict) and kind in ("", one["sessionUpdate"])]

    def text(self, session: str) -> str:
        """The agent's own text so far."""
        chunks = self.updates(session, "agent_message_chunk")
        own = [one for one in chunks if "agentSubtaskId" not in one.get("_meta", {}).get("kiro", {})]
        return "".join(str(one["content"].get("text", "")) for one in own)

    def methods(self) -> list[str]:
        """What every frame so far was: a method, `update:KIND`, or `result` and `error`."""
        return [named(frame) for frame in self.frames]

    def requests(self, method: str = "session/request_permission") -> list[Json]:
        """Requests of the agent so far."""
        return [frame for frame in self.frames if frame.get("method") == method and "id" in frame]

    def ended(self) -> tuple[int, str]:
        """Exit code and stderr of a process that ends by itself."""
        assert self.process.stderr is not None
        said = self.process.stderr.read().decode()
        return self.process.wait(timeout=DEADLINE), said

    def close(self) -> int:
        """Close stdin and wait for the end; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(timeout=DEADLINE)


def named(frame: Json) -> str:
    """What a frame is, in a word."""
    method = frame.get("method")
    if method == "session/update" and isinstance(frame["params"]["update"], dict):
        update = frame["params"]["update"]
        kind = update.get("_meta", {}).get("kiro", {}).get("kind")
        name = update["sessionUpdate"]
        return f"update:{kind}" if name == "session_info_update" else f"update:{name}"
    if method == "_kiro.dev/session/update":
        return f"own:{frame['params']['update']['sessionUpdate']}"
    return str(method) if method else "error" if "error" in frame else "result"


@contextlib.contextmanager
def agent(cli: Cli, engine: str, *options: str, **env: str) -> Iterator[Client]:
    """A running agent in a process group of its own, which is gone afterwards. Engine "" names none."""
    named_engine = ("--agent-engine", engine) if engine else ()
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "acp", *named_engine, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cli.cwd,
        env=cli.environment(env),
        start_new_session=True,
    )
    client = Client(process, str(cli.cwd))
    try:
        yield client
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        process.wait(timeout=DEADLINE)
        client.reader.join(DEADLINE)
