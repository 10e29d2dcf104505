"""What Kiro is configured with, as its files say: MCP servers, skills, prompts, steering.

Invariant: none of these holds a secret: no argument, variable or header of a server, and of an address no more than
where it leads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["workspace", "global"]
McpScope = Literal["agent", "workspace", "global"]

MCP_SCOPES: tuple[McpScope, ...] = ("agent", "workspace", "global")
"""In order of precedence: of two servers of one name Kiro takes the first (facts/kiro-cli.md 8.2)."""


@dataclass(frozen=True)
class McpServer:
    """A server in one of Kiro's files.

    `command` is the program, or scheme and host of its address. `note` says why Kiro does not start it though it is
    enabled, empty if it does.
    """

    name: str
    scope: McpScope
    file: str
    enabled: bool
    transport: Literal["stdio", "http"]
    command: str = ""
    note: str = ""


@dataclass(frozen=True)
class LibraryEntry:
    """A skill or a prompt. `path` is relative to the session's folder for the scope `workspace`."""

    name: str
    description: str
    path: str
    scope: Scope


@dataclass(frozen=True)
class Steering:
    """A steering file. `inclusion` is when Kiro reads it: always, fileMatch, manual, auto, or what the file says."""

    name: str
    path: str
    scope: Scope
    inclusion: str


@dataclass(frozen=True)
class Library:
    """All that a session finds in its folder and in Kiro's own."""

    skills: tuple[LibraryEntry, ...] = ()
    prompts: tuple[LibraryEntry, ...] = ()
    steering: tuple[Steering, ...] = ()
