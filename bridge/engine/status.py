"""What is told of a session that does something, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bridge.core.ports import TransportKind
from bridge.core.records import SessionOptions
from bridge.errors import Problem

Phase = Literal["starting", "ready", "working", "waiting", "failed"]


@dataclass(frozen=True)
class EngineStatus:
    """What a session is doing. `problem` says why a prompt would fail now; it can be there in any phase but `ready`."""

    phase: Phase
    problem: Problem | None = None

    @property
    def ready(self) -> bool:
        """Return whether a prompt would reach Kiro."""
        return self.problem is None and self.phase != "starting"


@dataclass(frozen=True)
class SessionFacts:
    """What is true of a session just now. `wishes` are those in force, the settings' where it has none of its own."""

    phase: Phase
    transport: TransportKind | None
    wishes: SessionOptions


def wishes_in_force(wishes: SessionOptions, defaults: SessionOptions) -> SessionOptions:
    """Return a session's wishes, with those of the settings where it has none of its own."""
    return SessionOptions(
        model=wishes.model or defaults.model,
        agent=wishes.agent or defaults.agent,
        effort=wishes.effort or defaults.effort,
        trust=wishes.trust or defaults.trust,
        trust_tools=wishes.trust_tools or defaults.trust_tools,
    )
