"""Whether our bridge runs, asking it, and ending it.

Invariant: a signal goes only to a process that is known to be the bridge of this module folder; a number that another
process has by now is not enough.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from bridge.pidfile import PidFile, is_alive
from bridge.provision.inputs import Places
from bridge.provision.progress import say, warn

GRACE_SECONDS = 25.0
"""What a graceful end may take: the bridge ends its turns, which each have some seconds for their own end."""

_KILL_SECONDS = 10.0
_PAUSE = threading.Event()


def running_bridge(places: Places) -> int | None:
    """Return the process id of the bridge of this module folder, None when it does not run."""
    pid = PidFile(places.pid_file).owner()
    return pid if pid is not None and is_ours(pid, places.pid_file) else None


def is_ours(pid: int, pid_file: Path) -> bool:
    """Return whether a process is a bridge that was started with this PID file, and has not ended."""
    if not is_alive(pid):
        return False
    if not sys.platform.startswith("linux"):
        words = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return "bridge" in words.stdout
    place = Path("/proc") / str(pid)
    try:
        variables = (place / "environ").read_bytes().split(b"\0")
        state = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and b"KIRO_BRIDGE_PID_FILE=" + os.fsencode(pid_file) in variables


def status(port: int, timeout: float = 5.0) -> dict[str, Any] | None:
    """Return what `GET /status` of the bridge says, None while it does not answer with 200."""
    try:
        found = ask(port, "/status", timeout)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def ask(port: int, path: str, timeout: float) -> Any:
    """Return the JSON that the bridge answers with. Raises `OSError` and `ValueError`.

    Never through a proxy: the bridge is on this machine.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=timeout) as reply:
        return json.loads(reply.read())


def end(pid: int, places: Places, *, grace: float = GRACE_SECONDS) -> bool:
    """End the bridge, gracefully if it can be; return whether it is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _gone(pid, places.pid_file, grace):
        warn(f"the bridge did not end within {grace:g} s and is ended at once.")
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if not _gone(pid, places.pid_file, _KILL_SECONDS):
            return False
    if PidFile(places.pid_file).owner() == pid:
        places.pid_file.unlink(missing_ok=True)
    say("The bridge has ended.")
    return True


def _gone(pid: int, pid_file: Path, seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while is_ours(pid, pid_file):
        if time.monotonic() > limit:
            return False
        _PAUSE.wait(0.05)
    return True
