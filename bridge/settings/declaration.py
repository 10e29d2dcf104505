"""How a setting is declared: all that is known of it, in the one field of `Settings` that holds its value.

Invariant: name, kind, default, help, flags and environment names of a setting stand in its declaration and
nowhere else; command line, environment, file and documentation are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.settings.kinds import Kind, Surroundings

Derive = Callable[[Mapping[str, Any], Surroundings], Any]


@dataclass(frozen=True)
class Setting:
    """One setting.

    `default` is its value when nobody sets it, or, with `derive`, what that function makes of the values
    declared before it; `shown_default` then says so in words. `agentapi` tells that AgentAPI has the flag and the
    variable too (facts/agentapi-contract.md 5.2). `other_env` are further variables that are honoured. `hidden`
    settings work and are not shown, `in_file` ones may stand in the settings file.
    """

    kind: Kind
    help: str
    group: str
    default: Any = None
    derive: Derive | None = None
    shown_default: str | None = None
    short: str | None = None
    agentapi: bool = False
    other_env: tuple[str, ...] = ()
    hidden: bool = False
    in_file: bool = True
    name: str = ""

    @property
    def flag(self) -> str:
        """Return the long flag."""
        return "--" + self.name.replace("_", "-")

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the environment variables that set it, the strongest first."""
        name = self.name.upper()
        agentapi = (f"AGENTAPI_{name}",) if self.agentapi else ()
        return (f"KIRO_BRIDGE_{name}", *agentapi, *self.other_env)

    @property
    def default_in_words(self) -> str:
        """Return the default as a person would write it, empty when there is none."""
        if self.shown_default is not None:
            return self.shown_default
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if isinstance(self.default, tuple):
            return ",".join(self.default)
        if isinstance(self.default, float):
            return f"{self.default:g}"
        return "" if self.default is None else str(self.default)


def declare(kind: Kind, group: str, help: str, **more: Any) -> Any:
    """Declare the setting that a field of `Settings` holds; `more` are further fields of `Setting`."""
    return field(metadata={"setting": Setting(kind=kind, group=group, help=help, **more)})
