"""Kiro's agent: its JSON file, the MCP servers in it, and that it is the default one.

Invariant: the file is one that all engines take (facts/kiro-cli.md 8.1), and holds no secret: what a server needs of
those it inherits from the environment. v3 reads the same file, `prompt` and `mcpServers` in it too, but goes by
`permissions`; v1 is never given that field.

The names `useLegacyMcpJson` and `includeMcpJson` are one field: the Q CLI and Kiro's schema know the second as another
name of the first, and a file with both is refused as one with a repeated field. So only one of them is ever there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.tools import STATUS_REPORT
from bridge.kiro.environment import enriched_path
from bridge.kiro.locations import kiro_home
from bridge.provision.documents import keep
from bridge.provision.inputs import LATEST, Inputs, Places
from bridge.provision.progress import ProvisionError, say

DEFAULT_NAME = "agent"
CODER = "coder"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OTHER_NAMES = {"useLegacyMcpJson": "includeMcpJson", "includeMcpJson": "useLegacyMcpJson"}


@dataclass(frozen=True)
class Agent:
    """An agent as the module wants it: its name and the content of its file."""

    name: str
    content: Mapping[str, Any]


def configure(inputs: Inputs, places: Places, environ: Mapping[str, str]) -> Agent:
    """Write the agent's file and make it the default. Raises `ProvisionError`."""
    agent = wanted_agent(inputs, environ)
    home = kiro_home(environ)
    path = home / "agents" / f"{agent.name}.json"
    remembered = places.state / "written"
    say(f"Configuring the agent {agent.name!r}")
    keep(path, _with_one_name(agent.content, path), remembered / f"agent-{agent.name}.json")
    keep(home / "settings" / "cli.json", _settings(inputs, agent), remembered / "settings.json")
    return agent


def wanted_agent(inputs: Inputs, environ: Mapping[str, str]) -> Agent:
    """Return the agent that the inputs ask for. Raises `ProvisionError` for a configuration that cannot be used."""
    own = bool(inputs.agent_config.strip())
    content = _given(inputs) if own else default_content(inputs)
    servers = _extra_servers(inputs)
    trusted = []
    if inputs.report_tasks:
        servers = {CODER: _coder_server(inputs, environ), **servers}
        trusted = [f"@{CODER}"]
    content["mcpServers"] = {**_mapping(content, "mcpServers"), **servers}
    content["tools"] = _with(content, "tools", [f"@{name}" for name in servers])
    if trusted:
        content["allowedTools"] = _with(content, "allowedTools", trusted)
    if inputs.engine == "v3":
        if not own:
            content["permissions"] = {"rules": []}
        _permit(content, trusted if own else content["allowedTools"])
    return Agent(content["name"], content)


def status_slug(inputs: Inputs, environ: Mapping[str, str]) -> str:
    """Return the app beside which Coder shows the status: the one the template chose, else the web app."""
    return environ.get("CODER_MCP_APP_STATUS_SLUG") or inputs.app_slug


def default_content(inputs: Inputs) -> dict[str, Any]:
    """Return the default agent of the module's documentation.

    The reporting instructions follow the system prompt, as that is the one place every engine gives to its model.
    """
    parts = [inputs.system_prompt, inputs.coder_mcp_instructions if inputs.report_tasks else ""]
    return {
        "name": DEFAULT_NAME,
        "description": "This is an default agent config",
        "prompt": "\n".join(part for part in parts if part.strip()),
        "mcpServers": {},
        "tools": ["read", "write", "shell", "aws", "@coder", "knowledge"],
        "toolAliases": {},
        "allowedTools": ["read", "@coder"],
        "resources": ["file://KiroQ.md", "file://README.md", "file://.kiro/steering/**/*.md"],
        "hooks": {},
        "toolsSettings": {},
        "useLegacyMcpJson": True,
    }


def _given(inputs: Inputs) -> dict[str, Any]:
    content = _json_object(inputs.agent_config, "agent_config")
    name = content.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _bad("agent_config", f'its "name" is {name!r}, which cannot be the name of a file')
    if set(_OTHER_NAMES) <= set(content):
        raise _bad("agent_config", "useLegacyMcpJson and includeMcpJson are two names of one field")
    return content


def _extra_servers(inputs: Inputs) -> dict[str, Any]:
    """Return the servers in `mcp`, which may be a map of servers or hold one as `mcpServers`."""
    if not inputs.mcp.strip():
        return {}
    found = _json_object(inputs.mcp, "mcp")
    servers = found.get("mcpServers", found)
    if not isinstance(servers, dict) or not all(isinstance(entry, dict) for entry in servers.values()):
        raise _bad("mcp", "it is no map from names to servers")
    for name in servers:
        if not _NAME.fullmatch(name) or (name == CODER and inputs.report_tasks):
            raise _bad("mcp", f"a server cannot be called {name!r}")
    return servers


def _coder_server(inputs: Inputs, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return Coder's own MCP server (facts/coder-platform.md 2.1).

    It does not get the address of our API: the bridge reports what it knows itself, and a second voice that follows
    it would only contradict the model's reports (same page, 2.3 and 10). The agent's token is inherited. Instructions
    stand in a variable, as in the arguments of `kiro-cli mcp add` a comma would split them (facts/kiro-cli.md 7).
    """
    env = {"CODER_MCP_APP_STATUS_SLUG": status_slug(inputs, environ), "CODER_MCP_ALLOWED_TOOLS": STATUS_REPORT}
    if inputs.coder_mcp_instructions.strip():
        env["CODER_MCP_INSTRUCTIONS"] = inputs.coder_mcp_instructions
    if url := environ.get("CODER_AGENT_URL"):
        env["CODER_AGENT_URL"] = url
    command = shutil.which("coder", path=enriched_path(environ)) or "coder"
    return {"command": command, "args": ["exp", "mcp", "server"], "env": env}


def _settings(inputs: Inputs, agent: Agent) -> dict[str, Any]:
    settings: dict[str, Any] = {"chat.defaultAgent": agent.name}
    if inputs.install_kiro_cli and inputs.kiro_cli_version != LATEST:
        settings["app.disableAutoupdates"] = True
    return settings


def _permit(content: dict[str, Any], tools: list[str]) -> None:
    """Add the rules that allow the tools on engine v3, which ignores `allowedTools` (facts/kiro-cli.md 8.1).

    An agent without rules is left to Kiro: `/upgrade-agent`, from 2.37.0 on by itself, turns all of the old fields
    into rules, the denials among them. Ours would stand in its way if it passes over agents that have rules already,
    which we take it to do and have not seen.
    """
    given = content.get("permissions")
    rules = given.get("rules") if isinstance(given, dict) else given
    if not isinstance(rules, list):
        return
    rules = rules + [rule for rule in _rules(tools) if rule not in rules]
    content["permissions"] = {**given, "rules": rules} if isinstance(given, dict) else rules


def _rules(tools: list[str]) -> list[dict[str, Any]]:
    """Return the rules of v3 that allow the tools: reading, and all of a server."""
    found: list[dict[str, Any]] = []
    for tool in tools:
        if tool == "read":
            found.append({"capability": "fs_read", "effect": "allow"})
        elif tool.startswith("@"):
            found.append({"capability": "mcp", "match": [f"{tool[1:]}/*"], "effect": "allow"})
    return found


def _with_one_name(content: Mapping[str, Any], path: Any) -> dict[str, Any]:
    """Return the content without a field that the file has under its other name."""
    try:
        there = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        there = {}
    return {name: value for name, value in content.items() if _OTHER_NAMES.get(name) not in there}


def _mapping(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name, {})
    if not isinstance(value, dict):
        raise _bad("agent_config", f"{name} is no object")
    return value


def _with(content: Mapping[str, Any], name: str, added: list[str]) -> list[Any]:
    """Return a list of tools with those added that it does not cover; a missing one means none."""
    value = content.get(name, [])
    if not isinstance(value, list):
        raise _bad("agent_config", f"{name} is no list")
    return value + [tool for tool in added if tool not in value and (name != "tools" or "*" not in value)]


def _json_object(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _bad(name, f"it is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise _bad(name, "it is no JSON object")
    return found


def _bad(name: str, cause: str) -> ProvisionError:
    return ProvisionError(
        f"The input {name} cannot be used: {cause}.", f"Correct {name} in the template.", code="bad_agent_config"
    )
