"""The v3 store: a folder per session with `session.json` and `messages.jsonl`.

Invariant: rows appear when a model message or a tool is finished and never before; the turn's closing rows are one
batch (facts/kiro-stores.md B.6). Row ids are the stream's ids (B.5). `KIRO_HOME` does not move it (B.1).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path

from standin import places
from standin.console import dumps
from standin.linefile import append, append_in_halves, replace_file
from standin.model import Call, Json, Outcome, Said, Store, TurnInfo, iso_millis, new_id, now_ms
from standin.tool_shapes import NAMES, V3_KINDS, V3_TITLES, arguments, v3_output, v3_success

_META = {"_meta": {"kiro": {"agentMode": "vibe"}}}
OPTIONS = [  # facts/kiro-stores.md B.7
    {"optionId": "accept", "name": "Allow", "kind": "allow_once"},
    {"optionId": "always-accept", "name": "Always allow", "kind": "allow_always"},
    {"optionId": "reject", "name": "Deny", "kind": "reject_once"},
    {"optionId": "always-reject", "name": "Always deny", "kind": "reject_always"},
]


def bucket(paths: list[str]) -> str:
    """Folder of a set of workspace paths: 16 hex digits of a sha256 (facts/kiro-stores.md B.2)."""
    return hashlib.sha256("\0".join(sorted(paths)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def row(row_id: str, payload: Json) -> Json:
    """One line of messages.jsonl (facts/kiro-stores.md B.4)."""
    return {"id": row_id, "timestamp": iso_millis(now_ms()), "payload": payload}


def _tool_rows(call: Call, outcome: Outcome, execution: Json) -> list[Json]:
    """The call and its result, written together (facts/kiro-stores.md B.6); a denied call's status is [L]."""
    good = v3_success(call, outcome)
    status = "completed" if good else "denied" if outcome.status == "denied" else "failed"
    payload = {
        "type": "tool_call",
        "toolCallId": call.id,
        "toolName": NAMES["v3"][call.tool],
        "args": arguments("v3", call),
        "status": status,
        "kind": V3_KINDS[call.tool],
        **execution,
        "title": V3_TITLES[call.tool],
        "_meta": {"kiro": {"agentMode": "vibe", "toolOrigin": "default"}},
    }
    if call.tool == "shell":
        payload["actionType"] = "run_command"
    result = {
        "type": "tool_result",
        "toolCallId": call.id,
        "content": v3_output(call, outcome)["message"],
        "success": good,
    }
    return [row(f"{call.id}-call", payload), row(f"{call.id}-result", {**result, **execution, **_META})]


class V3Store(Store):
    """One session: a new one, whose folder appears with the first turn (B.1), or the one of `folder`."""

    def __init__(self, cwd: str, model: str, folder: Path | None = None) -> None:
        self.cwd = cwd
        self.fresh = folder is None
        if folder is None:
            session_id = f"sess_{new_id()}"
            self.folder = places.v3_sessions() / bucket([cwd]) / session_id
            self.session = self._new_session(session_id, cwd, model)
        else:
            self.folder = folder
            self.session = json.loads((folder / "session.json").read_text("utf-8"))
        self.session_id = str(self.session["id"])
        self.rows = self.folder / "messages.jsonl"
        self.turns_before = 0 if self.fresh else self._count_turns()
        self.execution: Json = {}
        self.current: Said | None = None
        self.ruled = False
        self.launcher_answers = True

    @staticmethod
    def _new_session(session_id: str, cwd: str, model: str) -> Json:
        """`session.json` as of 2.22.0 (facts/kiro-stores.md B.3)."""
        now = iso_millis(now_ms())
        head = {
            "schemaVersion": "1.0.0",
            "dataModelVersion": 1,
            "id": session_id,
            "title": "New Session",
            "agentMode": "vibe",
        }
        paths = {"workspacePaths": [cwd], "rootPaths": [cwd], "createdAt": now, "lastModifiedAt": now}
        return {**head, **paths, "modelId": model, "status": "in_progress"}

    def _count_turns(self) -> int:
        with contextlib.suppress(OSError):
            return self.rows.read_text("utf-8", "replace").count('"type":"turn_end"')
        return 0

    def _save_session(self, status: str) -> None:
        if not self.muted:
            self.session.update(status=status, lastModifiedAt=iso_millis(now_ms()))
            replace_file(self.folder / "session.json", dumps(self.session))

    def append(self, *rows: Json) -> None:
        """Add rows."""
        if not self.muted:
            append(self.rows, rows)

    def begin(self, info: TurnInfo) -> None:
        """The user's row, then the turn's start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.session["title"] == "New Session":
            self._save_session("in_progress")
            self.session["title"] = " ".join(info.prompt.split())[:60]
        self._save_session("in_progress")
        self.execution = {"executionId": info.execution_id}
        tag = {"_meta": {"kiro": {"userMessageTag": f"prompt_{new_id()}"}}}
        self.append(row(info.user_id, {"type": "user", "content": info.prompt, "images": [], "documents": [], **tag}))
        self.append(row(f"{info.execution_id}-turn-start", {"type": "turn_start", **self.execution}))

    def message_begins(self, info: TurnInfo, said: Said) -> None:
        """Nothing is written, but a half-written row needs to know the message."""
        self.current = said

    def _say_row(self, said: Said) -> Json:
        payload = {"type": "assistant", "content": said.text, "operationType": "Say", **self.execution, **_META}
        return row(f"{said.id}-say", payload)

    def message_ends(self, info: TurnInfo, said: Said) -> None:
        """The text, then the reasoning that led to it (with encrypted text), then the context's size (B.6)."""
        rows = [] if self.current is None or not (said.text or not said.calls) else [self._say_row(said)]
        if said.thought:
            secret = {"reasoningSignature": ".standin~~sig", "reasoningModelId": f"qdev::{info.model}"}
            payload = {
                "type": "assistant",
                "content": "...",
                "operationType": "Reasoning",
                **self.execution,
                **secret,
                **_META,
            }
            rows.append(row(f"{new_id()}-say", payload))
        usage = {"usagePercentage": info.context_percent}
        rows.append(
            row(new_id(), {"type": "session_metadata", "key": "contextUsage", "value": usage, **self.execution})
        )
        self.append(*rows)

    def tool_begins(self, call: Call) -> None:
        """A trusted call is allowed by the launcher with `always-accept`, which rules for the session (A.9 row 5)."""
        if self.launcher_answers and call.tool in ("shell", "write") and not self.ruled:
            self.ruled = True
            self._approval(call, "always-accept")

    def _approval(self, call: Call, option: str) -> None:
        """Question and answer of the launcher."""
        question = str(call.args.get("command", call.args.get("path", call.tool)))
        self.asked(call.id, {"interactionType": "tool_approval", "question": question, "options": OPTIONS})
        self.answered(call.id, {"outcome": "selected", "selectedOption": option})

    def asked(self, call_id: str, question: Json) -> None:
        """A question to the user; like its answer it carries the call's id as executionId (B.6)."""
        own = {"toolCallId": call_id, **question, "executionId": call_id}
        self.append(row(f"{call_id}-pending", {"type": "pending_interaction", **own}))

    def answered(self, call_id: str, answer: Json) -> None:
        """What the user answered."""
        own = {"toolCallId": call_id, **answer, "executionId": call_id}
        self.append(row(f"{call_id}-resolved", {"type": "interaction_resolved", **own}))

    def tool_ends(self, info: TurnInfo, call: Call, outcome: Outcome) -> None:
        """Call and result together; a sub-agent's own rows stand in its file (B.8)."""
        if outcome.status == "denied" and self.launcher_answers:
            self._approval(call, "reject")
        if outcome.agent:
            self._sub_agent(info, call, outcome)
        self.append(*_tool_rows(call, outcome, self.execution))

    def _sub_agent(self, info: TurnInfo, call: Call, outcome: Outcome) -> None:
        sub_id = new_id()
        edge = {"parentExecutionId": info.execution_id, "subSessionId": sub_id}
        start = {"subAgentName": call.args["name"], "prompt": call.args["prompt"], "explanation": call.purpose or ""}
        self.append(row(f"{sub_id}-start", {"type": "sub_agent_start", **edge, **start}))
        said = {
            "type": "assistant",
            "content": outcome.agent["text"],
            "operationType": "Say",
            "subExecutionId": sub_id,
            **_META,
        }
        (self.folder / "sub-executions").mkdir(exist_ok=True)
        append(self.folder / "sub-executions" / f"{sub_id}.jsonl", [row(f"{new_id()}-say", said)])
        done = {"response": outcome.agent["text"], "status": "success"}
        self.append(row(f"{sub_id}-complete", {"type": "sub_agent_complete", **edge, **done}))

    def turn_ends(self, info: TurnInfo, stop_reason: str) -> None:
        """The closing batch, then the system prompt after the first turn (B.6)."""
        self._close_turn(info, stop_reason, "aborted" if stop_reason == "cancelled" else "success")
        if self.fresh:
            self.fresh = False
            prompt = "You are the stand-in for Kiro CLI; no model reads this."
            start = {
                "type": "session_start",
                "agentType": "vibe",
                "content": prompt,
                "forcedRole": True,
                "messageId": new_id(),
            }
            self.append(row(f"session_start_{self.session_id}_vibe", start))
        self._save_session("idle")

    def turn_fails(self, info: TurnInfo, failure: object) -> None:
        """A failed turn gets its closing batch too (B.6); its stop reason is [L] from facts/kiro-wire.md 11."""
        if self.execution:
            self._close_turn(info, "error", "failed")
            self._save_session("failed")

    def _close_turn(self, info: TurnInfo, stop_reason: str, status: str) -> None:
        run = info.execution_id
        summary: Json = {"unit": "credit", "unitPlural": "credits", "usage": sum(said.credits for said in info.said)}
        tools = sorted({NAMES["v3"][call.tool] for said in info.said for call in said.calls})
        if tools:
            summary["usedTools"] = tools
        usage = {"promptTurnSummaries": [summary], "elapsedTime": info.elapsed_ms, "status": status, **self.execution}
        context = {"context": {**self.execution, "status": status}}
        self.append(
            row(f"{run}-usage", {"type": "usage_summary", **usage}),
            row(f"{run}-complete", {"type": "session_event", "category": "session_pause", **context}),
            row(f"{run}-turn-end", {"type": "turn_end", "stopReason": stop_reason, **self.execution}),
        )

    def damage(self, name: str, argument: str) -> bool:
        """Faults of the files (rows by the schema of facts/kiro-stores.md B.4)."""
        if name in ("compact", "clear"):
            kind = "summarization" if name == "compact" else "checkpoint_revert"
            self.append(row(new_id(), {"type": "tombstone", "kind": kind, "effectiveFromMessageId": new_id()}))
        elif name == "unknown-lines":
            self.append(row(new_id(), {"type": "from_the_future", "anything": [1, None, {"deep": True}]}))
        elif name == "shrink-history":
            if not self.muted:
                self.rows.write_bytes(b"")
        elif name == "rewind":
            self._rewind()
        elif name == "remove-conversation":
            shutil.rmtree(self.folder, ignore_errors=True)
            self.muted = True
        elif name in ("half-line", "half-line-completed") and self.current is not None:
            append_in_halves(
                self.rows, [self._say_row(self.current)], None if name == "half-line" else float(argument or 1)
            )
            self.current = None
        else:
            return False
        return True

    def _rewind(self) -> None:
        """Go on in a new folder with the rows so far copied (facts/kiro-stores.md B.10)."""
        parent, old = self.session_id, self.rows
        self.session_id = f"sess_{new_id()}"
        self.folder = self.folder.parent / self.session_id
        self.folder.mkdir(parents=True)
        self.rows = self.folder / "messages.jsonl"
        shutil.copy(old, self.rows)
        self.session.update(
            id=self.session_id, parentSessionId=parent, createdReason="rewind", title=f"Fork of {self.session['title']}"
        )
        self._save_session("in_progress")


def _folders() -> list[tuple[Path, Json]]:
    """All session folders with a readable `session.json`, newest rows first."""
    found = []
    for path in places.v3_sessions().glob("*/sess_*/session.json"):
        with contextlib.suppress(OSError, ValueError):
            found.append((path.parent, json.loads(path.read_text("utf-8"))))
    return sorted(found, key=lambda pair: _changed(pair[0]), reverse=True)


def _changed(folder: Path) -> float:
    """When the rows last changed: more trustworthy than `lastModifiedAt` (facts/kiro-stores.md B.3)."""
    for name in ("messages.jsonl", "session.json"):
        with contextlib.suppress(OSError):
            return os.stat(folder / name).st_mtime
    return 0.0


def latest(cwd: str) -> Path | None:
    """Folder of the newest session of the working folder."""
    return next((folder for folder, session in _folders() if session["workspacePaths"] == [cwd]), None)


def find(session_id: str) -> Path | None:
    """Folder of that session."""
    return next((folder for folder, session in _folders() if session["id"] == session_id), None)


def delete(session_id: str) -> bool:
    """Remove a session's folder; whether there was one."""
    folder = find(session_id)
    if folder is None:
        return False
    shutil.rmtree(folder)
    return True


def sessions() -> list[Json]:
    """All readable `session.json`, newest first."""
    return [session for _, session in _folders()]


def listing() -> list[Json]:
    """All sessions for `--list-sessions` (facts/kiro-stores.md D.2)."""
    return [
        {
            "cwd": (session["workspacePaths"] or [""])[0],
            "sessionId": session["id"],
            "source": "v3",
            "title": session["title"],
            "updated_at": session["lastModifiedAt"],
            "executionTarget": "local",
        }
        for _, session in _folders()
    ]
