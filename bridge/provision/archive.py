"""Kiro's database out of a login tarball, which may come from anywhere.

Invariant: only files called `data.sqlite3` and its companions are ever written, under names of our own; an archive
with a link, a device or a path that leads outside is refused as a whole, and what it unpacks to is bounded.
"""

from __future__ import annotations

import io
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from gzip import BadGzipFile, GzipFile
from pathlib import Path, PurePosixPath
from typing import Protocol

from bridge.provision.progress import ProvisionError

MOST_BYTES = 1 << 30
MOST_FILES = 10_000
DATABASE = "data.sqlite3"
_COMPANIONS = ("-wal", "-journal")
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b"
_TAR_MARK = (257, b"ustar")
_MOST_WINDOW = 1 << 27
"""Memory a zstd archive may ask for, in bytes: what `zstd` itself takes without being told to take more."""



class _TooMuch(Exception):
    """More came out of the archive than is allowed."""


class _Source(Protocol):
    """Bytes to be read once, from the beginning."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` of the next bytes."""


class _Bounded(io.RawIOBase):
    """A reader that gives at most so many bytes."""

    def __init__(self, source: _Source, most: int) -> None:
        self._source = source
        self._left = most

    def readable(self) -> bool:
        """It can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes. Raises `_TooMuch`."""
        part = self._source.read(size if size >= 0 else 1 << 16)
        self._left -= len(part)
        if self._left < 0:
            raise _TooMuch
        return part


def extract_database(data: bytes, folder: Path) -> Path:
    """Write the database in a tarball (zstd, gzip or plain) into the folder and return its path.

    Raises `ProvisionError` for an archive that is damaged, hostile or without a database, `OSError` for the disk.
    """
    try:
        with ExitStack() as stack:
            source = _Bounded(_opened(data, stack), MOST_BYTES + MOST_FILES * 2048)
            tar = stack.enter_context(tarfile.open(fileobj=source, mode="r|"))
            found = _extract(tar, folder)
    except _TooMuch:
        raise _refused(f"it unpacks to more than {MOST_BYTES >> 30} GiB") from None
    except (tarfile.TarError, BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise _unreadable(str(error)) from None
    except OSError as error:
        if error.errno is None:
            raise _unreadable(str(error)) from None
        raise
    if not found:
        raise _unreadable(f"there is no {DATABASE} in it")
    return folder / DATABASE


def _opened(data: bytes, stack: ExitStack) -> _Source:
    if data.startswith(_ZSTD):
        return stack.enter_context(_ZstdSource(data))
    if data.startswith(_GZIP):
        return stack.enter_context(GzipFile(fileobj=io.BytesIO(data)))
    start, mark = _TAR_MARK
    if data[start : start + len(mark)] != mark:
        raise _unreadable("it is neither a zstd nor a gzip archive, nor a plain tar")
    return io.BytesIO(data)


class _ZstdSource:
    """What a zstd archive holds; its errors are those of a file that ends too early."""

    def __init__(self, data: bytes) -> None:
        import zstandard

        self._errors = zstandard.ZstdError
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW)
        self._inner = decompressor.stream_reader(data, read_across_frames=True)

    def __enter__(self) -> _ZstdSource:
        return self

    def __exit__(self, *failure: object) -> None:
        self._inner.close()  # type: ignore[no-untyped-call]

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes. Raises `EOFError` for data that is damaged."""
        try:
            return self._inner.read(size)
        except self._errors as error:
            raise EOFError(str(error)) from None


def _extract(tar: tarfile.TarFile, folder: Path) -> bool:
    """Write the database and its companions; return whether there was one. The one nearest to the top is taken."""
    best: PurePosixPath | None = None
    for member, path in _checked(tar):
        name = next((DATABASE + tail for tail in ("", *_COMPANIONS) if path.name == DATABASE + tail), None)
        if name is None or (best is not None and not _preferred(path.parent, best)):
            continue
        if best is not None and path.parent != best:
            for tail in ("", *_COMPANIONS):
                (folder / (DATABASE + tail)).unlink(missing_ok=True)
        best = path.parent
        source = tar.extractfile(member)
        assert source is not None
        with source, open(folder / name, "wb") as file:
            shutil.copyfileobj(source, file)
            if file.tell() != member.size:
                raise EOFError("it ends in the middle of a file")
        (folder / name).chmod(0o600)
    return (folder / DATABASE).exists()


def _preferred(folder: PurePosixPath, best: PurePosixPath) -> bool:
    """Return whether a folder is the one taken so far, or better: nearer to the top, and Kiro's before Q's."""

    def rank(path: PurePosixPath) -> tuple[bool, int]:
        return path.name == "amazon-q", len(path.parts)

    return folder == best or rank(folder) < rank(best)


def _checked(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Yield the regular files of an archive. Raises `ProvisionError` for one that must not be unpacked."""
    size = 0
    for number, member in enumerate(tar, start=1):
        path = PurePosixPath(member.name)
        size += member.size
        if number > MOST_FILES:
            raise _refused(f"it holds more than {MOST_FILES} files")
        if size > MOST_BYTES or member.size < 0:
            raise _refused(f"it unpacks to more than {MOST_BYTES >> 30} GiB")
        if path.is_absolute() or ".." in path.parts or "\0" in member.name:
            raise _refused(f"the entry {member.name!r} leads outside of it")
        if member.issym() or member.islnk():
            raise _refused(f"the entry {member.name!r} is a link")
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise _refused(f"the entry {member.name!r} is neither a file nor a folder")
        if member.isreg():
            yield member, path


def _refused(cause: str) -> ProvisionError:
    return ProvisionError(
        f"The login tarball was refused: {cause}.",
        "Make a new one with `kiro-bridge pack-login`, which packs the login alone.",
        code="login_refused",
    )


def _unreadable(cause: str) -> ProvisionError:
    return ProvisionError(
        f"The login tarball cannot be read: {cause}.",
        "Make a new one with `kiro-bridge pack-login`, or: cd ~/.local/share/kiro-cli && tar -c data.sqlite3 | zstd |"
        " base64 -w 0",
        code="login_unreadable",
    )
