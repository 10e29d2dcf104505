"""The settings in words: the table of the documentation and the list of effective values.

Invariant: both are made from the declarations alone, so they always say what the bridge does.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import yaml

from bridge.settings.declaration import Setting
from bridge.settings.declared import SETTINGS, Settings
from bridge.settings.kinds import Hosts, Kind

BEGIN = "<!-- settings: begin, written by `make docs` -->"
END = "<!-- settings: end -->"
HEAD = "| Setting | Values | Default | Meaning | Set by |\n| --- | --- | --- | --- | --- |\n"


def documented(page: str) -> str:
    """Return the documentation page with the text between its markers written anew.

    Raises `ValueError` when the page has not exactly one pair of markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"the page must hold the markers {BEGIN} and {END} once each, in this order")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def tables() -> str:
    """Return one Markdown table of the shown settings for each group."""
    shown = [setting for setting in SETTINGS if not setting.hidden]
    parts = []
    for group in dict.fromkeys(setting.group for setting in shown):
        rows = "".join(row(setting) for setting in shown if setting.group == group)
        parts.append(f"## {group}\n\n{HEAD}{rows}")
    return "\n".join(parts)


def row(setting: Setting) -> str:
    """Return the setting's line in a Markdown table."""
    flags = f"`{setting.flag}`" + (f", `-{setting.short}`" if setting.short else "")
    variables = ", ".join(f"`{name}`" for name in setting.variables)
    default = code(setting.default_in_words) if setting.shown_default is None else setting.default_in_words
    cells = (f"`{setting.name}`", setting.kind.name, default, setting.help, f"{flags}; {variables}")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def code(text: str) -> str:
    """Return the text as Markdown code, an empty text as nothing."""
    return f"`{text}`" if text else ""


def effective(settings: Settings) -> str:
    """Return the values in force as a settings file; a comment in each line says where the value came from."""
    lines = []
    for setting in SETTINGS:
        value = as_given(setting.kind, getattr(settings, setting.name))
        line = f"{setting.name}: {as_yaml(value)}  # {settings.origins[setting.name]}"
        lines.append(line if setting.in_file else f"# {line}")
    return "\n".join(lines) + "\n"


def as_given(kind: Kind, value: Any) -> Any:
    """Return the value in the form in which a settings file gives it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(kind, Hosts):
        return tuple(f"[{host}]" if ":" in host else host for host in value)
    return value


def as_yaml(value: Any) -> str:
    """Return a value of a setting as YAML in one line."""
    if isinstance(value, tuple):
        return f"[{', '.join(as_yaml(str(entry)) for entry in value)}]"
    if isinstance(value, str):
        return yaml.safe_dump(value, default_style='"', width=math.inf, allow_unicode=True).strip()
    return json.dumps(value)
