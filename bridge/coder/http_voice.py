"""The way to Coder that needs nothing but its address: `PATCH app-status` (facts/coder-platform.md 2.6)."""

from __future__ import annotations

from bridge.coder.agent_api import AgentApi, CoderUnreachable, as_json
from bridge.coder.rules import Report
from bridge.coder.voice import Untold


class HttpVoice:
    """Sets the status of the app with the slug `app_slug`."""

    name = "Coder's HTTP API"

    def __init__(self, api: AgentApi, app_slug: str) -> None:
        self._api = api
        self._app_slug = app_slug

    def tell(self, report: Report, timeout: float) -> None:
        """Tell Coder. Raises `Untold`."""
        status = {"app_slug": self._app_slug, "state": report.state, "message": report.summary, "uri": ""}
        try:
            code = self._api.request("PATCH", "app-status", as_json(status), timeout)
        except CoderUnreachable as error:
            raise Untold(error.problem.cause) from None
        if code != 200:
            raise Untold(f"Coder refused a status for the app {self._app_slug!r} with HTTP {code}.")

    def close(self) -> None:
        """Nothing is kept open."""
