"""What v3 tells its client of a turn.

Invariant: the updates are those of `--output-format stream-json`, which forwards them (facts/kiro-stores.md A); order
and additional frames as in facts/kiro-wire.md 10 to 16.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from standin import console
from standin.acp import v3_lists
from standin.acp.session import Session
from standin.acp.trust import CAPABILITIES
from standin.acp.wire import Wire
from standin.model import Call, Failure, Json, Outcome, Said, TurnInfo, iso_millis, new_id, new_tool_id, now_ms
from standin.personality import Personality
from standin.store_v3 import OPTIONS, V3Store
from standin.stream_v2 import text_block
from standin.stream_v3 import V3Stream, commands_update
from standin.tool_shapes import V3_KINDS, V3_TITLES, arguments, locations, v3_output, v3_success

if TYPE_CHECKING:
    from standin.acp.turns import AcpTurn

_TOOL_IDS = {"shell": "run_command", "write": "fs_write", "read": "read_file", "subagent": "invoke_sub_agent"}


class V3Frames(V3Stream):
    """Frames of one session, or of a sub-agent's part in it (`subtask`)."""

    def __init__(self, wire: Wire, personality: Personality, session: Session, subtask: str = "") -> None:
        super().__init__(personality, session.store)
        self.wire = wire
        self.session = session
        self.subtask = subtask

    def _update(self, update: Json) -> None:
        self.wire.notify("session/update", {"sessionId": self.session.id, "update": update})

    def _options(self, with_model: bool = True) -> list[Json]:
        return v3_lists.options(self.session.cwd, self.session.chosen, self.personality, with_model)

    def options_update(self) -> None:
        """`config_option_update` with all options."""
        self._update({"sessionUpdate": "config_option_update", "configOptions": self._options()})

    def changed(self, **fields: object) -> None:
        """`_kiro/sessions/changed` of this session: the only push without a session id (facts/kiro-wire.md 10)."""
        entry = {"sessionId": self.session.id, **fields, "updatedAt": iso_millis(now_ms())}
        self.wire.notify("_kiro/sessions/changed", {"upserted": [entry], "deleted": []})

    def after_start(self) -> None:
        """What follows the result of a new or loaded session."""
        self._update(commands_update())
        self._usage(self.session.context, breakdown=True)
        self.options_update()

    def begin(self, info: TurnInfo) -> None:
        """Everything up to `turn_start` (facts/kiro-wire.md 11); the title comes with the first prompt."""
        self._info("user_message_id_assigned", {"userMessageId": info.user_id})
        if not self.session.titled:
            self.session.titled = True
            title = " ".join(info.prompt.split())[:60]
            self._info("focus_update", {"focus": {"title": title}, "title": title}, title=title)
            self.changed(title=title)
            self.options_update()
        self.changed(status="in_progress")
        self._focus("in_progress")
        self._info("turn_start", {"turnStart": True, **self._turn_id(info, "start")})

    def _turn_id(self, info: TurnInfo, edge: str) -> Json:
        return {"messageId": f"{info.execution_id}-turn-{edge}"} if self.personality.message_ids_on_turns else {}

    def _say(self, kind: str, said: Said, text: str) -> None:
        own: Json = {"replayId": f"{said.id}-say"} if self.personality.message_ids_on_chunks else {}
        if self.subtask:
            own["agentSubtaskId"] = self.subtask
        meta = {"_meta": {"kiro": own}} if own else {}
        self._update({"sessionUpdate": kind, "content": {"type": "text", "text": text}, **meta})

    def message_ends(self, info: TurnInfo, said: Said) -> None:
        """The calls, then the context's size twice (facts/kiro-wire.md 11)."""
        for call in said.calls:
            self.announce(call)
        self._usage(info.context_percent, breakdown=False)
        self._usage(info.context_percent, breakdown=True)

    def announce(self, call: Call) -> None:
        """`tool_call`; an edit begins `in_progress` and shows what it plans (facts/kiro-wire.md 12)."""
        if call.tool == "subagent":
            call.args["subtask"] = new_id()
        status = "in_progress" if call.tool == "write" else "pending"
        head = {"toolCallId": call.id, "title": self._title(call), "kind": V3_KINDS.get(call.tool, "other")}
        self._update({"sessionUpdate": "tool_call", **head, "status": status, **self._body(call, True)})

    @staticmethod
    def _title(call: Call) -> str:
        if call.tool == "question":
            return str(call.args["question"])
        return f"Sub-agent: {call.args['name']}" if call.tool == "subagent" else V3_TITLES[call.tool]

    def _body(self, call: Call, first: bool = False) -> Json:
        """Input, places and origin of a call."""
        if call.tool == "question":
            return {"_meta": {"kiro": {"toolId": "user_input"}}} if first else {}
        if call.tool == "subagent":
            meta = {"kind": "agent-subtask", "agentSubtaskId": call.args["subtask"]}
            return {"rawInput": {**arguments("v3", call), "contextFiles": []}, "_meta": {"kiro": meta}}
        own: Json = {"agentSubtaskId": self.subtask} if self.subtask else {}
        if call.tool == "write":
            planned = {"modifiedContent": call.args["text"]} if first else {}
            own["preview"] = {"file": str(call.args["path"]), **planned}
        return {
            "rawInput": arguments("v3", call),
            **locations(call),
            "_meta": {"kiro": {**own, "toolOrigin": "default"}},
        }

    def _progress(self, call: Call, status: str) -> None:
        head = {"sessionUpdate": "tool_call_update", "toolCallId": call.id, "status": status}
        self._update({**head, **self._body(call)})

    def permission(self, call: Call) -> tuple[list[Json], Json]:
        """Options and parameters of a request, after its `pending_interaction` (facts/kiro-wire.md 13)."""
        question = call.tool == "question"
        options: list[Json] = OPTIONS
        if question:
            names = call.args["options"]
            options = [
                {"optionId": f"{call.id}-option-{number}", "name": name, "kind": "allow_once"}
                for number, name in enumerate(names)
            ]
        if call.tool == "write":
            self._progress(call, "pending")
        text = str(call.args["command"]) if call.tool == "shell" else self._title(call)
        kind = "user_input" if question else "tool_approval"
        asked: Json = {"interactionType": kind, "question": text, "options": options}
        if isinstance(self.store, V3Store):
            self.store.asked(call.id, asked)
        own = {"toolCallId": call.id, **asked}
        self._info("pending_interaction", {"pendingInteraction": own, **own})
        tool = {"toolCallId": call.id, "status": "pending", "title": text}
        params = {"sessionId": self.session.id, "toolCall": tool, "options": options}
        return options, params if question else {**params, "_meta": {"kiro": self._consent(call, text)}}

    def _consent(self, call: Call, text: str) -> Json:
        """What the permission is about."""
        command = {"command": text} if call.tool == "shell" else {}
        resource = text if call.tool == "shell" else os.path.relpath(str(call.args.get("path", text)), self.session.cwd)
        trigger = {"triggeringResource": text} if call.tool == "shell" else {}
        about = {"capability": CAPABILITIES[call.tool], "resource": resource, "askType": "implicit", **trigger}
        consent = {**about, "workspaceRoot": self.session.cwd}
        return {"toolId": _TOOL_IDS[call.tool], **command, "consent": consent, "consentRound": 1}

    def permission_answered(self, call: Call, outcome: str, option: str) -> None:
        """`interaction_resolved`; of a cancelled turn it comes with its end (facts/kiro-wire.md 15)."""
        answer = {"outcome": outcome, **({"selectedOption": option} if option else {})}
        if isinstance(self.store, V3Store):
            self.store.answered(call.id, answer)
        if self.session.stop.is_set():
            self.session.open_call = (call, answer)
        else:
            self._resolved(call, answer)

    def _resolved(self, call: Call, answer: Json) -> None:
        own = {"toolCallId": call.id, **answer}
        self._info("interaction_resolved", {"interactionResolved": own, **own})

    def plan(self, steps: list[str]) -> None:
        """ACP's plan; neither engine was seen to send one (facts/kiro-wire.md 20), facts/kiro-cli.md 6.3 has it [L]."""
        states = ["in_progress", *["pending"] * (len(steps) - 1)]
        entries = [
            {"content": step, "priority": "medium", "status": state} for step, state in zip(steps, states, strict=True)
        ]
        self._update({"sessionUpdate": "plan", "entries": entries})

    def steered(self, content: str) -> None:
        """A steering message was used; its fields are [L], the kind is in facts/kiro-wire.md 11."""
        own = {"messageId": new_id(), "content": content}
        self._info("steering_injected", {"steeringInjected": own, **own})

    def tool_begins(self, call: Call) -> None:
        """`in_progress`, for a shell command twice (facts/kiro-wire.md 12)."""
        if call.tool != "question":
            for _ in range(2 if call.tool == "shell" else 1):
                self._progress(call, "in_progress")

    def tool_output(self, call: Call, text: str) -> None:
        """A running command's output, if the client asked for it (facts/kiro-wire.md 12)."""
        if self.session.streams_shell:
            content = {"type": "content", "content": {"type": "text", "text": text}}
            params = {"sessionId": self.session.id, "toolCallId": call.id, "content": content}
            self.wire.notify("_kiro/tools/content_chunk", params)

    def tool_ends(self, info: TurnInfo, call: Call, outcome: Outcome) -> None:
        """The last update: its content is rawOutput again as JSON text, of an edit the diff (facts/kiro-wire.md 12)."""
        if outcome.status == "cancelled":
            return
        if call.tool == "question":
            self._update({"sessionUpdate": "tool_call_update", "toolCallId": call.id, "status": "completed"})
            return
        head = {"sessionUpdate": "tool_call_update", "toolCallId": call.id, "title": self._title(call)}
        good = {"status": "completed" if v3_success(call, outcome) else "failed"}
        if call.tool == "subagent":
            self._update({**head, **good, **self._body(call), "rawOutput": call.args["text"]})
            return
        output = v3_output(call, outcome)
        content = [text_block(console.dumps(output))]
        if call.tool == "write" and outcome.status == "ok":
            content = [_diff(call, outcome)]
        self._update({**head, **good, **self._body(call), "rawOutput": output, "content": content})

    def child(self, turn: AcpTurn, call: Call, session: str) -> bool:
        """A sub-agent: its call, calls of its own in the same session, and an update without a call (facts/kiro-wire.md
        16). False when the turn was cancelled."""
        inner = V3Frames(self.wire, self.personality, self.session, str(call.args["subtask"]))
        text = str(call.args["text"])
        inner.chunk(Said(), text)
        if "command" in call.args:
            turn.inner(Call("shell", {"command": call.args["command"]}), inner)
        meta = {"agentSubtaskId": call.args["subtask"], "toolOrigin": "acp"}
        raw = {"rawInput": {"response": text, "files": []}, "_meta": {"kiro": meta}}
        head = {"sessionUpdate": "tool_call_update", "toolCallId": new_tool_id(), "status": "completed"}
        self._update({**head, "title": "Subagent Response", **raw})
        return not turn.session.stop.is_set()

    def turn_ends(self, info: TurnInfo, stop_reason: str) -> None:
        """turn_completion, the session's state, turn_end; the answer follows (facts/kiro-wire.md 11)."""
        self._completion(info, "success")
        self._close(info, stop_reason, "idle")

    def _close(self, info: TurnInfo, stop_reason: str, status: str) -> None:
        self.changed(status=status)
        ended = {"turnEnd": {"stopReason": stop_reason}, "stopReason": stop_reason}
        self._info("turn_end", {**ended, **self._turn_id(info, "end")})
        self._focus("idle")

    def turn_cancelled(self, info: TurnInfo) -> None:
        """The order of facts/kiro-wire.md 15: an open question is resolved as cancelled, its call `completed`."""
        self.wire.notify("_kiro/hooks/cancel", {"sessionId": self.session.id})
        self._completion(info, "aborted")
        if self.session.open_call is not None:
            call, answer = self.session.open_call
            self.session.open_call = None
            self._resolved(call, answer)
            self._update({"sessionUpdate": "tool_call_update", "toolCallId": call.id, "status": "completed"})
        self._close(info, "cancelled", "idle")

    def turn_fails(self, info: TurnInfo, failure: Failure) -> None:
        """The error is also a text of the agent (facts/kiro-wire.md 9)."""
        message = f"Something went wrong: [{failure.name}] {failure.message}"
        self.chunk(Said(), message)
        own = {"message": message, "errorType": failure.name}
        self._info("display_error", {"displayError": own, **own})
        self._completion(info, "failed")
        self._close(info, "error", "failed")

    def closing(self) -> None:
        """One more context_usage after the answer (facts/kiro-wire.md 11)."""
        self._usage(self.session.context, breakdown=True)

    def compacted(self, summary: str) -> None:
        """The end of a compaction; nothing tells of its beginning (facts/kiro-wire.md 16)."""
        whole = {"conversationSummary": summary, "truncated": False}
        body = {"status": "success", "summary": whole}
        self._info("summarization_completed", {"summarization": body, **whole})

    def titled(self, title: str) -> None:
        """A new title (recorded for `_kiro/session/rename`)."""
        self._info("focus_update", {"focus": {"title": title}, "title": title}, title=title)
        self.changed(title=title)

    def replay(self, rows: list[Json]) -> None:
        """The history, each update marked from 2.16 on (facts/kiro-wire.md 16; calls with their results are [L])."""
        results = {
            row["payload"]["toolCallId"]: row["payload"] for row in rows if row["payload"]["type"] == "tool_result"
        }
        for row in rows:
            for update in _replayed(row, results):
                meta = update.setdefault("_meta", {}).setdefault("kiro", {})
                if self.personality.marks_replay:
                    meta["replay"] = True
                self._update(update)


def _diff(call: Call, outcome: Outcome) -> Json:
    return {
        "type": "diff",
        "path": f"file://{call.args['path']}",
        "newText": call.args["text"],
        "oldText": call.args.get("old", ""),
    }


def _info_update(kind: str, fields: Json) -> Json:
    return {"sessionUpdate": "session_info_update", "_meta": {"kiro": {**fields, "kind": kind}}}


def _replayed(row: Json, results: dict[str, Json]) -> list[Json]:
    """The updates a row of the file becomes."""
    payload = row["payload"]
    kind = payload["type"]
    told = {"messageId": row["id"], "timestamp": row["timestamp"]}
    if kind == "user":
        text = {"type": "text", "text": payload["content"]}
        return [{"sessionUpdate": "user_message_chunk", "content": text, "_meta": {"kiro": told}}]
    if kind == "assistant" and payload.get("operationType") == "Say":
        text = {"type": "text", "text": payload["content"]}
        meta = {"kiro": {"agentMode": "vibe", **told}}
        return [{"sessionUpdate": "agent_message_chunk", "content": text, "_meta": meta}]
    if kind == "turn_start":
        return [_info_update("turn_start", {"turnStart": True})]
    if kind == "session_metadata":
        usage = payload["value"]
        return [_info_update("context_usage", {"contextUsage": usage, **usage})]
    if kind == "usage_summary":
        fields = {key: payload[key] for key in ("promptTurnSummaries", "elapsedTime", "status")}
        return [_info_update("turn_completion", {**fields, "requestIds": [new_id()]})]
    if kind == "turn_end":
        reason = {"stopReason": payload["stopReason"]}
        return [_info_update("turn_end", {"turnEnd": reason, **reason})]
    return _replayed_call(payload, results) if kind == "tool_call" else []


def _replayed_call(payload: Json, results: dict[str, Json]) -> list[Json]:
    """A call with its result."""
    head = {"toolCallId": payload["toolCallId"], "title": payload["title"], "rawInput": payload["args"]}
    origin = {"_meta": {"kiro": {"toolOrigin": "default"}}}
    done = results.get(payload["toolCallId"], {})
    status = "completed" if done.get("success") else "failed"
    output = {"message": str(done.get("content", ""))}
    content = [text_block(json.dumps(output))]
    first = {
        "sessionUpdate": "tool_call",
        **head,
        "kind": payload["kind"],
        "status": "pending",
        **json.loads(json.dumps(origin)),
    }
    last = {"sessionUpdate": "tool_call_update", **head, "status": status, "rawOutput": output, "content": content}
    return [first, {**last, **origin}]
