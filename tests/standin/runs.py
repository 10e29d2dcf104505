"""Running the stand-in and reading what it left.

Invariant: every run has its own home, working folder and environment; nothing is shared with the real user.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).resolve().parents[2] / "standin" / "kiro-cli"
DEADLINE = 60.0


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        """The last JSON line."""
        return self.events[-1]


@dataclass
class Cli:
    """The stand-in with a home of its own."""

    home: Path
    cwd: Path
    env: dict[str, str] = field(default_factory=dict)

    def environment(self, extra: dict[str, str]) -> dict[str, str]:
        """The variables of a run."""
        # Compiled modules are kept for the whole test run, outside of the checkout: half of a run's time is compiling.
        compiled = {"PYTHONPYCACHEPREFIX": str(self.home.parent.parent / "compiled")}
        base = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**base, **compiled, "HOME": str(self.home), "KIRO_STANDIN_TOKEN_DELAY": "0", **self.env, **extra}

    def run(self, *argv: str, stdin: str | bytes = "", **env: str) -> Result:
        """Run to the end."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [sys.executable, str(PROGRAM), *argv],
            input=data,
            capture_output=True,
            cwd=self.cwd,
            env=self.environment(env),
            timeout=DEADLINE,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def chat(
        self, engine: str, *lines: str, options: tuple[str, ...] = ("-a",), stream: bool = False, **env: str
    ) -> Result:
        """A headless run of directives (without their prefix) on an engine."""
        form = ("--output-format", "stream-json") if stream else ()
        prompt = "\n".join(f"!standin {line}" for line in lines)
        return self.run("chat", "--no-interactive", "--agent-engine", engine, *options, *form, stdin=prompt, **env)

    def start(self, *argv: str, stdin: str = "", **env: str) -> subprocess.Popen[bytes]:
        """Start in a process group of its own; the prompt is already in its stdin."""
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.cwd,
            env=self.environment(env),
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(stdin.encode())
        process.stdin.close()
        process.stdin = None
        return process

    def rows(self) -> list[dict[str, Any]]:
        """Values of `conversations_v2`, oldest first."""
        return rows_of(self.home / ".local/share/kiro-cli/data.sqlite3")

    def v2_files(self, suffix: str) -> list[Path]:
        """Files of the v2 store with that ending."""
        return sorted((self.home / ".kiro/sessions/cli").glob(f"*{suffix}"))

    def v2_lines(self) -> list[dict[str, Any]]:
        """Lines of the only v2 session."""
        (path,) = self.v2_files(".jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]

    def v3_rows(self) -> list[dict[str, Any]]:
        """Rows of the only v3 session."""
        (path,) = (self.home / ".kiro/sessions").glob("*/sess_*/messages.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]


def fresh(folder: Path) -> Cli:
    """The stand-in with an empty home and an empty working folder below `folder`."""
    for name in ("home", "work"):
        (folder / name).mkdir()
    return Cli(folder / "home", (folder / "work").resolve())


def rows_of(database: Path) -> list[dict[str, Any]]:
    """Values of `conversations_v2` in a database file, oldest first."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        query = "SELECT value FROM conversations_v2 ORDER BY created_at"
        return [json.loads(value) for (value,) in connection.execute(query)]
    finally:
        connection.close()


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    until = time.monotonic() + DEADLINE
    while not path.exists():
        assert time.monotonic() < until, f"{path} never appeared"
        time.sleep(0.01)


def finish(process: subprocess.Popen[bytes]) -> Result:
    """Wait for the end of a started process."""
    out, err = process.communicate(timeout=DEADLINE)
    return Result(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the started process and everything it started."""
    os.killpg(process.pid, number)


def kill(pid: int) -> None:
    """End a process that a test left on purpose, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + DEADLINE
    while alive(pid):
        assert time.monotonic() < until, f"process {pid} does not end"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
