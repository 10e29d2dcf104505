"""The bridge's `/api/v1`, as the terminal asks it.

Invariant: every failure is an `Unreachable`, `Refused` or `NotABridge` that says which address was asked.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from bridge.errors import BridgeError, UsageError
from bridge.terminal.clean import clean_line
from bridge.terminal.frames import Frame, Frames

JsonObject = dict[str, Any]

REQUEST_SECONDS = 30.0
SILENCE_SECONDS = 45.0
"""A stream that is silent for longer is opened again; the bridge's heartbeat is 15 seconds unless set otherwise."""

_CAUSE_LENGTH = 500


class Unreachable(BridgeError):
    """Nothing answers there, or the connection was cut. `sent` tells that the request may have arrived."""

    code = "bridge_unreachable"

    def __init__(self, url: str, reason: str, *, sent: bool = False) -> None:
        super().__init__(
            f"No bridge answers at {url} ({reason}).",
            "Start it with `kiro-bridge serve`, or name its address with --url. In a Coder workspace the start script"
            " starts it, and its log says what is wrong.",
        )
        self.reason = reason
        self.sent = sent


class Refused(BridgeError):
    """The bridge understood and said no; `status` is the HTTP status, `kind` its machine-readable name or empty."""

    code = "refused"

    def __init__(self, status: int, kind: str, cause: str, remedy: str) -> None:
        super().__init__(cause, remedy)
        self.status = status
        self.kind = kind

    @property
    def passes(self) -> bool:
        """Return whether asking again later may do: the bridge is starting or stopping, or is full."""
        return self.status >= 500 or self.kind == "not-running"


class NotABridge(BridgeError):
    """Something answers there that is not this bridge."""

    code = "not_a_bridge"

    def __init__(self, url: str, found: str) -> None:
        super().__init__(f"What answers at {url} is not the bridge ({found}).", "Name the bridge's address with --url.")


class Client:
    """Asks the bridge at `url`, which may have a path in front. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.query or parts.fragment:
            raise UsageError(f"--url cannot be {url!r}.", "Give an address such as http://127.0.0.1:3284.")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self._host, self._port, self._path = parts.hostname, port, parts.path.rstrip("/")
        self._secure = parts.scheme == "https"

    def sessions(self) -> JsonObject:
        """Return all sessions under `sessions`, and the id of the primary one, or None, under `primary`."""
        found = self._ask("GET", "/api/v1/sessions")
        if not isinstance(found.get("sessions"), list):
            raise NotABridge(self.url, "it has no list of sessions")
        return found

    def session(self, session: str) -> JsonObject:
        """Return one session."""
        found: JsonObject = self._ask("GET", _of(session))["session"]
        return found

    def page(self, session: str, limit: int) -> JsonObject:
        """Return the last `limit` items of a session with their turns, and the `last_seq` that events follow."""
        return self._ask("GET", f"{_of(session)}/items?limit={limit}")

    def status(self) -> JsonObject:
        """Return how the bridge is; `problem` says why a prompt would fail now."""
        return self._ask("GET", "/status")

    def send(self, session: str, text: str) -> int:
        """Send a prompt and return the id of its turn once it is safe."""
        return int(self._ask("POST", f"{_of(session)}/messages", {"content": text})["turn_id"])

    def cancel(self, session: str) -> bool:
        """Ask the running turn to stop; False when none runs."""
        return bool(self._ask("POST", f"{_of(session)}/cancel", {})["cancelled"])

    def answer(self, session: str, item_id: int, option: str, reason: str = "") -> None:
        """Answer what Kiro asks with one of its options. Raises `Refused` with status 409 when that is over."""
        self._ask("POST", f"{_of(session)}/approvals/{item_id}", {"option": option, "reason": reason})

    def stream(self, session: str, after: int) -> Stream:
        """Return the events of a session that follow the sequence `after`, without end."""
        connection = self._connected(SILENCE_SECONDS)
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        try:
            held = connection.sock
            reply = self._send(connection, "GET", f"{_of(session)}/events", None, headers)
            if reply.status != 200:
                raise self._refusal(reply, self._body(reply))
            return Stream(self.url, connection, held, reply)
        except BaseException:
            connection.close()
            raise

    def _ask(self, method: str, path: str, fields: JsonObject | None = None) -> JsonObject:
        body = None if fields is None else json.dumps(fields).encode()
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        with contextlib.closing(self._connected(REQUEST_SECONDS)) as connection:
            reply = self._send(connection, method, path, body, headers)
            data = self._body(reply)
        if not 200 <= reply.status < 300:
            raise self._refusal(reply, data)
        found = _json(data)
        if not isinstance(found, dict):
            raise NotABridge(self.url, f"{method} {path} gave no JSON object")
        return found

    def _connected(self, timeout: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=timeout)
        try:
            connection.connect()
        except OSError as error:
            raise Unreachable(self.url, _reason(error)) from error
        return connection

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        try:
            connection.request(method, self._path + path, body, headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self.url, _reason(error), sent=True) from error

    def _body(self, reply: http.client.HTTPResponse) -> bytes:
        try:
            return reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self.url, _reason(error), sent=True) from error

    def _refusal(self, reply: http.client.HTTPResponse, data: bytes) -> BridgeError:
        found = _json(data)
        if not isinstance(found, dict) or "title" not in found:
            if reply.status >= 500:
                return Refused(reply.status, "", f"{self.url} answers with the error {reply.status}.", "Try again.")
            return NotABridge(self.url, f"it answers {reply.status} {clean_line(reply.reason, 60)}")
        kind = str(found.get("type") or "").rpartition(":")[2]
        cause = clean_line(str(found.get("detail") or found["title"]), _CAUSE_LENGTH)
        return Refused(reply.status, kind, cause, clean_line(str(found.get("remedy") or ""), _CAUSE_LENGTH))


class Stream:
    """An open event stream. `close` may be called from another thread and ends a wait for events."""

    def __init__(
        self, url: str, connection: http.client.HTTPConnection, held: socket.socket, reply: http.client.HTTPResponse
    ) -> None:
        self._url = url
        self._connection = connection
        self._socket = held
        self._reply = reply

    def __iter__(self) -> Iterator[Frame]:
        """Yield events as they come, until the stream ends. Raises `Unreachable` when it is cut."""
        frames = Frames()
        while True:
            try:
                data = self._reply.read1(65536)
            except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
                raise Unreachable(self._url, _reason(error)) from error
            if not data:
                return
            yield from frames.feed(data)

    def wake(self) -> None:
        """End a wait for events in another thread, which then sees the end of the stream."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Release the connection."""
        self._reply.close()
        self._connection.close()


def _of(session: str) -> str:
    return f"/api/v1/sessions/{quote(session, safe='')}"


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _reason(error: Exception) -> str:
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(words).rstrip(".").lower()
