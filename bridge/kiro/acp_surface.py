"""What Kiro offers in a session: agents, models, commands, MCP servers, as it told them last.

Invariant: lists are the agent's own, never a fixed one of ours; `surface` is a value that any thread may read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal
from urllib.parse import urlsplit

from bridge.core.feed import Notice
from bridge.core.ports import Choice, Command, Feature, McpServerState, Surface
from bridge.kiro import loose
from bridge.kiro.loose import JsonDict

McpStatus = Literal["starting", "connected", "failed", "needs_login", "unknown"]

_MCP: Mapping[str, McpStatus] = {
    **dict.fromkeys(("connecting", "loading", "starting", "initializing", "pending"), "starting"),
    **dict.fromkeys(("connected", "running", "ready", "initialized"), "connected"),
    **dict.fromkeys(("failed", "error", "disconnected"), "failed"),
    **dict.fromkeys(("needs_login", "needs-auth", "unauthorized"), "needs_login"),
}
_TERMINALS_OWN = frozenset({"/chat", "/quit", "/exit", "/paste", "/reply", "/voice", "/feedback", "/rewind"})
"""Commands that need Kiro's own terminal, or that leave the session (facts/kiro-wire.md 6)."""


class SurfaceBook:
    """Keeps what was told. `surface` is replaced as a whole at each change."""

    def __init__(self, features: Iterable[Feature] = ()) -> None:
        self.surface = Surface(features=frozenset(features))
        self.subcommands: dict[str, frozenset[str]] = {}
        self._agents: dict[str, Choice] = {}
        self._models: dict[str, Choice] = {}
        self._commands: tuple[Command, ...] = ()
        self._unlisted: tuple[Command, ...] = ()
        self._servers: dict[str, McpServerState] = {}
        self._told: set[tuple[str, str]] = set()

    @property
    def agent(self) -> str | None:
        """Return the id of the agent in use, None while unknown."""
        return next((choice.id for choice in self._agents.values() if choice.current), None)

    @property
    def model(self) -> str | None:
        """Return the id of the model in use, None while unknown."""
        return next((choice.id for choice in self._models.values() if choice.current), None)

    def offer(self, feature: Feature) -> None:
        """Take that the session can do something more."""
        self.surface = replace(self.surface, features=self.surface.features | {feature})

    def add_command(self, command: Command) -> None:
        """Take a command that the agent has, but does not list."""
        self._unlisted = (*self._unlisted, command)
        self._renew()

    def session(self, result: JsonDict) -> None:
        """Take what `session/new` and `session/load` answer."""
        modes, models = loose.table(result.get("modes")), loose.table(result.get("models"))
        if "availableModes" in modes:
            self._agents = _choices(modes["availableModes"], "id", loose.name(modes.get("currentModeId")))
        if "availableModels" in models:
            self._models = _choices(models["availableModels"], "modelId", loose.name(models.get("currentModelId")))
        self.config(result.get("configOptions"))
        self._renew()

    def config(self, options: object) -> None:
        """Take v3's `configOptions`; the model can be missing and come later (facts/kiro-wire.md 10)."""
        for one in loose.rows(options):
            option = loose.table(one)
            current = loose.name(option.get("currentValue"))
            if option.get("id") == "mode":
                self._agents = _choices(option.get("options"), "value", current)
            elif option.get("id") == "model":
                self._models = _choices(option.get("options"), "value", current)
        self._renew()

    def now_agent(self, name: str | None) -> None:
        """Take that another agent is in use."""
        if name is not None:
            self._agents = _with_current(self._agents, name)
            self._renew()

    def now_model(self, name: str | None) -> None:
        """Take that another model is in use."""
        if name is not None:
            self._models = _with_current(self._models, name)
            self._renew()

    def v2_commands(self, params: JsonDict) -> None:
        """Take v2's `commands/available`: its commands and how its MCP servers are."""
        commands = []
        for one in loose.rows(params.get("commands")):
            entry = loose.table(one)
            name, meta = loose.name(entry.get("name")), loose.table(entry.get("meta"))
            if name is None or meta.get("local") is True or _slashed(name) in _TERMINALS_OWN:
                continue
            self.subcommands[_slashed(name)] = frozenset(
                sub for sub in loose.rows(meta.get("subcommands")) if isinstance(sub, str)
            )
            choices = meta.get("inputType") == "selection" or "optionsMethod" in meta
            hint, description = loose.text(meta.get("hint")) or "", loose.text(entry.get("description")) or ""
            commands.append(Command(_slashed(name), description, hint, choices))
        self._commands = tuple(commands)
        for one in loose.rows(params.get("mcpServers")):
            entry = loose.table(one)
            self.server(entry.get("name"), _status(entry), tools=entry.get("toolCount"))
        self._renew()

    def commands(self, listed: object) -> None:
        """Take the standard `availableCommands`: what can be sent as a prompt that begins with `/`."""
        found = []
        for one in loose.rows(listed):
            entry = loose.table(one)
            name = loose.name(entry.get("name"))
            if name is not None:
                hint = loose.text(loose.table(entry.get("input")).get("hint")) or ""
                found.append(Command(_slashed(name), loose.text(entry.get("description")) or "", hint))
        self._commands = tuple(found)
        self._renew()

    def v3_servers(self, servers: object) -> list[Notice]:
        """Take v3's full list of MCP servers and return what a person should know of it."""
        listed = [loose.table(one) for one in loose.rows(servers)]
        names = {loose.name(entry.get("name")) for entry in listed}
        self._servers = {name: known for name, known in self._servers.items() if name in names}
        notices: list[Notice] = []
        for entry in listed:
            url = loose.name(entry.get("authorizationUrl"))
            status = _status(entry)
            if status == "failed" and (url is not None or entry.get("failedAuthorization") is True):
                status = "needs_login"
            tools = entry.get("tools")
            count = len(tools) if isinstance(tools, list) else None
            detail = loose.text(entry.get("errorMessage")) or ""
            notices += self.server(entry.get("name"), status, tools=count, detail=detail, url=url)
        self._renew()
        return notices

    def server(
        self, name: object, status: McpStatus, *, tools: object = None, detail: str = "", url: str | None = None
    ) -> list[Notice]:
        """Take the state of one MCP server; return a notice, once, when it failed or waits for a login."""
        known = loose.name(name)
        if known is None:
            return []
        safe = url if url is not None and urlsplit(url).scheme in ("http", "https") else None
        self._servers[known] = McpServerState(known, status, loose.whole(tools), detail[:400], safe)
        self._renew()
        if status not in ("failed", "needs_login") or (known, status) in self._told:
            return []
        self._told.add((known, status))
        text = f"The MCP server {known} could not be started."
        if status == "needs_login":
            text = f"The MCP server {known} waits for a login" + (f": {safe}" if safe else ".")
        return [Notice(f"mcp:{known}:{status}", f"{text} {detail[:400]}".strip(), "warning")]

    def _renew(self) -> None:
        self.surface = Surface(
            tuple(self._agents.values()),
            tuple(self._models.values()),
            (*self._unlisted, *self._commands),
            tuple(self._servers.values()),
            self.surface.features,
        )


def _status(entry: JsonDict) -> McpStatus:
    return _MCP.get(loose.name(entry.get("status")) or "", "unknown")


def _slashed(name: str) -> str:
    return name if name.startswith("/") else f"/{name}"


def _choices(listed: object, key: str, current: str | None) -> dict[str, Choice]:
    found: dict[str, Choice] = {}
    for one in loose.rows(listed):
        entry = loose.table(one)
        known = loose.name(entry.get(key))
        if known is not None:
            description = loose.text(entry.get("description")) or ""
            found[known] = Choice(known, loose.name(entry.get("name")) or known, description, known == current)
    if current is not None and current not in found:
        found[current] = Choice(current, current, "", True)
    return found


def _with_current(choices: Mapping[str, Choice], current: str) -> dict[str, Choice]:
    known = choices if current in choices else {**choices, current: Choice(current, current)}
    return {one.id: Choice(one.id, one.name, one.description, one.id == current) for one in known.values()}
