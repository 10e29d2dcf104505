"""The JSON shapes of records and events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.core.items import Item
from bridge.core.records import (
    DeltaEvent,
    Event,
    ItemEvent,
    RemovedEvent,
    Session,
    SessionEvent,
    StoredItem,
    Turn,
    TurnEvent,
)
from bridge.errors import Problem
from bridge.web import wire
from bridge.web.schemas import SCHEMAS

from .schema_check import violations

AT = 1_800_000_000.25
ITEM = StoredItem(5, "s", 3, Item("k", "tool", 2, "out", {"name": "shell"}, True, True), AT, AT, 9)
TURN = Turn(3, "s", 4, "hi", "failed", AT, AT, AT, Problem("x", "It broke.", "Mend it."), {"pid": 1})
SESSION = Session("s", "/w", "", None, None, AT, AT)
EVENTS: dict[str, tuple[Event, str]] = {
    "item": (ItemEvent(9, ITEM), "ItemEvent"),
    "delta": (DeltaEvent(10, "s", 3, 5, 2, "more", AT), "DeltaEvent"),
    "removed": (RemovedEvent(11, "s", 3, 5), "RemovedEvent"),
    "turn": (TurnEvent(12, TURN), "TurnEvent"),
    "session": (SessionEvent(13, SESSION), "SessionEvent"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_events_are_as_documented(name: str) -> None:
    """Each event has its name, its sequence first, and exactly the documented fields."""
    event, schema = EVENTS[name]
    found, data = wire.event_json(event)
    assert (found, next(iter(data.items())), data["session_id"]) == (name, ("seq", event.seq), "s")
    assert violations(SCHEMAS[schema], json.loads(wire.dumps(data))) == []


def test_a_turn_keeps_its_mark_to_itself() -> None:
    """What the transport remembers is not shown; the problem is, where there is one."""
    shown = wire.turn_json(TURN)
    assert "mark" not in shown
    assert shown["problem"] == {"code": "x", "cause": "It broke.", "remedy": "Mend it."}
    assert "problem" not in wire.turn_json(Turn(3, "s", 4, "hi", "running", AT))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": "<&>é\u2028"}, '{"a":"<&>é\u2028"}'),
        ({"a": "x\ud800y"}, '{"a":"x?y"}'),
        ({"a": float("nan"), "b": [float("inf"), 1.5, (2,)]}, '{"a":null,"b":[null,1.5,[2]]}'),
    ],
)
def test_dumps(value: object, expected: str) -> None:
    """Always JSON, always UTF-8."""
    assert wire.dumps(value).decode() == expected


def test_dumps_absurd_nesting() -> None:
    """Nesting that Python's own encoder gives up on is cut."""
    value: Any = "core"
    for _ in range(100_000):
        value = [value]
    text = wire.dumps({"a": value}).decode()
    assert "…" in text
    assert json.loads(text)
    while isinstance(value, list):  # taken apart by hand: Python 3.10 cannot free it at once
        value = value.pop()


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server's zone is nine hours ahead."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_times() -> None:
    """/api/v1 is in UTC, AgentAPI's messages in the server's zone; both with microseconds."""
    assert wire.utc_time(AT) == "2027-01-15T08:00:00.250000Z"
    assert wire.utc_time(0) == "1970-01-01T00:00:00.000000Z"
    assert wire.local_time(AT) == "2027-01-15T17:00:00.250000+09:00"
