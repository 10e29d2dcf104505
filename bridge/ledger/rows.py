"""Rows of the ledger as records, and values as columns.

Invariant: the only place that knows how text, JSON and paths stand in the file. SQLite's text is UTF-8, which
has no lone surrogates: `clean` puts U+FFFD for each of them, one for one, so that offsets stay true. NUL is
kept. A directory's name is kept as its bytes, because it must lead to the directory again.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bridge.core.items import Item
from bridge.core.records import QueuedPrompt, Session, SessionOptions, StoredItem, Turn
from bridge.errors import Problem

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return `text` as it can be stored: each lone surrogate becomes U+FFFD."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def clean_or_none(text: str | None) -> str | None:
    """Return `clean(text)`, or None for None."""
    return None if text is None else clean(text)


def to_json(value: Mapping[str, Any]) -> str:
    """Return a JSON-ready mapping as text to store. Raises `TypeError` for what JSON cannot hold."""
    return clean(json.dumps(dict(value), ensure_ascii=False, separators=(",", ":")))


def stored_form(item: Item) -> tuple[Item, str]:
    """Return the item as it will be read back, sharing nothing with `item`, and its data as JSON text."""
    data = to_json(item.data)
    return replace(item, key=clean(item.key), text=clean(item.text), data=json.loads(data)), data


def to_path(cwd: str) -> bytes:
    """Return the column value of a directory's name."""
    return os.fsencode(cwd)


def session_of(row: sqlite3.Row) -> Session:
    """Return the session of a row that `reading.SESSION` selected."""
    return Session(
        id=row["id"],
        cwd=os.fsdecode(row["cwd"]),
        title=row["title"],
        engine=row["engine"],
        kiro_id=row["kiro_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        pinned=bool(row["pinned"]),
        archived=bool(row["archived"]),
        origin=row["origin"],
        options=options_of(row["options"]),
        last_line=row["last_line"],
        queued=row["queued"],
        deleted=bool(row["deleted"]),
    )


def to_options(options: SessionOptions) -> str:
    """Return the column value of a session's wishes: what differs from the settings."""
    return to_json({name: value for name, value in vars(options).items() if value})


def options_of(text: str) -> SessionOptions:
    """Return the wishes that `to_options` made a text of."""
    if text == "{}":
        return SessionOptions()
    fields = json.loads(text)
    return SessionOptions(**{**fields, "trust_tools": tuple(fields.get("trust_tools", ()))})


def queued_of(row: sqlite3.Row) -> QueuedPrompt:
    """Return the prompt of a row that `queue.LISTED` selected."""
    return QueuedPrompt(row["id"], row["session_id"], row["text"], row["created_at"])


def turn_of(row: sqlite3.Row) -> Turn:
    """Return the turn of a row that `reading.TURN` selected."""
    return Turn(
        id=row["id"],
        session_id=row["session_id"],
        message_id=row["message_id"],
        prompt=row["prompt"],
        state=row["state"],
        accepted_at=row["accepted_at"],
        ended_at=row["ended_at"],
        changed_at=row["changed_at"],
        problem=Problem(**json.loads(row["problem"])) if row["problem"] else None,
        mark=json.loads(row["mark"]) if row["mark"] else {},
        origin=row["origin"],
        sent=row["sent"] or "",
    )


def item_of(row: sqlite3.Row, appended: str) -> StoredItem:
    """Return the item of a row that `reading.ITEM` selected; `appended` is the text in its chunks."""
    item = Item(
        key=row["key"],
        kind=row["kind"],
        position=row["position"],
        text=row["text"] + appended,
        data=json.loads(row["data"]) if row["data"] != "{}" else {},
        final=bool(row["final"]),
        recorded=bool(row["recorded"]),
    )
    return StoredItem(
        id=row["id"],
        session_id=row["session_id"],
        turn_id=row["turn_id"],
        item=item,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        seq=row["seq"],
    )
