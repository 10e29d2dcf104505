"""A bridge to attach to, and ways to attach."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.terminal.pseudo_terminal import PseudoTerminal
from tests.whole.conftest import ROOT, WAIT, Bridge, bridge

__all__ = ["bridge"]

Attach = Callable[..., PseudoTerminal]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def attach(bridge: Bridge) -> Attach:
    """Attach to the bridge in a terminal, to be used in `with`; `term` is its `TERM`."""

    def begin(*words: str, term: str = "xterm-256color", columns: int = 80, rows: int = 24) -> PseudoTerminal:
        env = {**bridge.env, "TERM": term, "LC_ALL": "C.UTF-8"}
        return PseudoTerminal("attach", "--url", bridge.url, *words, env=env, columns=columns, rows=rows)

    return begin


@pytest.fixture
def run(bridge: Bridge) -> Run:
    """Run attach to its end, between pipes."""

    def begin(*words: str, text: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bridge", "attach", "--url", bridge.url, *words],
            input=text, capture_output=True, text=True, encoding="utf-8", timeout=WAIT, cwd=ROOT,
            env={**bridge.env, **env},
        )  # fmt: skip

    return begin
