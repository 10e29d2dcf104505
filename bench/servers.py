"""The servers that are measured: how each is started with its agent, told what the agent does, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from bench import processes
from bench.rows import AGENTAPI, BRIDGE, FLOOR, HEADLESS
from bench.wire import WAIT, Link

ROOT = Path(__file__).resolve().parent.parent
AGENTS = Path(__file__).resolve().parent / "agents"
TRANSPORTS = {BRIDGE: "acp", HEADLESS: "headless"}
_CALM = 0.3
"""Seconds in which no process comes or goes, once start-up work is over."""

_PAUSE = threading.Event()


class Kind(Protocol):
    """A server that can be started."""

    name: str

    def command(self, port: int, control: Path) -> list[str]:
        """Return what starts it on `port` with an agent that does what the named pipe `control` says."""


class Bridge:
    """This project's bridge: `name` says over which transport. `flags` are further flags of `serve`."""

    def __init__(self, *flags: str, name: str = BRIDGE) -> None:
        self.name = name
        self._flags = ("--transport", TRANSPORTS[name], *flags)

    def command(self, port: int, control: Path) -> list[str]:
        """See `Kind`."""
        return [sys.executable, "-m", "bridge", "serve", "--port", str(port), *self._flags]


class Floor:
    """gunicorn with an empty Flask app: no agent, and nothing to be told."""

    name = FLOOR

    def command(self, port: int, control: Path) -> list[str]:
        """See `Kind`."""
        flags = ["--preload", "--worker-class", "gthread", "--workers", "1", "--threads", "8"]
        return [sys.executable, "-m", "gunicorn", *flags, "--bind", f"127.0.0.1:{port}", "bench.floor:app"]


class AgentApi:
    """The real AgentAPI, `binary` its path."""

    name = AGENTAPI

    def __init__(self, binary: str) -> None:
        self._binary = binary

    def command(self, port: int, control: Path) -> list[str]:
        """See `Kind`."""
        agent = [sys.executable, "-S", "-E", str(AGENTS / "terminal.py"), str(control)]
        return [self._binary, "server", "--port", str(port), "--", *agent]


class Server:
    """A running server: `url`, `started` (monotonic) and `pids`, its own processes without its agent's."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, control: int, log: Path) -> None:
        self.started = time.monotonic()
        self.url = url
        self.pids = [process.pid]
        self._process = process
        self._control = control
        self._log = log

    def tell(self, command: str, text: str) -> float:
        """Have the agent do something; return when (monotonic) it was told."""
        now = time.monotonic()
        os.write(self._control, f"{command} {text}\n".encode())
        return now

    def wait_ready(self) -> float:
        """Wait for the first 200 of `/status`; return the seconds since the start."""
        while time.monotonic() < self.started + WAIT:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, RuntimeError):
                link = Link(self.url)
                try:
                    link.get("/status")
                    return time.monotonic() - self.started
                finally:
                    link.close()
            _PAUSE.wait(0.004)
        raise RuntimeError(f"the server did not start:\n{self._log.read_text(errors='replace')[-2000:]}")

    def wait_stable(self) -> None:
        """Wait until a prompt would be taken."""
        self.wait_ready()
        link = Link(self.url)
        limit = time.monotonic() + WAIT
        while b'"status":"stable"' not in link.get("/status")[1]:
            if time.monotonic() > limit:
                raise RuntimeError("the server never got stable")
            _PAUSE.wait(0.05)
        link.close()

    def settle(self) -> None:
        """Wait until start-up work is over, and note the server's own processes."""
        self.wait_stable()
        before: list[int] = []
        while before != (now := self.own()):
            before = now
            _PAUSE.wait(_CALM)
        self.pids = now

    def own(self) -> list[int]:
        """Return the server's processes without its agent's."""
        main, *others = processes.family(self._process.pid)
        return [main, *(one for one in others if str(AGENTS).encode() not in _words(one))]

    def cpu(self) -> float:
        """Return the CPU seconds of the server's own processes so far."""
        return processes.cpu_seconds(self.pids)

    def end(self) -> None:
        """End it gracefully, or at once if it does not."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)


@contextlib.contextmanager
def running(kind: Kind, home: Path, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a server in the folder `home`, which is made if need be and may be used again."""
    for folder in (home, home / "tmp", home / "work"):
        folder.mkdir(exist_ok=True)
    control = home / "control"
    if not control.exists():
        os.mkfifo(control)
    writer = os.open(control, os.O_RDWR | os.O_NONBLOCK)
    port = free_port()
    log = home / "log"
    with open(log, "ab") as output:
        process = _start(kind.command(port, control), home, {**_environment(home, control), **(env or {})}, output)
    server = Server(process, f"http://127.0.0.1:{port}", writer, log)
    try:
        yield server
    finally:
        server.end()
        os.close(writer)


def free_port() -> int:
    """Return a TCP port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(command: Sequence[str], home: Path, env: Mapping[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=home / "work", env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        start_new_session=True,
    )  # fmt: skip


def _environment(home: Path, control: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "PYTHONPATH": str(ROOT),
        "KIRO_CLI_PATH": str(AGENTS / "kiro-cli"),
        "KIRO_BENCH_CONTROL": str(control),
    }


def _words(pid: int) -> bytes:
    try:
        return (processes.PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""
