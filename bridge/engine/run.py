"""One turn, from its first event to its terminal one, on a thread of its own.

Invariants: the turn ends exactly once, whatever the transport or the ledger do; what could not be written is kept and
written before the end is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from bridge.core.feed import Ended, FeedEvent
from bridge.core.items import Change
from bridge.core.ports import PromptRequest, Transport
from bridge.core.turn import TurnMachine
from bridge.engine.control import Control
from bridge.engine.journal import Journal
from bridge.errors import LedgerError, Problem

log = logging.getLogger(__name__)

_FIRST_RETRY = 0.2
_LAST_RETRY = 2.0


class TurnRun:
    """Drives a transport for one turn.

    `on_trouble` is told the ledger's problem while the turn cannot be written, and None when it can again. `on_end` is
    called once, after the terminal event is durable or the bridge stops. `over` is true once that event is durable and
    before anybody is told of it.
    """

    def __init__(
        self,
        turn_id: int,
        machine: TurnMachine,
        journal: Journal,
        control: Control,
        on_trouble: Callable[[Problem | None], None],
        on_end: Callable[[], None],
    ) -> None:
        self.control = control
        self._turn_id = turn_id
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

    def start(self, transport: Transport, request: PromptRequest) -> None:
        """Begin the turn on its own thread."""
        self._thread = threading.Thread(
            target=self._main, args=(transport, request), name=f"turn-{self._turn_id}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the turn because the bridge stops; does not wait."""
        self._stopping.set()
        self.control.cancel()

    def join(self, timeout: float) -> bool:
        """Wait for the end at most `timeout` seconds; return whether it came."""
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    def _main(self, transport: Transport, request: PromptRequest) -> None:
        try:
            self._journal_start()
            self._drive(transport, request)
        except Exception:
            log.exception("turn %d: the transport failed", self._turn_id)
            self._take([Ended("failed", _internal_problem())])
        finally:
            self._finish()
            self.control.close()
            self._on_end()

    def _journal_start(self) -> None:
        try:
            self._journal.start(self._turn_id)
        except LedgerError as error:
            self._stumble(error)

    def _drive(self, transport: Transport, request: PromptRequest) -> None:
        for batch in transport.run(request, self.control):
            self._take(batch)
            self._write()

    def _take(self, batch: Sequence[FeedEvent]) -> None:
        for event in batch:
            if isinstance(event, Ended):
                event = self._verdict(event)
            self._unwritten += self._machine.apply(event)

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
            self._journal.apply(self._turn_id, self._unwritten, self._written)
        except LedgerError as error:
            self._stumble(error)
        else:
            self._unwritten = []

    def _written(self) -> None:
        self.over = self.ending

    def _stumble(self, error: LedgerError) -> None:
        """Stop a turn that cannot be written: what nobody can see must not go on changing files."""
        log.error("turn %d: %s", self._turn_id, error)
        self._trouble = error.problem
        self._on_trouble(error.problem)
        self.control.cancel()

    def _finish(self) -> None:
        if self._machine.ended is None:
            self._take([Ended("failed", self._trouble or _internal_problem())])
        delay = _FIRST_RETRY
        while self._unwritten:
            self._trouble, had_trouble = None, self._trouble
            self._write()
            if self._trouble is None:
                if had_trouble is not None:
                    self._on_trouble(None)
                return
            if self._stopping.wait(delay):
                log.error("turn %d: its end could not be written; the next start closes it", self._turn_id)
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
