"""From flags, environment and file to `Settings`, the strongest first.

Invariant: a value is taken whole from one place (flag, `KIRO_BRIDGE_*`, `AGENTAPI_*`, other honoured variables,
file, default, in this order), and every refusal names the setting, the value, what is allowed and that place.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.errors import SettingsError
from bridge.settings.addresses import Refused
from bridge.settings.declaration import Setting
from bridge.settings.declared import SETTINGS, Settings
from bridge.settings.kinds import Surroundings

PREFIX = "KIRO_BRIDGE_"


@dataclass(frozen=True)
class Given:
    """A value as it was given, text or what YAML made of it, and where."""

    raw: object
    origin: str


def load(flags: Mapping[str, Sequence[str]], env: Mapping[str, str], cwd: Path) -> Settings:
    """Return the settings that the flags, the environment and the settings file they name ask for.

    `flags` holds for each setting that was named on the command line all the texts it was given there. `cwd`
    is absolute; relative paths start from it. Raises `SettingsError`.
    """
    around = Surroundings(env, cwd)
    near = {setting.name: from_near(setting, flags, env) for setting in SETTINGS}
    config = near["config"]
    far = from_file(config, around) if config else {}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in SETTINGS:
        given = near[setting.name] or far.get(setting.name)
        origins[setting.name] = given.origin if given else "default"
        values[setting.name] = parse(setting, given, around) if given else default(setting, values, around)
    check_together(values, origins)
    return Settings(**values, origins=origins)


def unknown_variables(env: Mapping[str, str]) -> list[str]:
    """Return the variables that begin as ours do and name no setting, sorted."""
    known = {variable for setting in SETTINGS for variable in setting.variables}
    return sorted(name for name in env if name.startswith(PREFIX) and name not in known)


def from_near(setting: Setting, flags: Mapping[str, Sequence[str]], env: Mapping[str, str]) -> Given | None:
    """Return what the command line or else the environment gives. An empty variable counts as not set."""
    if setting.name in flags:
        texts = flags[setting.name]
        origin = f"flag {setting.flag}"
        return Given(list(split_flags(setting, texts, origin)) if setting.kind.many else texts[-1], origin)
    for variable in setting.variables:
        if text := env.get(variable, ""):
            return Given(text.split() if setting.kind.many else text, f"environment variable {variable}")
    return None


def split_flags(setting: Setting, texts: Sequence[str], origin: str) -> Iterator[str]:
    """Yield the entries of a list flag: comma-separated as CSV, repeated flags one after another.

    A trailing line break is dropped (facts/agentapi-contract.md 5.2).
    """
    for text in texts:
        try:
            yield from next(csv.reader([text.rstrip("\r\n")], strict=True), [])
        except csv.Error as error:
            raise refusal(setting, Given(text, origin), f"it is no comma-separated list ({error})") from None


def from_file(config: Given, around: Surroundings) -> dict[str, Given]:
    """Return what the settings file gives. A null in it counts as not set."""
    from bridge.settings.file import read_file  # with PyYAML, which is not needed without a file

    setting = next(setting for setting in SETTINGS if setting.name == "config")
    path = parse(setting, config, around)
    known = [setting.name for setting in SETTINGS if setting.in_file]
    try:
        entries = read_file(path, known)
    except Refused as error:
        raise refusal(setting, config, str(error)) from None
    return {
        name: Given(entry.value, f"file {path}, line {entry.line}")
        for name, entry in entries.items()
        if entry.value is not None
    }


def parse(setting: Setting, given: Given, around: Surroundings) -> Any:
    """Return the value of the setting. Raises `SettingsError` for one that cannot be used."""
    try:
        return setting.kind.parse(given.raw, around)
    except Refused as error:
        raise refusal(setting, given, str(error)) from None


def default(setting: Setting, values: Mapping[str, Any], around: Surroundings) -> Any:
    """Return the setting's default, given the values of those declared before it."""
    return setting.derive(values, around) if setting.derive else setting.default


def refusal(setting: Setting, given: Given, reason: str) -> SettingsError:
    """Return the error for a value of the setting that cannot be used because of `reason`."""
    shown = ",".join(map(str, given.raw)) if isinstance(given.raw, list) else given.raw
    return SettingsError(f"setting {setting.name} cannot be {shown!r} (from {given.origin}): {reason}.")


def check_together(values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    """Raise `SettingsError` for settings that exclude each other (facts/agentapi-contract.md 5.3)."""
    for name in ("load_state", "save_state"):
        if values[name] and values["state_file"] is None:
            raise SettingsError(
                f"--{name.replace('_', '-')} requires --state-file to be set.",
                f"{name} is true (from {origins[name]}): name a state file, or set {name} to false.",
            )
    if values["experimental_acp"] and values["state_file"] is not None:
        raise SettingsError(
            "ACP mode doesn't support state persistence.",
            f"experimental_acp is true (from {origins['experimental_acp']}) and state_file is"
            f" {str(values['state_file'])!r} (from {origins['state_file']}): drop one of them;"
            " the bridge keeps every conversation without a state file too.",
        )
    if values["experimental_acp"] and values["print_openapi"]:
        raise SettingsError(
            "flags --print-openapi and --experimental-acp are mutually exclusive.",
            f"print_openapi is true (from {origins['print_openapi']}) and so is experimental_acp"
            f" (from {origins['experimental_acp']}): drop one of them.",
        )
