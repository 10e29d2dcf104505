"""A Coder to talk to."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.coder.coderd import SLUG, TOKEN, Coderd
from tests.whole.conftest import until

STANDIN = Path(__file__).with_name("coder_standin.py")


@pytest.fixture
def coderd() -> Iterator[Coderd]:
    made = Coderd()
    yield made
    made.close()
    assert made.complaints == []


class CoderCommand:
    """The `coder` command of a workspace: a stand-in in a folder of its own, and the agent's environment."""

    def __init__(self, folder: Path, coderd: Coderd) -> None:
        self.folder = folder / "coder bin"
        self.folder.mkdir()
        self.path = self.folder / "coder"
        self.path.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{STANDIN}' \"$@\"\n")
        self.path.chmod(0o755)
        self._log = folder / "coder.log"
        self._mode = folder / "coder.mode"
        self.env = {
            "CODER_AGENT_URL": coderd.url,
            "CODER_AGENT_TOKEN": TOKEN,
            "CODER_MCP_APP_STATUS_SLUG": SLUG,
            "CODER_STANDIN_LOG": str(self._log),
            "CODER_STANDIN_MODE": str(self._mode),
        }

    def misbehave(self, how: str) -> None:
        self._mode.write_text(how)

    def log(self, event: str) -> list[dict[str, Any]]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [found for line in lines if (found := json.loads(line))["event"] == event]

    def running(self) -> list[int]:
        """Return the ids of the children that still run."""
        pids = [start["pid"] for start in self.log("start")]
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def coder_command(tmp_path: Path, coderd: Coderd) -> Iterator[CoderCommand]:
    made = CoderCommand(tmp_path, coderd)
    yield made
    until(lambda: made.running() == [], "the children of the reporter end")
