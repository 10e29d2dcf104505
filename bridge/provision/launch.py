"""Starting the bridge as a process of its own, and waiting until it is ready.

Invariant: one bridge runs for a module folder. Its settings go through the environment and the initial prompt through
standard input; its argument list holds neither.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bridge
from bridge.files import make_private_directory
from bridge.provision import agent, conversation, program, started
from bridge.provision.download import local_failure
from bridge.provision.inputs import Inputs, Places
from bridge.provision.opening import private
from bridge.provision.progress import ProvisionError, say, warn
from bridge.provision.replacing import make_way
from bridge.provision.running import running_bridge, status
from bridge.provision.secrets import blot_out, without_login
from bridge.provision.started import Started

READY_SECONDS = 90.0
PORT_SECONDS = 2.0
"""How long a port may stay taken: the processes of a bridge that was killed go one after the other."""

LOG = "bridge.log"

_LOG_BYTES = 5 << 20
_OLD_LOGS = 3
_TAIL_LINES = 15
_PROMPTS = ("KIRO_BRIDGE_INITIAL_PROMPT", "AGENTAPI_INITIAL_PROMPT")
_PAUSE = threading.Event()

_COMMAND = "import sys; sys.path.insert(0, sys.argv.pop(1)); from bridge.cli import main; sys.exit(main())"
"""Our own package first, wherever it lies, and nothing of the folder it is started in; no variable says so, as kiro-cli
and the user's own Python would inherit it."""


def launch(inputs: Inputs, places: Places, environ: Mapping[str, str], *, with_prompt: bool) -> None:
    """Start the bridge, or another one in the place of one that runs with other inputs, and return when it is ready.

    Without `with_prompt` the initial prompt is left for a later start. Raises `ProvisionError`.
    """
    memory = places.state / "conversation.json"
    try:
        task = inputs.task_id or environ.get("CODER_TASK_ID", "")
        begun = conversation.read(memory).begun(task, resume=inputs.resume)
        prompt = begun.prompt_to_send(inputs.ai_prompt) if with_prompt else ""
        env = bridge_environment(inputs, places, environ, places.state / begun.ledger)
        wanted = Started(started.digest(inputs, places, environ, env), inputs.port)
        pid = running_bridge(places)
        if pid is not None and not make_way(pid, places, wanted, has_prompt=bool(prompt)):
            return
        places.pid_file.unlink(missing_ok=True)
        _check_port(inputs.port)
        conversation.write(memory, begun)
        started.write(places, wanted)
        _start(places, env, prompt, inputs.port)
        conversation.write(memory, begun.became_ready(prompt))
    except OSError as error:
        raise local_failure(error, places.root) from error


def bridge_environment(inputs: Inputs, places: Places, environ: Mapping[str, str], ledger: Path) -> dict[str, str]:
    """Return the environment of the bridge: ours, its settings on top; an input that was not given sets nothing."""
    kiro_cli = program.binary(inputs, places)
    settings = {
        "WORKDIR": inputs.workdir,
        "TRUST_ALL_TOOLS": str(inputs.trust_all_tools).lower(),
        "AGENT": agent.wanted_agent(inputs, environ).name,
        "MODEL": inputs.model,
        "ENGINE": inputs.engine,
        "TRANSPORT": inputs.transport,
        "KIRO_CLI_PATH": str(kiro_cli or ""),
        "PORT": str(inputs.port),
        "CHAT_BASE_PATH": inputs.chat_base_path,
        "ALLOWED_HOSTS": " ".join(inputs.allowed_hosts),
        "ALLOWED_ORIGINS": " ".join(inputs.allowed_origins),
        "STATE_DIR": str(places.state),
        "LEDGER": str(ledger),
        "PID_FILE": str(places.pid_file),
        "REPORT_TASKS": str(inputs.report_tasks).lower(),
        "APP_STATUS_SLUG": agent.status_slug(inputs, environ),
    }
    kept = {name: value for name, value in without_login(environ).items() if name not in _PROMPTS}
    return kept | {f"KIRO_BRIDGE_{name}": value for name, value in settings.items() if value}


def _check_port(port: int) -> None:
    """See that nobody listens on the port: another program's answers must not be taken for the bridge's."""
    limit = time.monotonic() + PORT_SECONDS
    while (trouble := _taken(port)) is not None:
        if time.monotonic() > limit:
            raise ProvisionError(
                f"The bridge cannot be started: port {port} cannot be used ({trouble}).",
                "End the program that listens there, or give the module another port.",
                code="port_taken",
            )
        _PAUSE.wait(0.05)


def _taken(port: int) -> str | None:
    """Return why the port cannot be used, None when it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def _start(places: Places, env: Mapping[str, str], prompt: str, port: int) -> None:
    log = places.logs / LOG
    make_private_directory(places.logs)
    _rotate(log)
    say(f"Starting the bridge; its log is {log}.")
    root = str(Path(bridge.__file__).resolve().parents[1])
    with tempfile.TemporaryFile() as given, open(log, "ab", opener=private) as output:
        began = output.tell()
        given.write(prompt.encode())
        given.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _COMMAND, root, "serve"], cwd=places.logs, env=dict(env),
            stdin=given, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    found = _ready(process, log, began, port, env)
    say(f"The bridge is ready on port {port}." + (" It has taken the initial prompt." if prompt else ""))
    problem = found.get("problem")
    if isinstance(problem, dict):
        warn(f"Kiro cannot be asked yet: {problem.get('cause', '')} {problem.get('remedy', '')}")


def _ready(
    process: subprocess.Popen[bytes], log: Path, began: int, port: int, env: Mapping[str, str]
) -> dict[str, Any]:
    """Return the first status of the bridge. Raises `ProvisionError` when it ends or takes too long."""
    limit = time.monotonic() + READY_SECONDS
    while True:
        code = process.poll()
        if code is not None:
            raise _failed(f"it ended with exit code {code}", log, began, env)
        found = status(port)
        if found is not None and process.poll() is None:
            return found
        if time.monotonic() > limit:
            process.terminate()
            raise _failed(f"it did not answer on port {port} within {READY_SECONDS:g} s", log, began, env)
        _PAUSE.wait(0.05)


def _failed(cause: str, log: Path, began: int, env: Mapping[str, str]) -> ProvisionError:
    lines = [blot_out(line, env) for line in _since(log, began)]
    reasons = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    for line in lines[-_TAIL_LINES:]:
        say(f"  {line}")
    reason = f": {reasons[-1]}" if reasons else "."
    return ProvisionError(
        f"The bridge could not be started: {cause}{reason}",
        f"The whole log is {log}; correct what it names and start the workspace again.",
        code="start_failed",
    )


def _since(log: Path, began: int) -> list[str]:
    with open(log, "rb") as file:
        file.seek(began)
        return file.read(1 << 20).decode(errors="replace").splitlines()


def _rotate(log: Path) -> None:
    """Put a log that has grown large away, and the oldest of those out."""
    if not log.exists() or log.stat().st_size < _LOG_BYTES:
        return
    for number in range(_OLD_LOGS, 0, -1):
        older = log.with_name(f"{LOG}.{number}")
        newer = log.with_name(f"{LOG}.{number - 1}") if number > 1 else log
        if newer.exists():
            os.replace(newer, older)
