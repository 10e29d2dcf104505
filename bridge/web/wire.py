"""The JSON shapes of messages, sessions, turns, items and events, for replies and for event streams.

Invariant: whatever the records hold, `dumps` yields valid JSON in valid UTF-8: what the agent wrote may hold lone
surrogates, infinities or absurd nesting.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from bridge.core.agentapi import Message
from bridge.core.records import DeltaEvent, Event, ItemEvent, RemovedEvent, Session, StoredItem, Turn, TurnEvent
from bridge.engine import SessionFacts
from bridge.web.service import ItemPage

JsonObject = dict[str, Any]
Facts = Callable[[Session], SessionFacts]
EventJson = Callable[[Event], tuple[str, JsonObject]]

_MAX_DEPTH = 100
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def utc_time(at: float) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC with microseconds: `2026-11-20T05:49:18.530552Z`."""
    return _rfc3339(datetime.fromtimestamp(at, timezone.utc))


def local_time(at: float) -> str:
    """Return seconds since the epoch as RFC 3339 in the server's own zone, as AgentAPI does (contract 3.1)."""
    return _rfc3339(datetime.fromtimestamp(at, timezone.utc).astimezone())


def _rfc3339(moment: datetime) -> str:
    text = moment.isoformat(timespec="microseconds")
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def dumps(value: object) -> bytes:
    """Return `value` as compact JSON on one line."""
    try:
        text = _encode(value)
    except (ValueError, RecursionError):
        text = _encode(_tamed(value, _MAX_DEPTH))
    return text.encode("utf-8", "replace")


def _tamed(value: object, depth: int) -> object:
    """Return `value` with infinities as null and what is nested too deep as a mark."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (dict, list, tuple)) and not depth:
        return "…"
    if isinstance(value, dict):
        return {str(key): _tamed(entry, depth - 1) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tamed(entry, depth - 1) for entry in value]
    return value


def message_json(message: Message) -> JsonObject:
    """Return a message as `GET /messages` lists it (contract 1.4)."""
    return {"id": message.id, "content": message.text, "role": message.role, "time": local_time(message.at)}


def message_update_json(message: Message) -> JsonObject:
    """Return a message as `message_update` events carry it (contract 2.2)."""
    return {"id": message.id, "role": message.role, "message": message.text, "time": local_time(message.at)}


def plain_facts(session: Session) -> SessionFacts:
    """Return what is true of a session where nothing runs and nothing is set."""
    wishes = session.options
    return SessionFacts("ready", None, wishes if wishes.trust else replace(wishes, trust="ask"))


def record_json(session: Session) -> JsonObject:
    """Return what the ledger holds of a session, for exports and as a part of what /api/v1 shows."""
    return {
        "id": session.id,
        "title": session.title,
        "cwd": session.cwd,
        "engine": session.engine,
        "kiro_id": session.kiro_id,
        "created_at": utc_time(session.created_at),
        "updated_at": utc_time(session.updated_at),
    }


def session_json(session: Session, facts: SessionFacts) -> JsonObject:
    """Return a session as /api/v1 shows it."""
    wishes = facts.wishes
    return {
        **record_json(session),
        "pinned": session.pinned,
        "archived": session.archived,
        "origin": session.origin,
        "model": wishes.model,
        "agent": wishes.agent,
        "effort": wishes.effort,
        "trust": wishes.trust,
        "trust_tools": list(wishes.trust_tools),
        "phase": facts.phase,
        "last_line": session.last_line,
        "queued": session.queued,
        "transport": facts.transport,
        "deleted": session.deleted,
    }


def turn_json(turn: Turn) -> JsonObject:
    """Return a turn as /api/v1 shows it; `Turn.mark` is the transport's own business and stays inside."""
    found: JsonObject = {
        "id": turn.id,
        "session_id": turn.session_id,
        "message_id": turn.message_id,
        "prompt": turn.prompt,
        "state": turn.state,
        "origin": turn.origin,
        "accepted_at": utc_time(turn.accepted_at),
        "changed_at": utc_time(turn.changed_at),
        "ended_at": None if turn.ended_at is None else utc_time(turn.ended_at),
    }
    return {**found, "problem": turn.problem.as_dict()} if turn.problem else found


def item_json(stored: StoredItem) -> JsonObject:
    """Return an item as /api/v1 shows it."""
    item = stored.item
    return {
        "id": stored.id,
        "turn_id": stored.turn_id,
        "key": item.key,
        "kind": item.kind,
        "position": item.position,
        "text": item.text,
        "data": item.data,
        "final": item.final,
        "recorded": item.recorded,
        "created_at": utc_time(stored.created_at),
        "updated_at": utc_time(stored.updated_at),
    }


def page_json(page: ItemPage) -> JsonObject:
    """Return a page of history as /api/v1 shows it."""
    return {
        "items": [item_json(item) for item in page.items],
        "turns": [turn_json(turn) for turn in page.turns],
        "last_seq": page.last_seq,
        "more": page.more,
    }


def event_json(event: Event, facts: Facts = plain_facts) -> tuple[str, JsonObject]:
    """Return the SSE event name and data of a ledger event: item, delta, removed, turn or session."""
    head: JsonObject = {"seq": event.seq, "session_id": event.session_id}
    if isinstance(event, ItemEvent):
        return "item", {**head, "turn_id": event.item.turn_id, "item": item_json(event.item)}
    if isinstance(event, DeltaEvent):
        place = {"turn_id": event.turn_id, "item_id": event.item_id, "offset": event.offset}
        return "delta", {**head, **place, "text": event.text, "at": utc_time(event.at)}
    if isinstance(event, RemovedEvent):
        return "removed", {**head, "turn_id": event.turn_id, "item_id": event.item_id}
    if isinstance(event, TurnEvent):
        return "turn", {**head, "turn": turn_json(event.turn)}
    return "session", {**head, "session": session_json(event.session, facts(event.session))}
