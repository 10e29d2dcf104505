"""Where Kiro keeps its conversations.

Invariant: the one place that knows the default paths and their overrides (facts/kiro-cli.md 1,
facts/kiro-stores.md E row 4.2). Nothing is created or opened here, and no store is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.kiro.environment import home_of


@dataclass(frozen=True)
class StoreLocations:
    """Where Kiro keeps its conversations: the SQLite file of v1, the folder of v2's files, the root of v3's buckets."""

    database: Path
    v2_sessions: Path
    v3_sessions: Path


def kiro_home(environ: Mapping[str, str]) -> Path:
    """Return Kiro's own folder of settings, agents and sessions: `KIRO_HOME`, else `~/.kiro`."""
    home = home_of(environ)
    return _path(environ.get("KIRO_HOME"), home) or home / ".kiro"


def find_locations(
    environ: Mapping[str, str],
    *,
    database: str | None = None,
    v2_sessions: str | None = None,
    v3_sessions: str | None = None,
    platform: str = sys.platform,
) -> StoreLocations:
    """Return the paths of the three stores; a path given by a setting wins over every override.

    The database: `KIRO_TEST_DB_PATH` (honoured by release builds), else `kiro-cli/data.sqlite3` in the
    platform's local data folder; `KIRO_HOME` does not move it. v2: `KIRO_TEST_SESSIONS_DIR`, else
    `sessions/cli` under `KIRO_HOME` or `~/.kiro`. v3: `~/.kiro/sessions`, which ignores `KIRO_HOME`.
    """
    home = home_of(environ)
    return StoreLocations(
        database=_path(database, home)
        or _path(environ.get("KIRO_TEST_DB_PATH"), home)
        or _local_data(environ, home, platform) / "kiro-cli/data.sqlite3",
        v2_sessions=_path(v2_sessions, home)
        or _path(environ.get("KIRO_TEST_SESSIONS_DIR"), home)
        or kiro_home(environ) / "sessions/cli",
        v3_sessions=_path(v3_sessions, home) or home / ".kiro/sessions",
    )


def _local_data(environ: Mapping[str, str], home: Path, platform: str) -> Path:
    """Return what Rust's `dirs::data_local_dir()` returns, which takes only an absolute `XDG_DATA_HOME`."""
    if platform == "darwin":
        return home / "Library/Application Support"
    if platform.startswith("win"):
        return Path(environ.get("LOCALAPPDATA") or home / "AppData/Local")
    xdg = Path(environ.get("XDG_DATA_HOME", ""))
    return xdg if xdg.is_absolute() else home / ".local/share"


def _path(value: str | None, home: Path) -> Path | None:
    if not value:
        return None
    return (home / value[2:] if value.startswith("~/") else Path(value)).absolute()
