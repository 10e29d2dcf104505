"""Where the real program keeps things, with every override the facts name.

Invariant: the only module that builds a path of Kiro's; all of them are read from the environment at each call.
"""

from __future__ import annotations

import os
from pathlib import Path


def data_dir() -> Path:
    """Data folder: `$XDG_DATA_HOME/kiro-cli`, else `~/.local/share/kiro-cli` (facts/kiro-cli.md 1)."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "kiro-cli"


def database() -> Path:
    """The SQLite file; `KIRO_TEST_DB_PATH` overrides it, `KIRO_HOME` does not move it (facts/kiro-cli.md 1)."""
    override = os.environ.get("KIRO_TEST_DB_PATH")
    return Path(override) if override else data_dir() / "data.sqlite3"


def kiro_home() -> Path:
    """`~/.kiro`, moved by `KIRO_HOME` (facts/kiro-cli.md 1)."""
    moved = os.environ.get("KIRO_HOME")
    return Path(moved) if moved else Path.home() / ".kiro"


def v2_sessions() -> Path:
    """Folder of the v2 session files; `KIRO_TEST_SESSIONS_DIR` overrides it (facts/kiro-cli.md 1, 4.1)."""
    override = os.environ.get("KIRO_TEST_SESSIONS_DIR")
    return Path(override) if override else kiro_home() / "sessions" / "cli"


def v3_sessions() -> Path:
    """Folder of the v3 buckets: under the home folder whatever `KIRO_HOME` says (facts/kiro-stores.md B.1)."""
    return Path.home() / ".kiro" / "sessions"


def settings_file() -> Path:
    """`settings/cli.json` (facts/kiro-cli.md 8.3); `KIRO_TEST_SETTINGS_PATH` overrides it (facts/kiro-cli.md 1)."""
    override = os.environ.get("KIRO_TEST_SETTINGS_PATH")
    return Path(override) if override else kiro_home() / "settings" / "cli.json"


def agent_folders(folder: str = "") -> list[Path]:
    """Where agents of a working folder (this one without a name) may stand, its own first (facts/kiro-cli.md 8.1)."""
    return [_working(folder) / ".kiro" / "agents", kiro_home() / "agents"]


def agent_files(name: str, folder: str = "") -> list[Path]:
    """Where an agent of that name may stand, the folder's own first."""
    return [place / f"{name}.json" for place in agent_folders(folder)]


def mcp_files(folder: str = "") -> list[Path]:
    """The MCP server lists: workspace, then global (facts/kiro-cli.md 8.2)."""
    return [_working(folder) / ".kiro" / "settings" / "mcp.json", kiro_home() / "settings" / "mcp.json"]


def _working(folder: str) -> Path:
    return Path(folder) if folder else Path.cwd()


def logged_out_mark() -> Path:
    """The stand-in's own mark of being logged out; `kiro-cli login` removes it."""
    return data_dir() / "standin-logged-out"


def position_file() -> Path:
    """Where the next turn of each script is kept: `KIRO_STANDIN_COUNTER`, else in the data folder."""
    named = os.environ.get("KIRO_STANDIN_COUNTER")
    return Path(named) if named else data_dir() / "standin-position.json"
