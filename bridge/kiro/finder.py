"""Finding the kiro-cli executable.

Invariant: what somebody named on purpose (the setting, `KIRO_CLI_PATH`) is used or refused with a reason,
never silently replaced by another binary. Nothing is remembered: the search is repeated at each launch.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from bridge.errors import Problem
from bridge.kiro.environment import enriched_path, home_of

VARIABLE = "KIRO_CLI_PATH"
SETTING = "kiro_cli_path"

_BUNDLES = ("Kiro CLI.app", "Kiro.app")
_REMEDY = (
    f"Install it as https://kiro.dev/docs/cli describes, or name the executable with the setting {SETTING} or the "
    f"environment variable {VARIABLE}; the next prompt looks again."
)


def find_binary(explicit: str | None, environ: Mapping[str, str], *, platform: str = sys.platform) -> Path | Problem:
    """Return the absolute path of kiro-cli, or the problem that says where it was looked for.

    Order: `explicit` (the setting), `KIRO_CLI_PATH`, the enriched `PATH`, `~/.local/bin`, `/usr/local/bin`,
    the macOS application bundles. `platform` is as `sys.platform`.
    """
    for origin, value in ((f"the setting {SETTING}", explicit), (VARIABLE, environ.get(VARIABLE))):
        if value:
            return _named(origin, value, environ)
    name = "kiro-cli.exe" if platform.startswith("win") else "kiro-cli"
    on_path = shutil.which(name, path=enriched_path(environ))
    if on_path is not None:
        return Path(on_path).absolute()
    looked = [f"PATH (as {name})"]
    for candidate in _fixed_places(home_of(environ), name, platform):
        if _usable(candidate):
            return candidate
        looked.append(str(candidate))
    return Problem("kiro_missing", f"kiro-cli was not found. Looked at {', '.join(looked)}.", _REMEDY)


def _named(origin: str, value: str, environ: Mapping[str, str]) -> Path | Problem:
    """Return the binary that somebody named, or why it cannot be used."""
    given = str(home_of(environ) / value[2:]) if value.startswith("~/") else value
    if os.sep not in given:
        found = shutil.which(given, path=enriched_path(environ))
        given = found or given
    path = Path(given).absolute()
    if _usable(path):
        return path
    if path.is_dir():
        reason = "it is a folder, not an executable file"
    elif path.exists():
        reason = f"it is not executable (chmod +x {path} would make it so)"
    elif os.path.lexists(path):
        reason = "it is a link to a file that does not exist"
    else:
        reason = "there is no such file"
    return Problem("kiro_missing", f"kiro-cli is to be run from {path} ({origin}), but {reason}.", _REMEDY)


def _fixed_places(home: Path, name: str, platform: str) -> Iterator[Path]:
    yield home / ".local/bin" / name
    yield Path("/usr/local/bin") / name
    if platform == "darwin":
        for applications in (Path("/Applications"), home / "Applications"):
            for bundle in _BUNDLES:
                yield applications / bundle / "Contents/MacOS" / name


def _usable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
