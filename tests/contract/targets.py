"""The two servers the suite knows, and how each is started, driven and stopped.

Invariant: every process started here is ended here by its own id, runs with a scratch home and temporary directory,
and inherits no setting of the machine.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

REPOSITORY = Path(__file__).resolve().parents[2]
TERMINAL_AGENT = Path(__file__).with_name("terminal_agent.py")
AGENTAPI = "agentapi"
BRIDGE = "bridge"

#: Chunks a second of a slow answer.
STEPS_PER_SECOND = 5
#: Seconds a server may take to end before it counts as hung.
STOP_HANG = 40.0


class Target(Protocol):
    """A kind of server: its command line and the words its agent understands."""

    name: str
    #: What to append to any prompt so that its answer is short.
    short_answer: str

    def command(self, flags: Sequence[str]) -> list[str]:
        """The argv that starts a server with these flags."""

    def version_command(self) -> list[str]:
        """The argv that prints the version."""

    def environment(self) -> dict[str, str]:
        """What the server needs in its environment beyond a scratch home."""

    def with_agent(self, program: str) -> Target:
        """The same server with this program as its agent."""

    def prompt_say(self, text: str) -> str:
        """A prompt that is answered with exactly ``text``."""

    def prompt_lines(self, count: int, tag: str) -> str:
        """A prompt that is answered with ``count`` lines ``<tag> line <number from 1>``."""

    def prompt_slow(self, seconds: float, tag: str) -> str:
        """A prompt whose answer grows for about that long; its last line is ``<tag> done``."""

    def prompt_exit(self, code: int) -> str:
        """A prompt during which the agent's process ends with ``code``."""


class AgentApiTarget:
    """The real AgentAPI, hosting the scripted terminal program."""

    name = AGENTAPI
    short_answer = ""

    def __init__(self, binary: str, agent: Sequence[str] = (sys.executable, str(TERMINAL_AGENT))) -> None:
        """``binary`` is the path of an ``agentapi`` executable, ``agent`` the command it hosts."""
        self.binary = binary
        self.agent = agent

    def command(self, flags: Sequence[str]) -> list[str]:
        """See `Target`."""
        return [self.binary, "server", *flags, "--", *self.agent]

    def version_command(self) -> list[str]:
        """See `Target`."""
        return [self.binary, "--version"]

    def environment(self) -> dict[str, str]:
        """See `Target`."""
        return {}

    def with_agent(self, program: str) -> Target:
        """See `Target`."""
        return AgentApiTarget(self.binary, [program])

    def prompt_say(self, text: str) -> str:
        """See `Target`."""
        return "!say " + base64.b64encode(text.encode()).decode()

    def prompt_lines(self, count: int, tag: str) -> str:
        """See `Target`."""
        return f"!lines {count} {tag}"

    def prompt_slow(self, seconds: float, tag: str) -> str:
        """See `Target`."""
        return f"!slow {seconds} {tag}"

    def prompt_exit(self, code: int) -> str:
        """See `Target`."""
        return f"!exit {code}"


class BridgeTarget:
    """This project's bridge, running the stand-in for kiro-cli."""

    name = BRIDGE
    short_answer = "\n!standin text short"

    def __init__(self, kiro_cli: str = str(REPOSITORY / "standin" / "kiro-cli")) -> None:
        """``kiro_cli`` is the path of the program to run."""
        self.kiro_cli = kiro_cli

    def command(self, flags: Sequence[str]) -> list[str]:
        """See `Target`."""
        return [sys.executable, "-m", "bridge", "serve", *flags]

    def version_command(self) -> list[str]:
        """See `Target`."""
        return [sys.executable, "-m", "bridge", "--version"]

    def environment(self) -> dict[str, str]:
        """See `Target`."""
        words = {"KIRO_CLI_PATH": self.kiro_cli, "KIRO_STANDIN_VERSION": "2.28.0"}
        return {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", **words}

    def with_agent(self, program: str) -> Target:
        """See `Target`."""
        return BridgeTarget(program)

    def prompt_say(self, text: str) -> str:
        """See `Target`."""
        return "!standin text " + text.replace("\\", "\\\\").replace("\n", "\\n")

    def prompt_lines(self, count: int, tag: str) -> str:
        """See `Target`."""
        return f"!standin numbered {count} {tag} line"

    def prompt_slow(self, seconds: float, tag: str) -> str:
        """See `Target`."""
        steps = max(1, round(seconds * STEPS_PER_SECOND))
        text = "".join(f"{tag} step {number}\\n" for number in range(steps)) + f"{tag} done"
        return f"!standin chunks {steps}\n!standin delay {1 / STEPS_PER_SECOND}\n!standin text {text}"

    def prompt_exit(self, code: int) -> str:
        """See `Target`."""
        return f"!standin fault exit {code}"


def free_port() -> int:
    """A TCP port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Finished:
    """A process that ran to its end."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, eq=False)
class Process:
    """One started server process with its output in files."""

    popen: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self.popen.pid

    def output(self) -> str:
        """All it has printed so far, for messages of failed checks."""
        return self.stdout.read_text(errors="replace") + self.stderr.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self.popen.send_signal(number)

    def wait(self, seconds: float = STOP_HANG) -> int:
        """Wait for its end and return the exit code; AssertionError when it does not end."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s:\n{self.output()}") from None

    def kill_all(self) -> None:
        """SIGKILL to the process and everything in its process group, as a crash of the machine would do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(STOP_HANG)

    def stop(self) -> None:
        """End it, politely first, and close our end of its standard input."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(STOP_HANG)
            except subprocess.TimeoutExpired:
                self.kill_all()
        if self.popen.stdin:
            self.popen.stdin.close()


def clean_environment(target: Target, home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a server: scratch home and temporary directory, the target's needs, then ``extra``."""
    scratch = home / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    base = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(scratch), "LANG": "C.UTF-8", "TZ": "UTC"}
    return {**base, **target.environment(), **extra}


def start(target: Target, flags: Sequence[str], home: Path, env: Mapping[str, str], stdin: int | IO[bytes]) -> Process:
    """Start a server in ``home``; its output goes to files there. It is not waited for."""
    number = sum(1 for _ in home.glob("stdout.*"))
    stdout, stderr = home / f"stdout.{number}", home / f"stderr.{number}"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        popen = subprocess.Popen(
            target.command(flags),
            stdin=stdin,
            stdout=out,
            stderr=err,
            cwd=home,
            env=clean_environment(target, home, env),
            start_new_session=True,
        )
    return Process(popen, stdout, stderr)


def run(argv: Sequence[str], environment: Mapping[str, str], cwd: Path) -> Finished:
    """Run a command to its end with an empty standard input; AssertionError when it hangs."""
    try:
        done = subprocess.run(
            argv, env=dict(environment), cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=STOP_HANG
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"did not end: {argv}\n{error.stdout!r}\n{error.stderr!r}") from None
    return Finished(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
