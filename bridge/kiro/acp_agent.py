"""One running `kiro-cli acp`: what it is asked, what it asks, and its end.

Invariant: every request of the agent's is answered: at once, by a person, or by the end of what it was about. Used by
one thread at a time.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bridge.core.feed import ApprovalAsked, ApprovalClosed, FeedEvent, Notice, ToolSeen
from bridge.core.ports import Cancellation
from bridge.kiro import acp_wire as wire
from bridge.kiro import loose
from bridge.kiro.acp_connection import Call, Connection
from bridge.kiro.acp_permission import CANCELLED, Asked, Trusting, read_request, selected
from bridge.kiro.acp_talk import Talk
from bridge.kiro.acp_v3 import TOKEN_REQUEST
from bridge.kiro.failures import RunFacts, warnings_in
from bridge.kiro.loose import JsonDict
from bridge.kiro.process import ChildProcess

PERMISSION = "session/request_permission"
_STEP = 0.25
_EARLY = 10_000
_NO_TOKENS = -32000
_TOO_LONG = "Kiro sent a line of more than 64 MiB, which was left out of the live view."
_NOT_ALLOWED = "It was not allowed."
_POLITE = {"v2": 2.0, "v3": 0.2}
"""Seconds an engine has to end by itself once its input is closed: v3 never does (facts/kiro-wire.md 15)."""


class AgentGone(Exception):
    """The process ended, or said its last word, while something was asked of it."""


class CallSilent(Exception):
    """A call got no answer in its time."""

    def __init__(self, method: str, seconds: float) -> None:
        self.method, self.seconds = method, seconds
        super().__init__(method)


class CallRefused(Exception):
    """The agent answered a call with an error."""

    def __init__(self, call: Call) -> None:
        self.method, self.code, self.complaint = call.method, call.code, call.complaint
        super().__init__(call.complaint)


class Stopped(Exception):
    """The turn is to be stopped."""


class Agent:
    """Speaks ACP with `child`, whose words `talk` understands.

    `trust` says what runs without asking now. `asked` holds the requests that wait for a person, by key. `token_asked`
    tells that the agent wanted an access token, which it never gets. `told` tells that the session's id was handed on.
    `recorded` holds the texts, squeezed, that the store told of in the last turn.
    `finished` is set once the process has been ended and reaped.
    """

    def __init__(self, child: ChildProcess, talk: Talk, clock: Callable[[], float] = time.monotonic) -> None:
        self.child = child
        self.talk = talk
        self.connection = Connection(child)
        self.trust: Callable[[], Trusting] = lambda: Trusting("ask")
        self.asked: dict[str, Asked] = {}
        self.token_asked = False
        self.told = False
        self.recorded: set[str] = set()
        self.finished = False
        self.loads = False
        self._clock = clock
        self._events: list[FeedEvent] = []
        self._turn: Call | None = None
        self._late: list[FeedEvent] | None = None
        self._early: list[wire.Request | wire.Notification] = []
        self._dropped = 0
        self._asked_again = 0

    @property
    def gone(self) -> bool:
        """Return whether nothing more can be had of it."""
        return self.finished or self.connection.gone

    def call(self, method: str, params: JsonDict, seconds: float, control: Cancellation | None = None) -> Any:
        """Make a call and wait for its answer, at most `seconds`.

        Raises CallRefused, CallSilent, AgentGone, and Stopped when `control` says so meanwhile.
        """
        call = self.connection.begin(method, params)
        deadline = self._clock() + seconds
        while not call.done:
            if control is not None and control.cancelled():
                self.connection.forget(call)
                raise Stopped
            left = deadline - self._clock()
            if left <= 0:
                self.connection.forget(call)
                raise CallSilent(method, seconds)
            if self.gone:
                raise AgentGone
            if control is not None:
                self.child.listen(control.wake_fd())
            self.pump(min(left, _STEP))
        if call.error is not None:
            raise CallRefused(call)
        return call.result

    def pump(self, timeout: float | None) -> None:
        """Wait at most `timeout` seconds (None: for ever) for anything to happen, and take it in."""
        for message in self.connection.pump(timeout):
            self._take(message)
        for line in self.connection.warnings():
            self._events += warnings_in(line)
        if self.connection.dropped > self._dropped:
            self._dropped = self.connection.dropped
            self._events.append(Notice("stream_line_too_long", _TOO_LONG, "warning"))

    def events(self) -> list[FeedEvent]:
        """Return what was told since the last call, in the order of the wire."""
        events, self._events = [*self._events, *self.talk.flush()], []
        return events

    def prompt(self, text: str) -> Call:
        """Send a prompt into our session; what is told until its answer belongs to that turn."""
        params = {"sessionId": self.talk.own, "prompt": [{"type": "text", "text": text}]}
        self._turn = self.connection.begin("session/prompt", params)
        return self._turn

    def late(self) -> list[FeedEvent]:
        """End the turn and return what was told after its answer, which is no part of it."""
        late, self._late, self._turn = self._late or [], None, None
        return late

    def belongs_to(self, session: str) -> None:
        """Take the id of our session, and what came for it before it was known (facts/kiro-wire.md 2)."""
        self.talk.own = session
        early, self._early = self._early, []
        for message in early:
            self._take(message)

    def ask_again(self) -> None:
        """Tell of requests that an earlier turn left open: a sub-agent's, which goes on by itself."""
        left, self.asked = list(self.asked.values()), {}
        for asked in left:
            self._asked_again += 1
            asked.event = replace(asked.event, key=f"{asked.event.key}:{self._asked_again}")
            self._ask(asked)

    def answer(self, key: str, option: str, reason: str = "") -> bool:
        """Answer a request that waits; return whether there was one that offers this option."""
        asked = self.asked.get(key)
        chosen = next((one for one in asked.event.options if one.id == option), None) if asked else None
        if asked is None or chosen is None:
            return False
        del self.asked[key]
        self.connection.answer(asked.number, selected(option))
        self._events.append(ApprovalClosed(key, "answered", option, reason))
        self._mark_tool(asked.event, chosen.kind.startswith("reject"))
        return True

    def expire(self, age: float, reason: str) -> None:
        """Tell that the time of the requests that have waited for `age` seconds is over; Kiro hears of it in
        `refuse_expired`."""
        for key, asked in self.asked.items():
            if asked.expired is None and self._clock() - asked.since >= age:
                asked.expired = self._clock()
                self._events.append(ApprovalClosed(key, "expired", asked.refusal(), reason))

    def refuse_expired(self, after: float) -> None:
        """Say no to the requests whose time was over `after` seconds ago: an answer that was kept just before that was
        told is on its way until then, and is what people see."""
        for key, asked in list(self.asked.items()):
            if asked.expired is not None and self._clock() - asked.expired >= after:
                del self.asked[key]
                no = asked.refusal()
                self.connection.answer(asked.number, CANCELLED if no is None else selected(no))
                self._mark_tool(asked.event, refused=True)

    def withdraw(self, *, sub_agents: bool) -> None:
        """Answer the requests of our session, and of sub-agents if wanted, as cancelled."""
        for key, asked in list(self.asked.items()):
            if sub_agents or asked.session == self.talk.own:
                del self.asked[key]
                self.connection.answer(asked.number, CANCELLED)
                self._events.append(ApprovalClosed(key, "interrupted"))

    def end(self, grace: float, polite: float | None = None) -> None:
        """End the process and everything it started: its input is closed first, signals come later.

        A process that was killed leaves a lock on its session behind (facts/peers-and-style.md 3.2), so it has
        `polite` seconds to go by itself, and `grace` seconds after SIGTERM.
        """
        if self.finished:
            return
        self.child.close_input()
        patience = _POLITE.get(self.talk.engine, 1.0) if polite is None else polite
        if not self._exits_within(patience):
            self.child.signal(signal.SIGTERM)
            self._exits_within(grace)
        self.finished = True
        for message in self.connection.take(self.child.finish(everything=True)):
            self._take(message)

    def ending(self, **known: Any) -> RunFacts:
        """Return how the process ended, after `end`; `known` are further fields of the facts."""
        exit_code, number = self.child.status()
        stdout, stderr = self.connection.noise.text(), self.connection.stderr.text()
        return RunFacts(exit_code, number, stdout=stdout, stderr=stderr, **known)

    def _exits_within(self, seconds: float) -> bool:
        deadline = self._clock() + seconds
        while not self.child.exited() and self._clock() < deadline:
            self.pump(min(_STEP, deadline - self._clock()))
        return self.child.exited()

    def _take(self, message: wire.Request | wire.Notification | Call) -> None:
        if isinstance(message, Call):
            if message is self._turn:
                self._late = []
        elif self.talk.own is None and self._can_wait(message):
            self._early.append(message)
            del self._early[:-_EARLY]
        elif isinstance(message, wire.Request):
            self._request(message)
        else:
            self._told.extend(self.talk.notification(message.method, message.params))

    @property
    def _told(self) -> list[FeedEvent]:
        """Where to put what the agent tells: with the turn, or after it."""
        return self._events if self._late is None else self._late

    @staticmethod
    def _can_wait(message: wire.Request | wire.Notification) -> bool:
        """Return whether a message is for a session, and nobody is held up if it is taken in later.

        v3 asks things while it opens a session, and opens none before it was answered (facts/kiro-wire.md 10).
        """
        answered = isinstance(message, wire.Request) and message.method != PERMISSION
        return "sessionId" in message.params and not answered

    def _request(self, request: wire.Request) -> None:
        if request.method == PERMISSION:
            self._permission(request)
        elif request.method == TOKEN_REQUEST:
            self.token_asked = True
            self.connection.refuse(request.id, _NO_TOKENS, "This client never hands out tokens.")
        else:
            self.connection.refuse(request.id, wire.METHOD_NOT_FOUND, "Method not found")

    def _permission(self, request: wire.Request) -> None:
        key = loose.name(loose.table(request.params.get("toolCall")).get("toolCallId"))
        asked = read_request(
            request.id,
            request.params,
            key=f"approval:{self.child.run_id[:16]}:{request.id}",
            tool=self.talk.call(key),
            name=self.talk.tool_name(key),
            agent=self.talk.agent_of(request.params) or self.talk.agent_of_call(key),
            since=self._clock(),
        )
        if asked is None:
            self.connection.answer(request.id, CANCELLED)
            text = "Kiro asked for leave without saying what could be answered; it got none."
            self._told.append(self.talk.notice("approval_empty", text, "warning"))
        else:
            self._ask(asked)

    def _ask(self, asked: Asked) -> None:
        """Answer by what is trusted, else ask a person."""
        taken = asked.answer(self.trust())
        if taken is not None:
            self.connection.answer(asked.number, selected(taken))
            return
        event = asked.event
        if event.tool_key is not None and not event.question:
            self._told.append(ToolSeen(event.tool_key, status="pending", agent=event.agent))
        self.asked[event.key] = asked
        self._told.append(event)

    def _mark_tool(self, event: ApprovalAsked, refused: bool) -> None:
        """Tell how the call goes on: v2 says nothing of an answer, and a refused call may never be told of again."""
        if event.tool_key is None or event.question:
            return
        status, output = ("failed", _NOT_ALLOWED) if refused else ("running", None)
        self._events.append(ToolSeen(event.tool_key, status=status, output=output, agent=event.agent))  # type: ignore[arg-type]
