"""Tells Coder what the conversation does, from a thread of its own.

Invariants: a turn is never delayed: what wakes this thread only sets a flag, and everything that can wait waits here.
Only the newest report counts: what could not be told is replaced by what is true by then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from bridge.coder.rules import Report, StatusRules
from bridge.coder.voice import Untold, Voice
from bridge.core.records import Event, StoredItem, Turn
from bridge.errors import BridgeError

log = logging.getLogger(__name__)

_LOOK_GAP = 0.1
"""Seconds between two looks at the news, so that a flood of it costs next to nothing."""

_READY_FIRST = 0.2
_READY_LATER = 5.0
_RETRY_FIRST = 1.0
_RETRY_MOST = 30.0
_TELL_SECONDS = 3.0
_LAST_TELL_SECONDS = 1.5
_PAGE = 1000


class News(Protocol):
    """The hub, as far as it is needed here (`bridge.engine.hub.Hub`)."""

    @property
    def last_seq(self) -> int:
        """Return the sequence of the newest event."""

    def since(self, seq: int) -> list[Event] | None:
        """Return the events after `seq`, None when they are no longer in memory."""

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called after each publication; returns what ends it."""


class Record(Protocol):
    """The ledger, as far as it is needed here (`bridge.ledger.Ledger`)."""

    def active_turn(self, session_id: str) -> Turn | None:
        """Return the turn that has no end yet."""

    def turn_items(self, turn_id: int) -> list[StoredItem]:
        """Return the items of a turn."""

    def events_after(self, seq: int, *, session_id: str | None = None, limit: int = 1000) -> list[Event]:
        """Return what follows `seq`."""


class StatusReporter:
    """Reports one session.

    `ready` says at no cost whether a prompt would reach Kiro. `voices` are tried in their order, each report again
    until one of them has told it. `clock` gives seconds that only go forward.
    """

    def __init__(
        self,
        hub: News,
        ledger: Record,
        session_id: str,
        ready: Callable[[], bool],
        voices: Sequence[Voice],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._ledger = ledger
        self._session_id = session_id
        self._ready = ready
        self._voices = tuple(voices)
        self._clock = clock
        self._rules = StatusRules()
        self._seq = hub.last_seq
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._ready_pause = _READY_FIRST
        self._ready_at = float("-inf")
        self._retry_pause = _RETRY_FIRST
        self._retry_at = float("-inf")
        self._untold_state = ""
        self._said = ""

    def start(self) -> None:
        """Begin to follow the session. Nothing is told before prompts are taken."""
        self._thread = threading.Thread(target=self._main, name="coder-status", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """Tell the last state, for which a Coder that answers has `timeout` seconds, and release everything.

        `ready` is not asked any more after this was called.
        """
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
        for voice in self._voices:
            voice.close()

    def _main(self) -> None:
        unlisten = self._hub.listen(self._wake.set)
        try:
            self._begin()
            while not self._stopping.is_set():
                self._look()
                self._tell(_TELL_SECONDS)
                self._stopping.wait(_LOOK_GAP)
                self._wake.wait(self._patience())
                self._wake.clear()
            self._look()
            self._tell(_LAST_TELL_SECONDS)
        finally:
            unlisten()

    def _begin(self) -> None:
        """Take the turn that runs already. What is published meanwhile is read again, which changes nothing."""
        try:
            turn = self._ledger.active_turn(self._session_id)
            if turn is not None:
                self._rules.begin(turn, self._ledger.turn_items(turn.id))
        except BridgeError as error:
            log.warning("the running turn could not be read for Coder: %s", error)

    def _look(self) -> None:
        """Bring the rules up to date."""
        try:
            for event in self._news():
                if event.session_id == self._session_id:
                    self._rules.apply(event)
            if self._clock() >= self._ready_at and not self._stopping.is_set():
                self._ask_ready()
        except BridgeError as error:
            log.warning("the status for Coder could not be read: %s", error)

    def _ask_ready(self) -> None:
        ready = self._ready()
        self._ready_pause = _READY_LATER if ready else min(_READY_LATER, self._ready_pause * 1.5)
        self._ready_at = self._clock() + self._ready_pause
        self._rules.set_ready(ready)

    def _news(self) -> list[Event]:
        last = self._hub.last_seq
        news = self._hub.since(self._seq)
        if news is None:
            news = self._old_news()
        self._seq = max(last, self._seq, news[-1].seq if news else 0)
        return news

    def _old_news(self) -> list[Event]:
        found: list[Event] = []
        after = self._seq
        while page := self._ledger.events_after(after, session_id=self._session_id, limit=_PAGE):
            found += page
            after = page[-1].seq
        return found

    def _patience(self) -> float:
        """Return the seconds to wait for news: until something is due, or readiness is to be looked at again."""
        if self._stopping.is_set():
            return 0.0
        now = self._clock()
        look = max(0.0, self._ready_at - now)
        wait = self._rules.wait(now)
        return look if wait is None else min(look, max(wait, self._retry_at - now, 0.0))

    def _tell(self, timeout: float) -> None:
        now = self._clock()
        report = self._rules.due(now)
        if report is None or (now < self._retry_at and report.state == self._untold_state):
            return
        reasons = []
        for voice in self._voices:
            try:
                voice.tell(report, timeout)
            except Untold as error:
                reasons.append(f"{voice.name}: {error}")
            else:
                return self._was_told(report, voice, reasons)
        self._untold_state = report.state
        self._retry_at = self._clock() + self._retry_pause
        self._retry_pause = min(_RETRY_MOST, self._retry_pause * 2)
        self._say(logging.WARNING, f"Coder is not told the status now ({'; '.join(reasons)}).")

    def _was_told(self, report: Report, voice: Voice, reasons: Sequence[str]) -> None:
        self._rules.told(report, self._clock())
        self._retry_at, self._retry_pause = float("-inf"), _RETRY_FIRST
        besides = f", not through {'; '.join(reasons)}" if reasons else ""
        self._say(logging.INFO, f"Coder is told the status through {voice.name}{besides}.")

    def _say(self, level: int, text: str) -> None:
        """Log a sentence once, until another one holds."""
        if text != self._said:
            self._said = text
            log.log(level, "%s", text)
