"""Sessions and their turns: one turn at a time in each, owned by the bridge and not by any client.

Invariants: an accepted prompt is durable before `submit` returns; a prompt is never sent again by itself; a turn left
unfinished by a crash is closed as interrupted at the next start, with what Kiro recorded of it. A queued prompt is sent
by itself only after a turn that completed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from bridge.core.ports import PromptRequest, Readiness, Steer, Surface, Transport, TransportKind
from bridge.core.records import Event, Session, SessionOptions, Turn
from bridge.core.text import TITLE_LENGTH, first_line, strip_prompt
from bridge.core.turn import TurnMachine
from bridge.engine import forking
from bridge.engine.control import Control
from bridge.engine.doing import Doing, Watch
from bridge.engine.hub import Hub
from bridge.engine.journal import Journal
from bridge.engine.recovery import close_unfinished
from bridge.engine.run import TurnRun
from bridge.engine.seats import Seats, TransportFactory
from bridge.engine.slots import Slots
from bridge.engine.status import EngineStatus, Phase, SessionFacts, wishes_in_force
from bridge.errors import AgentBusy, BridgeError, EmptyPrompt, Problem, RequestRefused, UnknownSession
from bridge.ledger import Ledger

log = logging.getLogger(__name__)

Clock = Callable[[], float]

AT_ONCE = 8
DEFAULTS = SessionOptions(trust="ask")

_END_GRACE = 2.0
"""Seconds a new prompt waits for a turn whose end is known but not yet put away."""

_HELD = {
    "failed": "The turn before failed.",
    "cancelled": "The turn before was stopped.",
    "interrupted": "The turn before was interrupted.",
}
_HELD_AT_START = "The bridge was started anew while these prompts waited."


class Engine:
    """Runs the turns of all sessions.

    `transports` makes the transport of a session when it is needed. `workdir` is the real path of the folder of the
    primary session: the one that AgentAPI's single conversation shows. `defaults` are the wishes of a session that has
    none of its own, `at_once` is how many turns run at the same time; further ones wait.
    """

    def __init__(
        self,
        ledger: Ledger,
        hub: Hub,
        transports: TransportFactory,
        *,
        workdir: str,
        clock: Clock = time.time,
        defaults: SessionOptions = DEFAULTS,
        at_once: int = AT_ONCE,
    ) -> None:
        self._ledger = ledger
        self._hub = hub
        self.journal = Journal(ledger, hub)
        self.seats = Seats(transports)
        self._slots = Slots(at_once)
        self._defaults = defaults
        self._clock = clock
        self._lock = threading.Lock()
        self._runs: dict[str, TurnRun] = {}
        self._commanding: set[str] = set()
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
        prompt = self._checked(text)
        return self._accept(prompt, self.session(session_id or self.primary), origin)

    def enqueue(self, text: str, session_id: str) -> tuple[Turn | None, int | None]:
        """Have a prompt sent when its time has come: return its turn where that is now, else its id in the queue.

        Raises what `submit` raises but AgentBusy, and RequestRefused where too many wait.
        """
        prompt = self._checked(text)
        session = self.session(session_id)
        queue = self._ledger.queue(session_id)
        if not queue.prompts and not self._running(session_id):
            try:
                return self._accept(prompt, session, "user"), None
            except AgentBusy:
                log.debug("session %s: another prompt was first", session_id)
        queued_id = self._enqueue(session_id, prompt)
        self._drain_after_completed(session_id)
        return None, queued_id

    def steer(self, text: str, session_id: str) -> None:
        """Give the running turn a message. Raises EmptyPrompt, UnknownSession, RequestRefused where Kiro cannot."""
        prompt = self._checked(text)
        session = self.session(session_id)
        run = self._runs.get(session_id)
        if run is None or run.ending:
            raise RequestRefused("No turn runs in this session.", "Send it as a prompt.", code="nothing_to_steer")
        if "steer" not in self.seats.take(session).surface().features:
            raise RequestRefused(
                "Kiro cannot be given a message while it works, as it is driven here.",
                "Queue it as the next prompt, or stop the turn.",
                code="cannot_steer",
            )
        run.control.tell(Steer(prompt))

    def cancel(self, session_id: str | None = None) -> bool:
        """Stop the running turn of a session; return whether there was one. Its end tells when it has stopped."""
        with self._lock:
            run = self._runs.get(session_id or self.primary)
        if run is None:
            return False
        run.control.cancel()
        self._slots.hurry(run.begin)
        return True

    def resume_queue(self, session_id: str) -> None:
        """Have a held queue go on. Raises UnknownSession, RequestRefused while starting or stopping."""
        self._check_running()
        self.session(session_id)
        self.journal.tell(lambda: self._ledger.hold_queue(session_id, ""))
        self._drain(session_id)

    def queue_first(self, session_id: str, prompt: str) -> None:
        """Put a prompt in front of the queue. Raises RequestRefused where too many wait."""
        self.journal.tell(lambda: self._ledger.enqueue(session_id, prompt, first=True)[1])

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
        return EngineStatus(self._phase(session_id or self.primary, health), health.problem)

    def facts(self, session: Session) -> SessionFacts:
        """Return what is true of a session now. Never waits, and makes nothing."""
        in_force = wishes_in_force(session.options, self._defaults)
        health = self.seats.health(session.id, self.primary)
        phase: Phase = "starting" if not self._started.is_set() else "failed"
        if phase == "failed" and self._trouble is None:
            phase = self._phase(session.id, health)
        return SessionFacts(phase, self.seats.kind(session.id), in_force)

    def doing(self, session_id: str) -> tuple[int, Doing] | None:
        """Return the running turn of a session and what it does, None when none runs."""
        run = self._runs.get(session_id)
        if run is None or run.over:
            return None
        if self._slots.waits(run.begin):
            return run.turn_id, Doing("Waiting until fewer sessions work at the same time", run.watch.now().since)
        return run.turn_id, run.watch.now()

    def running(self, session_id: str) -> TurnRun | None:
        """Return the run of a session's turn, None when none runs."""
        return self._runs.get(session_id)

    def readiness(self, session_id: str | None = None) -> Readiness:
        """Return whether Kiro can be asked now, with the facts that are known of it."""
        return self._transport(self.session(session_id or self.primary)).health()

    def surface(self, session_id: str) -> tuple[TransportKind, Surface]:
        """Return how a session is driven and what Kiro offers there. Raises UnknownSession."""
        transport = self._transport(self.session(session_id))
        return transport.kind, transport.surface()

    def command(self, session_id: str, name: str, argument: str) -> str:
        """Run one of Kiro's slash commands between two turns. Raises UnknownSession, AgentBusy, RequestRefused."""
        self._check_running()
        session = self.session(session_id)
        transport = self._transport(session)
        self._let_end(session_id)
        with self._lock:
            self._check_free(session_id)
            self._commanding.add(session_id)
        try:
            request = PromptRequest("", session.cwd, session.kiro_id, session.engine, self._clock(), session.options)
            return transport.command(request, name, argument)
        finally:
            with self._lock:
                self._commanding.discard(session_id)
            self.seats.touch(session_id)
            self._drain_after_completed(session_id)

    def without_turn(self, session_id: str, change: Callable[[], None]) -> None:
        """Call `change` while no turn runs in the session and none can begin. Raises AgentBusy."""
        self._let_end(session_id)
        with self._lock:
            self._check_free(session_id)
            change()

    def stop(self, timeout: float = 10.0) -> None:
        """End every turn as interrupted and release everything, within about `timeout` seconds."""
        self._stopped = True
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.stop()
            self._slots.hurry(run.begin)
        deadline = time.monotonic() + timeout
        for run in runs:
            run.join(max(0.1, deadline - time.monotonic()))
        if self._starter is not None:
            self._starter.join(max(0.1, deadline - time.monotonic()))
        self.seats.close_all()

    def _primary_session(self, workdir: str) -> str:
        name = f"primary:{workdir}"
        known = self._ledger.meta(name)
        if known is not None and self._ledger.session(known) is not None:
            return known
        session = self.journal.create_session(workdir)
        self._ledger.set_meta(name, session.id)
        return session.id

    def session(self, session_id: str) -> Session:
        """Return a session. Raises UnknownSession."""
        session = self._ledger.session(session_id)
        if session is None:
            raise UnknownSession(f"There is no session {session_id!r}.", "GET /api/v1/sessions lists them.")
        return session

    def _checked(self, text: str) -> str:
        prompt = strip_prompt(text)
        if not prompt:
            raise EmptyPrompt("The prompt is empty.", "Send a text that is not only white space.")
        self._check_running()
        return prompt

    def _check_running(self) -> None:
        if not self._started.is_set() or self._stopped:
            raise RequestRefused("The bridge is starting or stopping.", "Try again in a moment.", code="not_running")

    def _let_end(self, session_id: str) -> None:
        """Wait for a turn whose end is known to be put away."""
        run = self._runs.get(session_id)
        if run is not None and run.ending:
            run.join(_END_GRACE)

    def _check_free(self, session_id: str) -> None:
        """Raise AgentBusy while a turn or a command runs; called under the lock."""
        if session_id in self._runs:
            raise AgentBusy("Kiro is still working on the prompt before.", "Wait until it is done, or stop it.")
        if session_id in self._commanding:
            raise AgentBusy("Kiro is running a command in this session.", "Wait until it is done.")

    def _transport(self, session: Session) -> Transport:
        return self.seats.take(session)

    def _running(self, session_id: str) -> bool:
        run = self._runs.get(session_id)
        return run is not None and not run.over

    def _phase(self, session_id: str, health: Readiness) -> Phase:
        run = self._runs.get(session_id)
        if run is not None and not run.over:
            return "waiting" if run.watch.waiting else "working"
        return "ready" if health.problem is None else "failed"

    def _start(self, initial_prompt: str) -> None:
        try:
            close_unfinished(self._ledger, self.journal, self._transport, self.session)
            for session_id in self._ledger.waiting_queues():
                self._hold(session_id, _HELD_AT_START)
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
        self._let_end(session.id)
        with self._lock:
            self._check_free(session.id)
            session = self.session(session.id)
            sent = self._sent(session)(prompt)
            turn = self.journal.accept(session, prompt, origin, first_line(prompt, TITLE_LENGTH), sent)
            run = self._enter(turn, session, transport)
        self._slots.enter(run.begin)
        return turn

    def _drain(self, session_id: str) -> None:
        """Send the next prompt of the queue, unless a turn runs or the queue is held."""
        session = self.session(session_id)
        transport = self._transport(session)
        with self._lock:
            if session_id in self._runs or session_id in self._commanding or self._stopped:
                return
            session = self.session(session_id)
            turn = self.journal.accept_queued(
                session, self._sent(session), lambda prompt: first_line(prompt, TITLE_LENGTH)
            )
            if turn is None:
                return
            run = self._enter(turn, session, transport)
        self._slots.enter(run.begin)

    def _drain_after_completed(self, session_id: str) -> None:
        """Send what was queued while the turn that it waited for ended."""
        last = self._ledger.turns(session_id, limit=1)
        if last and last[0].state == "completed" and not self._running(session_id):
            self._drain(session_id)

    def _enqueue(self, session_id: str, prompt: str) -> int:
        queued: list[int] = []

        def change() -> list[Event]:
            number, events = self._ledger.enqueue(session_id, prompt)
            queued.append(number)
            return events

        self.journal.tell(change)
        return queued[0]

    def _hold(self, session_id: str, reason: str) -> None:
        self.journal.tell(lambda: self._ledger.hold_queue(session_id, reason))

    def _sent(self, session: Session) -> Callable[[str], str]:
        """Return what makes of a prompt what Kiro is given, empty where that is the prompt itself."""
        context = None if session.kiro_id is not None else self._ledger.context(session.id)
        return lambda prompt: "" if context is None else forking.sent_with(context, prompt)

    def _enter(self, turn: Turn, session: Session, transport: Transport) -> TurnRun:
        """Note that the turn runs; called under the lock."""
        run = self._run_of(turn, session)
        request = PromptRequest(
            turn.sent or turn.prompt,
            session.cwd,
            session.kiro_id,
            session.engine,
            self._clock(),
            session.options,
        )
        context = self._ledger.context(session.id) if turn.sent else None
        run.prepare(transport, request, [] if context is None else [forking.told(context)])
        self._runs[session.id] = run
        return run

    def _run_of(self, turn: Turn, session: Session) -> TurnRun:
        machine = TurnMachine(str(turn.id), [stored.item for stored in self._ledger.turn_items(turn.id)])
        control = Control(lambda mark: self._ledger.remember(turn.id, mark), lambda: self.session(session.id).options)
        watch = Watch(self._clock)
        return TurnRun(turn, machine, self.journal, control, watch, self._set_trouble, lambda: self._ended(session.id))

    def _ended(self, session_id: str) -> None:
        with self._lock:
            run = self._runs.pop(session_id, None)
        self._slots.leave()
        self.seats.touch(session_id)
        self._hub.wake()
        if run is None or self._stopped:
            return
        try:
            if run.outcome == "completed":
                self._drain(session_id)
            else:
                self._hold(session_id, _HELD.get(run.outcome or "failed", _HELD["failed"]))
        except BridgeError as error:
            log.error("session %s: the queue does not go on: %s", session_id, error)

    def _set_trouble(self, problem: Problem | None) -> None:
        self._trouble = problem
        self._hub.wake()
