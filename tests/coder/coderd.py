"""A small stand-in for a Coder server: the agent's routes, and what it does with a task's app.

Every rule names its place in facts/coder-platform.md; nothing is shared with the bridge.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.coder.merging import Status

TOKEN = "agent-token-5c1f0e"
SLUG = "kiro-cli"
STATES = ("working", "idle", "complete", "failure")
SNAPSHOT_CAP = 64 * 1024
WAIT = 60.0


@dataclass
class Seen:
    """A status with the way it came."""

    status: Status
    through: str


@dataclass
class Coderd:
    """The server. `mode`: empty, `hang`, or a status to answer everything with."""

    mode: str = ""
    seen: list[Seen] = field(default_factory=list)
    snapshots: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    tasks: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self.released = threading.Event()
        coderd = self

        class Handler(BaseHTTPRequestHandler):
            def do_PATCH(self) -> None:
                coderd.answer(self)

            do_POST = do_PATCH

            def log_message(self, *_args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="coderd")
        self._thread.start()

    def close(self) -> None:
        """End it and everything that hangs."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        if self.mode == "hang":
            self.released.wait(WAIT)
            return
        code = int(self.mode) if self.mode else self._code(request, body)
        request.send_response(code)
        if code in (301, 302, 307):
            request.send_header("Location", self.url + "/elsewhere")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _code(self, request: BaseHTTPRequestHandler, body: bytes) -> int:
        if request.headers.get("Coder-Session-Token") != TOKEN:
            return 401
        url = urlsplit(request.path)
        if (request.command, url.path) == ("PATCH", "/api/v2/workspaceagents/me/app-status"):
            return self._status(json.loads(body), request.headers.get("X-Through", "http"))
        task = re.fullmatch(r"/api/v2/workspaceagents/me/tasks/([0-9a-f-]{36})/log-snapshot", url.path)
        if task and request.command == "POST":
            return self._snapshot(task.group(1), parse_qs(url.query), body)
        self.complaints.append(f"{request.command} {request.path}")
        return 404

    def _status(self, given: dict[str, Any], through: str) -> int:
        """Sections 2.4 and 2.6."""
        fits = set(given) == {"app_slug", "state", "message", "uri"} and given["state"] in STATES
        if not fits or len(given["message"].encode()) > 160:
            self.complaints.append(f"bad status {given}")
            return 400
        if given["app_slug"] != SLUG:
            return 404
        with self.changed:
            self.seen.append(Seen(Status(given["state"], given["message"], given["uri"]), through))
            self.changed.notify_all()
        return 200

    def _snapshot(self, task: str, query: dict[str, list[str]], body: bytes) -> int:
        """Section 3.6."""
        if query != {"format": ["agentapi"]} or len(body) > SNAPSHOT_CAP:
            self.complaints.append(f"bad snapshot {query} {len(body)}")
            return 400
        if task not in self.tasks:
            return 404
        self.snapshots[task] = json.loads(body)["messages"]
        return 204

    @property
    def statuses(self) -> list[Status]:
        """Return every status in the order they came."""
        return [seen.status for seen in self.seen]

    def states(self) -> list[str]:
        """Return the states in order, each as long as it lasts."""
        states = [status.state for status in self.statuses]
        return [state for before, state in zip(["", *states], states, strict=False) if state != before]

    def until(self, holds: Any, what: str) -> None:
        """Wait until `holds(self)`, woken by each status."""
        with self.changed:
            assert self.changed.wait_for(lambda: holds(self), WAIT), f"{what}: {self.seen}"

    def until_told(self, state: str, summary: str = "") -> None:
        """Wait until the newest status is this one."""
        self.until(lambda it: it.seen and it.statuses[-1].state == state and summary in it.statuses[-1].summary, state)


class Task:
    """A task whose app is at `app_url` (None: the workspace is stopped). `old` are the rules before 2.32."""

    def __init__(self, coderd: Coderd, task_id: str) -> None:
        self.coderd = coderd
        self.id = task_id
        self.app_url: str | None = None
        self.old = False
        self._since = 0
        coderd.tasks.add(task_id)

    def build(self) -> None:
        """A start build begins: statuses from before it no longer count (3.3)."""
        self._since = len(self.coderd.seen)

    def current_state(self) -> str | None:
        """Return the state that clients are told."""
        seen = self.coderd.seen[self._since :]
        return seen[-1].status.state if seen else None

    def status(self) -> str:
        """Derive the task's status from the health check (3.5)."""
        if self.app_url is None:
            return "paused"
        try:
            return (
                "active" if requests.get(self.app_url + "/status", timeout=WAIT).status_code < 500 else "initializing"
            )
        except requests.ConnectionError:
            return "initializing"

    def send(self, text: str) -> int:
        """Send as `POST .../send` does (3.2); return its status."""
        if self.status() != "active":
            return 409
        reply = requests.get(f"{self.app_url}/status", timeout=WAIT)
        if reply.status_code != 200 or "json" not in reply.headers["Content-Type"]:
            return 502
        if reply.json()["status"] != "stable":
            return 502 if self.old else 409
        reply = requests.post(f"{self.app_url}/message", json={"content": text, "type": "user"}, timeout=WAIT)
        return 204 if reply.status_code == 200 and reply.json()["ok"] is True else 502

    def would_send(self) -> bool:
        """Return whether `coder task send` would stop waiting now (3.3); `failure` is not a state it knows."""
        return self.status() == "active" and self.current_state() in ("idle", "complete", "failed")

    def logs(self) -> list[dict[str, Any]]:
        """Read the logs as `GET .../logs` does (3.1, 4): live, or the snapshot."""
        if self.app_url is None:
            return self.coderd.snapshots.get(self.id, [])
        messages: list[dict[str, Any]] = requests.get(self.app_url + "/messages", timeout=WAIT).json()["messages"]
        for message in messages:
            assert message["role"] in ("user", "agent")
            datetime.strptime(message["time"][:19], "%Y-%m-%dT%H:%M:%S")
        return messages
