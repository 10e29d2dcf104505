"""Running one turn: the messages of the script, their tools, and what stores and outputs hear of it.

Invariant: the same sequence of calls for every engine; what differs is which tools may run and what a refusal and a
SIGINT do.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from standin import console, faults, tools
from standin.failures import APPROVAL
from standin.model import Call, Listener, Outcome, Said, Store, TurnInfo, new_id, now_ms
from standin.processes import die
from standin.script import Step, Turn
from standin.store_v1 import V1Store
from standin.terminal_output import V1Text

#: Stop reasons after which the exit code is 1 (facts/kiro-stores.md A.8).
BAD_STOPS = ("refusal", "cancelled")
#: What v3 puts before the model's tool id (facts/kiro-wire.md 12).
PREFIXES = {("v3", "shell"): "run_command_", ("v3", "subagent"): "invoke_subagent_"}


def pieces(text: str, count: int) -> list[str]:
    """The text cut into `count` pieces, or into a number that suits its length (16 to 4096 letters each)."""
    size = -(-len(text) // count) if count else min(max(len(text) // 200, 16), 4096)
    return [text[start : start + size] for start in range(0, len(text), max(size, 1))]


def sub_agent(call: Call, session: str) -> Outcome:
    """How a sub-agent of that session ends: its text under the pipeline's heading (facts/kiro-wire.md 7)."""
    name, text = call.args["name"], call.args["text"]
    summary = f"Pipeline completed: 1 stages finished.\n\n## {name}\n\n{text}"
    return Outcome("ok", summary, agent={"session": session, "text": text})


@dataclass
class Runner:
    """Runs a turn. `output` and `store` are told everything; `stream` says whether stdout is JSON lines."""

    engine: str
    store: Store
    output: Listener
    policy: tools.Permission
    stream: bool
    info: TurnInfo
    stop_reason: str = "end_turn"
    chunks_left: int = -1
    linger: float = 0.0
    running: list[Call] = field(default_factory=list)

    def run(self, turn: Turn) -> int:
        """The whole turn; the process's exit code."""
        try:
            self._tell("begin", self.info)
            for message in turn.messages:
                said = self._message(message)
                if said.calls and not self._tools(said, turn):
                    return 1
            self._tell("turn_ends", self.info, self.stop_reason)
        except faults.RunFailed as failed:
            self._tell("turn_fails", self.info, failed.failure)
            self.store.close()
            return failed.failure.exit_code
        except faults.RunEnds as ended:
            return ended.code
        except KeyboardInterrupt:
            return self._interrupted()
        self.store.close()
        time.sleep(self.linger)
        return 1 if self.stop_reason in BAD_STOPS else 0

    def _tell(self, event: str, *arguments: object) -> None:
        """Store first, so that what a reader of the stream hears of is already on record."""
        for listener in (self.store, self.output):
            getattr(listener, event)(*arguments)

    def _message(self, steps: list[Step]) -> Said:
        """One model message."""
        said = self._begun()
        self._tell("message_begins", self.info, said)
        for step in steps:
            if step.call is not None:
                self._prepare(step.call)
                said.calls.append(step.call)
            elif step.kind == "sleep":
                self._pause(step.seconds)
            elif step.kind == "thought":
                said.thought += step.text
                self._tell("thought", said, step.text)
            elif step.kind == "text":
                self._say(said, step)
            else:
                self._fault(said, step)
        said.ended_ms = now_ms()
        self.info.said.append(said)
        self._tell("message_ends", self.info, said)
        return said

    def _begun(self) -> Said:
        """A message about to be said."""
        return Said()

    def _prepare(self, call: Call) -> None:
        """Give the call the id its engine gives it."""
        call.id = PREFIXES.get((self.engine, call.tool), "") + call.id

    def _pause(self, seconds: float) -> None:
        """The model is silent."""
        time.sleep(seconds)

    def _say(self, said: Said, step: Step) -> None:
        """The text in pieces, each followed by its delay (KIRO_STANDIN_TOKEN_DELAY wins over the step's own)."""
        pace = os.environ.get("KIRO_STANDIN_TOKEN_DELAY")
        delay = float(pace) if pace else step.delay or 0.0
        spoken = 0
        try:
            for piece in pieces(step.text, step.chunks):
                spoken += len(piece)
                said.chunks += 1
                self._tell("chunk", said, piece)
                self.chunks_left -= 1
                if self.chunks_left == 0:
                    die()
                if delay:
                    self._pause(delay)
        finally:
            said.text += step.text[:spoken]
            self.info.final_text += step.text[:spoken]

    def _fault(self, said: Said, step: Step) -> None:
        """A fault at its place."""
        if step.text == "die-after":
            self.chunks_left = int(step.argument or 1)
        elif step.text == "binary-answer":
            self._say(said, Step("text", faults.BINARY))
        elif step.text == "stop-reason":
            self.stop_reason = step.argument or "max_tokens"
        elif step.text == "linger":
            self.linger = float(step.argument or 5)
        elif step.text in ("no-terminal-line", "final-truncated"):
            setattr(
                self.output,
                *{"no-terminal-line": ("terminal", False), "final-truncated": ("truncated", True)}[step.text],
            )
        elif step.text != "empty-answer":
            faults.fire(step.text, step.argument, self.store, self.stream)

    def _tools(self, said: Said, turn: Turn) -> bool:
        """The message's calls one after the other (facts/kiro-cli.md 14 no. 3); False when the run ends with a
        refusal."""
        denied = any(not self._allowed(call) for call in said.calls)
        if self.engine == "v1" and not self._v1_headers(said, denied):
            return False
        for call in said.calls:
            self.running = said.calls
            outcome = self._outcome(call, denied)
            turn.outcomes.append((call, outcome))
            self._tell("tool_ends", self.info, call, outcome)
        self.running = []
        return True

    def _allowed(self, call: Call) -> bool:
        """Allowed by the policy; a call with wrong arguments never gets as far as being asked about."""
        return bool(tools.validate(call, self.info.cwd)) or self.policy.allows(call)

    def _v1_headers(self, said: Said, denied: bool) -> bool:
        """v1 shows every call before the first runs, and gives up when one needs approval (facts/kiro-cli.md 14 no.
        6)."""
        assert isinstance(self.output, V1Text)
        for call in said.calls:
            if not tools.validate(call, self.info.cwd):
                self.output.header(call, self.policy.allows(call))
        if denied:
            console.err(f"\x1b[1G\x1b[0m\x1b[?25h{APPROVAL}")
        return not denied

    def _outcome(self, call: Call, denied: bool) -> Outcome:
        """Run one call. On v2 one denied call cancels its neighbours (facts/kiro-stores.md A.9 row 4)."""
        problem = tools.validate(call, self.info.cwd)
        if problem:
            return Outcome("error", problem)
        if not self.policy.allows(call):
            return Outcome("denied")
        if denied and self.engine == "v2":
            return Outcome("cancelled")
        self._tell("tool_begins", call)
        if call.tool == "subagent":
            return sub_agent(call, new_id())
        return tools.run(call, lambda text: self._tell("tool_output", call, text))

    def _interrupted(self) -> int:
        """SIGINT on v1: in a tool as in facts/kiro-cli.md 14 no. 7; while the model speaks nothing is written (3.4,
        5.6)."""
        if self.running and isinstance(self.store, V1Store):
            self.store.interrupted(self.running)
            console.err(f"\n\n\x1b[1G\x1b[0m\x1b[0m\x1b[?25h{APPROVAL}")
        else:
            console.err("\n\n\x1b[0m\x1b[?25h^C\n")
        return 1
