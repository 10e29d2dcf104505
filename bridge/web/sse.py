"""How a server-sent event is written, and how long it may be.

Invariant: an event is one line of JSON under `EVENT_LIMIT` bytes: the Go SDK that Coder uses gives up at 128 KiB
(facts/agentapi-contract.md 7.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.web.wire import dumps

EVENT_LIMIT = 120 * 1024

CUT_MARK = "\n\n[… cut here: the whole message is in GET /messages]"

HEARTBEAT = b": still here\n\n"

HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Pragma", "no-cache"),
    ("Expires", "0"),
    ("X-Accel-Buffering", "no"),
    ("X-Proxy-Buffering", "no"),
    ("Connection", "keep-alive"),
)
"""The headers of an event stream (facts/agentapi-contract.md 2.1)."""


def frame(name: str, data: Mapping[str, Any], event_id: int | None = None) -> bytes:
    """Return one event as bytes, with an `id:` line where one is given."""
    head = f"id: {event_id}\n" if event_id is not None else ""
    return b"%sevent: %s\ndata: %s\n\n" % (head.encode(), name.encode(), dumps(data))


def text_frame(name: str, data: Mapping[str, Any], field: str, event_id: int | None = None) -> bytes:
    """Return one event whose `field` is cut, with a mark, until the event is under the limit."""
    result = frame(name, data, event_id)
    text = str(data[field])
    while len(result) > EVENT_LIMIT:
        text = text[: int(len(text) * EVENT_LIMIT / len(result) * 0.98) - 1]
        result = frame(name, {**data, field: text + CUT_MARK}, event_id)
    return result
