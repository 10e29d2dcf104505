"""`/api/v1/sessions/<id>/kiro`, `commands`, `mcp-servers` and `library`."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Response

from bridge.core.library import MCP_SCOPES, LibraryEntry
from bridge.core.ports import Choice
from bridge.errors import RequestRefused
from bridge.web import validation
from bridge.web.kiro_service import ServerShown, kiro_service
from bridge.web.replies import Refusal, reply
from bridge.web.wire import JsonObject

_BODY_LIMIT = 1024 * 1024
_BODY_SECONDS = 30.0


def get_kiro(session_id: str) -> Response:
    """Answer `GET …/kiro`."""
    offered = kiro_service().offered(session_id)
    commands = [
        {"name": one.name, "description": one.description, "hint": one.hint, "choices": one.choices}
        for one in offered.surface.commands
    ]
    return reply(
        "KiroOffers",
        {
            "transport": offered.kind,
            "engine": offered.session.engine,
            "agents": _choices(offered.agents),
            "models": _choices(offered.models),
            "efforts": list(offered.efforts),
            "commands": commands,
            "features": sorted(offered.surface.features),
        },
    )


def run_command(session_id: str) -> Response:
    """Answer `POST …/commands`."""
    body = validation.json_body("CommandRequest", limit=_BODY_LIMIT, seconds=_BODY_SECONDS)
    said = kiro_service().command(session_id, body["name"], body.get("argument", ""))
    return reply("CommandResult", {"text": said})


def list_mcp_servers(session_id: str) -> Response:
    """Answer `GET …/mcp-servers`."""
    return reply("McpServerList", {"servers": [_server(shown) for shown in kiro_service().mcp_servers(session_id)]})


def change_mcp_server(session_id: str, scope: str, name: str) -> Response:
    """Answer `PATCH …/mcp-servers/<scope>/<name>`."""
    body = validation.json_body("McpServerChange", limit=_BODY_LIMIT, seconds=_BODY_SECONDS)
    if scope not in MCP_SCOPES:
        known = ", ".join(MCP_SCOPES)
        raise Refusal(404, f"there is no scope {scope!r}", kind="no-such-server", remedy=f"Use one of {known}.")
    try:
        shown = kiro_service().enable(session_id, scope, name, body["enabled"])
    except RequestRefused as refused:
        found = refused.problem
        status = 404 if found.code == "no_such_server" else 409
        kind = found.code.replace("_", "-")
        raise Refusal(status, found.cause, kind=kind, remedy=found.remedy) from refused
    return reply("McpServerBody", {"server": _server(shown)})


def get_library(session_id: str) -> Response:
    """Answer `GET …/library`."""
    found = kiro_service().library(session_id)
    steering = [
        {"name": one.name, "path": one.path, "scope": one.scope, "inclusion": one.inclusion} for one in found.steering
    ]
    fields = {"skills": _entries(found.skills), "prompts": _entries(found.prompts), "steering": steering}
    return reply("LibraryBody", fields)


def _choices(choices: Iterable[Choice]) -> list[JsonObject]:
    return [{"id": one.id, "name": one.name, "description": one.description, "current": one.current} for one in choices]


def _entries(entries: Iterable[LibraryEntry]) -> list[JsonObject]:
    return [{"name": one.name, "description": one.description, "path": one.path, "scope": one.scope} for one in entries]


def _server(shown: ServerShown) -> JsonObject:
    server, state = shown.server, shown.state
    return {
        "name": server.name,
        "scope": server.scope,
        "file": server.file,
        "enabled": server.enabled,
        "status": state.status if state else "unknown",
        "tools": state.tools if state else None,
        "detail": (state.detail if state else "") or server.note,
        "url": state.url if state else None,
        "transport": server.transport,
        "command": server.command,
    }
