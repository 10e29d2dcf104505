"""A start that finds a bridge: whether it is left alone, or ended to make way for another one.

Invariant: a running turn is never ended for changed inputs, since nobody would send its prompt again. They wait for a
later start, and the log says so.
"""

from __future__ import annotations

import threading
import time

from bridge.provision import started
from bridge.provision.inputs import Places
from bridge.provision.progress import ProvisionError, say, warn
from bridge.provision.running import end, is_ours, status
from bridge.provision.started import Started

TURN_SECONDS = 30.0
"""How long a start waits for the running turn: it holds up the rest of the workspace's start."""

_ANSWER_SECONDS = 20.0
_PAUSE = threading.Event()


def make_way(pid: int, places: Places, wanted: Started, *, has_prompt: bool) -> bool:
    """Return whether another bridge is to be started in the place of the running one, which has ended then.

    `has_prompt` says that there is an initial prompt which was not sent yet. Raises `ProvisionError` when the bridge
    that runs does not end.
    """
    known = started.read(places)
    port = known.port if known else wanted.port
    state = _state(pid, places, port)
    if state is None:
        warn(f"the bridge (process {pid}) does not answer on port {port}; another one takes its place.")
    elif known == wanted and not has_prompt:
        say(f"The bridge runs already as process {pid} on port {port}; nothing to do.")
        return False
    else:
        say(f"The bridge (process {pid}) runs with {'other inputs' if known != wanted else 'no initial prompt yet'}.")
        if state != "stable" and not _turn_ends(port):
            warn(
                f"Kiro is still at work, so the bridge stays as it is. The changes take effect at the next start:"
                f" restart the workspace, or run {places.root / 'bin' / 'kiro-bridge'} start --config"
                f" {places.root / 'config.json'} once Kiro is done."
            )
            return False
        say("It is ended, and started again with those of now.")
    if not end(pid, places):
        raise ProvisionError(
            f"The bridge (process {pid}) could not be ended to make way for another one.",
            "Restart the workspace.",
            code="stop_failed",
        )
    return True


def _state(pid: int, places: Places, port: int) -> str | None:
    """Return the bridge's status (`stable`, `running`), None when it does not answer or has ended."""
    limit = time.monotonic() + _ANSWER_SECONDS
    while is_ours(pid, places.pid_file):
        found = status(port)
        if found is not None:
            return str(found.get("status"))
        if time.monotonic() > limit:
            break
        _PAUSE.wait(0.1)
    return None


def _turn_ends(port: int) -> bool:
    """Wait for the running turn, within bounds; return whether it has ended."""
    say(f"Kiro is at work; waiting up to {TURN_SECONDS:g} s for it.")
    limit = time.monotonic() + TURN_SECONDS
    while time.monotonic() < limit:
        _PAUSE.wait(0.2)
        found = status(port)
        if found is not None and found.get("status") == "stable":
            return True
    return False
