"""Process tricks: the launcher with its worker, dying, and children left behind.

Invariant: nothing here leaves the process group it was started in unless its name says so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

_launcher_pid = 0


def die() -> NoReturn:
    """End this process, and the launcher that waits for it, by SIGKILL."""
    if _launcher_pid:
        os.kill(_launcher_pid, signal.SIGKILL)
    die_alone()


def die_alone() -> NoReturn:
    """End this process by SIGKILL; a launcher lives on and sees it."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit(1)


def leave_child(seconds: float, own_session: bool, hold_pipes: bool) -> None:
    """Start `sleep` and do not wait for it; it holds stdout and stderr open only when asked to."""
    sink = None if hold_pipes else subprocess.DEVNULL
    command = ["/bin/sh", "-c", f"exec sleep {seconds:g}"]
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=own_session)


def launch(work: Callable[[], int], ends_with_launcher: bool) -> int:
    """Run `work` in a child of this process and return its exit code (facts/kiro-cli.md 5.6, facts/kiro-stores.md A.9
    row 6).

    The child holds the reading end of a pipe. On v2 it ends when the launcher is gone (`ends_with_launcher`); the
    engine of v3 does not (facts/kiro-wire.md 15). A child that was killed gives 1 [L]. Neither handles SIGINT: both
    die of it [L]."""
    global _launcher_pid
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    reading, writing = os.pipe()
    launcher = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(writing)
        _launcher_pid = launcher
        if ends_with_launcher:
            threading.Thread(target=_end_with, args=(reading,), daemon=True).start()
        code = 1
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return 1 if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def _end_with(reading: int) -> None:
    """Exit as soon as the other end of the pipe is closed."""
    os.read(reading, 1)
    os._exit(1)
