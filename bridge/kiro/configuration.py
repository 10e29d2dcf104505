"""Where Kiro's configuration is, and which agent a session gets (facts/kiro-cli.md 8).

Invariant: the one place that knows these files. They are read whole or not at all, at most `FILE_LIMIT` bytes of each;
a file that is missing, too large or no JSON counts as one that says nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.core.library import Scope
from bridge.kiro.locations import kiro_home

FILE_LIMIT = 2 * 1024 * 1024
DEFAULT_AGENT = "kiro_default"

_AGENT_NAME = re.compile(r"[^/\\\0]{1,200}")
_AGENTS = 200


@dataclass(frozen=True)
class AgentFile:
    """An agent's file and what it says; `content` is None where that is no JSON object."""

    path: Path
    scope: Scope
    content: Mapping[str, Any] | None


class Configuration:
    """Kiro's files for one session: those of its folder `cwd`, and those of everybody in `home`."""

    def __init__(self, environ: Mapping[str, str], cwd: str) -> None:
        self.home = kiro_home(environ)
        self.workspace = Path(cwd) / ".kiro"

    def roots(self) -> tuple[tuple[Scope, Path], ...]:
        """Return the folders of configuration, the one that wins first."""
        if os.path.realpath(self.workspace) == os.path.realpath(self.home):
            return (("global", self.home),)
        return (("workspace", self.workspace), ("global", self.home))

    def agent_name(self, wanted: str) -> str:
        """Return the agent that is used: `wanted`, else the one that Kiro's settings make the default."""
        if wanted:
            return wanted
        for _, root in self.roots():
            found = (read_json(root / "settings/cli.json") or {}).get("chat.defaultAgent")
            if isinstance(found, str) and found:
                return found
        return DEFAULT_AGENT

    def agent_file(self, name: str) -> AgentFile | None:
        """Return the file of an agent, that of the workspace first; None for one that is built in or missing."""
        if not _AGENT_NAME.fullmatch(name):
            return None
        for scope, root in self.roots():
            named = root / "agents" / f"{name}.json"
            if os.path.isfile(named):  # False for a name that is too long, too
                return AgentFile(named, scope, read_json(named))
            for path in self._agents(root):
                content = read_json(path)
                if content is not None and content.get("name") == name:
                    return AgentFile(path, scope, content)
        return None

    def _agents(self, root: Path) -> Iterator[Path]:
        with contextlib.suppress(OSError):
            names = sorted(name for name in os.listdir(root / "agents") if name.endswith(".json"))
            yield from (root / "agents" / name for name in names[:_AGENTS])


def read_text(path: Path, limit: int = FILE_LIMIT) -> str | None:
    """Return the text of an ordinary file, None for one that is missing, larger than `limit` bytes, or no UTF-8."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            data = file.read(limit + 1)
        return data.decode("utf-8-sig") if len(data) <= limit else None
    except (OSError, ValueError):
        return None


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, None where there is none."""
    text = read_text(path)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
