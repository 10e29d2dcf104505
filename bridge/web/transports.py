"""From settings to transports: the one place where the engine's port and `bridge.kiro` meet."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bridge.core.ports import Transport
from bridge.core.records import Session
from bridge.kiro.acp_launch import Wish
from bridge.kiro.acp_places import Places
from bridge.kiro.acp_run import TurnRules
from bridge.kiro.acp_seat import Seat
from bridge.kiro.acp_transport import AcpTransport
from bridge.kiro.command import LaunchOptions
from bridge.kiro.headless import HeadlessTransport
from bridge.kiro.installation import Installation
from bridge.kiro.locations import find_locations

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.settings import Settings


class Transports:
    """Makes the transport of each session; all share what is known of this machine's kiro-cli."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._options = LaunchOptions(
            engine=settings.engine,
            agent=settings.agent or "",
            model=settings.model or "",
            effort=settings.effort or "",
            trust_all_tools=settings.trust_all_tools,
            trust_tools=settings.trust_tools,
        )
        self._locations = find_locations(
            os.environ,
            database=_text(settings.kiro_database),
            v2_sessions=_text(settings.kiro_v2_sessions),
            v3_sessions=_text(settings.kiro_v3_sessions),
        )
        self._wish: Wish = settings.transport
        self._installation = Installation(
            os.environ,
            self._options,
            explicit=_text(settings.kiro_cli_path),
            cache_file=settings.state_dir / "kiro-cli.json",
            wish=self._wish,
        )
        self._places = Places(settings.acp_processes, settings.ledger.with_name(f"{settings.ledger.name}.acp"))
        self._places.end_leftovers(settings.stop_grace)

    def make(self, _session: Session) -> Transport:
        """Return a transport for one session."""
        grace = self._settings.stop_grace
        headless = HeadlessTransport(self._installation, self._locations, self._options, stop_grace=grace)
        if self._wish == "headless":
            return headless
        return AcpTransport(
            self._installation,
            self._locations,
            self._options,
            Seat(self._places, idle=self._settings.acp_idle, stop_grace=grace),
            self._places,
            headless,
            wish=self._wish,
            rules=TurnRules(grace, self._settings.approval_timeout),
        )

    def close(self) -> None:
        """Stop what looks after kiro-cli."""
        self._installation.close()


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
