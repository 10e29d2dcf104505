"""JSON-RPC as ACP puts it on pipes: one object per line (facts/kiro-cli.md 6.1).

Invariant: pure. A message with a `method` is the agent's own, with or without an id; one without is an answer to ours:
both sides count their ids from 0 or 1, so the same id is in use in both directions at once (facts/kiro-wire.md 9).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bridge.kiro import loose
from bridge.kiro.loose import JsonDict

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes; the same limit as for the other stream of Kiro's."""

METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603
RpcId = str | int | float | None


@dataclass(frozen=True)
class Request:
    """The agent asks and waits for an answer under `id`, whose type is its own."""

    id: RpcId
    method: str
    params: JsonDict = field(default_factory=dict)


@dataclass(frozen=True)
class Notification:
    """The agent tells."""

    method: str
    params: JsonDict = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """The agent answers what we asked under `id`; `error` is set when it refused."""

    id: RpcId
    result: Any = None
    error: JsonDict | None = None


Message = Request | Notification | Response


class Lines:
    """Cuts bytes into whole lines. `dropped` counts lines that were too long to keep."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self.dropped = 0
        self._longest = longest
        self._parts: list[bytes] = []
        self._size = 0
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that `data` ends, without their line breaks."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._keep(line)
            whole = b"".join(self._parts)
            wanted = not self._too_long
            self._parts, self._size, self._too_long = [], 0, False
            if wanted:
                yield whole
        self._keep(rest)

    def _keep(self, data: bytes) -> None:
        if self._too_long or not data:
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._longest:
            self._parts, self._too_long = [], True
            self.dropped += 1


def messages(line: bytes) -> list[Message] | None:
    """Return the messages of a line, None when it is not JSON-RPC at all; what is malformed in it is left out."""
    try:
        value = loose.parsed(line)
    except loose.NotJson:
        return None
    several = value if isinstance(value, list) else [value]
    found = [message for one in several if (message := _message(one)) is not None]
    return found if found or isinstance(value, list) else None


def _message(value: object) -> Message | None:
    data = loose.table(value)
    method, number = loose.name(data.get("method")), data.get("id")
    if isinstance(number, bool) or not (number is None or isinstance(number, (str, int, float))):
        return None
    if method is not None:
        params = loose.table(data.get("params"))
        return Request(number, method, params) if "id" in data else Notification(method, params)
    if "result" in data:
        return Response(number, data["result"])
    if "error" in data:
        return Response(number, error=loose.table(data["error"]) or {"message": loose.compact(data["error"])})
    return None


def request(number: int, method: str, params: JsonDict) -> bytes:
    """Return the line of a call."""
    return _line({"id": number, "method": method, "params": params})


def notification(method: str, params: JsonDict) -> bytes:
    """Return the line of something told."""
    return _line({"method": method, "params": params})


def answer(number: RpcId, result: JsonDict) -> bytes:
    """Return the line of an answer to the agent."""
    return _line({"id": number, "result": result})


def refusal(number: RpcId, code: int, message: str) -> bytes:
    """Return the line of a refusal to the agent."""
    return _line({"id": number, "error": {"code": code, "message": message}})


def _line(body: JsonDict) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **body}, separators=(",", ":")).encode() + b"\n"
