"""Writes stores the way Kiro does, from the facts; shares nothing with the readers."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
CWD = "/home/me/project"
START = 1_790_000_000.0
"""When the turn of a test begins: 2026-09-21T14:13:20Z."""

_SCHEMA = """
CREATE TABLE migrations (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, migration_time INTEGER NOT NULL);
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB);
CREATE TABLE conversations (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE conversations_v2 (key TEXT NOT NULL, conversation_id TEXT NOT NULL, value TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (key, conversation_id));
CREATE INDEX idx_conversations_v2_key_updated ON conversations_v2 (key, updated_at DESC);
CREATE INDEX idx_conversations_v2_updated_at ON conversations_v2 (updated_at);
"""


class KiroDatabase:
    """Kiro's database (facts/kiro-cli.md 2), held open by a writer."""

    def __init__(self, path: Path, journal: str = "delete", schema: str = _SCHEMA) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self.connection.execute(f"PRAGMA journal_mode = {journal}")
        self.connection.execute("PRAGMA synchronous = off")
        if schema and not self.connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            self.connection.executescript(schema)

    def put(self, value: Any, at: float = START, *, key: str = CWD, cid: str | None = None) -> None:
        """Write a row of `conversations_v2`; `at` in seconds."""
        text = value if isinstance(value, (str, bytes)) else json.dumps(value, ensure_ascii=False)
        cid = cid or value["conversation_id"]
        millis = int(at * 1000)
        self.connection.execute(
            "INSERT INTO conversations_v2 VALUES (?, ?, ?, ?, ?) ON CONFLICT (key, conversation_id) "
            "DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            (key, cid, text, millis, millis),
        )

    def put_legacy(self, value: Any, *, key: str = CWD) -> None:
        """Write the row of the older table."""
        text = value if isinstance(value, str) else json.dumps(value)
        self.connection.execute("INSERT OR REPLACE INTO conversations VALUES (?, ?)", (key, text))

    def touch(self) -> None:
        """Commit something that is no conversation."""
        self.connection.execute("INSERT OR REPLACE INTO state VALUES ('x', randomblob(8))")

    def close(self) -> None:
        """Close the writer's connection."""
        self.connection.close()


def fixture(name: str) -> Any:
    """Return a JSON file of tests/fixtures."""
    return json.loads((FIXTURES / name).read_text("utf-8"))


def v1_value(*entries: Any, cid: str = "c1", **more: Any) -> dict[str, Any]:
    """Return a conversation state (facts/kiro-cli.md 3.1)."""
    return {"conversation_id": cid, "next_message": None, "history": list(entries), "latest_summary": None, **more}


def stamp(seconds: float) -> str:
    """Return START plus `seconds` as Kiro writes it in v1: nanoseconds and an offset (facts/kiro-stores.md C)."""
    total = 14 * 3600 + 13 * 60 + 20 + seconds
    hours, rest = divmod(total, 3600)
    return f"2026-09-21T{int(hours):02}:{int(rest // 60):02}:{rest % 60:012.9f}+00:00"


def v1_entry(
    mid: str | None,
    answer: str = "",
    *,
    prompt: str | None = None,
    results: list[Any] | None = None,
    cancelled: bool = False,
    tools: list[tuple[str, str, dict[str, Any]]] | None = None,
    at: float = 0.0,
    percent: float | None = None,
) -> dict[str, Any]:
    """Return one history entry (facts/kiro-cli.md 3.2); `at` in seconds after START."""
    if cancelled:
        content: dict[str, Any] = {"CancelledToolUses": {"prompt": prompt, "tool_use_results": results or []}}
    elif prompt is not None:
        content = {"Prompt": {"prompt": prompt}}
    else:
        content = {"ToolUseResults": {"tool_use_results": results or []}}
    assistant: dict[str, Any] = {"Response": {"message_id": mid, "content": answer}}
    if tools:
        uses = [{"id": i, "name": n, "orig_name": n, "args": a, "orig_args": a} for i, n, a in tools]
        assistant = {"ToolUse": {"message_id": mid, "content": answer, "tool_uses": uses}}
    metadata = {
        "request_id": "r",
        "message_id": mid,
        "request_start_timestamp_ms": int((START + at) * 1000),
        "stream_end_timestamp_ms": int((START + at) * 1000) + 5,
        "context_usage_percentage": percent,
    }
    return {
        "user": {"additional_context": "", "content": content, "timestamp": stamp(at) if prompt else None},
        "assistant": assistant,
        "request_metadata": metadata if mid else None,
    }


def shell_result(tool: str, stdout: str, code: int = 0, stderr: str = "") -> dict[str, Any]:
    """Return a v1 shell result."""
    output = {"exit_status": str(code), "stdout": stdout, "stderr": stderr}
    return {"tool_use_id": tool, "content": [{"Json": output}], "status": "Success"}


def v2_line(kind: str, mid: str | None, *blocks: Any, **more: Any) -> bytes:
    """Return a line of a v2 log (facts/kiro-cli.md 4.1)."""
    content = [{"kind": "text", "data": one} if isinstance(one, str) else one for one in blocks]
    data = {"message_id": mid, "content": content, **more} if mid is not None else {"content": content, **more}
    return json.dumps({"version": "v1", "kind": kind, "data": data}).encode() + b"\n"


def v2_prompt(mid: str, text: str, at: float = 0.0) -> bytes:
    """Return a prompt's line; `at` in seconds after START, written as whole seconds."""
    return v2_line("Prompt", mid, text, meta={"timestamp": int(START + at)})


def v2_call(tool: str, name: str = "shell", **arguments: Any) -> dict[str, Any]:
    """Return a toolUse block."""
    return {"kind": "toolUse", "data": {"toolUseId": tool, "name": name, "input": arguments}}


def v2_result(tool: str, data: Any, status: str = "success") -> dict[str, Any]:
    """Return a toolResult block."""
    kind = "text" if isinstance(data, str) else "json"
    content = [{"kind": kind, "data": data}]
    return {"kind": "toolResult", "data": {"toolUseId": tool, "content": content, "status": status}}


def v2_side(sid: str, *turns: dict[str, Any], cwd: str = CWD, title: str = "t", **more: Any) -> dict[str, Any]:
    """Return a side file (facts/kiro-wire.md 18)."""
    return {
        "session_id": sid,
        "cwd": cwd,
        "created_at": "2026-09-21T14:13:20.5Z",
        "title": title,
        "session_created_reason": "subagent",
        "session_state": {"version": "v1", "conversation_metadata": {"user_turn_metadatas": list(turns)}},
        **more,
    }


def replace_json(path: Path, value: Any) -> None:
    """Write a document as Kiro does: a temporary file, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(value), "utf-8")
    scratch.replace(path)


def append(path: Path, *pieces: bytes) -> None:
    """Append to a log as Kiro does: opened and closed each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        for piece in pieces:
            log.write(piece)


def v3_stamp(seconds: float) -> str:
    """Return START plus `seconds` as v3 writes it."""
    return stamp(seconds)[:23] + "Z"


def v3_row(rid: str, kind: str, at: float = 1.0, /, **payload: Any) -> bytes:
    """Return a row of a v3 log (facts/kiro-stores.md B.4); `at` in seconds after START."""
    row = {"id": rid, "timestamp": v3_stamp(at), "payload": {"type": kind, **payload}}
    return json.dumps(row).encode() + b"\n"


def v3_session(sid: str, *, cwd: str = CWD, at: float = 0.5, title: str = "New Session", **more: Any) -> dict[str, Any]:
    """Return a session.json (facts/kiro-stores.md B.3)."""
    document = {"schemaVersion": "1.0.0", "id": sid, "title": title, "workspacePaths": [cwd], "createdAt": v3_stamp(at)}
    return {**document, **more}
