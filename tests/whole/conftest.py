"""A real bridge process with the stand-in behind it, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
WAIT = 60.0
_PAUSE = threading.Event()

HEADLESS = {"KIRO_BRIDGE_TRANSPORT": "headless"}
ENGINES = {
    "v1-old": {"KIRO_STANDIN_VERSION": "1.28", **HEADLESS},
    "v1": {"KIRO_STANDIN_VERSION": "2.19", "KIRO_BRIDGE_ENGINE": "v1", **HEADLESS},
    "v2-text": {"KIRO_STANDIN_VERSION": "2.8.0", "KIRO_BRIDGE_ENGINE": "v2", **HEADLESS},
    "v2": {"KIRO_STANDIN_VERSION": "2.28", **HEADLESS},
    "v3": {"KIRO_STANDIN_VERSION": "2.28", "KIRO_BRIDGE_ENGINE": "v3", **HEADLESS},
    "v3-new": {"KIRO_STANDIN_VERSION": "3.0", "KIRO_BRIDGE_ENGINE": "v3", **HEADLESS},
}
"""Each engine and generation of kiro-cli, with a process for each prompt."""

ACP = {
    "acp-v2": {"KIRO_STANDIN_VERSION": "2.28", "KIRO_BRIDGE_TRANSPORT": "auto"},
    "acp-v3": {"KIRO_STANDIN_VERSION": "2.28", "KIRO_BRIDGE_ENGINE": "v3", "KIRO_BRIDGE_TRANSPORT": "auto"},
}
"""The engines that `auto` drives over ACP, with one process for the whole session."""

KINDS = {**ENGINES, **ACP}


def until(holds: Callable[[], Any], what: str) -> Any:
    """Ask until the answer is true and return it; fail saying `what` never happened."""
    limit = time.monotonic() + WAIT
    while not (answer := holds()):
        assert time.monotonic() < limit, f"never happened: {what}"
        _PAUSE.wait(0.02)
    return answer


class Bridge:
    """A bridge that can be started, killed and started again on the same home."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.work = folder / "work"
        self.log = folder / "log"
        self.port_file = folder / "port"
        for place in (self.home, self.work):
            place.mkdir()
        self.env = {
            **os.environ,
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "KIRO_CLI_PATH": str(ROOT / "standin" / "kiro-cli"),
            "KIRO_STANDIN_TOKEN_DELAY": "0",
            "KIRO_STANDIN_LOG": str(folder / "runs"),
            "KIRO_BRIDGE_TRUST_ALL_TOOLS": "true",
            "KIRO_BRIDGE_STOP_GRACE": "1",
        }
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str, **env: str) -> Bridge:
        """Start it on a free port and wait until it answers."""
        with open(self.log, "ab") as log:
            began = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bridge", "serve", "--port", "0", *flags],
                cwd=self.work, env={**self.env, **env}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.url = until(lambda: self._announced(began), "port")
        until(lambda: self._answers(), "the bridge answers")
        return self

    def _lives(self) -> None:
        assert self._process is not None and self._process.poll() is None, self.log.read_text()

    def _announced(self, began: int) -> str:
        self._lives()
        lines = self.log.read_bytes()[began:].decode().split("\n")
        return next((line.split("listening on ")[1].strip('"') for line in lines if "listening on " in line), "")

    def _answers(self) -> bool:
        self._lives()
        try:
            return requests.get(self.url + "/status", timeout=WAIT).status_code == 200
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        """End the whole bridge as a crash would: SIGKILL to the process that was started."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(WAIT)

    def stop(self) -> int:
        """End it gracefully; return the exit code."""
        if self._process is None or self._process.poll() is not None:
            return -1
        self._process.terminate()
        return self._process.wait(WAIT)

    def get(self, path: str) -> Any:
        reply = requests.get(self.url + path, timeout=WAIT)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def post(self, text: str, kind: str = "user") -> requests.Response:
        return requests.post(self.url + "/message", json={"type": kind, "content": text}, timeout=WAIT)

    def ask(self, *lines: str) -> str:
        """Send a prompt, wait for the end of its turn, and return the answer."""
        reply = self.post("\n".join(lines))
        assert reply.status_code == 200, reply.text
        self.settled()
        return self.answer()

    def settled(self) -> None:
        until(lambda: self.get("/status")["status"] == "stable", "stable")

    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.get("/messages")["messages"]
        return messages

    def answer(self) -> str:
        return str(self.messages()[-1]["content"])

    def session(self) -> str:
        return str(self.get("/api/v1/sessions")["primary"])

    def items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get(f"/api/v1/sessions/{self.session()}/items?limit=500")["items"]
        return items

    def turns(self) -> list[dict[str, Any]]:
        turns: list[dict[str, Any]] = self.get(f"/api/v1/sessions/{self.session()}/items?limit=500")["turns"]
        return turns

    def runs(self) -> list[dict[str, Any]]:
        """Return what the stand-in was started with, each time."""
        log = Path(self.env["KIRO_STANDIN_LOG"])
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def chats(self) -> list[dict[str, Any]]:
        """Return the runs that took prompts: one each, or as many as were asked for over ACP."""
        runs = [run for run in self.runs() if "--help" not in run["argv"]]
        return [run for run in runs if "--no-interactive" in run["argv"] or run["argv"][0] == "acp"]

    def running(self) -> list[str]:
        """Return the command lines of processes that run prompts in this home, or were left by one."""
        return list(self._processes().values())

    def at_work(self) -> list[str]:
        """Return the same without the ACP agents, which wait for the next prompt when there is nothing to do."""
        return [line for line in self.running() if " acp " not in line]

    def detached(self) -> list[int]:
        """Return the ids of those processes."""
        return list(self._processes())

    def _processes(self) -> dict[int, str]:
        found = {}
        words_of_the_bridge = {b"bridge", b"whoami", b"--version", b"--help"}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"HOME={self.home}\0".encode() in (entry / "environ").read_bytes():
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    if not words_of_the_bridge.intersection(words):
                        found[int(entry.name)] = b" ".join(words).decode()
            except OSError:
                continue
        return found

    def ledger_events(self, sql: str) -> list[tuple[Any, ...]]:
        import sqlite3
        from contextlib import closing

        path = next(self.home.rglob("ledger.sqlite3"))
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def one_end_each(self) -> None:
        """Check in the ledger itself that every turn has exactly one terminal event."""
        ends = self.ledger_events(
            "SELECT t.id, count(e.seq) FROM turns t LEFT JOIN events e ON e.turn_id = t.id AND e.kind = 'turn'"
            " AND e.state IN ('completed', 'cancelled', 'failed', 'interrupted') GROUP BY t.id"
        )
        assert ends and all(count == 1 for _, count in ends), ends


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    made = Bridge(tmp_path)
    yield made
    made.stop()
    until(lambda: not made.running(), f"no process is left: {made.running()}")


@pytest.fixture
def headless(bridge: Bridge) -> Bridge:
    """A bridge with a process for each prompt, for what only that has."""
    bridge.env.update(HEADLESS)
    return bridge


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest, bridge: Bridge) -> Bridge:
    """A headless bridge for each engine and generation of kiro-cli."""
    bridge.env.update(ENGINES[request.param])
    return bridge


@pytest.fixture(params=list(ACP))
def warm(request: pytest.FixtureRequest, bridge: Bridge) -> Bridge:
    """A bridge for each engine that is driven over ACP."""
    bridge.env.update(ACP[request.param])
    return bridge


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, bridge: Bridge) -> Bridge:
    """A bridge for each engine and generation of kiro-cli, headless and over ACP."""
    bridge.env.update(KINDS[request.param])
    return bridge
