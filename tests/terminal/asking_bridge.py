"""A server that speaks as much of `/api/v1` as attach needs, in which a turn waits for a person."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

AT = "2026-11-20T05:49:18.530552Z"
SESSION = {
    "id": "s", "title": "", "cwd": "/w", "engine": "v2", "kiro_id": None, "model": "a-model", "created_at": AT,
    "updated_at": AT,
}  # fmt: skip
OPTIONS = [
    {"id": "yes", "label": "Yes", "kind": "allow_once"},
    {"id": "always", "label": "Always", "kind": "allow_always"},
    {"id": "no", "label": "No", "kind": "reject_once"},
]


class AskingBridge:
    """One session with one running turn. `answers` are the bodies that were posted, with the item they answer."""

    def __init__(self) -> None:
        self.answers: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
        self.refuse = False
        self.items: dict[int, dict[str, Any]] = {}
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._state = "running"
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner._get(self)

            def do_POST(self) -> None:
                owner._post(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def put(self, number: int, kind: str, text: str = "", *, final: bool = True, **data: Any) -> None:
        """Add or change an item."""
        self.items[number] = {
            "id": number, "turn_id": 1, "key": str(number), "kind": kind, "position": number, "text": text,
            "data": data, "final": final, "recorded": final, "created_at": AT, "updated_at": AT,
        }  # fmt: skip
        self._happened("item", {"turn_id": 1, "item": self.items[number]})

    def ask(self, number: int, title: str, text: str, options: list[dict[str, str]] = OPTIONS, **more: Any) -> None:
        """Let Kiro ask for something."""
        asked = {"status": "pending", "title": title, "options": options, "answer": None, "reason": "", **more}
        self.put(number, "approval", text, final=False, **asked)

    def answered(self, number: int, option: str | None, reason: str = "", status: str = "answered") -> None:
        """Let what Kiro asked be over."""
        before = self.items[number]
        self.put(number, "approval", before["text"], **{
            **before["data"], "status": status, "answer": option, "reason": reason,
        })  # fmt: skip

    def end(self) -> None:
        """Complete the turn."""
        self._state = "completed"
        self._happened("turn", {"turn": self._turn()})

    @contextmanager
    def running(self) -> Iterator[AskingBridge]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _turn(self) -> dict[str, Any]:
        return {
            "id": 1, "session_id": "s", "message_id": 0, "prompt": "go", "state": self._state, "origin": "user",
            "accepted_at": AT, "changed_at": AT, "ended_at": None if self._state == "running" else AT,
        }  # fmt: skip

    def _happened(self, name: str, data: dict[str, Any]) -> None:
        with self._changed:
            self._events.append((name, data))
            self._changed.notify_all()

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        if path.endswith("/events"):
            self._stream(request)
        elif path.endswith("/items"):
            with self._changed:
                page = {"items": list(self.items.values()), "turns": [self._turn()], "last_seq": len(self._events)}
            self._reply(request, 200, {**page, "more": False})
        else:
            found = {"/status": {"status": "running"}, "/api/v1/sessions": {"sessions": [SESSION], "primary": "s"}}
            self._reply(request, 200, found.get(path, {"session": SESSION}))

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        if request.path == "/api/v1/sessions/s/messages":
            self._reply(request, 202, {"turn_id": 1})
            return
        assert request.path.startswith("/api/v1/sessions/s/approvals/"), request.path
        if self.refuse:
            problem = {
                "type": "urn:kiro-bridge:approval-over",
                "title": "Conflict",
                "detail": "It was answered already.",
            }
            self._reply(request, 409, problem)
            return
        self.answers.put((int(request.path.rpartition("/")[2]), body))
        self._reply(request, 200, {"answered": True})

    def _reply(self, request: BaseHTTPRequestHandler, status: int, found: object) -> None:
        data = json.dumps(found).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.end_headers()
        seq = int(request.headers["Last-Event-ID"])
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or len(self._events) > seq)  # noqa: B023
                news, closed = self._events[seq:], self._closed
            if closed:
                return
            for name, data in news:
                seq += 1
                frame = f"id: {seq}\nevent: {name}\ndata: {json.dumps({'seq': seq, 'session_id': 's', **data})}\n\n"
                try:
                    request.wfile.write(frame.encode())
                except OSError:
                    return
