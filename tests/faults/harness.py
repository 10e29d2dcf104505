"""A bridge whose processes can be looked at and hurt, and prompts whose answers can be told apart."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tests.faults.invariants import Memory, verify
from tests.leaks import parent_of
from tests.whole.conftest import WAIT, Bridge, until

_MARK = "listening on "


@dataclass(frozen=True)
class Usage:
    """What a living process holds: open descriptors, threads, resident memory in MB (now and at its highest)."""

    descriptors: int
    threads: int
    resident: float
    highest: float

    def beside(self, before: Usage) -> dict[str, str]:
        """Return both looks for a report."""
        return {
            "descriptors": f"{before.descriptors}->{self.descriptors}",
            "threads": f"{before.threads}->{self.threads}",
            "rss_mb": f"{before.resident:.0f}->{self.resident:.0f}",
            "rss_peak_mb": f"{self.highest:.0f}",
        }


class FaultBridge(Bridge):
    """A bridge with everything that was accepted by it, over all its lives."""

    def __init__(self, folder: Path, transport: str = "headless") -> None:
        super().__init__(folder)
        self.env.pop("KIRO_STANDIN_TOKEN_DELAY")
        self.env["KIRO_BRIDGE_TRANSPORT"] = self.transport = transport
        self.accepted: list[str] = []
        self.doubtful: list[str] = []
        self.memory = Memory()
        self._begun = 0

    def ledger_path(self) -> Path:
        return self.home / ".local" / "state" / "kiro-bridge" / "ledger.sqlite3"

    def master(self) -> int:
        assert self._process is not None
        return self._process.pid

    def workers(self) -> list[int]:
        """Return the serving processes: the master's children."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and parent_of(int(entry.name)) == self.master():
                    found.append(int(entry.name))
        return found

    def survivors(self) -> list[str]:
        """Return what runs in this home and must not while no turn does.

        Driven by ACP, one agent stays with its children for as long as the bridge that has started it.
        """
        processes = self._processes()
        if self.transport == "acp" and not self.ended():
            family = {pid: ancestry(pid) for pid in processes}
            ours = [pid for pid in processes if "acp" in processes[pid].split() and self.worker() in family[pid]]
            agent = min(ours, key=lambda pid: len(family[pid]), default=None)
            processes = {pid: command for pid, command in processes.items() if agent not in family[pid]}
        return list(processes.values())

    def worker(self) -> int:
        workers = until(self.workers, "a worker runs")
        assert isinstance(workers, list)
        return int(workers[0])

    def usage(self) -> Usage:
        """Return what the serving process holds now."""
        place = Path("/proc") / str(self.worker())
        lines = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines() if ":" in line)
        resident, highest = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return Usage(len(os.listdir(place / "fd")), len(os.listdir(place / "task")), resident, highest)

    def no_leak_since(self, before: Usage) -> Usage:
        """Wait until no more is held than before, but for what pools keep: threads, readers of the ledger."""
        limit = time.monotonic() + WAIT
        while True:
            now = self.usage()
            if now.descriptors <= before.descriptors + 24 and now.threads <= before.threads + 32:
                return now
            assert time.monotonic() < limit, f"the worker does not give back what it took: {before}, now {now}"
            time.sleep(0.02)

    def program(self) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", "bridge", "serve", "--port", "0"]

    def launch(self, *flags: str, **env: str) -> None:
        """Start it without waiting for anything."""
        with open(self.log, "ab") as log:
            self._begun = log.tell()
            self._process = subprocess.Popen(
                [*self.program(), *flags],
                cwd=self.work, env={**self.env, **env}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def start(self, *flags: str, **env: str) -> FaultBridge:
        """Start it on a free port and wait until it answers."""
        self.launch(*flags, **env)
        self.url = until(self._address, "the bridge says where it listens")
        until(self.answers, "the bridge answers")
        return self

    def _address(self) -> str:
        assert self._process is not None and self._process.poll() is None, self.log.read_text()
        lines = self.log.read_bytes()[self._begun :].decode().split("\n")
        return next((line.split(_MARK)[1].strip('"') for line in lines if _MARK in line), "")

    def ended(self) -> bool:
        """Return whether the process that was started is gone."""
        return self._process is None or self._process.poll() is not None

    def says_address(self) -> bool:
        """Return whether it has said where it listens; `url` is set then."""
        self.url = self._address() if not self.ended() else ""
        return bool(self.url)

    def answers(self) -> bool:
        """Return whether the bridge answers and has started."""
        try:
            return requests.get(self.url + "/status", timeout=WAIT).status_code == 200
        except requests.RequestException:
            return False

    def send(self, text: str) -> bool:
        """Post a prompt to a bridge that may die of it; return whether it was accepted."""
        self.doubtful.append(text)
        try:
            reply = requests.post(self.url + "/message", json={"type": "user", "content": text}, timeout=WAIT)
        except requests.RequestException:
            return False
        assert reply.status_code == 200, reply.text
        self.doubtful.remove(text)
        self.accepted.append(text)
        return True

    def connect(self) -> socket.socket:
        """Return a new connection to the bridge."""
        parts = urlsplit(self.url)
        assert parts.hostname and parts.port
        return socket.create_connection((parts.hostname, parts.port), timeout=WAIT)

    def hurt(self, *pids: int) -> None:
        """End processes at once."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def crash(self) -> None:
        """End the whole bridge at once and see that both of its processes are gone."""
        workers = self.workers()
        self.kill()
        until(lambda: not any(alive(pid) for pid in workers), "the worker goes with its master")

    def verify(self) -> None:
        """Check every invariant, with the bridge living and at rest."""
        self.settled()
        until(lambda: not self.survivors(), f"nothing survives: {self.survivors()}")
        verify(self.ledger_path(), self.home, self.accepted, self.doubtful, self.memory, self.messages())

    def time_status(self) -> float:
        """Return how long `/status` took, in seconds."""
        began = time.monotonic()
        assert requests.get(self.url + "/status", timeout=WAIT).status_code == 200
        return time.monotonic() - began


def ancestry(pid: int) -> list[int]:
    """Return a process and those that it comes from, as far as they are there."""
    found = [pid]
    with contextlib.suppress(OSError):
        while (parent := parent_of(found[-1])) > 1:
            found.append(parent)
    return found


def alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be collected does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def prompt(number: int, chance: random.Random, *, pace: float = 0.01, tools: int = 1) -> str:
    """Return a prompt unlike all others, whose answer is several marked texts with tools between them.

    The marks `<number.n>` stand once each in the answer.
    """
    lines = [f"Turn {number}.", "!standin chunks 4", f"!standin delay {pace:g}"]
    for step in range(tools):
        lines.append(f"!standin text <{number}.{step}> {'word ' * chance.randint(1, 30)}")
        lines.append(f"!standin tool shell sleep {chance.uniform(0, 8 * pace):.3f}; echo out {number}.{step}")
    lines.append(f"!standin text <{number}.{tools}> the end of {number}")
    return "\n".join(lines)
