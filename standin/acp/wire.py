"""JSON-RPC, one object per line: reading the client, writing frames, and requests to the client.

Invariant: ids of the two directions are kept apart; what has a `method` is a request or notification, anything else
an answer (facts/kiro-wire.md 9). Frames that are held back leave in one write.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from standin import console
from standin.model import Json

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL = -32603
#: Seconds between the pieces of a cut frame: long enough for a reader to see each of them alone.
PIECE_PAUSE = 0.002


class RpcError(Exception):
    """An error answer: code, message and, unless None, `data`."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def frame(self) -> Json:
        """The `error` object."""
        return {"code": self.code, "message": self.message, **({} if self.data is None else {"data": self.data})}


class Reply:
    """The client's answer to a request of ours, once it is there."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.result: Any = None
        self.error: Json | None = None


class Wire:
    """Both directions. `uuid_ids`: ids of our requests are uuids (v2) instead of whole numbers from 0 (v3)."""

    def __init__(self, uuid_ids: bool, result_first: bool) -> None:
        self._numbers = itertools.count()
        self._uuid_ids = uuid_ids
        self._result_first = result_first
        self._replies: dict[str, Reply] = {}
        self._held: list[bytes] | None = None
        self._lock = threading.RLock()
        self.piece = 0
        self.mute = False

    def read(self) -> Iterator[Json]:
        """Requests and notifications of the client until stdin ends; answers go to whom they belong. A line that is
        no JSON object is answered with a parse error [L]."""
        for line in sys.stdin.buffer:
            if not line.strip():
                continue
            try:
                frame = json.loads(line)
            except ValueError:
                self.send({"error": {"code": -32700, "message": "Parse error"}, "id": None})
                continue
            if isinstance(frame, dict) and "method" in frame:
                yield frame
            elif isinstance(frame, dict):
                self._answered(frame)

    def _answered(self, frame: Json) -> None:
        reply = self._replies.pop(json.dumps(frame.get("id")), None)
        if reply is not None:
            reply.result, reply.error = frame.get("result"), frame.get("error")
            reply.ready.set()

    def send(self, frame: Json) -> None:
        """Write one frame, or keep it for the burst that is being collected."""
        data = (console.dumps({"jsonrpc": "2.0", **frame}) + "\n").encode("utf-8", "surrogateescape")
        with self._lock:
            if self.mute:
                return
            if self._held is not None:
                self._held.append(data)
            else:
                self._write(data)

    def _write(self, data: bytes) -> None:
        """Write; a client that has gone is not written to any more."""
        size = self.piece or len(data)
        try:
            for start in range(0, len(data), size):
                console.raw(data[start : start + size])
                if self.piece:
                    time.sleep(PIECE_PAUSE)
        except BrokenPipeError:
            self.mute = True

    def hold(self) -> None:
        """Begin to collect frames for one write."""
        with self._lock:
            self._held = self._held if self._held is not None else []

    def flush(self) -> None:
        """Write what was collected."""
        with self._lock:
            held, self._held = self._held, None
            if held:
                self._write(b"".join(held))

    def notify(self, method: str, params: Json) -> None:
        """A notification."""
        self.send({"method": method, "params": params})

    def answer(self, request_id: Any, result: Any) -> None:
        """The result of the client's request; v2 puts it before the id (facts/kiro-wire.md 1)."""
        self.send({"result": result, "id": request_id} if self._result_first else {"id": request_id, "result": result})

    def refuse(self, request_id: Any, error: RpcError) -> None:
        """The error of the client's request; without an id it was a notification (facts/kiro-wire.md 6)."""
        head = {} if request_id is None else {"id": request_id}
        self.send({"error": error.frame(), **head})

    def request(self, method: str, params: Json) -> Reply:
        """Ask the client; the reply becomes ready when it answers, which may be never."""
        request_id: Any = str(uuid.uuid4()) if self._uuid_ids else next(self._numbers)
        reply = Reply()
        self._replies[json.dumps(request_id)] = reply
        body = {"method": method, "params": params}
        self.send({**body, "id": request_id} if self._uuid_ids else {"id": request_id, **body})
        self.flush_for_request()
        return reply

    def flush_for_request(self) -> None:
        """What was collected has to leave before the client can answer; collecting goes on."""
        with self._lock:
            if self._held is not None:
                self.flush()
                self.hold()
