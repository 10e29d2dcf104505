"""All checks together.

Invariants: a check that fails in a way nobody thought of is a finding, and takes none of the others with it. Of several
who ask at the same time one looks, and what was found a moment ago is said again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.core.ports import McpServerState
from bridge.diagnostics.check import Check
from bridge.diagnostics.meter import Gauge, Sample, bridge_processes

if TYPE_CHECKING:
    from bridge.settings import Settings

log = logging.getLogger(__name__)

FRESH = 5.0
_MEASURED = 0.2


@dataclass(frozen=True)
class Report:
    """The findings, and when they were made (seconds since the epoch)."""

    checks: tuple[Check, ...]
    made_at: float


class Doctor:
    """Looks at everything. `states` tells of MCP servers where a bridge runs; `running` that it is this process."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        running: bool = False,
        states: Callable[[], Sequence[McpServerState]] = tuple,
    ) -> None:
        self._settings = settings
        self._environ = dict(environ)
        self._running = running
        self._states = states
        self._looking = threading.Lock()
        self._last: tuple[float, Report] | None = None

    def report(self) -> Report:
        """Return the findings: new ones, or those of a moment ago."""
        with self._looking:
            if self._last is not None and time.monotonic() - self._last[0] < FRESH:
                return self._last[1]
            report = Report(tuple(self._checks()), time.time())
            self._last = time.monotonic(), report
            return report

    def _checks(self) -> Iterator[Check]:
        from bridge.diagnostics.kiro_checks import KiroChecks  # with all of kiro-cli's rooms, and an HTTP client
        from bridge.diagnostics.surroundings import surroundings

        kiro = KiroChecks(self._settings, self._environ)
        yield from _safely("kiro", lambda: kiro.checks(self._states()))
        yield from _safely("machine", lambda: surroundings(self._settings, self._environ, self._sample()))

    def _sample(self) -> Sample | None:
        worker = os.getpid() if self._running else _owner_of(self._settings.ledger)
        if worker is None or not bridge_processes(worker):
            return None
        gauge = Gauge(self._settings.state_dir, lambda: bridge_processes(worker))
        gauge.look()
        time.sleep(_MEASURED)
        return gauge.look()


def _safely(name: str, make: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from make()
    except Exception as error:
        log.exception("a check failed")
        cause = f"The check itself failed: {type(error).__name__}."
        yield Check(name, "unknown", cause, "This is a defect of the bridge: its log holds the details.")


def _owner_of(ledger: Path) -> int | None:
    """Return the process that says in the lock file that it owns the ledger, None where there is none."""
    try:
        return int(ledger.with_name(f"{ledger.name}.lock").read_text("ascii"))
    except (OSError, ValueError):
        return None
