"""The v1 store: one row per conversation in `conversations_v2`.

Invariant: the row is written when a model message is finished and at no other time, so tool results reach it one
message late (facts/kiro-cli.md 3.4, 14 no. 2). KIRO_STANDIN_LEGACY_TABLE=1 writes the older `conversations` table,
where a new conversation replaces the folder's row (14 no. 11).
"""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from typing import Any

from standin import database, places
from standin.console import dumps
from standin.model import Call, Json, Outcome, Said, Store, TurnInfo, new_id, now_ms
from standin.personality import Personality
from standin.tool_shapes import CANCELLED, NAMES, arguments, v1_content

INTERRUPTED = "Tool uses were interrupted, waiting for the next user prompt"
INTERRUPT_PROMPT = "The user interrupted the tool execution."
TIMED_OUT = "Response timed out - message took too long to generate"
TRY_AGAIN = "You took too long to respond - try to split up the work into smaller steps."
_TOKENS = (
    "total_tokens",
    "uncached_input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
)


def _timestamp() -> str:
    """Now with nanoseconds and the local offset, `Z` for none (facts/kiro-stores.md C, recordings of 14)."""
    nanos = time.time_ns()
    local = datetime.fromtimestamp(nanos // 10**9).astimezone()
    offset = local.strftime("%z")
    zone = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:]}"
    return local.strftime("%Y-%m-%dT%H:%M:%S.") + f"{nanos % 10**9:09d}{zone}"


def _results(pairs: list[tuple[Call, Outcome]], trim: bool) -> list[Json]:
    """`tool_use_results`; the ancestor cut the last newline of outputs, Kiro keeps it (facts/kiro-stores.md E, 14 no.
    4)."""
    results = []
    for call, outcome in pairs:
        if trim and outcome.status == "ok":
            outcome = Outcome(
                "ok", outcome.text, outcome.stdout.rstrip("\n"), outcome.stderr.rstrip("\n"), outcome.exit_code
            )
        content, status = v1_content(call, outcome)
        results.append({"tool_use_id": call.id, "content": content, "status": status})
    return results


def _turn_metadata() -> Json:
    return {"continuation_id": new_id(), "requests": [], "usage_info": []}


def _cancelled(uses: list[Json]) -> list[Json]:
    return [{"tool_use_id": use["id"], "content": [{"Text": CANCELLED}], "status": "Error"} for use in uses]


class V1Store(Store):
    """One conversation of the folder `cwd`: a new one, or `value` as it was found."""

    def __init__(self, personality: Personality, cwd: str, model: str, value: Json | None = None) -> None:
        self.personality = personality
        self.cwd = cwd
        self.model = model
        self.value = value if value is not None else self._empty(model)
        self.session_id = str(self.value["conversation_id"])
        self.history: list[Json] = self.value["history"]
        self.turns_before = sum(1 for entry in self.history if "Response" in entry["assistant"])
        self.user: Json = {}
        self.prompt_length = 0
        self.results: list[tuple[Call, Outcome]] = []

    @staticmethod
    def _empty(model: str) -> Json:
        """A new conversation (facts/kiro-stores.md C)."""
        return {
            "conversation_id": new_id(),
            "next_message": None,
            "history": [],
            "valid_history_range": [0, 0],
            "transcript": [],
            "tools": {},
            "context_manager": None,
            "context_message_length": None,
            "latest_summary": None,
            "model_info": {"model_name": model, "model_id": model, "context_window_tokens": 200000},
            "file_line_tracker": {},
            "checkpoint_manager": None,
            "mcp_enabled": True,
            "user_turn_metadata": _turn_metadata(),
        }

    def begin(self, info: TurnInfo) -> None:
        """Keep the prompt; with tools still pending it becomes part of their cancellation (facts/kiro-cli.md 14 no.
        9). The metadata are taken to be of one user turn, by their name (facts/kiro-stores.md C) [L]."""
        self.value["user_turn_metadata"] = _turn_metadata()
        self.prompt_length = len(info.prompt)
        last = self.history[-1]["assistant"] if self.history else {}
        if "ToolUse" in last:
            results = _cancelled(last["ToolUse"]["tool_uses"])
            self.user = self._user({"CancelledToolUses": {"prompt": info.prompt, "tool_use_results": results}}, None)
        else:
            self.user = self._user({"Prompt": {"prompt": info.prompt}}, _timestamp())

    def _user(self, content: Json, timestamp: str | None) -> Json:
        state = {"operating_system": "linux", "current_working_directory": self.cwd, "environment_variables": []}
        env = {"env_state": state}
        return {
            "additional_context": "",
            "env_context": env,
            "content": content,
            "timestamp": timestamp,
            "images": None,
        }

    def message_ends(self, info: TurnInfo, said: Said) -> None:
        """Write the new entry."""
        if self.results:
            results = _results(self.results, self.personality.ancestor_rows)
            self.user, self.results = self._user({"ToolUseResults": {"tool_use_results": results}}, None), []
            self.prompt_length = 0
        if said.calls:
            uses = [self._use(call) for call in said.calls]
            assistant: Json = {"ToolUse": {"message_id": said.id, "content": said.text, "tool_uses": uses}}
        else:
            assistant = {"Response": {"message_id": said.id, "content": said.text}}
        usage = self.value["user_turn_metadata"]
        usage["requests"].append({"request_id": said.request_id, "model_id": info.model})
        usage["usage_info"].append({"value": said.credits, "unit": "credit", "unit_plural": "credits"})
        self._push(assistant, self._metadata(info, said))

    def _use(self, call: Call) -> Json:
        name, args = NAMES["v1"][call.tool], arguments("v1", call)
        use = {"id": call.id, "name": name, "orig_name": name, "args": args}
        return {**use, "orig_args": args} if self.personality.ancestor_rows else use

    def _metadata(self, info: TurnInfo, said: Said) -> Json:
        """`request_metadata`: Kiro's fields (facts/kiro-stores.md C) or the ancestor's (facts/kiro-cli.md 3.2)."""
        names = [[call.id, NAMES["v1"][call.tool]] for call in said.calls]
        common: Json = {
            "request_id": said.request_id,
            "message_id": said.id,
            "request_start_timestamp_ms": said.started_ms,
            "stream_end_timestamp_ms": said.ended_ms,
            "user_prompt_length": self.prompt_length,
            "response_size": len(said.text.encode("utf-8", "replace")),
            "chat_conversation_type": "ToolUse" if names else "NotToolUse",
            "tool_use_ids_and_names": names,
            "model_id": info.model,
            "message_meta_tags": [],
        }
        if self.personality.ancestor_rows:
            times = [{"secs": 0, "nanos": 1454}] * min(said.chunks, 20)
            return {**common, "time_to_first_chunk": {"secs": 0, "nanos": 275023}, "time_between_chunks": times}
        return {**common, "context_usage_percentage": round(info.context_percent, 4), **dict.fromkeys(_TOKENS)}

    def tool_ends(self, info: TurnInfo, call: Call, outcome: Outcome) -> None:
        """Keep the result for the next entry; nothing is written."""
        self.results.append((call, outcome))

    def interrupted(self, calls: list[Call]) -> None:
        """SIGINT during a tool: one more entry (facts/kiro-cli.md 14 no. 7)."""
        results = _cancelled([{"id": call.id} for call in calls])
        content = {"CancelledToolUses": {"prompt": INTERRUPT_PROMPT, "tool_use_results": results}}
        self.user = self._user(content, _timestamp())
        self._push({"Response": {"message_id": None, "content": INTERRUPTED}}, None)

    def _push(self, assistant: Json, metadata: Json | None) -> None:
        """Add the entry and write the row; the range stays one behind (facts/kiro-cli.md 14 no. 15)."""
        self.history.append({"user": self.user, "assistant": assistant, "request_metadata": metadata})
        said = next(iter(assistant.values()))
        tools = ", ".join(use["name"] for use in said.get("tool_uses", [])) or "none"
        self.value["transcript"].append(f"{said['content']}\n[Tool uses: {tools}]")
        self.value["valid_history_range"] = [0, len(self.history) - 1]
        self.write()

    def write(self) -> None:
        """Insert or replace the row."""
        if self.muted:
            return
        now = now_ms()
        connection = database.connect()
        try:
            if os.environ.get("KIRO_STANDIN_LEGACY_TABLE") == "1":
                connection.execute("INSERT OR REPLACE INTO conversations VALUES (?, ?)", (self.cwd, dumps(self.value)))
            else:
                connection.execute(
                    "INSERT INTO conversations_v2 VALUES (?, ?, ?, ?, ?) ON CONFLICT (key, conversation_id) "
                    "DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                    (self.cwd, self.session_id, dumps(self.value), now, now),
                )
        finally:
            connection.close()

    def damage(self, name: str, argument: str) -> bool:
        """Shrinking and vanishing histories (facts/kiro-cli.md 3.4, 14 no. 17; Kiro#10697 in section 2 there)."""
        if name in ("shrink-history", "clear", "rewind"):
            keep = {"shrink-history": self.history[-1:], "clear": [], "rewind": self.history[:-1]}[name]
            self.history[:] = keep
        elif name == "compact":
            summary = f"Summary of {len(self.history)} entries."
            self.value["latest_summary"] = [summary, self.history[-1]["request_metadata"] if self.history else None]
            self.history[:] = []
        elif name == "model-timeout":
            self._push({"Response": {"message_id": None, "content": TIMED_OUT}}, None)
            self.user, self.results = self._user({"Prompt": {"prompt": TRY_AGAIN}}, _timestamp()), []
        elif name == "remove-conversation":
            delete(self.session_id)
            self.muted = True
        else:
            return False
        return True


def _rows(where: str = "", values: tuple[Any, ...] = ()) -> list[tuple[str, str, int]]:
    """Key, value and time of rows, newest first; the legacy table's rows have no time."""
    connection = database.connect()
    try:
        if os.environ.get("KIRO_STANDIN_LEGACY_TABLE") == "1":
            where = where.replace("conversation_id", "json_extract(value, '$.conversation_id')")
            return list(connection.execute(f"SELECT key, value, 0 FROM conversations {where}", values))
        return list(
            connection.execute(
                f"SELECT key, value, updated_at FROM conversations_v2 {where} ORDER BY updated_at DESC", values
            )
        )
    finally:
        connection.close()


def latest(cwd: str) -> Json | None:
    """The newest conversation of the folder (facts/kiro-cli.md 2)."""
    rows = _rows("WHERE key = ?", (cwd,))
    return dict(json.loads(rows[0][1])) if rows else None


def find(session_id: str) -> Json | None:
    """The conversation of that id, whatever its folder (facts/kiro-cli.md 5.1)."""
    rows = _rows("WHERE conversation_id = ?", (session_id,))
    return dict(json.loads(rows[0][1])) if rows else None


def delete(session_id: str) -> bool:
    """Remove the conversation; whether there was one."""
    if not places.database().exists():
        return False
    connection = database.connect()
    try:
        found = connection.execute("DELETE FROM conversations_v2 WHERE conversation_id = ?", (session_id,)).rowcount
        found += connection.execute(
            "DELETE FROM conversations WHERE json_extract(value, '$.conversation_id') = ?", (session_id,)
        ).rowcount
        return found > 0
    finally:
        connection.close()


def listing() -> list[Json]:
    """All conversations for `--list-sessions`: cwd, id, title, milliseconds, prompts (facts/kiro-stores.md D.2)."""
    listed = []
    for key, text, updated in _rows():
        value = json.loads(text)
        prompts = [
            entry["user"]["content"]["Prompt"]["prompt"]
            for entry in value["history"]
            if "Prompt" in entry["user"]["content"]
        ]
        listed.append(
            {
                "cwd": key,
                "sessionId": value["conversation_id"],
                "source": "classic",
                "title": prompts[0] if prompts else "",
                "updated_ms": updated,
                "messageCount": len(value["history"]),
            }
        )
    return listed
