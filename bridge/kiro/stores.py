"""One way to Kiro's three stores."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from bridge.core.feed import Engine
from bridge.core.ports import StoreReader
from bridge.kiro.history import TurnEvidence
from bridge.kiro.locations import StoreLocations
from bridge.kiro.v1_store import V1Reader
from bridge.kiro.v2_store import V2Reader
from bridge.kiro.v3_store import V3Reader


class TurnReader(StoreReader, Protocol):
    """A store reader that also says what it has proved."""

    def evidence(self) -> TurnEvidence:
        """Return what the store proves about our prompt so far."""


def open_reader(
    engine: Engine,
    locations: StoreLocations,
    *,
    cwd: str,
    started_at: float,
    kiro_id: str | None,
    prompt: str,
    clock: Callable[[], float] = time.time,
) -> TurnReader:
    """Return the reader of that engine's store for one turn. Opens nothing yet and raises nothing.

    `cwd` is the folder in which Kiro runs, `started_at` when the turn began in seconds since the epoch, `kiro_id`
    Kiro's id of the conversation to be continued (None: a new one), `prompt` what Kiro is sent.
    """
    if engine == "v1":
        return V1Reader(locations.database, cwd, started_at, kiro_id, prompt, clock)
    if engine == "v2":
        return V2Reader(locations.v2_sessions, cwd, started_at, kiro_id, prompt, clock)
    return V3Reader(locations.v3_sessions, cwd, started_at, kiro_id, prompt, clock)


__all__ = ["StoreLocations", "TurnEvidence", "TurnReader", "open_reader"]
