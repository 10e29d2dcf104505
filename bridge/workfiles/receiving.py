"""Keeping a file that is sent into a session's folder.

Invariants: a file is there whole or not at all; one that is there already is never overwritten, whoever made it and
however late.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import IO

from bridge.workfiles.folder import Folder
from bridge.workfiles.names import fitting, safe_name
from bridge.workfiles.refusals import FileRefused

_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES = 1000


class Arrival:
    """A file that is being received: write into `target`, then `keep` it."""

    def __init__(self, target: IO[bytes], directory: int, part: str) -> None:
        self.target = target
        self._directory = directory
        self._part = part
        self._kept = False

    def keep(self, sent: str) -> str:
        """Put the file in its place under the name that was sent, or one like it that is free; return that name.

        Raises OSError, and FileRefused when no name is free.
        """
        self.target.flush()
        wanted = safe_name(sent)
        for number in range(_TRIES):
            name = fitting(wanted, f"-{number}" if number else "")
            try:
                os.close(os.open(name, _MAKE, 0o600, dir_fd=self._directory))  # the name is ours from here on
            except FileExistsError:
                continue
            try:
                os.replace(self._part, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            except OSError:
                os.unlink(name, dir_fd=self._directory)
                raise
            self._kept = True
            return name
        raise FileRefused(f"There are {_TRIES} files like {wanted!r} already.", "Remove some, or send another name.")

    def drop(self) -> None:
        """Take away what was not kept."""
        if not self._kept:
            with contextlib.suppress(OSError):
                os.unlink(self._part, dir_fd=self._directory)


@contextlib.contextmanager
def receiving(folder: Folder) -> Iterator[Arrival]:
    """Give a new file in the folder that is gone afterwards unless it was kept. Raises OSError and NoSuchFile."""
    with folder.directory() as directory:
        part = f".{secrets.token_hex(8)}.upload"
        descriptor = os.open(part, _MAKE, 0o666, dir_fd=directory)
        with os.fdopen(descriptor, "wb") as target:
            arrival = Arrival(target, directory, part)
            try:
                yield arrival
            finally:
                arrival.drop()
