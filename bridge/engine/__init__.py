"""Runs turns: feeds from a transport into `bridge.core`, through the ledger, out to subscribers."""

from __future__ import annotations

from bridge.engine.engine import Engine as Engine
from bridge.engine.engine import EngineStatus as EngineStatus
from bridge.engine.engine import Phase as Phase
from bridge.engine.hub import Hub as Hub
