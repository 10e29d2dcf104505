"""The environment kiro-cli runs in.

Invariant: a child never sees the bridge's own variables, never opens a browser, never colours or pages its
output, and finds what a user's login shell would find. The user's own `PATH` comes first, in its own order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

QUIET: Mapping[str, str] = {
    "NO_COLOR": "1",
    "CLICOLOR": "0",
    "KIRO_CLI_DISABLE_PAGER": "1",
    "PAGER": "cat",
    "TERM": "dumb",
}
"""Machine-friendly output (the user's second document, "Binary discovery & environment enrichment")."""

PRIVATE_PREFIXES = ("KIRO_BRIDGE_", "AGENTAPI_")
"""The bridge's own settings: they may hold paths and tokens that are no business of an agent's tools."""

RUN_ID = "BRIDGE_RUN_ID"
"""Names the run a process belongs to; every process that kiro-cli starts inherits it."""

API_KEY = "KIRO_API_KEY"
"""Kiro's credential for headless use (facts/kiro-cli.md 5.7). Only whether it is set is ever looked at."""

_UNDER_HOME = (
    ".local/bin",
    "bin",
    ".bun/bin",
    ".cargo/bin",
    ".volta/bin",
    ".asdf/shims",
    ".local/share/mise/shims",
    ".local/share/fnm/aliases/default/bin",
    ".fnm/aliases/default/bin",
)
_ANYWHERE = (
    "/opt/homebrew/bin",
    "/opt/homebrew/sbin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/bin",
    "/bin",
    "/usr/sbin",
    "/sbin",
    "/snap/bin",
)
_NO_BROWSER = ("/bin/false", "/usr/bin/false")


def home_of(environ: Mapping[str, str]) -> Path:
    """Return the home folder that `environ` names, else the account's."""
    return Path(environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~"))


def enriched_path(environ: Mapping[str, str]) -> str:
    """Return `PATH` with the usual tool folders that exist added behind the user's own entries, each once."""
    own = [entry for entry in environ.get("PATH", "").split(os.pathsep) if entry]
    added = [folder for folder in _tool_folders(home_of(environ)) if os.path.isdir(folder)]
    return os.pathsep.join(dict.fromkeys([*own, *added]))


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for kiro-cli, made out of the bridge's own."""
    kept = {name: value for name, value in environ.items() if not name.startswith(PRIVATE_PREFIXES)}
    kept.pop(RUN_ID, None)
    kept |= QUIET
    kept["BROWSER"] = next((path for path in _NO_BROWSER if os.path.exists(path)), _NO_BROWSER[0])
    kept["PATH"] = enriched_path(environ)
    return kept


def _tool_folders(home: Path) -> Iterator[str]:
    for name in _UNDER_HOME:
        yield str(home / name)
    yield from _newest_nvm(home)
    yield from _ANYWHERE


def _newest_nvm(home: Path) -> Iterator[str]:
    """Yield the folder of the newest Node that nvm installed; nvm itself has no shims."""
    versions = home / ".nvm/versions/node"
    try:
        names = os.listdir(versions)
    except OSError:
        return
    newest = max(names, key=_version_key, default=None)
    if newest is not None:
        yield str(versions / newest / "bin")


def _version_key(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.lstrip("v").split(".") if part.isdigit())
