"""Where Kiro keeps its configuration (facts/kiro-cli.md 1 and 8)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bridge.provision.inputs import Places


def kiro_home(places: Places, environ: Mapping[str, str]) -> Path:
    """Return Kiro's own folder: `KIRO_HOME`, else `~/.kiro`."""
    return Path(environ.get("KIRO_HOME") or places.home / ".kiro")
