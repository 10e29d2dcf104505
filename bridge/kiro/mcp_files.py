"""The MCP servers in Kiro's files, and the one thing about them that is changed: whether they are enabled.

Invariants: arguments, variables and headers of a server are never returned, they may be secrets. A file is written in
one step, in its own layout and mode, through the link it may be, with the state before kept beside it; it is not
written when it is no JSON or somebody else has written it meanwhile.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bridge.core.library import McpScope, McpServer
from bridge.errors import RequestRefused
from bridge.files import replace_file
from bridge.kiro.configuration import FILE_LIMIT, AgentFile, Configuration, read_json
from bridge.kiro.json_edit import Unchangeable, with_member

BACKUP = ".before-bridge"

_SERVERS = "mcpServers"
_FLAG = "disabled"
_writing = threading.Lock()


class ConfigurationRefused(RequestRefused):
    """A file of Kiro's configuration cannot be changed as asked."""

    code = "configuration_refused"


class NoSuchServer(ConfigurationRefused):
    """No file of that scope has a server of that name."""

    code = "no_such_server"


def mcp_servers(configuration: Configuration, agent: AgentFile | None) -> list[McpServer]:
    """Return the servers of a session that runs with `agent`, those that win first, then by name."""
    found: list[McpServer] = []
    with_files = agent is not None and reads_mcp_files(agent)
    taken: set[str] = set()
    for scope, path in _files(configuration, agent):
        for name, entry in sorted(_entries(path).items()):
            enabled = entry.get(_FLAG) is not True
            note = ""
            if scope != "agent" and agent is not None and not with_files:
                note = "The agent does not read this file: includeMcpJson is not true in its own."
            elif name in taken:
                note = "Another server of this name comes first."
            taken.add(name)
            found.append(McpServer(name, scope, str(path), enabled, *_reached(entry), note=note))
    return found


def reads_mcp_files(agent: AgentFile) -> bool:
    """Return whether the agent gets the servers of the `mcp.json` files too (facts/kiro-cli.md 8.1)."""
    content = agent.content or {}
    return content.get("includeMcpJson", content.get("useLegacyMcpJson")) is True


def enable(
    configuration: Configuration, agent: AgentFile | None, scope: McpScope, name: str, enabled: bool
) -> McpServer:
    """Switch a server on or off in its file and return it as it is now.

    Raises NoSuchServer, and ConfigurationRefused when the file cannot be changed.
    """
    path = next((path for found, path in _files(configuration, agent) if found == scope), None)
    if path is None or name not in _entries(path):
        raise NoSuchServer(f"There is no MCP server {name!r} in the scope {scope}.", "List the servers.")
    with _writing:
        _switch(path, name, enabled)
    for server in mcp_servers(configuration, agent):
        if (server.scope, server.name) == (scope, name):
            return server
    raise NoSuchServer(f"The MCP server {name!r} is gone from {path}.", "List the servers.")


def _switch(path: Path, name: str, enabled: bool) -> None:
    try:
        real = Path(os.path.realpath(path))
        before = _bytes(real)
        text = before.decode("utf-8-sig")
        changed = with_member(text, (_SERVERS, name), _FLAG, not enabled)
        if changed == text or (enabled and _flag_of(text, name) is not True):
            return
        mark = before[: len(before) - len(text.encode())]
        mode = real.stat().st_mode & 0o7777
        replace_file(real.with_name(real.name + BACKUP), before, durable=True)
        if _bytes(real) != before:
            cause = f"{path} was written by somebody else just now."
            raise ConfigurationRefused(cause, "Look at it, and try again.", code="configuration_changed")
        replace_file(real, mark + changed.encode(), durable=True)
        real.chmod(mode)
    except (Unchangeable, UnicodeDecodeError) as error:
        cause = f"{path} is no JSON that can be changed: {error}."
        raise ConfigurationRefused(cause, "Correct it with an editor.", code="configuration_invalid") from error
    except OSError as error:
        cause = f"{path} cannot be written: {(error.strerror or str(error)).lower()}."
        raise ConfigurationRefused(cause, "Check who may write it and its folder.", code="not_writable") from error


def _flag_of(text: str, name: str) -> object:
    return json.loads(text)[_SERVERS][name].get(_FLAG)


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(FILE_LIMIT + 1)
    if len(data) > FILE_LIMIT:
        raise Unchangeable(f"it is larger than {FILE_LIMIT} bytes")
    return data


def _files(configuration: Configuration, agent: AgentFile | None) -> Iterator[tuple[McpScope, Path]]:
    if agent is not None:
        yield "agent", agent.path
    for scope, root in configuration.roots():
        yield scope, root / "settings/mcp.json"


def _entries(path: Path) -> dict[str, Mapping[str, Any]]:
    found = (read_json(path) or {}).get(_SERVERS)
    if not isinstance(found, dict):
        return {}
    return {name: entry for name, entry in found.items() if isinstance(entry, dict)}


def _reached(entry: Mapping[str, Any]) -> tuple[Any, str]:
    """Return how a server is reached, and the program or the address without what may be secret in it."""
    url = entry.get("url")
    if isinstance(url, str) and url:
        try:
            parts = urlsplit(url)
            host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
        except ValueError:
            return "http", ""
        return "http", f"{parts.scheme}://{host}"  # a path may be a secret too
    command = entry.get("command")
    return "stdio", command if isinstance(command, str) else ""
