"""Whether and how `kiro-cli acp` is started.

Invariant: pure; the engine is pinned where it can be, and a flag that `acp --help` does not list is never passed.
Trust is never a flag here: the bridge answers each request itself, so that a session can change its mind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bridge.core.feed import Engine
from bridge.errors import Problem
from bridge.kiro.capabilities import Capabilities, Flags
from bridge.kiro.command import LaunchOptions

Wish = Literal["auto", "acp", "headless"]

_VALUES: dict[Engine, tuple[str, ...]] = {"v1": (), "v2": ("v2",), "v3": ("v3", "kas")}
"""What the engines that speak ACP are called through the versions (facts/kiro-cli.md 0.1)."""


@dataclass(frozen=True)
class AcpLaunch:
    """How to start: `arguments` follow the binary. `set_at_start` are the wishes that flags took care of."""

    arguments: tuple[str, ...]
    engine: Engine
    set_at_start: frozenset[str] = frozenset()


def plan_acp(
    capabilities: Capabilities, flags: Flags | None, options: LaunchOptions, conversation_engine: Engine | None = None
) -> AcpLaunch | str:
    """Return how to start kiro-cli as an ACP agent, or in words why that is not done.

    `flags` are those of `acp`, None when there is no such command. `conversation_engine` is the engine that holds the
    conversation to be continued, which then wins over the settings.
    """
    if flags is None:
        return f"kiro-cli {capabilities.version} has no ACP"
    engine = conversation_engine or _choose(flags, options)
    if engine == "v1":
        return "the engine v1 has no ACP"
    pinned = _pin(capabilities, flags, engine)
    if isinstance(pinned, str):
        return pinned
    if engine == "v3":
        return AcpLaunch(("acp", *pinned, "--auth-method", "cli"), engine)
    wishes = {"agent": options.agent, "model": options.model, "effort": options.effort}
    taken = {name: value for name, value in wishes.items() if value and name in flags}
    chosen = (f"--{name}={value}" for name, value in taken.items())
    return AcpLaunch(("acp", *pinned, *chosen), engine, frozenset(taken))


def acp_unavailable(why: str) -> Problem:
    """Return the problem of a setting that asks for ACP where it cannot be had."""
    remedy = "Set transport to auto, choose another engine, or install another version of kiro-cli."
    return Problem("acp_unavailable", f"The setting transport asks for ACP, but {why.rstrip('.')}.", remedy)


def _choose(flags: Flags, options: LaunchOptions) -> Engine:
    if options.engine != "auto":
        return options.engine
    values = flags.get("agent-engine", ())
    return "v3" if values and "v2" not in values and any(one in values for one in _VALUES["v3"]) else "v2"


def _pin(capabilities: Capabilities, flags: Flags, engine: Engine) -> tuple[str, ...] | str:
    """Return the arguments that name the engine, or why it cannot be had.

    v3 asks its client for the login's access token unless it is told to take the CLI's own (facts/kiro-wire.md 9,
    kiro-cli.md 6.1): without that flag it is not started, for the bridge hands out no tokens.
    """
    methods = flags.get("auth-method")
    if engine == "v3" and (methods is None or (methods and "cli" not in methods)):
        return f"kiro-cli {capabilities.version} would want the login's access token from the bridge for the engine v3"
    values = flags.get("agent-engine")
    if values is None:
        return () if engine == "v2" else f"the acp of kiro-cli {capabilities.version} lets no engine be named"
    named = next((value for value in _VALUES[engine] if value in values), None)
    if named is None and values:
        return f"the acp of kiro-cli {capabilities.version} offers no engine {engine}"
    return ("--agent-engine", named or engine)
