"""Kiro's own slash commands, run between two turns.

Invariant: only what the CLI lists is run, as a structured call and never through a shell; answers are bounded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from bridge.errors import RequestRefused
from bridge.kiro import loose
from bridge.kiro.acp_agent import Agent, AgentGone, CallRefused, CallSilent
from bridge.kiro.acp_v3 import COMPACT
from bridge.kiro.failures import quoted
from bridge.kiro.loose import JsonDict

_LONGEST = 20_000
_LIST_PATIENCE = 2.0
_STEP = 0.1
_DEEPEST = 6
_MOST_ROWS = 200


def run_command(agent: Agent, name: str, argument: str, seconds: float) -> str:
    """Run the command `name` (`/context`) and return what it says. Raises RequestRefused."""
    offered = _offered(agent)
    if name not in offered:
        listed = ", ".join(sorted(offered)) or "none"
        raise RequestRefused(f"Kiro offers no command {name} here.", f"It offers: {listed}.", code="unknown_command")
    if agent.talk.engine == "v3" and name != "/compact":
        cause = f"The engine v3 takes {name} as a message only."
        raise RequestRefused(cause, f"Send it as a message: {name} {argument}".rstrip(), code="unknown_command")
    try:
        result = _call(agent, name, argument, seconds)
    except CallRefused as refused:
        raise RequestRefused(f"Kiro refused {name}: {quoted(refused.complaint)}", code="command_failed") from None
    except CallSilent:
        raise RequestRefused(f"{name} gave no answer within {seconds:g} s.", code="command_failed") from None
    except AgentGone:
        raise RequestRefused(f"kiro-cli ended while it ran {name}.", "Try it again.", code="command_failed") from None
    message = loose.text(result.get("message")) or ""
    if result.get("success") is False:
        raise RequestRefused(f"Kiro refused {name}: {quoted(message)}", code="command_failed")
    told = "\n".join(part for part in (message, "\n".join(_lines(result.get("data"), 0))) if part)
    return (told or f"{name} is done.")[:_LONGEST]


def _offered(agent: Agent) -> set[str]:
    """Return the names of the commands: an agent lists them a moment after it opened a session."""
    deadline = time.monotonic() + _LIST_PATIENCE
    while not agent.talk.book.surface.commands and not agent.gone and time.monotonic() < deadline:
        agent.pump(_STEP)
    return {command.name for command in agent.talk.book.surface.commands}


def _call(agent: Agent, name: str, argument: str, seconds: float) -> JsonDict:
    session = agent.talk.own
    if agent.talk.engine == "v3":
        return loose.table(agent.call(COMPACT, {"sessionId": session}, seconds))
    command = {"command": name.lstrip("/"), "args": _arguments(agent, name, argument.strip())}
    params = {"sessionId": session, "command": command}
    return loose.table(agent.call("_kiro.dev/commands/execute", params, seconds))


def _arguments(agent: Agent, name: str, argument: str) -> JsonDict:
    """Return the arguments as the terminal sends them (facts/kiro-wire.md 6): a subcommand stands for itself."""
    first, _, rest = argument.partition(" ")
    if first in agent.talk.book.subcommands.get(name, ()):
        return {"subcommand": first, "value": rest.strip()} if rest.strip() else {"subcommand": first}
    return {"value": argument} if argument else {}


def _lines(value: Any, depth: int) -> Iterator[str]:
    """Yield JSON as lines for people: `key: value`, what is inside further to the right."""
    margin = "  " * depth
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for key, one in list(value.items())[:_MOST_ROWS]:
            if isinstance(one, (dict, list)):
                yield f"{margin}{loose.clean(str(key))}:"
                yield from _lines(one, depth + 1)
            elif one is not None:
                yield f"{margin}{loose.clean(str(key))}: {_short(one)}"
    elif isinstance(value, list):
        for one in value[:_MOST_ROWS]:
            if isinstance(one, (dict, list)):
                yield f"{margin}-"
                yield from _lines(one, depth + 1)
            else:
                yield f"{margin}- {_short(one)}"


def _short(value: object) -> str:
    return loose.clean(str(value))[:2000]
