"""What v2 tells its client of a turn.

Invariant: the updates are those of `--output-format stream-json`, which forwards them (facts/kiro-stores.md A); order
and additional frames as in facts/kiro-wire.md 3 to 8.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from standin import tools
from standin.acp.session import Session
from standin.acp.trust import trust_options
from standin.acp.wire import Wire
from standin.model import Call, Failure, Json, Outcome, Said, TurnInfo, new_tool_id, now_ms
from standin.personality import Personality
from standin.stream_v2 import V2Stream, text_block
from standin.tool_shapes import NAMES, arguments, locations, v2_kind, v2_title, v2_value

if TYPE_CHECKING:
    from standin.acp.turns import AcpTurn

PROGRESS = "\u23f3 Running crew pipeline (1 stages)... Press ctrl+g to monitor progress."
_OPTIONS = (("allow_once", "Yes"), ("allow_always", "Always"), ("reject_once", "No"))


class V2Frames(V2Stream):
    """Frames of one session, or of the child of that id."""

    def __init__(self, wire: Wire, personality: Personality, session: Session, child: str = "") -> None:
        super().__init__(personality, session.store)
        self.wire = wire
        self.session = session
        self.id = child or session.id

    def _update(self, update: Json, session: str = "") -> None:
        self.wire.notify("session/update", {"sessionId": session or self.id, "update": update})

    def own_update(self, update: Json, session: str = "") -> None:
        """An update of Kiro's own kind."""
        self.wire.notify("_kiro.dev/session/update", {"sessionId": session or self.id, "update": update})

    def _metadata(self, session: str, percent: float, **more: object) -> None:
        """A metadata frame; `effort` when it was set (facts/kiro-wire.md 7)."""
        effort = {"effort": self.session.effort} if self.session.effort else {}
        params = {"sessionId": session, "contextUsagePercentage": percent, **more, **effort}
        self.wire.notify("_kiro.dev/metadata", params)

    def metadata(self) -> None:
        """The session's context, outside a turn."""
        self._metadata(self.id, self.session.context)

    def compacted(self, summary: str) -> None:
        """A compaction from its beginning to its end; only the frame's name is known (facts/kiro-cli.md 6.4): [L]."""
        for status in ("started", "completed"):
            params = {"sessionId": self.id, "status": {"type": status}}
            self.wire.notify("_kiro.dev/compaction/status", params)

    def history(self, kind: str, text: str) -> None:
        """A message of a loaded session, whole and without a mark (facts/kiro-wire.md 7)."""
        self._update({"sessionUpdate": kind, "content": {"type": "text", "text": text}})

    def begin(self, info: TurnInfo) -> None:
        """v2 gives no sign of life before the model's first word (facts/kiro-wire.md 17)."""

    def message_ends(self, info: TurnInfo, said: Said) -> None:
        """Tool names first, then the calls that can run; a failed one is not announced (facts/kiro-wire.md 4)."""
        for call in said.calls:
            self._name(call)
        if self.personality.metadata_per_model_call:
            self._metadata(self.id, info.context_percent)
        for call in said.calls:
            if not tools.validate(call, info.cwd):
                self._call(call)

    def announce(self, call: Call) -> None:
        """Name and call of a child's tool."""
        self._name(call)
        self._call(call)

    def _name(self, call: Call) -> None:
        kind = v2_kind(call) or {"kind": "other"}
        head = {"sessionUpdate": "tool_call_chunk", "toolCallId": call.id}
        self.own_update({**head, "title": NAMES["v2"][call.tool], **kind})

    def _call(self, call: Call) -> None:
        """`tool_call`: no status (facts/kiro-wire.md 4)."""
        body: Json = {"toolCallId": call.id, "title": v2_title(call), **v2_kind(call), **locations(call)}
        if call.tool == "write":
            path = str(call.args["path"])
            old = None
            if os.path.isfile(path):
                with open(path, encoding="utf-8", errors="replace") as stream:
                    old = stream.read()
            body["content"] = [{"type": "diff", "path": path, "oldText": old, "newText": call.args["text"]}]
        meta = {"_meta": {"kiro": {"toolName": NAMES["v2"][call.tool]}}} if self.personality.names_tools else {}
        self._update({"sessionUpdate": "tool_call", **body, "rawInput": arguments("v2", call), **meta})

    def permission(self, call: Call) -> tuple[list[Json], Json]:
        """Options and parameters of a permission request (facts/kiro-wire.md 5)."""
        options: list[Json] = [{"optionId": key, "name": name, "kind": key} for key, name in _OPTIONS]
        if self.session.parent or self.id != self.session.id:
            options.append(
                {"optionId": "allow_all_session", "name": "Allow all for this session", "kind": "allow_always"}
            )
        offers = trust_options(call)
        meta = {"_meta": {"trustOptions": offers}} if offers else {}
        tool = {"toolCallId": call.id, "title": v2_title(call)}
        return options, {"sessionId": self.id, "toolCall": tool, "options": options, **meta}

    def permission_answered(self, call: Call, outcome: str, option: str) -> None:
        """Nothing confirms an answer (facts/kiro-wire.md 5)."""

    def plan(self, steps: list[str]) -> None:
        """ACP's plan; neither engine was seen to send one (facts/kiro-wire.md 20), facts/kiro-cli.md 6.3 has it [L]."""
        states = ["in_progress", *["pending"] * (len(steps) - 1)]
        entries = [
            {"content": step, "priority": "medium", "status": state} for step, state in zip(steps, states, strict=True)
        ]
        self._update({"sessionUpdate": "plan", "entries": entries})

    def steered(self, content: str) -> None:
        """A steering message was used (facts/kiro-wire.md 7)."""
        self.own_update({"sessionUpdate": "steering_consumed", "content": content})

    def tool_begins(self, call: Call) -> None:
        """A sub-agent says that it runs."""
        if call.tool == "subagent":
            self.tool_output(call, PROGRESS)

    def tool_ends(self, info: TurnInfo, call: Call, outcome: Outcome) -> None:
        """The last update; a failed one has content and no rawOutput (facts/kiro-wire.md 4; a refused one is [L]). A
        cancelled one gets none [L]."""
        if outcome.status == "cancelled":
            return
        kind, value = v2_value(call, outcome)
        body: Json = {
            "sessionUpdate": "tool_call_update",
            "toolCallId": call.id,
            **(v2_kind(call) or {"kind": "other"}),
        }
        raw = {"rawInput": arguments("v2", call)}
        if outcome.status == "ok":
            head = {"status": "completed", "title": v2_title(call), **locations(call)}
            self._update({**body, **head, **raw, "rawOutput": {"items": [{kind.capitalize(): value}]}})
        else:
            head = {"status": "failed", "title": NAMES["v2"][call.tool]}
            self._update({**body, **head, **raw, "content": [text_block(str(value))]})

    def child(self, turn: AcpTurn, call: Call, session: str) -> bool:
        """A sub-agent's own session: list updates, its summary tool and text, mixed into ours (facts/kiro-wire.md 7).
        False when it was cancelled."""
        entry = self.entry(session, str(call.args["name"]), str(call.args["prompt"]), "crew-" + call.args["name"][:20])
        self.crew([entry])
        if "command" in call.args:
            inner = V2Frames(self.wire, self.personality, self.session, session)
            turn.inner(Call("shell", {"command": call.args["command"]}), inner)
        text = str(call.args["text"])
        credits = self.summary(session, str(call.args["prompt"]), text)
        self.crew([{**entry, "status": {"type": "terminated"}}])
        self.crew([])
        self._metadata(session, 1.6275999546051025, meteringUsage=credits, turnDurationMs=12)
        return not turn.session.stop.is_set()

    def summary(self, session: str, task: str, text: str) -> list[Json]:
        """A child's tool and text; its metering."""
        raw = {"rawInput": {"taskDescription": task, "taskResult": text}}
        head: Json = {"toolCallId": new_tool_id()}
        self.own_update({"sessionUpdate": "tool_call_chunk", **head, "title": "summary", "kind": "other"}, session)
        self._metadata(session, 1.625)
        meta = {"_meta": {"kiro": {"toolName": "summary"}}} if self.personality.names_tools else {}
        self._update({"sessionUpdate": "tool_call", **head, "title": "Summarizing", **raw, **meta}, session)
        done = {"kind": "other", "status": "completed", "title": "Summarizing", "rawOutput": {"items": [{"Text": ""}]}}
        self._update({"sessionUpdate": "tool_call_update", **head, **raw, **done}, session)
        chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
        self._update(chunk, session)
        return [{"value": 0.0787, "unit": "credit", "unitPlural": "credits"}]

    def entry(self, session: str, name: str, task: str, group: str, role: str | None = "kiro_default") -> Json:
        """An entry of the sub-agent list (facts/kiro-wire.md 7)."""
        loop = {"hasLoop": False, "loopIteration": 0, "loopMaxIterations": 0, "createdAtMs": now_ms()}
        return {
            "sessionId": session,
            "sessionName": name,
            "agentName": "kiro_default",
            "initialQuery": task,
            "status": {"type": "working", "message": "Running"},
            "group": group,
            "role": role,
            "dependsOn": [],
            **(loop if self.personality.loop_fields else {}),
        }

    def crew(self, entries: list[Json]) -> None:
        """The whole list of sub-agents: no session id, sent twice as often as it changes (facts/kiro-wire.md 7)."""
        for _ in range(2 if entries else 1):
            self.crew_once(entries)

    def crew_once(self, entries: list[Json]) -> None:
        """The list, once."""
        self.wire.notify("_kiro.dev/subagent/list_update", {"subagents": entries, "pendingStages": []})

    def turn_ends(self, info: TurnInfo, stop_reason: str) -> None:
        """Metering with one entry per model call; the answer follows (facts/kiro-wire.md 3)."""
        usage = [{"value": said.credits, "unit": "credit", "unitPlural": "credits"} for said in info.said]
        self._metadata(self.id, info.context_percent, meteringUsage=usage, turnDurationMs=info.elapsed_ms)

    def turn_cancelled(self, info: TurnInfo) -> None:
        """The answer comes first (facts/kiro-wire.md 8)."""

    def turn_fails(self, info: TurnInfo, failure: Failure) -> None:
        """The error answer comes first (facts/kiro-wire.md 8)."""

    def closing(self, info: TurnInfo) -> None:
        """After a cancel or an error: a metadata without metering (facts/kiro-wire.md 7, 8)."""
        params: dict[str, Any] = {"sessionId": self.id, "turnDurationMs": info.elapsed_ms}
        if self.session.effort:
            params["effort"] = self.session.effort
        self.wire.notify("_kiro.dev/metadata", params)
