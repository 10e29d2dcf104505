"""What the agent offers: agents (modes), models, commands, tools, MCP servers.

Invariant: shapes of facts/kiro-wire.md 2, 6 and 10; lists are short and made up where the real ones are Kiro's own.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass

from standin import places
from standin.model import Json
from standin.personality import Personality

DEFAULT_AGENT = "kiro_default"
_BUILT_IN = (
    (DEFAULT_AGENT, "The default agent of the stand-in", ""),
    ("kiro_planner", "Plans before it works", "What do you want to plan?"),
    ("kiro_guide", "Tells how to use the program", "Ask me how things work."),
)
_NAMES = ("auto", "standin-large", "standin-small")
TOOLS = ("read", "write", "shell", "subagent", "summary")
#: Name, description and meta of v2's commands (facts/kiro-wire.md 2).
_COMMANDS: tuple[tuple[str, str, Json], ...] = (
    (
        "/agent",
        "Select or list available agents",
        {
            "optionsMethod": "_kiro.dev/commands/agent/options",
            "inputType": "selection",
            "hint": "",
            "subcommands": ["swap"],
            "subcommandHints": {"swap": "<name>"},
            "subcommandDescriptions": {"swap": "Switch to a different agent"},
        },
    ),
    ("/clear", "Forget the conversation", {}),
    ("/compact", "Shorten the conversation", {}),
    ("/context", "Show what fills the context", {"inputType": "panel"}),
    (
        "/effort",
        "Set the effort",
        {"optionsMethod": "_kiro.dev/commands/effort/options", "inputType": "selection", "hint": ""},
    ),
    ("/goal", "Work until a goal is reached", {"hint": "<goal>"}),
    ("/guide", "Switch to the guide", {}),
    ("/help", "Show the commands", {"inputType": "panel", "local": True}),
    ("/hooks", "Show the hooks", {"inputType": "panel"}),
    ("/mcp", "Show the MCP servers", {"inputType": "panel"}),
    (
        "/model",
        "Select or list available models",
        {"optionsMethod": "_kiro.dev/commands/model/options", "inputType": "selection", "hint": ""},
    ),
    ("/plan", "Switch to the planner", {}),
    ("/quit", "Leave", {"local": True}),
    ("/rewind", "Go back to an earlier turn", {"inputType": "selection"}),
    ("/stats", "Show the last requests", {"inputType": "panel"}),
    ("/tools", "Show the tools", {"inputType": "panel"}),
    ("/usage", "Show the plan's usage", {"inputType": "panel"}),
)


@dataclass(frozen=True)
class AgentFile:
    """An agent of the user's: `scope` is Workspace or Global."""

    name: str
    description: str
    scope: str
    body: Json


@dataclass(frozen=True)
class Server:
    """An MCP server and how its start ends: `connected`, `failed` or `login` (an address to log in at)."""

    name: str
    state: str
    error: str = ""

    @property
    def address(self) -> str:
        """Where to log in."""
        return f"https://mcp.example.com/authorize?server={self.name}"


def agent_files(cwd: str) -> list[AgentFile]:
    """Agents of the folder and of the user, the folder's own winning."""
    found: dict[str, AgentFile] = {}
    for folder, scope in zip(places.agent_folders(cwd), ("Workspace", "Global"), strict=True):
        for path in sorted(folder.glob("*.json")):
            with contextlib.suppress(OSError, ValueError):
                body = dict(json.loads(path.read_text("utf-8")))
                name = str(body.get("name") or path.stem)
                found.setdefault(name, AgentFile(name, str(body.get("description", "")), scope, body))
    return sorted(found.values(), key=lambda one: one.name)


def modes(cwd: str, current: str) -> Json:
    """v2's `modes` (facts/kiro-wire.md 2)."""
    listed: list[Json] = [
        {"id": one.name, "name": one.name, "description": one.description} for one in agent_files(cwd)
    ]
    for name, description, welcome in _BUILT_IN:
        meta = {"_meta": {"welcomeMessage": welcome}} if welcome else {}
        listed.append({"id": name, "name": name, "description": description, **meta})
    return {"currentModeId": current, "availableModes": listed}


def is_built_in(name: str) -> bool:
    """Whether it is one of the program's own agents."""
    return any(name == known for known, _, _ in _BUILT_IN)


def welcome(name: str) -> str:
    """The welcome message of an agent."""
    return next((text for known, _, text in _BUILT_IN if known == name), "")


def model_ids(personality: Personality, logged_in: bool = True) -> list[str]:
    """The models of this release; two without a login (facts/kiro-wire.md 1)."""
    if not logged_in:
        return list(_NAMES[:2])
    return [*_NAMES, *(f"standin-{number}" for number in range(len(_NAMES), personality.model_count))]


def models(personality: Personality, current: str, logged_in: bool) -> Json:
    """v2's `models`; without a login there are no descriptions (facts/kiro-wire.md 1, 2)."""
    listed = [
        {"modelId": name, "name": name, **({"description": describe(name)} if logged_in else {})}
        for name in model_ids(personality, logged_in)
    ]
    return {"currentModelId": current, "availableModels": listed}


def describe(model: str) -> str:
    """What a model's list entry says."""
    return "Models chosen by task" if model == "auto" else f"{model} as the stand-in plays it"


def commands() -> list[Json]:
    """v2's commands."""
    return [
        {"name": name, "description": description, **({"meta": meta} if meta else {})}
        for name, description, meta in _COMMANDS
    ]


def servers(cwd: str, agent: Json, given: object) -> list[Server]:
    """The MCP servers of the agent, the folder, the user and the client's own list.

    One with a `url` and `oauth` in its name needs a login; a stdio one is there when its command is; a malformed
    entry is dropped in silence (facts/kiro-cli.md 6.2)."""
    named: dict[str, Json] = {}
    for entry in given if isinstance(given, list) else []:
        if (
            isinstance(entry, dict)
            and isinstance(entry.get("name"), str)
            and (entry.get("command") or entry.get("url"))
        ):
            named[entry["name"]] = entry
    for name, entry in dict(agent.get("mcpServers") or {}).items():
        named.setdefault(name, entry)
    for path in places.mcp_files(cwd):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            for name, entry in json.loads(path.read_text("utf-8")).get("mcpServers", {}).items():
                named.setdefault(name, entry)
    return [_server(name, entry) for name, entry in named.items() if not entry.get("disabled")]


def _server(name: str, entry: Json) -> Server:
    if entry.get("url"):
        return Server(name, "login" if "oauth" in f"{name}{entry['url']}".lower() else "connected")
    command = str(entry.get("command", ""))
    if shutil.which(command) is None:
        return Server(name, "failed", f"{command}: command not found")
    return Server(name, "connected")
