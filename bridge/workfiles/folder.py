"""A session's folder, and the only way to open or make a file in it.

Invariants: a path is resolved first, and must then lie in the folder; what is opened is reached step by step from the
folder's own descriptor without following any link, so that a link that somebody puts in between leads nowhere. Only
regular files are opened; none of them is waited for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from bridge.workfiles.refusals import FileRefused, NoSuchFile, OutsideFolder

_STEP = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LONGEST = 4096
_SWAPPED = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)


@dataclass(frozen=True)
class OpenFile:
    """A file that was opened: its path within the folder, its bytes, its size, and when it changed (epoch seconds)."""

    path: str
    file: IO[bytes]
    size: int
    changed_at: float


class Folder:
    """A folder by its path. It is looked at anew for each file."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)

    def relative(self, path: str) -> str:
        """Return where `path`, relative or absolute, leads within the folder, with all links resolved.

        Raises OutsideFolder, and FileRefused for what can be no path at all. The file need not exist.
        """
        if not path or "\0" in path or len(os.fsencode(_encodable(path))) > _LONGEST:
            raise FileRefused(f"{path[:80]!r} can be no path.", "Give a path within the session's folder.")
        try:
            real = os.path.realpath(os.path.join(self.root, path))
        except OSError as error:  # a link went away while it was followed
            raise _refusal(path, error) from error
        inside = os.path.relpath(real, self.root)
        if inside == ".." or inside.startswith("../") or os.path.isabs(inside):
            raise OutsideFolder(f"{path!r} is not in the folder of the session.", "Give a path within that folder.")
        return PurePosixPath(inside).as_posix()

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[OpenFile]:
        """Give the file at `path`, open for reading. Raises what `relative` raises, NoSuchFile and FileRefused."""
        found = self.open(path)
        with found.file:
            yield found

    def open(self, path: str) -> OpenFile:
        """Return the file at `path`, open for reading, to be closed by the caller. Raises as `opened` does."""
        inside = self.relative(path)
        *steps, name = inside.split("/")
        try:
            with self._directory(steps) as directory:
                descriptor = os.open(name, _FILE, dir_fd=directory)
        except OSError as error:
            raise _refusal(path, error) from error
        return _regular(descriptor, path, inside)

    def exists(self, path: str) -> bool:
        """Return whether `path` leads to a regular file in the folder."""
        return self.size(path) is not None

    def size(self, path: str) -> int | None:
        """Return the size of a regular file in the folder in bytes, None where there is none."""
        try:
            found = os.stat(os.path.join(self.root, self.relative(path)), follow_symlinks=False)
        except (OSError, FileRefused):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    @contextlib.contextmanager
    def directory(self) -> Iterator[int]:
        """Give a descriptor of the folder itself. Raises NoSuchFile where it is gone."""
        try:
            with self._directory([]) as found:
                yield found
        except FileNotFoundError as error:
            raise NoSuchFile(f"The folder {self.root} does not exist any more.", "Create it again.") from error

    @contextlib.contextmanager
    def _directory(self, steps: list[str]) -> Iterator[int]:
        """Give a descriptor of the directory that `steps` lead to, none of which may be a link."""
        descriptor = os.open(self.root, _STEP)
        try:
            for step in steps:
                following = os.open(step, _STEP, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = following
            yield descriptor
        finally:
            os.close(descriptor)


def _regular(descriptor: int, path: str, inside: str) -> OpenFile:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no ordinary file"
        raise FileRefused(f"{path!r} is {what}.", "Give the path of a file.", code="not_a_file")
    return OpenFile(inside, os.fdopen(descriptor, "rb"), found.st_size, found.st_mtime)


def _refusal(path: str, error: OSError) -> FileRefused:
    if error.errno in _SWAPPED:
        return OutsideFolder(f"{path!r} changed into a link while it was opened.", "Ask again.")
    if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
        return NoSuchFile(f"There is no file {path!r} in the folder of the session.", "List the files and use a path.")
    reason = os.strerror(error.errno or 0).lower()
    return FileRefused(f"{path!r} cannot be opened: {reason}.", "Check who may read it.")


def _encodable(path: str) -> str:
    """Return the path if it can be a file's name at all, else a text that is too long for one."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return "x" * (_LONGEST + 1)
    return path
