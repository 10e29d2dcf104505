"""The PID file: says which process is the bridge (facts/agentapi-contract.md 4.3).

Invariant: a file that names another live process is never touched, and only the process that wrote it removes it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from bridge.errors import StartError
from bridge.files import replace_file


class PidFile:
    """The PID file at `path`, an absolute path; held for the length of a `with` block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> PidFile:
        """Acquire the file. Raises `StartError`."""
        self.acquire()
        return self

    def __exit__(self, *failure: object) -> None:
        """Release the file."""
        self.release()

    def acquire(self) -> None:
        """Write our process id, mode 0600, with missing parent directories as 0700.

        What is stale or not a number is overwritten. Raises `StartError` when the file names another live process or
        cannot be written.
        """
        owner = self.owner()
        if owner not in (None, os.getpid()) and is_alive(owner):
            raise StartError(
                f"another instance is already running with PID {owner} (PID file: {self.path}).",
                "Stop it, or give this one another --pid-file.",
            )
        try:
            self.write()
        except OSError as error:
            raise StartError(
                f"the PID file {self.path} cannot be written: {error.strerror}.",
                "Name a path in a directory of yours with --pid-file.",
            ) from error

    def release(self) -> None:
        """Remove the file if it still holds our process id. A file that is gone is fine."""
        if self.owner() == os.getpid():
            with suppress(OSError):
                self.path.unlink()

    def owner(self) -> int | None:
        """Return the process id in the file, or None when there is no file or no positive number in it."""
        try:
            text = self.path.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            return None
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) else None

    def write(self) -> None:
        """Put our process id into the file in one step, so that no reader meets half of it."""
        replace_file(self.path, f"{os.getpid()}\n".encode())


def is_alive(pid: int) -> bool:
    """Return whether a process with that id exists, whoever owns it."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
