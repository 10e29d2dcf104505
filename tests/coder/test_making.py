"""Where there is somebody to report to, and what that costs where there is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.coder import child_environment, make_reporter
from bridge.coder.reporter import StatusReporter
from bridge.settings import load
from tests.coder.coderd import SLUG, TOKEN, Coderd
from tests.coder.conftest import CoderCommand
from tests.engine.conftest import Bench, bench

__all__ = ["bench"]

AGENT = {"CODER_AGENT_URL": "http://127.0.0.1:9", "CODER_AGENT_TOKEN": TOKEN, "CODER_MCP_APP_STATUS_SLUG": SLUG}


def made(bench: Bench, env: dict[str, str], **flags: str) -> StatusReporter | None:
    settings = load({name: [value] for name, value in flags.items()}, env, Path("/"))
    return make_reporter(env, settings, bench.hub, bench.ledger, bench.engine.primary, lambda: True)


def voices(reporter: StatusReporter | None) -> list[str]:
    return [] if reporter is None else [voice.name for voice in reporter._voices]


@pytest.mark.parametrize("missing", list(AGENT))
def test_outside_coder_nothing_is_made(bench: Bench, missing: str) -> None:
    assert made(bench, {**AGENT, missing: ""}) is None


def test_report_tasks_turns_it_off(bench: Bench) -> None:
    assert voices(made(bench, AGENT)) == ["Coder's HTTP API"]
    assert made(bench, AGENT, report_tasks="false") is None


def test_asked_for_without_a_slug_or_a_coder(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    assert made(bench, {}, report_tasks="true") is None
    assert made(bench, {"PATH": ""}, report_tasks="true", app_status_slug="x") is None
    assert made(bench, {**AGENT, "CODER_AGENT_URL": "coder.example.com", "PATH": ""}) is None
    text = caplog.text
    assert "CODER_MCP_APP_STATUS_SLUG" in text and "CODER_AGENT_TOKEN" in text and "'coder.example.com'" in text
    assert TOKEN not in text


def test_the_command_is_searched_for_or_named(bench: Bench, coder_command: CoderCommand) -> None:
    both = ["coder exp mcp server", "Coder's HTTP API"]
    assert voices(made(bench, {**AGENT, "PATH": str(coder_command.folder)})) == both
    assert voices(made(bench, {**AGENT, "PATH": ""}, coder_path=str(coder_command.path))) == both
    socket_only = {"CODER_AGENT_SOCKET_PATH": "/s", "PATH": str(coder_command.folder)}
    assert voices(made(bench, socket_only, report_tasks="true", app_status_slug=SLUG)) == both[:1]


def test_the_child_is_given_no_more_than_it_needs(coderd: Coderd, coder_command: CoderCommand) -> None:
    env = {
        **AGENT,
        "CODER_MCP_AI_AGENTAPI_URL": "http://127.0.0.1:3284",
        "CODER_SESSION_TOKEN": "user-token",
        "CODER_AGENT_SOCKET_PATH": "/tmp/s",
        "KIRO_API_KEY": "secret",
        "KIRO_CLI_AUTH_TARBALL": "x" * 1000,
        "https_proxy": "http://proxy",
    }
    assert sorted(child_environment(env, "other")) == [
        *("CODER_AGENT_SOCKET_PATH", "CODER_AGENT_TOKEN", "CODER_AGENT_URL", "CODER_MCP_ALLOWED_TOOLS"),
        *("CODER_MCP_APP_STATUS_SLUG", "https_proxy"),
    ]
    assert child_environment(env, "other")["CODER_MCP_APP_STATUS_SLUG"] == "other"


def test_the_sdk_is_not_loaded_before_the_first_report(coder_command: CoderCommand) -> None:
    script = (
        "import sys, pathlib; from bridge.coder import make_reporter; from bridge.settings import load;"
        "import os; env = dict(os.environ); s = load({}, env, pathlib.Path('/'));"
        "h = type('H', (), {'last_seq': 0})(); r = make_reporter(env, s, h, None, 's', bool);"
        "assert [v.name for v in r._voices][0] == 'coder exp mcp server';"
        "print([m for m in ('mcp', 'anyio', 'pydantic', 'starlette') if m in sys.modules])"
    )
    env = {**coder_command.env, "PATH": str(coder_command.folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("[]\n", "")
