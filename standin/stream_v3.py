"""`--output-format stream-json` of engine v3.

Invariant: order and fields as in facts/kiro-stores.md A.4 to A.6; ids are those of the store's rows (B.5).
"""

from __future__ import annotations

from standin import console
from standin.failures import DENIED
from standin.model import Call, Failure, Json, Listener, Outcome, Said, Store, TurnInfo, new_id
from standin.personality import Personality
from standin.stream_v2 import event, finish, run_error, text_block
from standin.tool_shapes import NAMES, V3_KINDS, V3_TITLES, arguments, locations, v3_output, v3_success

_META = {"_meta": {"kiro": {"toolOrigin": "default"}}}
CUT = 30_000


def _resource(kind: str) -> Json:
    return {"resource": {"resourceType": kind, "source": {"origin": "bundled"}}}


def _options(model: str) -> Json:
    """`config_option_update` with mode, model and autopilot (A.4); shorter than the real lists."""

    def option(name: str, title: str, current: str, options: list[Json]) -> Json:
        return {
            "id": name,
            "name": title,
            "category": name,
            "type": "select",
            "currentValue": current,
            "options": options,
        }

    modes = [
        {
            "value": value,
            "name": name,
            "description": text,
            "_meta": {"kiro": {"source": "bundled", **_resource("agent")}},
        }
        for value, name, text in (("vibe", "Default", "Ordinary work"), ("spec", "Spec", "Work from a specification"))
    ]
    rate = {"_meta": {"kiro": {"rateMultiplier": 1, "rateUnit": "Credit", "hasEffort": False}}}
    models = [
        {"value": value, "name": value, "description": "A made-up model", **rate}
        for value in dict.fromkeys(["auto", model])
    ]
    return {
        "sessionUpdate": "config_option_update",
        "configOptions": [option("mode", "Mode", "vibe", modes), option("model", "Model", model, models)],
    }


def commands_update() -> Json:
    """`available_commands_update` (A.4)."""
    more = {
        "contextQuery": "global:standin",
        "commandId": "standin",
        **_resource("steering"),
        "originalName": "standin",
    }
    meta = {"_meta": {"kiro": {"type": "steering", **more}}}
    command = {"name": "standin", "description": "Steering: standin", "input": {"hint": "optional context"}, **meta}
    return {"sessionUpdate": "available_commands_update", "availableCommands": [command]}


def _breakdown(percent: float) -> Json:
    part: Json = {"tokens": 0, "percent": 0}
    tools = {"tokens": 5063, "percent": 0.5, "mcp": part, "builtin": {"tokens": 5063, "percent": 0.5}}
    files = {**part, "items": []}
    prompts = {"tokens": 0, "percent": round(percent, 1)}
    return {"contextFiles": files, "tools": tools, "kiroResponses": part, "yourPrompts": prompts, "sessionFiles": files}


def shortened(text: str) -> str:
    """What v3 sends of a long text (A.6)."""
    if len(text) < CUT:
        return text
    return f"{text[:500]}\n...[truncated {len(text) - 1000} chars]...\n{text[-500:]}"


class V3Stream(Listener):
    """Writes the events of one run of `store`'s session. `terminal` False leaves the last line out."""

    def __init__(self, personality: Personality, store: Store) -> None:
        self.personality = personality
        self.store = store
        self.terminal = True
        self.truncated = False

    def _update(self, update: Json) -> None:
        event("sessionUpdate", {"sessionId": self.store.session_id, "update": update})

    def _info(self, kind: str, fields: Json, **top: str) -> None:
        """A `session_info_update` of that kind (A.4)."""
        self._update({"sessionUpdate": "session_info_update", **top, "_meta": {"kiro": {**fields, "kind": kind}}})

    def _usage(self, percent: float, breakdown: bool) -> None:
        more = {"breakdown": _breakdown(percent)} if breakdown else {}
        self._info("context_usage", {"contextUsage": {"usagePercentage": percent}, **more, "usagePercentage": percent})

    def _focus(self, status: str) -> None:
        """`focus_update` with a status, from 2.27 on (A.5)."""
        if self.personality.reports_focus_status:
            activity = {"turnActive": status == "in_progress", "runningWorkflows": 0, "pausedWorkflows": 0}
            self._info("focus_update", {"focus": {"status": status}, "status": status, "activity": activity})

    def begin(self, info: TurnInfo) -> None:
        """Everything up to `turn_start`; from 2.27 on the first two change places (A.5)."""
        event("runStarted", {"payloadSchema": "acp", "acpProtocolVersion": 1, "engine": "v3"})
        first = [_options(info.model), commands_update()]
        for update in reversed(first) if self.personality.reports_focus_status else first:
            self._update(update)
        self._usage(0.9, breakdown=True)
        self._info("user_message_id_assigned", {"userMessageId": info.user_id})
        title = " ".join(info.prompt.split())[:60]
        self._info("focus_update", {"focus": {"title": title}, "title": title}, title=title)
        self._update(_options(info.model))
        self._focus("in_progress")
        self._info("turn_start", {"turnStart": True, "messageId": f"{info.execution_id}-turn-start"})

    def _say(self, kind: str, said: Said, text: str) -> None:
        meta = {"_meta": {"kiro": {"replayId": f"{said.id}-say"}}}
        self._update({"sessionUpdate": kind, "content": {"type": "text", "text": text}, **meta})

    def chunk(self, said: Said, text: str) -> None:
        """A piece of the answer; all pieces of a message share the row's id (A.4)."""
        self._say("agent_message_chunk", said, text)

    def thought(self, said: Said, text: str) -> None:
        """A piece of a thought (A.4)."""
        self._say("agent_thought_chunk", said, text)

    def message_ends(self, info: TurnInfo, said: Said) -> None:
        """The calls without status and without tool name (A.6), then the context's size."""
        for call in said.calls:
            self._update(
                {"sessionUpdate": "tool_call", **self._head(call), "kind": V3_KINDS[call.tool], **self._tail(call)}
            )
        self._usage(info.context_percent, breakdown=False)
        if not said.calls:
            self._usage(info.context_percent, breakdown=True)

    @staticmethod
    def _head(call: Call) -> Json:
        return {"toolCallId": call.id, "title": V3_TITLES[call.tool]}

    @staticmethod
    def _tail(call: Call) -> Json:
        return {**locations(call), "rawInput": arguments("v3", call), **_META}

    def tool_begins(self, call: Call) -> None:
        """`in_progress`, without a title (A.6)."""
        body = {"sessionUpdate": "tool_call_update", "toolCallId": call.id, "status": "in_progress"}
        self._update({**body, **self._tail(call)})

    def tool_ends(self, info: TurnInfo, call: Call, outcome: Outcome) -> None:
        """The last update with content and rawOutput of the same text (A.6)."""
        if outcome.status == "denied":
            console.err(DENIED + "[tool] status: Failed\n")
        output = v3_output(call, outcome)
        status = "completed" if v3_success(call, outcome) else "failed"
        content = [text_block(shortened(output["message"]))]
        if call.tool == "write" and outcome.status == "ok":  # facts/kiro-wire.md 12
            path = locations(call)["locations"][0]["path"]
            content = [{"type": "diff", "path": f"file://{path}", "newText": call.args["text"], "oldText": ""}]
        body = {"sessionUpdate": "tool_call_update", **self._head(call), "status": status, "content": content}
        self._update({**body, **self._tail(call), "rawOutput": output})

    def _completion(self, info: TurnInfo, status: str) -> None:
        summary: Json = {"unit": "credit", "unitPlural": "credits", "usage": sum(said.credits for said in info.said)}
        used = sorted({NAMES["v3"][call.tool] for said in info.said for call in said.calls})
        if used:
            summary["usedTools"] = used
        fields = {"promptTurnSummaries": [summary], "elapsedTime": info.elapsed_ms, "status": status}
        self._info("turn_completion", {**fields, "requestIds": [said.request_id for said in info.said] or [new_id()]})

    def turn_ends(self, info: TurnInfo, stop_reason: str) -> None:
        """turn_completion, turn_end, the idle focus and the last line (A.5)."""
        self._completion(info, "success")
        self._turn_end(info, stop_reason)
        self._focus("idle")
        if self.terminal:
            finish(self.store.session_id, stop_reason, info.final_text, self.truncated)

    def _turn_end(self, info: TurnInfo, stop_reason: str) -> None:
        ended = {"turnEnd": {"stopReason": stop_reason}, "stopReason": stop_reason}
        self._info("turn_end", {**ended, "messageId": f"{info.execution_id}-turn-end"})

    def turn_fails(self, info: TurnInfo, failure: Failure) -> None:
        """The failed turn's end as on the wire (facts/kiro-wire.md 11, [L] here), then a runError (A.8)."""
        self._completion(info, "failed")
        self._turn_end(info, "error")
        if self.terminal:
            run_error(self.store.session_id, failure)
