"""Sessions and their turns: one turn at a time in each, owned by the bridge and not by any client.

Invariants: an accepted prompt is durable before `submit` returns; a prompt is never sent again by itself; a turn left
unfinished by a crash is closed as interrupted at the next start, with what Kiro recorded of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bridge.core.ports import PromptRequest, Readiness, Transport
from bridge.core.records import Session, Turn
from bridge.core.text import first_line, strip_prompt
from bridge.core.turn import TurnMachine
from bridge.engine.control import Control
from bridge.engine.hub import Hub
from bridge.engine.journal import Journal
from bridge.engine.recovery import close_unfinished
from bridge.engine.run import TurnRun
from bridge.errors import AgentBusy, BridgeError, EmptyPrompt, Problem, RequestRefused, UnknownSession
from bridge.ledger import Ledger

log = logging.getLogger(__name__)

Phase = Literal["starting", "ready", "working", "waiting", "failed"]
Clock = Callable[[], float]
TransportFactory = Callable[[Session], Transport]

TITLE_LENGTH = 80

_END_GRACE = 2.0
"""Seconds a new prompt waits for a turn whose end is known but not yet put away."""


@dataclass(frozen=True)
class EngineStatus:
    """What a session is doing. `problem` says why a prompt would fail now; it can be there in any phase but `ready`."""

    phase: Phase
    problem: Problem | None = None

    @property
    def ready(self) -> bool:
        """Return whether a prompt would reach Kiro."""
        return self.problem is None and self.phase != "starting"


class Engine:
    """Runs the turns of all sessions.

    `transports` makes the transport of a session when it is first needed. `workdir` is the real path of the folder of
    the primary session: the one that AgentAPI's single conversation shows.
    """

    def __init__(
        self, ledger: Ledger, hub: Hub, transports: TransportFactory, *, workdir: str, clock: Clock = time.time
    ) -> None:
        self._ledger = ledger
        self._hub = hub
        self._journal = Journal(ledger, hub)
        self._make_transport = transports
        self._clock = clock
        self._lock = threading.Lock()
        self._transports: dict[str, Transport] = {}
        self._runs: dict[str, TurnRun] = {}
        self._trouble: Problem | None = None
        self._started = threading.Event()
        self._stopped = False
        self._starter: threading.Thread | None = None
        self.primary = self._primary_session(workdir)

    def start(self, initial_prompt: str = "") -> None:
        """Close what a crash left open and send the initial prompt, in the background; then prompts are taken."""
        self._starter = threading.Thread(target=self._start, args=(initial_prompt,), name="start", daemon=True)
        self._starter.start()

    def wait_started(self, timeout: float) -> bool:
        """Wait until prompts are taken, at most `timeout` seconds; return whether they are."""
        return self._started.wait(timeout)

    def submit(self, text: str, session_id: str | None = None, *, origin: Literal["user", "initial"] = "user") -> Turn:
        """Take a prompt for a session (the primary one by default). When this returns, the prompt is durable.

        Raises EmptyPrompt, AgentBusy, UnknownSession, LedgerError, and RequestRefused while starting or stopping.
        """
        prompt = strip_prompt(text)
        if not prompt:
            raise EmptyPrompt("The prompt is empty.", "Send a text that is not only white space.")
        if not self._started.is_set() or self._stopped:
            raise RequestRefused("The bridge is starting or stopping.", "Try again in a moment.", code="not_running")
        return self._accept(prompt, self.session(session_id or self.primary), origin)

    def cancel(self, session_id: str | None = None) -> bool:
        """Stop the running turn of a session; return whether there was one. Its end tells when it has stopped."""
        with self._lock:
            run = self._runs.get(session_id or self.primary)
        if run is None:
            return False
        run.control.cancel()
        return True

    def busy(self, session_id: str | None = None) -> bool:
        """Return whether a turn is running in a session, or the bridge is still starting."""
        return not self._started.is_set() or self._running(session_id or self.primary)

    def status(self, session_id: str | None = None) -> EngineStatus:
        """Return what a session is doing. Costs no more than a look at what is known already."""
        if not self._started.is_set():
            return EngineStatus("starting")
        if self._trouble is not None:
            return EngineStatus("failed", self._trouble)
        health = self.readiness(session_id)
        if self._running(session_id or self.primary):
            return EngineStatus("working", health.problem)
        return EngineStatus("ready" if health.problem is None else "failed", health.problem)

    def readiness(self, session_id: str | None = None) -> Readiness:
        """Return whether Kiro can be asked now, with the facts that are known of it."""
        return self._transport(self.session(session_id or self.primary)).health()

    def stop(self, timeout: float = 10.0) -> None:
        """End every turn as interrupted and release everything, within about `timeout` seconds."""
        self._stopped = True
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.stop()
        deadline = time.monotonic() + timeout
        for run in runs:
            run.join(max(0.1, deadline - time.monotonic()))
        if self._starter is not None:
            self._starter.join(max(0.1, deadline - time.monotonic()))
        with self._lock:
            transports, self._transports = list(self._transports.values()), {}
        for transport in transports:
            transport.close()

    def _primary_session(self, workdir: str) -> str:
        name = f"primary:{workdir}"
        known = self._ledger.meta(name)
        if known is not None and self._ledger.session(known) is not None:
            return known
        session = self._journal.create_session(workdir)
        self._ledger.set_meta(name, session.id)
        return session.id

    def session(self, session_id: str) -> Session:
        """Return a session. Raises UnknownSession."""
        session = self._ledger.session(session_id)
        if session is None:
            raise UnknownSession(f"There is no session {session_id!r}.", "GET /api/v1/sessions lists them.")
        return session

    def _transport(self, session: Session) -> Transport:
        with self._lock:
            transport = self._transports.get(session.id)
            if transport is None:
                transport = self._transports[session.id] = self._make_transport(session)
            return transport

    def _running(self, session_id: str) -> bool:
        run = self._runs.get(session_id)
        return run is not None and not run.over

    def _start(self, initial_prompt: str) -> None:
        try:
            close_unfinished(self._ledger, self._journal, self._transport, self.session)
        except BridgeError as error:
            log.error("what an earlier run left open could not be closed: %s", error)
            self._trouble = error.problem
        prompt = strip_prompt(initial_prompt)
        try:
            if prompt and not self._stopped and not self._ledger.has_initial(self.primary, prompt):
                self._accept(prompt, self.session(self.primary), "initial")
        except BridgeError as error:
            log.error("the initial prompt was not taken: %s", error)
        self._started.set()
        self._hub.wake()

    def _accept(self, prompt: str, session: Session, origin: Literal["user", "initial"]) -> Turn:
        transport = self._transport(session)
        before = self._runs.get(session.id)
        if before is not None and before.ending:
            before.join(_END_GRACE)
        with self._lock:
            if session.id in self._runs:
                raise AgentBusy("Kiro is still working on the prompt before.", "Wait until it is done, or stop it.")
            turn = self._journal.accept(session, prompt, origin, first_line(prompt, TITLE_LENGTH))
            run = self._run_of(turn, session)
            self._runs[session.id] = run
        request = PromptRequest(prompt, session.cwd, session.kiro_id, session.engine, self._clock())
        run.start(transport, request)
        return turn

    def _run_of(self, turn: Turn, session: Session) -> TurnRun:
        machine = TurnMachine(str(turn.id), [stored.item for stored in self._ledger.turn_items(turn.id)])
        control = Control(lambda mark: self._ledger.remember(turn.id, mark))

        def ended() -> None:
            with self._lock:
                self._runs.pop(session.id, None)
            self._hub.wake()

        return TurnRun(turn.id, machine, self._journal, control, self._set_trouble, ended)

    def _set_trouble(self, problem: Problem | None) -> None:
        self._trouble = problem
        self._hub.wake()
