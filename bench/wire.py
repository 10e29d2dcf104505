"""HTTP and event streams on plain sockets, so that the client's own cost is small and the same for all servers."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

WAIT = 120.0
"""Seconds after which something that should happen counts as a hang."""


class Link:
    """One kept-alive connection to a server."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=WAIT)
        self._connection.connect()

    def get(self, path: str) -> tuple[float, bytes]:
        """Return (seconds, body) of a GET; raises RuntimeError unless it is a 200."""
        return self._timed("GET", path, None, {})

    def post(self, path: str, body: Mapping[str, Any]) -> float:
        """Return the seconds of a POST; raises RuntimeError unless it is a 200."""
        return self._timed("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})[0]

    def _timed(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[float, bytes]:
        began = time.monotonic()
        self._connection.request(method, path, body, headers)
        reply = self._connection.getresponse()
        data = reply.read()
        took = time.monotonic() - began
        if reply.status != 200:
            raise RuntimeError(f"{method} {path} answered {reply.status}: {data[:400]!r}")
        return took, data

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Stream:
    """An open event stream, read as raw bytes."""

    def __init__(self, url: str, path: str, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self.sock = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=WAIT)
        lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", "Accept: text/event-stream"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode())
        self._seen = b""

    def wait(self, marker: bytes) -> float:
        """Return when (monotonic) the bytes came that hold the next `marker`; what stood before it is forgotten."""
        while (place := self._seen.find(marker)) < 0:
            data = self.sock.recv(1 << 20)
            if not data:
                raise RuntimeError(f"the event stream ended before {marker!r}: {self._seen[-400:]!r}")
            self._seen = self._seen[-len(marker) :] + data
        self._seen = self._seen[place + len(marker) :]
        return time.monotonic()

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()
