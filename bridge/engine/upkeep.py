"""What is done beside the turns, when there is time: the search index, deleted sessions, transports nobody uses.

Invariant: in pieces that keep nobody waiting; a piece that fails is tried again later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bridge.engine.adoption import Adoption
from bridge.engine.engine import Engine
from bridge.errors import BridgeError
from bridge.ledger import Ledger

log = logging.getLogger(__name__)

EVERY = 10.0
_BREATH = 0.05
"""Seconds between two rounds, and between two pieces of one."""


class Upkeep:
    """A thread that looks after ledger and transports every `every` seconds."""

    def __init__(self, engine: Engine, ledger: Ledger, adoption: Adoption, every: float = EVERY) -> None:
        self._engine = engine
        self._ledger = ledger
        self._adoption = adoption
        self._every = every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the piece that is under way."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _main(self) -> None:
        self._try(self._adoption.drop_unfinished)
        while True:
            for job in (self._index, self._purge, self._close_idle):
                self._try(job)
            if self._stopping.wait(self._every):
                return

    def _try(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BridgeError as error:
            log.debug("upkeep: %s", error)
        except Exception:
            log.exception("upkeep failed and goes on")

    def _index(self) -> None:
        while not self._stopping.is_set() and self._ledger.index():
            self._stopping.wait(_BREATH)

    def _purge(self) -> None:
        while not self._stopping.is_set() and self._ledger.purge():
            self._stopping.wait(_BREATH)

    def _close_idle(self) -> None:
        self._engine.seats.close_idle(lambda session_id: self._engine.running(session_id) is not None)
