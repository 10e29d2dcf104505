"""Where Kiro's own things, the files of sessions and the diagnostics meet the application.

Invariant: each of them is imported and made when somebody first asks for it, once; until then it costs nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.diagnostics.doctor import Doctor
    from bridge.diagnostics.meter import UsageMeter
    from bridge.engine import Engine
    from bridge.kiro.offers import Offers
    from bridge.ledger import Ledger
    from bridge.settings import Settings
    from bridge.web.file_service import SessionFiles
    from bridge.web.kiro_service import KiroService
    from bridge.web.service import ChatService


class Things:
    """What the views of these areas ask, as `app.extensions["things"]`. `wake` has the event streams looked at."""

    def __init__(
        self, settings: Settings, engine: Engine, ledger: Ledger, chat: ChatService, wake: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._chat = chat
        self._wake = wake
        self._making = threading.Lock()
        self._kiro: KiroService | None = None
        self._files: SessionFiles | None = None
        self._doctor: Doctor | None = None
        self._meter: UsageMeter | None = None
        self._offers: Offers | None = None
        self.history = ledger

    @property
    def kiro(self) -> KiroService:
        """Return what Kiro offers in the sessions."""
        with self._making:
            self._kiro = self._kiro or self._make_kiro()
            return self._kiro

    @property
    def files(self) -> SessionFiles:
        """Return the files of the sessions."""
        from bridge.web.file_service import SessionFiles

        with self._making:
            self._files = self._files or SessionFiles(self._chat, self.history)
            return self._files

    @property
    def doctor(self) -> Doctor:
        """Return who makes the checks."""
        from bridge.diagnostics.doctor import Doctor

        engine = self._engine
        with self._making:
            self._doctor = self._doctor or Doctor(
                self._settings,
                os.environ,
                running=True,
                states=lambda: engine.surface(engine.primary)[1].mcp_servers,
            )
            return self._doctor

    @property
    def meter(self) -> UsageMeter:
        """Return who measures what is used."""
        from bridge.diagnostics.meter import Gauge, UsageMeter, bridge_processes

        with self._making:
            gauge = Gauge(self._settings.state_dir, lambda: bridge_processes(os.getpid()))
            self._meter = self._meter or UsageMeter(gauge, self._wake)
            return self._meter

    def close(self) -> None:
        """Stop whatever looks after something."""
        with self._making:
            meter, self._meter = self._meter, None
            offers, self._offers = self._offers, None
        if meter is not None:
            meter.close()
        if offers is not None:
            offers.close()

    def _make_kiro(self) -> KiroService:
        from bridge.kiro.command import LaunchOptions
        from bridge.kiro.installation import Installation
        from bridge.kiro.offers import Offers
        from bridge.kiro.session_configuration import SessionConfiguration
        from bridge.web.kiro_service import KiroService

        settings = self._settings
        cli = None if settings.kiro_cli_path is None else str(settings.kiro_cli_path)
        cache = settings.state_dir / "kiro-cli.json"
        self._offers = Offers(Installation(os.environ, LaunchOptions(), explicit=cli, cache_file=cache), os.environ)
        files = SessionConfiguration(os.environ, self._offers, settings.agent or "")
        return KiroService(self._chat, self._engine, files)
