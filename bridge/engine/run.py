"""One turn, from its first event to its terminal one, on a thread of its own.

Invariants: the turn ends exactly once, whatever the transport or the ledger do; what could not be written is kept and
written before the end is; an approval is answered once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from bridge.core.feed import ApprovalClosed, Ended, FeedEvent, Outcome, PromptRecorded
from bridge.core.items import Change
from bridge.core.ports import ApprovalAnswer, PromptRequest, Transport
from bridge.core.records import Turn
from bridge.core.turn import TurnMachine
from bridge.engine.control import Control
from bridge.engine.doing import Watch
from bridge.engine.forking import as_asked
from bridge.engine.journal import Journal
from bridge.errors import LedgerError, Problem

log = logging.getLogger(__name__)

_FIRST_RETRY = 0.2
_LAST_RETRY = 2.0


class TurnRun:
    """Drives a transport for one turn.

    `on_trouble` is told the ledger's problem while the turn cannot be written, and None when it can again. `on_end` is
    called once, after the terminal event is durable or the bridge stops. `over` is true once that event is durable and
    before anybody is told of it. `watch` knows what goes on.
    """

    def __init__(
        self,
        turn: Turn,
        machine: TurnMachine,
        journal: Journal,
        control: Control,
        watch: Watch,
        on_trouble: Callable[[Problem | None], None],
        on_end: Callable[[], None],
    ) -> None:
        self.control = control
        self.watch = watch
        self.turn_id = turn.id
        self._turn = turn
        self._lock = threading.Lock()
        self._machine = machine
        self._journal = journal
        self._on_trouble = on_trouble
        self._on_end = on_end
        self._unwritten: list[Change] = []
        self._trouble: Problem | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.over = False

    @property
    def ending(self) -> bool:
        """Return whether the terminal event is known, though perhaps not yet written."""
        return self._machine.ended is not None

    @property
    def outcome(self) -> Outcome | None:
        """Return how the turn ended, None while it goes on."""
        return None if self._machine.ended is None else self._machine.ended.outcome

    def prepare(self, transport: Transport, request: PromptRequest, preface: Sequence[FeedEvent] = ()) -> None:
        """Say what `begin` is to run; `preface` comes before what Kiro says."""
        self._thread = threading.Thread(
            target=self._main, args=(transport, request, preface), name=f"turn-{self.turn_id}", daemon=True
        )

    def begin(self) -> None:
        """Begin the turn on its own thread, once."""
        assert self._thread is not None  # prepared
        self._thread.start()

    def answer(self, key: str, option: str, reason: str, then: Callable[[], None]) -> bool:
        """Write the answer to what Kiro asked under `key`, call `then`, and tell Kiro; return whether it is the first.

        Raises LedgerError when it could not be written: Kiro is not told then.
        """
        with self._lock:
            changes = self._machine.apply(ApprovalClosed(key, "answered", option, reason))
            if not changes:
                return False
            self._note(changes)
            self._write()
            if self._trouble is not None:
                raise LedgerError(self._trouble.cause, self._trouble.remedy, code=self._trouble.code)
        then()
        self.control.tell(ApprovalAnswer(key, option, reason))
        return True

    def stop(self) -> None:
        """End the turn because the bridge stops; does not wait."""
        self._stopping.set()
        self.control.cancel()

    def join(self, timeout: float) -> bool:
        """Wait for the end at most `timeout` seconds; return whether it came."""
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    def _main(self, transport: Transport, request: PromptRequest, preface: Sequence[FeedEvent]) -> None:
        try:
            if self.control.cancelled():
                self._take_and_write([Ended("cancelled")])
            else:
                self._journal_start()
                self._take_and_write(preface)
                self._drive(transport, request)
        except LedgerError as error:  # what the transport had to keep could not be written
            with self._lock:
                self._stumble(error)
                self._take([Ended("failed", error.problem)])
        except Exception:
            log.exception("turn %d: the transport failed", self.turn_id)
            with self._lock:
                self._take([Ended("failed", _internal_problem())])
        finally:
            self._finish()
            self.control.close()
            self._on_end()

    def _journal_start(self) -> None:
        try:
            self._journal.start(self.turn_id)
        except LedgerError as error:
            self._stumble(error)

    def _drive(self, transport: Transport, request: PromptRequest) -> None:
        for batch in transport.run(request, self.control):
            self._take_and_write(batch)

    def _take_and_write(self, batch: Sequence[FeedEvent]) -> None:
        with self._lock:
            self._take(batch)
            self._write()

    def _take(self, batch: Sequence[FeedEvent]) -> None:
        for event in batch:
            if isinstance(event, Ended):
                event = self._verdict(event)
            elif isinstance(event, PromptRecorded):
                event = as_asked(event, self._turn.prompt, self._turn.sent)
            self._note(self._machine.apply(event))

    def _note(self, changes: Sequence[Change]) -> None:
        self.watch.take(changes)
        self._unwritten += changes

    def _verdict(self, ended: Ended) -> Ended:
        """Return how the turn really ended: a turn we stopped because it could not be written has failed."""
        if self._trouble is not None and ended.outcome == "cancelled":
            return Ended("failed", self._trouble, ended.recorded)
        if self._stopping.is_set() and ended.outcome == "cancelled":
            return Ended("interrupted", stopped_problem(), ended.recorded)
        return ended

    def _write(self) -> None:
        if self._trouble is not None:
            return
        try:
            self._journal.apply(self.turn_id, self._unwritten, self._written)
        except LedgerError as error:
            self._stumble(error)
        else:
            self._unwritten = []

    def _written(self) -> None:
        self.over = self.ending

    def _stumble(self, error: LedgerError) -> None:
        """Stop a turn that cannot be written: what nobody can see must not go on changing files."""
        log.error("turn %d: %s", self.turn_id, error)
        self._trouble = error.problem
        self._on_trouble(error.problem)
        self.control.cancel()

    def _finish(self) -> None:
        with self._lock:
            if self._machine.ended is None:
                self._take([Ended("failed", self._trouble or _internal_problem())])
        delay = _FIRST_RETRY
        while self._unwritten:
            with self._lock:
                self._trouble, had_trouble = None, self._trouble
                self._write()
            if self._trouble is None:
                if had_trouble is not None:
                    self._on_trouble(None)
                return
            if self._stopping.wait(delay):
                log.error("turn %d: its end could not be written; the next start closes it", self.turn_id)
                return
            delay = min(_LAST_RETRY, delay * 2)


def stopped_problem() -> Problem:
    """Return the problem of a turn that ran while the bridge was stopped."""
    return Problem(
        "bridge_stopped",
        "The bridge was stopped while Kiro was working on this.",
        "What Kiro had recorded by then is shown above; send the prompt again if it should go on.",
    )


def _internal_problem() -> Problem:
    return Problem(
        "internal_error",
        "The bridge itself failed while Kiro was working on this.",
        "The bridge's log has the details; the next prompt starts afresh.",
    )
