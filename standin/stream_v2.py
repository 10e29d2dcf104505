"""`--output-format stream-json` of engine v2.

Invariant: stdout carries one JSON object per line and nothing else; order and fields as in facts/kiro-stores.md A.2
to A.7.
"""

from __future__ import annotations

from standin import console
from standin.failures import DENIED, stream_text, terminal_text
from standin.model import Call, Failure, Json, Listener, Outcome, Said, Store, TurnInfo
from standin.personality import Personality
from standin.tool_shapes import NAMES, arguments, locations, v2_kind, v2_title, v2_value

PROGRESS = "Running crew pipeline (1 stages)..."


def event(kind: str, data: Json) -> None:
    """One line of the envelope (facts/kiro-stores.md A.2)."""
    console.line({"type": kind, "data": data})


def text_block(text: str) -> Json:
    """A text content block of a tool update."""
    return {"type": "content", "content": {"type": "text", "text": text}}


class V2Stream(Listener):
    """Writes the events of one run of `store`'s session. `terminal` False leaves the last line out."""

    def __init__(self, personality: Personality, store: Store) -> None:
        self.personality = personality
        self.store = store
        self.terminal = True
        self.truncated = False

    def _metadata(self, session: str, percent: float, **more: object) -> None:
        """A `metadata` line; `reasoning` only from 2.27 on (A.3)."""
        reasoning = (
            {"reasoning": {"support": "unavailable", "effortLevels": []}} if self.personality.reports_reasoning else {}
        )
        event("metadata", {"sessionId": session, "contextUsagePercentage": percent, **more, **reasoning})

    def _update(self, update: Json, session: str = "") -> None:
        event("sessionUpdate", {"sessionId": session or self.store.session_id, "update": update})

    def begin(self, info: TurnInfo) -> None:
        """`runStarted` without a session id, then metadata that name it; the percentage falls (A.3)."""
        event("runStarted", {"payloadSchema": "acp", "acpProtocolVersion": 1, "engine": "v2"})
        self._metadata(self.store.session_id, 3.627000093460083)
        if self.personality.reports_reasoning:
            self._metadata(self.store.session_id, 0.001999999862164259)
            self._metadata(self.store.session_id, 0.001999999862164259)

    def chunk(self, said: Said, text: str) -> None:
        """A piece of the answer; v2 gives it no message id (facts/kiro-wire.md 3)."""
        self._update({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})

    def thought(self, said: Said, text: str) -> None:
        """A piece of a thought: same shape (A.4)."""
        self._update({"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": text}})

    def message_ends(self, info: TurnInfo, said: Said) -> None:
        """The calls, announced without a status (A.6), and the context's size after the model call
        (facts/kiro-wire.md 3)."""
        for call in said.calls:
            meta = {"_meta": {"kiro": {"toolName": NAMES["v2"][call.tool]}}}
            body = {"toolCallId": call.id, "title": v2_title(call), **v2_kind(call), **locations(call)}
            self._update({"sessionUpdate": "tool_call", **body, "rawInput": arguments("v2", call), **meta})
        self._metadata(self.store.session_id, info.context_percent)

    def tool_begins(self, call: Call) -> None:
        """A sub-agent says that it runs (A.7)."""
        if call.tool == "subagent":
            self.tool_output(call, PROGRESS)

    def tool_output(self, call: Call, text: str) -> None:
        """Output of a running command: content only (facts/kiro-wire.md 4 step 4)."""
        self._update({"sessionUpdate": "tool_call_update", "toolCallId": call.id, "content": [text_block(text)]})

    def tool_ends(self, info: TurnInfo, call: Call, outcome: Outcome) -> None:
        """The last update; a refused or wrong call is `failed` with content and no rawOutput (A.6, facts/kiro-wire.md
        4)."""
        if outcome.agent:
            self._child(info, outcome)
        body: Json = {"sessionUpdate": "tool_call_update", "toolCallId": call.id}
        if outcome.status == "denied":
            console.err(DENIED + "[tool] status: Failed\n")
        kind, value = v2_value(call, outcome)
        if outcome.status == "ok":
            head = {**v2_kind(call), "status": "completed", "title": v2_title(call), **locations(call)}
            body.update(**head, rawInput=arguments("v2", call), rawOutput={"items": [{kind.capitalize(): value}]})
        else:
            head = {"status": "failed", "title": NAMES["v2"][call.tool], **v2_kind(call)}
            body.update(**head, rawInput=arguments("v2", call), content=[text_block(str(value))])
        self._update(body)

    def _child(self, info: TurnInfo, outcome: Outcome) -> None:
        """The sub-agent's own events under another session id; its text goes into finalText too (A.7)."""
        session, text = str(outcome.agent["session"]), str(outcome.agent["text"])
        self._update({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}, session)
        info.final_text += text
        credit = {"value": 0.29, "unit": "credit", "unitPlural": "credits"}
        self._metadata(session, 9.12, meteringUsage=[credit], turnDurationMs=int(outcome.seconds * 1000))

    def turn_ends(self, info: TurnInfo, stop_reason: str) -> None:
        """Metering with one entry per model call, then the last line (A.3, A.8)."""
        credits = [{"value": said.credits, "unit": "credit", "unitPlural": "credits"} for said in info.said]
        self._metadata(
            self.store.session_id, info.context_percent, meteringUsage=credits, turnDurationMs=info.elapsed_ms
        )
        if self.terminal:
            finish(self.store.session_id, stop_reason, info.final_text, self.truncated)

    def turn_fails(self, info: TurnInfo, failure: Failure) -> None:
        """A runError instead of the last line (A.8)."""
        if self.terminal:
            run_error(self.store.session_id, failure)


def finish(session: str, stop_reason: str, text: str, truncated: bool) -> None:
    """`runFinished`; the limit of finalText is unknown, `truncated` cuts it at 100 letters (A.8)."""
    data = {"sessionId": session, "status": "success", "stopReason": stop_reason}
    final = text[:100] if truncated else text
    event("runFinished", {**data, "finalText": final, "finalTextTruncated": truncated})


def run_error(session: str | None, failure: Failure) -> None:
    """`runError` (A.2, A.8); a plain failure is text on stderr instead."""
    if failure.plain:
        console.err(terminal_text(failure))
        return
    event("runError", {"sessionId": session, "stage": failure.stage, "message": stream_text(failure)})
