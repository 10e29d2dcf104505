"""The v2 store: `<uuid>.jsonl`, its side file `<uuid>.json` and the lock.

Invariant: the prompt's line comes with the first AssistantMessage, a ToolResults line together with the next one, and
the side file at creation and at the end of each turn by temporary file and rename (facts/kiro-wire.md 18,
facts/kiro-cli.md 4.1).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from standin import places
from standin.console import dumps
from standin.linefile import append, append_in_halves, replace_file
from standin.model import Call, Json, Outcome, Said, Store, TurnInfo, iso_micros, new_id
from standin.tool_shapes import CANCELLED, NAMES, arguments, v2_builtin, v2_value


class SessionBusy(Exception):
    """Another living process has the session's lock; the text is what the real program prints (facts/kiro-cli.md
    4.1)."""


def _line(kind: str, data: Json) -> Json:
    return {"version": "v1", "kind": kind, "data": data}


def _text(text: str) -> Json:
    return {"kind": "text", "data": text}


def _alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be collected by its parent does not."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] != "Z"
    return True


def new_side(cwd: str, agent: str, model: str) -> Json:
    """The side file of a new session (facts/kiro-wire.md 18); `created_reason` is `subagent` for every session
    there."""
    session_id, now = new_id(), iso_micros()
    model_info: Json = {"model_id": model, "context_window_tokens": 200000}
    if model != "auto":
        named = {"model_name": model, "description": f"{model} as the stand-in plays it"}
        model_info = {**named, **model_info, "rate_multiplier": 1.0, "rate_unit": "Credit"}
    paths = {"allowed_read_paths": [cwd], "allowed_write_paths": [], "denied_read_paths": [], "denied_write_paths": []}
    state = {
        "version": "v1",
        "conversation_metadata": {"user_turn_metadatas": [], "user_turn_start_request": None, "last_request": None},
        "rts_model_state": {"conversation_id": session_id, "model_info": model_info, "context_usage_percentage": 0.0},
        "permissions": {"filesystem": paths, "trusted_tools": [], "denied_tools": [], "allowed_commands": []},
        "agent_name": agent,
    }
    head = {"session_id": session_id, "cwd": cwd, "created_at": now, "updated_at": now}
    return {**head, "session_created_reason": "subagent", "session_state": state}


class V2Store(Store):
    """One session: a new one, or the one of `session_id` with its side file. Raises SessionBusy when it is locked."""

    def __init__(self, cwd: str, agent: str, model: str, side: Json | None = None) -> None:
        self.folder = places.v2_sessions()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.side = side if side is not None else new_side(cwd, agent, model)
        self.session_id = str(self.side["session_id"])
        self.lines = self.folder / f"{self.session_id}.jsonl"
        self.waiting: list[Json] = []
        self.message_ids: list[str] = []
        self.results: list[tuple[Call, Outcome]] = []
        self._lock()
        if side is None or not self.lines.exists():
            self.lines.touch()
            self._write_side()
        self.turns_before = len(self._turns())

    def _turns(self) -> list[Json]:
        turns: list[Json] = self.side["session_state"]["conversation_metadata"]["user_turn_metadatas"]
        return turns

    def _lock(self) -> None:
        """Create the lock, taking over a dead process's one."""
        lock = self.folder / f"{self.session_id}.lock"
        text = dumps({"pid": os.getpid(), "started_at": iso_micros()})
        for _ in range(2):
            try:
                descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileExistsError:
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    pid = int(json.loads(lock.read_text("utf-8"))["pid"])
                    if _alive(pid):
                        raise SessionBusy(f"Session is active in another process (PID {pid})") from None
                lock.unlink(missing_ok=True)
                continue
            os.write(descriptor, text.encode())
            os.close(descriptor)
            return

    def _write_side(self) -> None:
        if not self.muted:
            replace_file(self.folder / f"{self.session_id}.json", json.dumps(self.side, ensure_ascii=False, indent=2))

    def append(self, *lines: Json) -> None:
        """Add whole lines: open, append, close."""
        if not self.muted:
            append(self.lines, lines)

    def begin(self, info: TurnInfo) -> None:
        """Keep the prompt's line back; calls a killed run left open are cancelled first ([L] from facts/kiro-wire.md
        18)."""
        self.message_ids, self.results = [], []
        self.waiting = [*self._open_calls()]
        data = {"message_id": info.user_id, "content": [_text(info.prompt)], "meta": {"timestamp": int(time.time())}}
        self.waiting.append(_line("Prompt", data))
        self.side.setdefault("title", info.prompt[:200])

    def _open_calls(self) -> list[Json]:
        """A result line for the calls of a last line that has none."""
        last = b""
        with contextlib.suppress(OSError), self.lines.open("rb") as stream:
            for line in stream:
                last = line
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry = json.loads(last)
            if entry["kind"] == "AssistantMessage":
                open_ids = [
                    block["data"]["toolUseId"] for block in entry["data"]["content"] if block["kind"] == "toolUse"
                ]
                return (
                    [self._results_line([self._cancelled_block(call_id) for call_id in open_ids])] if open_ids else []
                )
        return []

    @staticmethod
    def _cancelled_block(call_id: str) -> tuple[Json, str, Json]:
        block: Json = {"toolUseId": call_id, "content": [_text(CANCELLED)], "status": "error"}
        return {"kind": "toolResult", "data": block}, call_id, {"tool": None, "result": "Cancelled"}

    @staticmethod
    def _results_line(blocks: list[tuple[Json, str, Json]]) -> Json:
        results = {call_id: result for _, call_id, result in blocks}
        return _line(
            "ToolResults", {"message_id": new_id(), "content": [block for block, _, _ in blocks], "results": results}
        )

    def message_ends(self, info: TurnInfo, said: Said) -> None:
        """Write what was held back, then the message."""
        self._hold_results()
        content: list[Json] = [{"kind": "thinking", "data": said.thought}] if said.thought else []
        content.append(_text(said.text))
        for call in said.calls:
            use = {"toolUseId": call.id, "name": NAMES["v2"][call.tool], "input": arguments("v2", call)}
            content.append({"kind": "toolUse", "data": use})
        self.waiting.append(_line("AssistantMessage", {"message_id": said.id, "content": content}))
        self.append(*self._taken())

    def _hold_results(self) -> None:
        """Turn finished calls into the line that waits for the next message."""
        if self.results:
            self.waiting.append(self._results_line([self._block(call, outcome) for call, outcome in self.results]))
            self.results = []

    def _taken(self) -> list[Json]:
        """The lines held back, which now count as written."""
        taken, self.waiting = self.waiting, []
        self.message_ids += [line["data"]["message_id"] for line in taken]
        return taken

    def _block(self, call: Call, outcome: Outcome) -> tuple[Json, str, Json]:
        """Result block and `results` entry of a call; a cancelled one as in facts/kiro-wire.md 18 (denied alike:
        [L])."""
        if outcome.status in ("cancelled", "denied"):
            return self._cancelled_block(call.id)
        kind, value = v2_value(call, outcome)
        good = outcome.status == "ok"
        block: Json = {
            "toolUseId": call.id,
            "content": [{"kind": kind, "data": value}],
            "status": "success" if good else "error",
        }
        tool = {"tool_use_purpose": call.purpose, "kind": {"BuiltIn": v2_builtin(call)}}
        items: Any = {"items": [{kind.capitalize(): value}]}
        result = {"Success": items} if good else {"Error": {"Custom": value}}
        return {"kind": "toolResult", "data": block}, call.id, {"tool": tool, "result": result}

    def tool_ends(self, info: TurnInfo, call: Call, outcome: Outcome) -> None:
        """Keep the result for the line before the next message; a sub-agent's session gets its files (A.7)."""
        self.results.append((call, outcome))
        if outcome.agent:
            side = new_side(info.cwd, "kiro_default", info.model)
            side["session_state"]["rts_model_state"]["conversation_id"] = outcome.agent["session"]
            side.update(session_id=outcome.agent["session"], parent_session_id=self.session_id)
            child = V2Store(info.cwd, "kiro_default", info.model, side)
            child_info = TurnInfo(str(call.args["prompt"]), info.cwd, "kiro_default", info.model)
            said = Said(text=outcome.agent["text"])
            child_info.said.append(said)
            child.begin(child_info)
            child.message_ends(child_info, said)
            child.turn_ends(child_info, "end_turn")
            child.close()

    def turn_ends(self, info: TurnInfo, stop_reason: str) -> None:
        """Write the side file with the turn's figures (facts/kiro-wire.md 18; a cancelled turn's are [L])."""
        last = info.said[-1] if info.said else Said()
        now, elapsed = int(time.time()), info.elapsed_ms
        calls = sum(len(said.calls) for said in info.said)
        answer = {"id": new_id(), "role": "assistant", "content": [_text(last.text)], "meta": {"timestamp": now}}
        agent_id = {"name": info.agent, "parent_id": None, "rand": None}
        credits = [{"value": said.credits, "unit": "credit", "unitPlural": "credits"} for said in info.said]
        self._turns().append(
            {
                "loop_id": {"agent_id": agent_id, "rand": int.from_bytes(os.urandom(4), "big")},
                "result": {"Ok": answer},
                "message_ids": self.message_ids,
                "total_request_count": len(info.said),
                "number_of_cycles": max(len(info.said) - 1, 0),
                "builtin_tool_uses": calls,
                "turn_duration": {"secs": elapsed // 1000, "nanos": elapsed % 1000 * 1_000_000},
                "end_reason": "Cancelled" if stop_reason == "cancelled" else "UserTurnEnd",
                "end_timestamp": iso_micros(),
                "input_token_count": 0,
                "output_token_count": 0,
                "context_usage_percentage": info.context_percent,
                "metering_usage": credits,
            }
        )
        self.side["session_state"]["rts_model_state"]["context_usage_percentage"] = info.context_percent
        self.side["updated_at"] = iso_micros()
        self._write_side()

    def close(self) -> None:
        """Remove the lock."""
        (self.folder / f"{self.session_id}.lock").unlink(missing_ok=True)

    def damage(self, name: str, argument: str) -> bool:
        """Faults of the files; the line kinds Clear, Compaction, ResetTo and CancelledPrompt follow facts/kiro-cli.md
        4.1."""
        markers: dict[str, tuple[str, Json]] = {
            "clear": ("Clear", {}),
            "compaction-line": ("Compaction", {"summary": "Summary.", "strategy": {}, "messages_snapshot": []}),
            "reset-to": ("ResetTo", {"target_index": int(argument) if argument.isdigit() else 0}),
            "cancelled-prompt": ("CancelledPrompt", {}),
            "unknown-lines": ("FromTheFuture", {"message_id": new_id(), "anything": [1, None, {"deep": True}]}),
        }
        if name in markers:
            self.append(_line(*markers[name]))
        elif name == "shrink-history":
            if not self.muted:
                self.lines.write_bytes(b"")
        elif name == "rewind":
            self._rewind()
        elif name == "remove-conversation":
            for suffix in (".jsonl", ".json", ".lock"):
                (self.folder / f"{self.session_id}{suffix}").unlink(missing_ok=True)
            self.muted = True
        elif name in ("half-line", "half-line-completed"):
            self._hold_results()
            append_in_halves(self.lines, self._taken(), None if name == "half-line" else float(argument or 1))
        else:
            return False
        return True

    def _rewind(self) -> None:
        """Go on in a new file with the lines so far copied (facts/kiro-wire.md 18)."""
        kept = self.lines.read_bytes() if self.lines.exists() else b""
        self.close()
        parent, self.side = self.session_id, json.loads(json.dumps(self.side))
        self.session_id = new_id()
        self.side.update(session_id=self.session_id, parent_session_id=parent, session_created_reason="rewind")
        self.lines = self.folder / f"{self.session_id}.jsonl"
        self._lock()
        self.lines.write_bytes(kept)
        self._write_side()


def copy(store: V2Store, session_id: str, lines: list[Json]) -> None:
    """A rewound session: some of the lines under a new id, the parent unchanged (facts/kiro-wire.md 18)."""
    side = json.loads(json.dumps(store.side))
    side.update(session_id=session_id, parent_session_id=store.session_id, session_created_reason="rewind")
    append(store.folder / f"{session_id}.jsonl", lines)
    replace_file(store.folder / f"{session_id}.json", json.dumps(side, ensure_ascii=False, indent=2))


def sides() -> list[Json]:
    """All readable side files, newest first."""
    sides = []
    for path in places.v2_sessions().glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            sides.append(json.loads(path.read_text("utf-8")))
    return sorted(sides, key=lambda side: str(side["updated_at"]), reverse=True)


def latest(cwd: str) -> Json | None:
    """The side file of the folder's newest session that is no sub-agent's (facts/kiro-stores.md C)."""
    return next((side for side in sides() if side["cwd"] == cwd and "parent_session_id" not in side), None)


def find(session_id: str) -> Json | None:
    """The side file of that session."""
    return next((side for side in sides() if side["session_id"] == session_id), None)


def delete(session_id: str) -> bool:
    """Remove a session's files; whether there was one."""
    found = find(session_id) is not None
    if found:
        for suffix in (".jsonl", ".json", ".lock"):
            (places.v2_sessions() / f"{session_id}{suffix}").unlink(missing_ok=True)
    return found


def listing() -> list[Json]:
    """All sessions for `--list-sessions`; the source label `v2` is [L] (facts/kiro-stores.md D.2)."""
    return [
        {
            "cwd": side["cwd"],
            "sessionId": side["session_id"],
            "source": "v2",
            "title": side.get("title", ""),
            "updated_at": side["updated_at"],
            "messageCount": len(side["session_state"]["conversation_metadata"]["user_turn_metadatas"]) * 2,
        }
        for side in sides()
        if "parent_session_id" not in side
    ]
