"""Runs turns: feeds from a transport into `bridge.core`, through the ledger, out to subscribers."""

from __future__ import annotations

from bridge.engine.engine import Engine as Engine
from bridge.engine.hub import Hub as Hub
from bridge.engine.status import EngineStatus as EngineStatus
from bridge.engine.status import Phase as Phase
from bridge.engine.status import SessionFacts as SessionFacts
