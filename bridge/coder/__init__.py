"""What we tell Coder: the status of the conversation while it goes on, and its last messages when the workspace stops.

Nothing here is imported, started or asked outside a Coder workspace; a Coder that is gone is noticed by nobody else.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bridge.core.tools import STATUS_REPORT

if TYPE_CHECKING:
    from bridge.coder.reporter import News, Record, StatusReporter
    from bridge.coder.voice import Voice
    from bridge.settings import Settings

log = logging.getLogger(__name__)

AGENT_URL = "CODER_AGENT_URL"
AGENT_TOKEN = "CODER_AGENT_TOKEN"

_WITHHELD = frozenset(
    {"CODER_MCP_AI_AGENTAPI_URL", "CODER_MCP_INSTRUCTIONS", "CODER_SESSION_TOKEN", "CODER_URL", "CODER_TASK_PROMPT"}
)
"""With the first the child would follow our `/events` and report too (facts/coder-platform.md 2.2); the rest is for
other uses of the child."""

_NETWORK = frozenset({"SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TMPDIR"})


def make_reporter(
    environ: Mapping[str, str],
    settings: Settings,
    hub: News,
    ledger: Record,
    session_id: str,
    ready: Callable[[], bool],
) -> StatusReporter | None:
    """Return the reporter of a session, not started, or None where there is nobody to report to.

    `ready` says at no cost whether a prompt would reach Kiro.
    """
    if not settings.report_tasks:
        return None
    if not settings.app_status_slug:
        log.warning("Coder is not told the status: no app is named (app_status_slug, CODER_MCP_APP_STATUS_SLUG).")
        return None
    voices = [*_mcp(environ, settings), *_http(environ, settings)]
    if not voices:
        log.warning(
            "Coder is not told the status: there is neither a coder command nor %s and %s.", AGENT_URL, AGENT_TOKEN
        )
        return None
    from bridge.coder.reporter import StatusReporter

    return StatusReporter(hub, ledger, session_id, ready, voices)


def _mcp(environ: Mapping[str, str], settings: Settings) -> list[Voice]:
    command = str(settings.coder_path or shutil.which("coder", path=environ.get("PATH", os.defpath)) or "")
    if not command or not any(name.startswith("CODER_AGENT_") for name in environ):
        return []
    from bridge.coder.mcp_voice import McpVoice

    return [McpVoice([command, "exp", "mcp", "server"], child_environment(environ, settings.app_status_slug))]


def _http(environ: Mapping[str, str], settings: Settings) -> list[Voice]:
    url, token = environ.get(AGENT_URL, ""), environ.get(AGENT_TOKEN, "")
    if not url or not token:
        return []
    from bridge.coder.agent_api import AgentApi, CoderError
    from bridge.coder.http_voice import HttpVoice

    try:
        return [HttpVoice(AgentApi(url, token), settings.app_status_slug)]
    except CoderError as error:
        log.warning("%s", error)
        return []


def child_environment(environ: Mapping[str, str], app_slug: str) -> dict[str, str]:
    """Return what `coder exp mcp server` gets: what it needs to report as the agent, and no more."""
    mine = {
        name: value
        for name, value in environ.items()
        if (name.startswith("CODER_") and name not in _WITHHELD) or name.upper() in _NETWORK
    }
    return {**mine, "CODER_MCP_APP_STATUS_SLUG": app_slug, "CODER_MCP_ALLOWED_TOOLS": STATUS_REPORT}
