"""Deleting a conversation from Kiro's own store, by kiro-cli itself.

Invariant: only kiro-cli writes to its stores. The flag is used only where its help lists it (facts/kiro-cli.md 5.1),
and what it did is looked at afterwards: that it says nothing proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from bridge.core.feed import Engine
from bridge.errors import Problem, RequestRefused
from bridge.kiro.environment import home_of
from bridge.kiro.failures import quoted
from bridge.kiro.installation import Found, Installation
from bridge.kiro.process import run_briefly

_TIMEOUT = 30.0


class Removal:
    """Has kiro-cli delete conversations."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def delete(self, engine: Engine, kiro_id: str, cwd: str, is_there: Callable[[], bool]) -> None:
        """Delete a conversation that was held in the folder `cwd`. Raises RequestRefused where it is there still."""
        if not is_there():
            return
        found = self._installation.find()
        if isinstance(found, Problem):
            raise RequestRefused(found.cause, found.remedy, code=found.code)
        if not found.capabilities.has("delete-session"):
            raise RequestRefused(
                f"This kiro-cli ({found.capabilities.version}) cannot delete a conversation from its store.",
                "Delete the session here only, or install a newer kiro-cli.",
                code="kiro_delete_unavailable",
            )
        said = _ask(found, _arguments(found, engine, kiro_id), cwd)
        if is_there():
            raise RequestRefused(
                f"kiro-cli did not delete its record of the conversation and said: {said or 'nothing'}",
                "Delete the session here only, and Kiro's own record in a terminal.",
                code="kiro_delete_failed",
            )


def _arguments(found: Found, engine: Engine, kiro_id: str) -> list[str]:
    sources = found.capabilities.flags.get("session-source", ())
    named = ["--session-source", engine] if engine in sources else [*found.capabilities.engine_flags.get(engine, ())]
    return ["chat", *named, f"--delete-session={kiro_id}"]


def _ask(found: Found, arguments: list[str], cwd: str) -> str:
    folder = cwd if os.path.isdir(cwd) else str(_home(found))
    try:
        result = run_briefly([str(found.binary), *arguments], env=found.env, cwd=folder, timeout=_TIMEOUT)
    except OSError as error:
        return f"it could not be started: {error.strerror or error}"
    return "no answer in time" if result.timed_out else quoted(result.stdout + result.stderr)


def _home(found: Found) -> Path:
    home = home_of(found.env)
    return home if home.is_dir() else Path("/")
