"""What is checked of kiro-cli: the program, its engine, how it is driven, the login, its stores, its agent and servers.

Invariant: kiro-cli is asked nothing but its help, its version, `whoami` and `agent list`, each bounded in time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.core.ports import McpServerState
from bridge.diagnostics.agent_check import check_agent
from bridge.diagnostics.check import Check
from bridge.errors import Problem
from bridge.kiro.acp_launch import plan_acp
from bridge.kiro.capabilities import Capabilities, Prober
from bridge.kiro.command import LaunchOptions, plan
from bridge.kiro.configuration import Configuration
from bridge.kiro.environment import child_environment, enriched_path, home_of
from bridge.kiro.finder import find_binary
from bridge.kiro.installation import Found
from bridge.kiro.locations import find_locations
from bridge.kiro.login import LoginCheck
from bridge.kiro.mcp_files import mcp_servers
from bridge.kiro.offers import list_agents

if TYPE_CHECKING:
    from bridge.settings import Settings


class KiroChecks:
    """Makes the checks that are about Kiro."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._env = child_environment(environ)
        self._prober = Prober()
        self._options = LaunchOptions(engine=settings.engine, agent=settings.agent or "")

    def checks(self, states: Sequence[McpServerState] = ()) -> Iterator[Check]:
        """Yield the checks; `states` are what a running Kiro has told of its MCP servers."""
        binary = find_binary(_text(self._settings.kiro_cli_path), self._environ)
        if isinstance(binary, Problem):
            yield _bad("kiro-cli", binary)
        else:
            yield Check("kiro-cli", "ok", str(binary))
            yield from self._program(binary)
        yield from self._stores()
        yield from self._servers(states)

    def _program(self, binary: Path) -> Iterator[Check]:
        capabilities = self._prober.probe(binary, self._env)
        if isinstance(capabilities, Problem):
            yield _bad("version", capabilities)
            return
        yield Check("version", "ok", f"{capabilities.version}, engines {', '.join(capabilities.engines)}")
        yield from self._ways(binary, capabilities)
        yield self._login(binary)
        yield self._agent(Found(binary, capabilities, self._env))

    def _ways(self, binary: Path, capabilities: Capabilities) -> Iterator[Check]:
        """Yield engine and transport: what was chosen, and why."""
        launch = plan(capabilities, self._options)
        if isinstance(launch, Problem):
            yield _bad("engine", launch)
            return
        asked = self._settings.engine
        why = "chosen from what kiro-cli offers" if asked == "auto" else f"the setting engine says {asked}"
        if self._settings.transport == "headless":
            yield Check("engine", "ok", f"{launch.engine}: {why}")
            yield Check("transport", "ok", "headless: the setting transport says so")
            return
        acp = plan_acp(capabilities, self._prober.probe_acp(binary, self._env), self._options)
        if isinstance(acp, str):
            yield Check("engine", "ok", f"{launch.engine}: {why}")
            remedy = "Without ACP nobody can be asked: set trust_all_tools or trust_tools, or install a newer kiro-cli."
            yield Check("transport", "warning", f"headless: {acp}. Untrusted tools are refused.", remedy)
            return
        yield Check("engine", "ok", f"{acp.engine}: {why}")
        yield Check("transport", "ok", "acp: this kiro-cli has it")

    def _login(self, binary: Path) -> Check:
        home = home_of(self._env)
        login = LoginCheck().check(binary, self._env, str(home if home.is_dir() else Path("/")))
        if login.problem is not None:
            return _bad("login", login.problem, "unknown" if login.logged_in else "failed")
        return Check("login", "ok", login.account or "logged in")

    def _stores(self) -> Iterator[Check]:
        places = find_locations(
            self._environ,
            database=_text(self._settings.kiro_database),
            v2_sessions=_text(self._settings.kiro_v2_sessions),
            v3_sessions=_text(self._settings.kiro_v3_sessions),
        )
        for name, path in (
            ("store v1", places.database),
            ("store v2", places.v2_sessions),
            ("store v3", places.v3_sessions),
        ):
            if not path.exists():
                yield Check(name, "ok", f"{path} is not there yet")
            elif not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
                yield Check(name, "failed", f"{path} cannot be read.", "Give the user of the bridge the right to.")
            else:
                yield Check(name, "ok", str(path))

    def _agent(self, found: Found) -> Check:
        cwd = str(self._settings.workdir)
        configuration = Configuration(self._environ, cwd)
        name = configuration.agent_name(self._settings.agent or "")
        return check_agent(name, configuration.agent_file(name), list_agents(found, cwd))

    def _servers(self, states: Sequence[McpServerState]) -> Iterator[Check]:
        configuration = Configuration(self._environ, str(self._settings.workdir))
        agent = configuration.agent_file(configuration.agent_name(self._settings.agent or ""))
        told = {state.name: state for state in states}
        wanted = [server for server in mcp_servers(configuration, agent) if server.enabled and not server.note]
        if not wanted:
            yield Check("mcp", "ok", "no MCP server is configured")
        path = enriched_path(self._environ)
        for server in wanted:
            name = f"mcp {server.name}"
            if server.name in told:
                yield _of_state(name, told[server.name])
            elif server.transport == "stdio" and not shutil.which(server.command, path=path):
                cause = f"its command {server.command!r} is not found ({server.file})."
                yield Check(name, "warning", cause, "Install it, or write its whole path into the file.")
            else:
                yield Check(name, "unknown", f"{server.command}: it shows when Kiro starts it")


def _of_state(name: str, state: McpServerState) -> Check:
    if state.status == "connected":
        return Check(name, "ok", "connected" if state.tools is None else f"connected, {state.tools} tools")
    if state.status == "needs_login":
        return Check(name, "warning", "It waits for a login.", f"Open {state.url}." if state.url else "Log in to it.")
    if state.status == "failed":
        return Check(name, "warning", f"It did not start: {state.detail or 'Kiro does not say why'}.", "See its log.")
    return Check(name, "unknown", state.status)


def _bad(name: str, problem: Problem, state: str = "failed") -> Check:
    return Check(name, "unknown" if state == "unknown" else "failed", problem.cause, problem.remedy)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
