"""Stopping the bridge when the workspace stops.

Invariant: what Coder says or fails to say never keeps the bridge from ending, and everything is bounded in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.coder import snapshot
from bridge.errors import BridgeError
from bridge.provision import started
from bridge.provision.inputs import Inputs, Places
from bridge.provision.progress import ProvisionError, say, warn
from bridge.provision.running import ask, end, running_bridge

SNAPSHOT_MESSAGES = 10
_TIMEOUT = 10.0


def stop(inputs: Inputs, places: Places, environ: Mapping[str, str]) -> None:
    """Give Coder the last messages, then end the bridge. One that does not run is fine. Raises `ProvisionError`."""
    pid = running_bridge(places)
    if pid is None:
        say("The bridge does not run; nothing to stop.")
        return
    if inputs.task_log_snapshot:
        known = started.read(places)
        _snapshot(inputs, environ, known.port if known else inputs.port)
    say(f"Stopping the bridge (process {pid}).")
    if not end(pid, places):
        raise ProvisionError(
            f"The bridge (process {pid}) is still there after SIGKILL.",
            "It waits for a disk or network file system that does not answer; it ends when that does.",
            code="stop_failed",
        )


def _snapshot(inputs: Inputs, environ: Mapping[str, str], port: int) -> None:
    url, token = environ.get("CODER_AGENT_URL", ""), environ.get("CODER_AGENT_TOKEN", "")
    task = inputs.task_id or environ.get("CODER_TASK_ID", "")
    if not (url and token and task):
        say("No log snapshot is sent: this is no task of Coder.")
        return
    try:
        messages: list[dict[str, Any]] = ask(port, "/messages", _TIMEOUT)["messages"][-SNAPSHOT_MESSAGES:]
        kept = snapshot.send(messages, agent_url=url, token=token, task_id=task, timeout=_TIMEOUT)
        say("Coder has the last messages." if kept else "Coder keeps no messages of this task.")
    except (BridgeError, OSError, ValueError, KeyError, TypeError) as error:
        warn(f"the last messages could not be given to Coder: {error}")
