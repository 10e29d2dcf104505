"""Running tools for real, and who may run them.

Invariant: a command runs through /bin/sh in the working folder and in this process's own process group; files are
read and written below the working folder only.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from standin.model import Call, Outcome
from standin.tool_shapes import NAMES, NEUTRAL, absolute

READ_LIMIT = 200_000
#: How long a running command may not notice that it is to stop, in seconds.
STOP_SECONDS = 0.02


class Permission(Protocol):
    """Who may run what. `interactive`: somebody can be asked."""

    engine: str
    cwd: str
    trust_all: bool
    trusted: tuple[str, ...] | None
    interactive: bool

    def allows(self, call: Call) -> bool:
        """Whether the call may run, or may be asked about."""


@dataclass
class Policy:
    """Who may run without being asked. `trusted` is None without `--trust-tools`; `allowed` comes from the agent
    file."""

    engine: str
    trust_all: bool
    trusted: tuple[str, ...] | None
    allowed: tuple[str, ...]
    cwd: str
    interactive: bool = False

    def allows(self, call: Call) -> bool:
        """Whether the call may run. Headless nobody can be asked (facts/kiro-cli.md 5.5).

        v2 does not match `--trust-tools` headless, v3 compares ids without regard to case (facts/kiro-stores.md E,
        5.5); reading inside the working folder is allowed (side file `allowed_read_paths`, facts/kiro-wire.md 18; v1
        and v3 [L])."""
        if self.trust_all or self._named(call, self.allowed):
            return True
        if self.trusted is not None and self.engine != "v2":
            if self.engine == "v3":
                return NAMES["v3"][call.tool].lower() in {name.lower() for name in self.trusted}
            return self._named(call, self.trusted)
        return call.tool == "read" and inside(self.cwd, str(call.args["path"]))

    @staticmethod
    def _named(call: Call, names: tuple[str, ...]) -> bool:
        return any(NEUTRAL.get(name) == call.tool or name in ("*", "@builtin") for name in names)


def inside(cwd: str, path: str) -> bool:
    """Whether the path lies in the working folder, links resolved."""
    return os.path.commonpath([absolute(cwd), absolute(path)]) == absolute(cwd)


def validate(call: Call, cwd: str) -> str:
    """Why the arguments are refused before the tool starts, or an empty text (facts/kiro-cli.md 14 no. 5)."""
    path = str(call.args.get("path", ""))
    if call.tool in ("read", "write") and not inside(cwd, path):
        return f"'{absolute(path)}' is outside the working directory"
    if call.tool == "read" and not os.path.isfile(path):
        return f"'{absolute(path)}' does not exist"
    return ""


class Stopped(Exception):
    """A command was killed because it was to stop."""


def run(
    call: Call, on_output: Callable[[str], None], cwd: str | None = None, stop: threading.Event | None = None
) -> Outcome:
    """Run a shell, read or write call; `on_output` gets a command's output while it runs. KeyboardInterrupt passes
    through after the command was killed; once `stop` is set a running command is killed and Stopped raised."""
    began = time.monotonic()
    try:
        outcome = _run(call, on_output, cwd, stop)
    except OSError as error:
        outcome = Outcome("error", str(error))
    outcome.seconds = time.monotonic() - began
    return outcome


def _run(call: Call, on_output: Callable[[str], None], cwd: str | None, stop: threading.Event | None) -> Outcome:
    """The call itself. Raises OSError."""
    if call.tool == "shell":
        return _shell(str(call.args["command"]), on_output, cwd, stop)
    path = Path(str(call.args["path"]))
    if call.tool == "read":
        return Outcome("ok", path.read_text("utf-8", "replace")[:READ_LIMIT])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(call.args["text"]), "utf-8")
    return Outcome("ok")


def _shell(command: str, on_output: Callable[[str], None], cwd: str | None, stop: threading.Event | None) -> Outcome:
    """A command with both streams collected."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd
    )
    try:
        stdout, stderr = _collect(process, on_output, stop)
        process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return Outcome("ok", stdout=stdout, stderr=stderr, exit_code=process.returncode)


def _collect(
    process: subprocess.Popen[bytes], on_output: Callable[[str], None], stop: threading.Event | None
) -> tuple[str, str]:
    """Read both pipes to their ends. Raises Stopped."""
    assert process.stdout is not None and process.stderr is not None
    parts: dict[int, list[bytes]] = {process.stdout.fileno(): [], process.stderr.fileno(): []}
    with selectors.DefaultSelector() as selector:
        for descriptor in parts:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            if stop is not None and stop.is_set():
                raise Stopped
            for key, _ in selector.select(None if stop is None else STOP_SECONDS):
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fd)
                    continue
                parts[key.fd].append(data)
                on_output(data.decode("utf-8", "replace"))
    out, err = (b"".join(pieces).decode("utf-8", "replace") for pieces in parts.values())
    return out, err
