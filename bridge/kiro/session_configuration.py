"""One way to what Kiro is configured with in a session's folder.

Invariant: each question is answered from the files as they are now; only lists that kiro-cli has to be asked for are
remembered.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.core.library import Library, McpScope, McpServer
from bridge.core.ports import Choice
from bridge.kiro import kiro_library, mcp_files
from bridge.kiro.configuration import AgentFile, Configuration
from bridge.kiro.offers import Offers


class SessionConfiguration:
    """Kiro's files and lists for the sessions of this machine. Safe for several threads.

    `agent` is the agent of sessions that name none (empty: Kiro's own default).
    """

    def __init__(self, environ: Mapping[str, str], offers: Offers, agent: str) -> None:
        self._environ = dict(environ)
        self._offers = offers
        self._agent = agent

    def mcp_servers(self, cwd: str, agent: str) -> list[McpServer]:
        """Return the MCP servers in the files of a session that runs with `agent`."""
        return mcp_files.mcp_servers(*self._files(cwd, agent))

    def enable(self, cwd: str, agent: str, scope: McpScope, name: str, enabled: bool) -> McpServer:
        """Switch an MCP server on or off. Raises ConfigurationRefused."""
        return mcp_files.enable(*self._files(cwd, agent), scope, name, enabled)

    def library(self, cwd: str) -> Library:
        """Return skills, prompts and steering files."""
        return kiro_library.library(Configuration(self._environ, cwd))

    def offers(self, cwd: str, patience: float) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
        """Return the agents and models that kiro-cli lists; waits up to `patience` seconds the first time."""
        return self._offers.of(cwd, patience)

    def _files(self, cwd: str, agent: str) -> tuple[Configuration, AgentFile | None]:
        configuration = Configuration(self._environ, cwd)
        return configuration, configuration.agent_file(configuration.agent_name(agent or self._agent))
