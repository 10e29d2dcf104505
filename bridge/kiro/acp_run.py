"""One turn over ACP, from the prompt to its last event.

Invariant: what the agent says is the preview, handed on in the order of the wire; what its store says is the truth. The
answer to `session/prompt` ends the turn, or the end of the process; silence never does (facts/kiro-wire.md 8).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bridge.core.feed import Ended, FeedEvent, MessageBreak, MessageRecorded, Notice, SessionKnown, TextDelta, UsageSeen
from bridge.core.ports import ApprovalAnswer, PromptRequest, TurnControl
from bridge.core.text import squeezed
from bridge.errors import Problem
from bridge.kiro import loose
from bridge.kiro.acp_agent import Agent
from bridge.kiro.acp_connection import Call
from bridge.kiro.acp_idle import afterwards
from bridge.kiro.acp_permission import trusting
from bridge.kiro.acp_seat import TOKEN_ASKED
from bridge.kiro.acp_strays import Strays
from bridge.kiro.batches import POLL, POLL_SHARE, Batches
from bridge.kiro.command import LaunchOptions
from bridge.kiro.failures import classify
from bridge.kiro.stores import TurnReader
from bridge.kiro.stream_json import EARLY_STOPS, NO_ANSWER

_POLL_AFTER_NEWS = 0.03
_PROOF_PATIENCE = 0.25
_PROOF_STEP = 0.02
_LINGER = 5.0
"""Seconds to wait for the answer to a prompt after the agent told in another way that the turn is over."""

_LATE_ANSWER = 0.5
"""Seconds in which an answer that was given right before its time was over reaches us."""

_WAITS = "-pending"
"""Ends the key of the v3 store's notice that an approval is open."""

_INTERRUPTED = "Tool uses were interrupted, waiting for the next user prompt"
"""Ends a turn without an answer in some versions (facts/peers-and-style.md 3.2)."""


@dataclass(frozen=True)
class TurnRules:
    """`stop_grace` and `approval_timeout` in seconds; 0 lets an approval wait for ever."""

    stop_grace: float = 5.0
    approval_timeout: float = 0.0


class AcpRun:
    """Drives one prompt on a warm agent. After `events`, `usable` says whether the process can serve the next one,
    `problem` why the turn failed, and `afterwards` holds what was told when the turn was over."""

    def __init__(
        self,
        agent: Agent,
        reader: TurnReader,
        request: PromptRequest,
        control: TurnControl,
        settings: LaunchOptions,
        rules: TurnRules,
    ) -> None:
        self.usable = True
        self.afterwards: list[FeedEvent] = []
        self.problem: Problem | None = None
        self._agent = agent
        self._reader = reader
        self._request = request
        self._control = control
        self._settings = settings
        self._rules = rules
        self._batches = Batches()
        self._next_poll = 0.0
        self._deaf_at: float | None = None
        self._over_at: float | None = None
        self._steered: list[tuple[Call, str]] = []
        self._strays = Strays(agent.child.run_id)

    def events(self, first: list[FeedEvent]) -> Iterator[list[FeedEvent]]:
        """Yield the batches of the turn, `first` before all; the last one ends with `Ended`."""
        agent, session = self._agent, self._agent.talk.own or ""
        agent.trust = lambda: trusting(self._control.options(), self._settings)
        agent.talk.begin_turn()
        agent.told, agent.recorded = True, set()
        agent.ask_again()
        call = agent.prompt(self._request.prompt)
        try:
            agent.pump(0.0)
            yield [SessionKnown(session, agent.talk.engine), *first, *agent.events()]
            while not self._over(call):
                if not self._control.cancelled():
                    agent.child.listen(self._control.wake_fd())
                agent.pump(self._timeout())
                self._hear()
                self._take()
                if time.monotonic() >= self._next_poll:
                    self._poll()
                if self._batches.ready:
                    yield self._batches.take()
            self._settle(call)
            self._conclude(call)
        finally:
            agent.child.unlisten(self._control.wake_fd())
            kept = trusting(self._control.options(), self._settings)
            agent.trust = lambda: kept
        yield self._batches.take()

    def _over(self, call: Call) -> bool:
        now = time.monotonic()
        if call.done or self._agent.gone:
            return True
        if self._control.cancelled() and self._deaf_at is None:
            self._cancel()
        lingering = self._over_at is not None and now > self._over_at + _LINGER
        return lingering or (self._deaf_at is not None and now > self._deaf_at)

    def _cancel(self) -> None:
        """Ask the agent to stop; what it waits for is answered as cancelled, which it may need to go on."""
        self._agent.connection.tell("session/cancel", {"sessionId": self._agent.talk.own or ""})
        self._agent.withdraw(sub_agents=True)
        self._deaf_at = time.monotonic() + self._rules.stop_grace

    def _timeout(self) -> float:
        now = time.monotonic()
        times = [self._next_poll, self._batches.due]
        if self._deaf_at is not None:
            times.append(self._deaf_at)
        if self._over_at is not None:
            times.append(self._over_at + _LINGER)
        return max(0.0, min(times) - now)

    def _hear(self) -> None:
        """Take what people say to the turn: answers, and messages into it."""
        for message in self._control.take():
            if isinstance(message, ApprovalAnswer):
                self._agent.answer(message.key, message.option, message.reason)
            elif self._deaf_at is None:
                params = {"sessionId": self._agent.talk.own or "", "message": message.text}
                self._steered.append((self._agent.connection.begin("_session/steer", params), message.text))
        refused = [text for call, text in self._steered if call.done and call.error is not None]
        self._steered = [(call, text) for call, text in self._steered if not call.done]
        for text in refused:
            said = f"Kiro did not take this into the running turn: {text}"
            self._batches.push([self._agent.talk.notice("steer_refused", said, "warning")])
        if self._rules.approval_timeout:
            why = f"Nobody answered within {self._rules.approval_timeout:g} s."
            self._agent.expire(self._rules.approval_timeout, why)
            self._agent.refuse_expired(_LATE_ANSWER)

    def _take(self) -> None:
        events = self._agent.events()
        if events:
            self._batches.push(events)
            self._next_poll = min(self._next_poll, time.monotonic() + _POLL_AFTER_NEWS)
        for event in events:
            if isinstance(event, TextDelta) and event.agent is None:
                self._over_at = time.monotonic() if _INTERRUPTED in event.text else None
        if self._agent.talk.ended is not None and self._over_at is None:
            self._over_at = time.monotonic()

    def _poll(self, *, final: bool = False) -> None:
        began = time.monotonic()
        recorded = self._reader.poll(final=final)
        # that something waits for an answer is told by the request itself
        self._agent.recorded |= {squeezed(event.text) for event in recorded if isinstance(event, MessageRecorded)}
        self._batches.push(e for e in recorded if not (isinstance(e, Notice) and e.key.endswith(_WAITS)))
        ended = time.monotonic()
        self._next_poll = ended + max(POLL, POLL_SHARE * (ended - began))

    def _settle(self, call: Call) -> None:
        """Take the late words of the turn, and give the store the time to write down its end."""
        if not call.done and not self._agent.gone and self._deaf_at is None:
            self._agent.connection.forget(call)
        elif not call.done:
            self._agent.end(self._rules.stop_grace, polite=min(1.0, self._rules.stop_grace))
        self.usable = not self._agent.gone
        deadline = time.monotonic() + _PROOF_PATIENCE
        self._take()
        self._poll(final=True)
        while self.usable and not self._reader.evidence().finished and time.monotonic() < deadline:
            self._agent.pump(_PROOF_STEP)
            self._poll(final=True)
        self._take()
        if self._deaf_at is not None and self.usable and self._strays.stay(self._rules.stop_grace):
            self.usable = False
            self._agent.end(self._rules.stop_grace)
        self._agent.refuse_expired(0.0)
        self._agent.withdraw(sub_agents=not self.usable)
        late = self._agent.late()
        self.afterwards = afterwards(late, self._agent.recorded)
        # after a stop the turn's length comes late, and v3's use of the context always; what it cost never does
        usage = [replace(event, credits=None) for event in late if isinstance(event, UsageSeen)][:1]
        self._batches.push([*self._agent.events(), *usage, MessageBreak()])

    def _conclude(self, call: Call) -> None:
        evidence = self._reader.evidence()
        reason = loose.name(loose.table(call.result).get("stopReason")) or self._agent.talk.ended or ""
        if reason in EARLY_STOPS:
            self._batches.push([Notice(reason, EARLY_STOPS[reason], "warning")])
        ended = call.done or self._over_at is not None
        succeeded = ended and call.error is None and reason not in (*NO_ANSWER, "error", "")
        if self._over_at is not None and not call.done and not reason:
            succeeded = True
        if self._control.cancelled() and not succeeded:
            self._batches.push([Ended("cancelled", recorded=evidence.finished)])
            return
        if not succeeded and reason == "cancelled":
            self.problem = _stopped_elsewhere()
        elif not succeeded:
            self.problem = self._why(call, reason)
        self._batches.push([Ended("failed" if self.problem else "completed", self.problem, evidence.finished)])

    def _why(self, call: Call, reason: str) -> Problem | None:
        if self._agent.token_asked:
            cause = TOKEN_ASKED.format(engine=self._agent.talk.engine)
            return Problem("token_asked", cause, "Send the prompt again: it then runs without ACP.")
        if self._agent.gone and not self._agent.finished:
            self._agent.end(self._rules.stop_grace)
            self.usable = False
        said = call.complaint or (self._agent.talk.failure if reason == "error" else "")
        evidence = self._reader.evidence()
        facts = self._agent.ending(
            run_error=said or None,
            prompt_seen=evidence.prompt_seen,
            answered=self._agent.talk.answered,
            end_reason=reason or evidence.end_reason,
        )
        return classify(facts)


def _stopped_elsewhere() -> Problem:
    cause = "Kiro ended the turn before the answer was finished, without being told to by the bridge."
    return Problem("no_answer", cause, "Send the prompt again.")
