"""The transports of the sessions: made when they are needed, closed when nobody has needed them for a while.

Invariant: a session has one transport at a time; while one is being closed nobody gets another for its session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bridge.core.ports import Readiness, Transport, TransportKind
from bridge.core.records import Session

TransportFactory = Callable[[Session], Transport]

IDLE_SECONDS = 900.0
"""How long a transport nobody uses is kept: a warm Kiro answers at once, but it takes memory."""


class _Seat:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.transport: Transport | None = None
        self.used_at = 0.0


class Seats:
    """Keeps a transport for each session that needs one. `steady` is a clock in seconds that is never set."""

    def __init__(self, make: TransportFactory, steady: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._steady = steady
        self._lock = threading.Lock()
        self._seats: dict[str, _Seat] = {}

    def take(self, session: Session) -> Transport:
        """Return the session's transport, made if there is none."""
        seat = self._seat(session.id)
        with seat.lock:
            seat.used_at = self._steady()
            if seat.transport is None:
                seat.transport = self._make(session)
            return seat.transport

    def kind(self, session_id: str) -> TransportKind | None:
        """Return how the session's Kiro is driven, None while there is no transport. Never waits."""
        seat = self._seats.get(session_id)
        transport = None if seat is None else seat.transport
        return None if transport is None else transport.kind

    def health(self, session_id: str, else_of: str) -> Readiness:
        """Return whether Kiro can be asked, by the session's transport or that of another one. Never waits."""
        for seat in (self._seats.get(session_id), self._seats.get(else_of)):
            transport = None if seat is None else seat.transport
            if transport is not None:
                return transport.health()
        return Readiness(True)

    def close(self, session_id: str) -> None:
        """Close the session's transport, if it has one."""
        with self._lock:
            seat = self._seats.get(session_id)
        if seat is not None:
            with seat.lock:
                transport, seat.transport = seat.transport, None
                if transport is not None:
                    transport.close()

    def close_idle(self, busy: Callable[[str], bool], idle_seconds: float = IDLE_SECONDS) -> None:
        """Close the transports that were not used for `idle_seconds`, but those of `busy` sessions."""
        with self._lock:
            seats = list(self._seats.items())
        due = self._steady() - idle_seconds
        for session_id, seat in seats:
            with seat.lock:
                if seat.transport is None or seat.used_at > due or busy(session_id):
                    continue
                transport, seat.transport = seat.transport, None
                transport.close()

    def touch(self, session_id: str) -> None:
        """Note that the session's transport is used now."""
        seat = self._seats.get(session_id)
        if seat is not None:
            seat.used_at = self._steady()

    def close_all(self) -> None:
        """Close every transport."""
        with self._lock:
            seats = list(self._seats)
        for session_id in seats:
            self.close(session_id)

    def _seat(self, session_id: str) -> _Seat:
        with self._lock:
            return self._seats.setdefault(session_id, _Seat())
