"""A turn over ACP: the runner of chat, with a user who can be asked, cancel, and steer.

Invariant: the store hears of everything before the client does; the answer to `session/prompt` is sent once, by the
turn's own thread.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from standin import faults, tools
from standin.acp import misbehaviour
from standin.acp.session import Session
from standin.acp.wire import Reply, RpcError
from standin.model import Call, Failure, Json, Outcome, Said, new_id, now_ms
from standin.script import Step, Turn
from standin.turn import Runner, sub_agent

if TYPE_CHECKING:
    from standin.acp.agent import Agent


class Cancelled(Exception):
    """The client cancelled the turn."""


@dataclass
class AcpTurn(Runner):
    """One turn of `session`. `request` is the prompt's id, or None for a turn nobody prompted."""

    agent: Agent = field(kw_only=True)
    session: Session = field(kw_only=True)
    request: Any = field(default=None, kw_only=True)
    prompted: bool = field(default=True, kw_only=True)
    lost: bool = False
    faults: list[Step] = field(default_factory=list)
    current: Said | None = None

    @property
    def frames(self) -> Any:
        """The session's frames."""
        return self.output

    def play(self, turn: Turn) -> None:
        """The whole turn with its answer."""
        try:
            self._tell("begin", self.info)
            for message in turn.messages:
                said = self._message(message)
                if said.calls:
                    self._tools(said, turn)
            self._tell("turn_ends", self.info, self.stop_reason)
            self._answer({"stopReason": self.stop_reason})
        except Cancelled:
            self._cancelled()
        except faults.RunFailed as failed:
            self._failed(failed.failure)
        except OSError as error:
            self._unwritten(Failure("store", str(error)))
        except faults.RunEnds as ended:
            os._exit(ended.code)
        self.agent.wire.flush()
        self.agent.after_turn(self)

    def _answer(self, result: Json) -> None:
        self.session.context = self.info.context_percent
        self.store.turns_before += 1
        self.session.busy = False
        if self.prompted:
            self.agent.wire.answer(self.request, result)
        self.agent.frames_after(self.session, self.info, result["stopReason"])

    def _cancelled(self) -> None:
        """The text so far is kept; v2 answers before the closing metadata, v3 after its frames (facts/kiro-wire.md 8,
        15)."""
        if self.current is not None and self.current.text:
            self.current.ended_ms = now_ms()
            self.info.said.append(self.current)
            self.store.message_ends(self.info, self.current)
        self.store.turn_ends(self.info, "cancelled")
        self.agent.wire.flush()
        self.frames.turn_cancelled(self.info)
        self._answer({"stopReason": "cancelled"})

    def _failed(self, failure: Failure) -> None:
        self._tell("turn_fails", self.info, failure)
        self._refuse(failure)

    def _unwritten(self, failure: Failure) -> None:
        """The store cannot be written, so it is not told of the end; the client is [L]."""
        self.frames.turn_fails(self.info, failure)
        self._refuse(failure)

    def _refuse(self, failure: Failure) -> None:
        self.session.busy = False
        if self.prompted:
            self.agent.answer_failed_prompt(self.request, failure)
        self.agent.frames_after(self.session, self.info, "error")

    def _message(self, steps: list[Step]) -> Said:
        """One model message, begun with what the user said meanwhile."""
        self._check()
        self.current = Said()
        while self.session.steering:
            content = self.session.steering.pop(0)
            self.frames.steered(content)
            steps = [Step("text", f"(You said meanwhile: {content})\n"), *steps]
        said = super()._message(steps)
        self.current = None
        return said

    def _begun(self) -> Said:
        """The message `_message` made, so that a cancelled one is known."""
        assert self.current is not None
        return self.current

    def _check(self) -> None:
        if self.session.stop.is_set():
            raise Cancelled

    def _pause(self, seconds: float) -> None:
        """Silence that a cancel ends."""
        if self.session.stop.wait(seconds):
            raise Cancelled

    def _prepare(self, call: Call) -> None:
        """Paths are meant from the session's folder."""
        super()._prepare(call)
        if "path" in call.args:
            call.args["path"] = os.path.join(self.session.cwd, str(call.args["path"]))

    def _fault(self, said: Said, step: Step) -> None:
        """ACP's own steps and misbehaviours first, also when a cancel came just before; then chat's."""
        if step.kind == "plan":
            self.frames.plan(step.text.split("\n"))
        elif step.kind == "spawn":
            self.agent.spawn(self.session, step.text, step.argument)
        elif not misbehaviour.act(self, said, step):
            self._check()
            super()._fault(said, step)

    def say(self, said: Said, text: str) -> None:
        """Say it in this message."""
        self._say(said, Step("text", text))

    def _tools(self, said: Said, turn: Turn) -> bool:
        """The calls one after the other, each asked about when it has to be."""
        self.running = said.calls
        for call in said.calls:
            self._check()
            outcome = self._outcome(call, False)
            turn.outcomes.append((call, outcome))
            self._tell("tool_ends", self.info, call, outcome)
            if outcome.status == "cancelled":
                raise Cancelled
        self.running = []
        return True

    def _outcome(self, call: Call, denied: bool) -> Outcome:
        """Run one call, after asking."""
        if call.tool == "question":
            return self._question(call)
        problem = tools.validate(call, self.info.cwd)
        if problem:
            return Outcome("error", problem)
        if self.session.trust.refuses(call):
            return Outcome("denied")
        if self.session.trust.asks(call):
            verdict = self._ask(call, self.frames)
            if verdict != "allow":
                return Outcome("cancelled" if verdict == "cancelled" else "denied")
        if call.tool == "write" and os.path.isfile(str(call.args["path"])):
            with open(str(call.args["path"]), encoding="utf-8", errors="replace") as stream:
                call.args["old"] = stream.read()
        self._tell("tool_begins", call)
        if call.tool == "subagent":
            return self._sub_agent(call)
        try:
            return tools.run(call, self._output_of(call), self.session.cwd, self.session.stop)
        except tools.Stopped:
            return Outcome("cancelled")

    def _output_of(self, call: Call) -> Any:
        return lambda text: self._tell("tool_output", call, text)

    def _sub_agent(self, call: Call) -> Outcome:
        """A sub-agent: the frames tell of its own session, and its tool, if it has one, is asked about there."""
        session = new_id()
        return sub_agent(call, session) if self.frames.child(self, call, session) else Outcome("cancelled")

    def inner(self, call: Call, frames: Any) -> None:
        """A sub-agent's own shell call, told of by `frames`; nothing of it is stored here."""
        frames.announce(call)
        if self.session.trust.asks(call) and self._ask(call, frames) != "allow":
            frames.tool_ends(self.info, call, Outcome("denied"))
            return
        frames.tool_begins(call)
        try:
            outcome = tools.run(call, lambda text: frames.tool_output(call, text), self.session.cwd, self.session.stop)
        except tools.Stopped:
            outcome = Outcome("cancelled")
        frames.tool_ends(self.info, call, outcome)

    def _put(self, call: Call, frames: Any) -> tuple[Json, Json] | None:
        """Ask the user; the option taken and the client's outcome, or None for a cancel. An answer that is no offer
        counts as a cancel [L]."""
        options, params = frames.permission(call)
        reply = self.agent.wire.request("session/request_permission", params)
        self.session.wait_for(reply)
        chosen = answered(reply)
        option = next((one for one in options if one["optionId"] == chosen.get("optionId")), None)
        if self.session.stop.is_set() or option is None:
            frames.permission_answered(call, "cancelled", "")
            return None
        self._be_lost()
        frames.permission_answered(call, "selected", str(option["optionId"]))
        return option, chosen

    def _ask(self, call: Call, frames: Any) -> str:
        """`allow`, `reject` or `cancelled`."""
        taken = self._put(call, frames)
        if taken is None:
            return "cancelled"
        self.session.trust.remember(call, *taken)
        return "allow" if str(taken[0]["kind"]).startswith("allow") else "reject"

    def _be_lost(self) -> None:
        """Never go on after an answer, if that was asked for."""
        if self.lost:
            self._pause(threading.TIMEOUT_MAX)

    def _question(self, call: Call) -> Outcome:
        """A question to the user in the permission's shape (facts/kiro-wire.md 13): the option's name answers it."""
        self._tell("tool_begins", call)
        taken = self._put(call, self.frames)
        return Outcome("cancelled") if taken is None else Outcome("ok", str(taken[0]["name"]))


def answered(reply: Reply) -> Json:
    """The chosen outcome of a permission request, empty when there is none."""
    result = reply.result if isinstance(reply.result, dict) else {}
    outcome = result.get("outcome")
    if not isinstance(outcome, dict) or outcome.get("outcome") != "selected":
        return {}
    return {**outcome, "_meta": outcome.get("_meta") or result.get("_meta") or {}}


def prompt_text(blocks: object) -> str:
    """The text of a prompt's content blocks. Raises RpcError on something else."""
    if not isinstance(blocks, list):
        raise RpcError(-32602, "Invalid params", "prompt must be a list of content blocks")
    texts = []
    for block in blocks:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text":
            texts.append(str(block.get("text", "")))
        elif kind == "resource_link":
            texts.append(str(block.get("uri", "")))
        elif kind == "resource":
            texts.append(str((block.get("resource") or {}).get("text", "")))
    return "\n".join(texts)
