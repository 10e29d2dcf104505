"""Each thing that can be wrong is found, and comes with what to do about it."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bridge.core.ports import McpServerState
from bridge.diagnostics import doctor as doctor_module
from bridge.diagnostics.agent_check import check_agent
from bridge.diagnostics.check import Check, failed, table
from bridge.diagnostics.doctor import Doctor
from bridge.diagnostics.surroundings import check_coder
from bridge.kiro.configuration import AgentFile
from bridge.kiro.offers import ListedAgent
from bridge.settings import load
from tests.conftest import Standin
from tests.kiro.runner.scripts import program

WHERE = Path("/home/me/.kiro/agents/dev.json")
LISTED = (ListedAgent("kiro_default", "built-in", "", True), ListedAgent("dev", "global"))
TOOLS: dict[str, Any] = {"name": "dev", "tools": ["*"]}


@pytest.mark.parametrize(
    ("content", "listed", "state", "words"),
    [
        (TOOLS, LISTED, "ok", "Kiro lists it"),
        (TOOLS, (), "unknown", "does not list its agents"),
        (TOOLS, LISTED[:1], "failed", "does not list 'dev'"),
        (TOOLS, (ListedAgent("dev", "built-in"),), "failed", "Kiro's own"),
        (None, LISTED, "failed", "no JSON"),
        ({"name": "dev"}, LISTED, "warning", "names no tools"),
        ({**TOOLS, "includeMcpJson": True, "useLegacyMcpJson": True}, LISTED, "failed", "two names of one field"),
        ({**TOOLS, "hooks": {"stop": [{"matcher": "x", "hooks": []}]}}, LISTED, "failed", "nested"),
        ({**TOOLS, "hooks": {"stop": [{"command": "x"}], "odd": 5}}, LISTED, "ok", ""),
        ({**TOOLS, "hooks": []}, LISTED, "ok", ""),
    ],
)
def test_agents(content: Mapping[str, Any] | None, listed: Any, state: str, words: str) -> None:
    check = check_agent("dev", AgentFile(WHERE, "global", content), listed)
    assert check.state == state and words in check.found
    assert bool(check.remedy) == (state in ("failed", "warning"))


@pytest.mark.parametrize(
    ("name", "listed", "state"),
    [("dev", LISTED, "ok"), ("gone", LISTED, "failed"), ("gone", (), "warning"), ("kiro_default", (), "ok")],
)
def test_agents_without_a_file(name: str, listed: Any, state: str) -> None:
    assert check_agent(name, None, listed).state == state


class _Coder(http.server.BaseHTTPRequestHandler):
    code = 200
    seen: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.seen.append(f"{self.path} {self.headers}")
        self.send_response(self.code)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def coder() -> Iterator[tuple[str, type[_Coder]]]:
    """A server that answers as Coder might, and its address."""

    class Handler(_Coder):
        seen: ClassVar[list[str]] = []

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Handler
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("code", "state"), [(200, "ok"), (404, "ok"), (302, "ok"), (502, "warning")])
def test_coder_answers(coder: tuple[str, type[_Coder]], code: int, state: str) -> None:
    url, handler = coder
    handler.code = code
    check = check_coder({"CODER_AGENT_URL": f"{url}/", "CODER_AGENT_TOKEN": "s3cr3t"})
    assert check.state == state and bool(check.remedy) == (state != "ok")
    assert len(handler.seen) == 1 and "s3cr3t" not in handler.seen[0]


def test_coder_does_not_answer() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    check = check_coder({"CODER_AGENT_URL": f"http://user:s3cr3t@127.0.0.1:{port}"})
    assert check.state == "warning" and check.remedy and "s3cr3t" not in check.found
    assert check_coder({"CODER_AGENT_URL": "file:///etc/passwd"}).state == "failed"
    assert check_coder({}).state == "ok"


def checks_of(environ: Mapping[str, str], tmp_path: Path, **states: Any) -> dict[str, Check]:
    """All checks, by name, of a bridge in a scratch home."""
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    given = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], **environ}
    report = Doctor(load({}, given, work), given, **states).report()
    return {check.name: check for check in report.checks}


def test_all_is_well(standin: Standin, tmp_path: Path) -> None:
    checks = checks_of({**os.environ, **standin.env}, tmp_path)
    assert {name: check.found for name, check in checks.items() if check.state == "failed"} == {}
    assert {"kiro-cli", "version", "engine", "transport", "login", "agent", "store v1", "mcp", "coder"} <= set(checks)


def test_headless_by_the_setting(standin: Standin, tmp_path: Path) -> None:
    env = {**os.environ, **standin.env, "KIRO_BRIDGE_TRANSPORT": "headless", "KIRO_BRIDGE_ENGINE": "v1"}
    checks = checks_of(env, tmp_path)
    assert "setting transport" in checks["transport"].found and checks["engine"].found.startswith("v1")


def test_no_kiro_at_all(tmp_path: Path) -> None:
    checks = checks_of({"PATH": "/nowhere"}, tmp_path)
    assert checks["kiro-cli"].state == "failed" and "Install it" in checks["kiro-cli"].remedy
    assert "login" not in checks and "memory" in checks


def test_logged_out_and_a_wrong_engine(tmp_path: Path) -> None:
    source = """
import sys
words = sys.argv[1:]
if words == ["--version"]:
    print("kiro-cli 1.26.2")
elif words == ["chat", "--help"]:
    print("Options:\\n  --no-interactive\\n  --agent <A>\\n  --trust-all-tools")
elif words == ["whoami"]:
    print("Not logged in"); sys.exit(1)
else:
    sys.exit(2)
"""
    cli = program(tmp_path / "kiro-cli", source)
    checks = checks_of({"KIRO_CLI_PATH": str(cli), "KIRO_BRIDGE_AGENT": "dev"}, tmp_path)
    assert checks["login"].state == "failed" and "login" in checks["login"].remedy
    assert checks["transport"].state == "warning" and checks["transport"].remedy
    assert checks["agent"].state == "warning" and "silently" in checks["agent"].found
    wrong = checks_of({"KIRO_CLI_PATH": str(cli), "KIRO_BRIDGE_ENGINE": "v3"}, tmp_path)
    assert wrong["engine"].state == "failed" and "transport" not in wrong


def test_servers_that_cannot_start(tmp_path: Path) -> None:
    path = tmp_path / ".kiro/settings/mcp.json"
    path.parent.mkdir(parents=True)
    entries = {"gone": {"command": "no-such-program"}, "there": {"command": "sh"}, "off": {"disabled": True}}
    told = {f"t-{state}": {"url": "https://x.org"} for state in ("connected", "failed", "needs_login", "starting")}
    path.write_text(json.dumps({"mcpServers": {**entries, **told}}))
    states = (
        McpServerState("t-connected", "connected", 3),
        McpServerState("t-failed", "failed", None, "exit code 1"),
        McpServerState("t-needs_login", "needs_login", None, "", "https://login.example.com"),
        McpServerState("t-starting", "starting"),
    )
    checks = checks_of({"PATH": "/bin:/usr/bin"}, tmp_path, states=lambda: states)
    assert {name: check.state for name, check in checks.items() if name.startswith("mcp ")} == {
        "mcp gone": "warning", "mcp there": "unknown", "mcp t-connected": "ok", "mcp t-failed": "warning",
        "mcp t-needs_login": "warning", "mcp t-starting": "unknown",
    }  # fmt: skip
    assert "https://login.example.com" in checks["mcp t-needs_login"].remedy
    assert "exit code 1" in checks["mcp t-failed"].found


def test_a_running_bridge_is_found_by_its_ledger(tmp_path: Path) -> None:
    assert "none runs" in checks_of({"PATH": "/nowhere"}, tmp_path)["bridge"].found
    lock = tmp_path / ".local/state/kiro-bridge/ledger.sqlite3.lock"
    lock.parent.mkdir(parents=True)
    source = "import sys; print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", source, "like-a-bridge"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        lock.write_text(f"{process.pid}\n")
        assert checks_of({"PATH": "/nowhere"}, tmp_path)["usage of bridge"].found.startswith("1 processes")
    for owner in (process.pid, "no number"):
        lock.write_text(str(owner))
        assert "usage of bridge" not in checks_of({"PATH": "/nowhere"}, tmp_path)


def test_a_check_that_fails_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any) -> Any:
        raise RuntimeError("s3cr3t")

    monkeypatch.setattr("bridge.diagnostics.kiro_checks.KiroChecks.checks", broken)
    checks = checks_of({"PATH": "/nowhere"}, tmp_path)
    assert checks["kiro"].state == "unknown" and "s3cr3t" not in checks["kiro"].found
    assert "memory" in checks


def test_many_who_ask_are_told_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "FRESH", 1000.0)
    made = Doctor(load({}, {"HOME": str(tmp_path), "PATH": "/nowhere"}, tmp_path), {"HOME": str(tmp_path)})
    reports: list[Any] = []
    threads = [threading.Thread(target=lambda: reports.append(made.report())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(report) for report in reports}) == 1


def test_table() -> None:
    checks = [Check("login", "ok", "fine"), Check("kiro-cli", "failed", "It is gone.", "Install it.")]
    assert table(checks) == (
        "ok      login     fine\nfailed  kiro-cli  It is gone.\n                  -> Install it.\n"
    )
    assert failed(checks) and not failed(checks[:1])
