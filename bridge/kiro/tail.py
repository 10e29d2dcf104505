"""Files of Kiro that are read again and again: append-only logs and documents that are replaced whole.

Invariant: read-only, nothing is kept open between reads, and a file that has not changed costs one `stat`. Only whole
lines leave; each leaves once unless the file turns out to be another one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bridge.kiro import loose

Trouble = Literal["vanished", "unreadable", "rewritten", "damaged"]

_CHUNK = 1 << 20
_PRINT = 64
_Signature = tuple[int, int, int, int]


@dataclass(frozen=True)
class Line:
    """A line without its end; `offset` is where it begins, in bytes. One that is not `ended` may still grow."""

    offset: int
    data: bytes
    ended: bool = True


class Tail:
    """The lines that are appended to a file.

    The last 64 bytes before the place reached are read again with the new ones: when they differ, or the file got
    shorter, the file was rewritten and is read from its beginning. `rewritten` and `trouble` tell of the last read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rewritten = False
        self.trouble: Trouble | None = None
        self._signature: _Signature | None = None
        self._forget()

    def _forget(self) -> None:
        self._offset = 0
        self._print = b""
        self._rest = bytearray()

    def mark(self) -> dict[str, Any]:
        """Return the place reached, JSON-ready: `offset` in bytes and `print`, the bytes before it in hexadecimal."""
        return {"offset": self._offset, "print": self._print.hex()}

    def go_to(self, mark: Mapping[str, Any]) -> None:
        """Go to the place that `mark` returned; what cannot be one is the beginning."""
        self._forget()
        offset = loose.whole(mark.get("offset"))
        try:
            self._print = bytes.fromhex(str(mark.get("print", "")))[-_PRINT:]
        except ValueError:
            return
        self._offset = max(offset or 0, len(self._print))

    def go_to_end(self) -> None:
        """Go to the end of the file as it is now; a line that is being written there is passed over."""
        self._forget()
        descriptor = self._open()
        if descriptor is None:
            return
        try:
            about = os.fstat(descriptor)
            self._print = os.pread(descriptor, _PRINT, max(0, about.st_size - _PRINT))
            self._offset = max(0, about.st_size - _PRINT) + len(self._print)
            self._signature = _signature(about)
        except OSError:
            self._forget()
        finally:
            os.close(descriptor)

    def lines(self, *, final: bool = False) -> Iterator[Line]:
        """Yield the lines that are new; `final` also yields a last line without an end, and keeps it."""
        self.rewritten, self.trouble = False, None
        if self._changed():
            descriptor = self._open()
            if descriptor is not None:
                try:
                    yield from self._new_lines(descriptor)
                except OSError:
                    self.trouble, self._signature = "unreadable", None
                finally:
                    os.close(descriptor)
        if final and self._rest.strip():
            yield Line(self._offset - len(self._rest), bytes(self._rest), ended=False)

    def _changed(self) -> bool:
        try:
            return _signature(os.stat(self.path)) != self._signature
        except FileNotFoundError:
            self.trouble = "vanished" if self._signature is not None or self._offset else None
        except (OSError, ValueError):
            self.trouble = "unreadable"
        self._signature = None
        return False

    def _open(self) -> int | None:
        """Open the file if it is a plain one: opening a pipe would wait for ever."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            self.trouble = "unreadable"
            return None
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
        except OSError:
            pass
        os.close(descriptor)
        self.trouble = "unreadable"
        return None

    def _new_lines(self, descriptor: int) -> Iterator[Line]:
        about = os.fstat(descriptor)
        self._signature = _signature(about)
        start = self._offset - len(self._print)
        known = os.pread(descriptor, len(self._print), start) if self._print else b""
        if about.st_size < self._offset or known != self._print:
            self._forget()
            self.rewritten = True
        while chunk := os.pread(descriptor, _CHUNK, self._offset):
            yield from self._taken(chunk)

    def _taken(self, chunk: bytes) -> Iterator[Line]:
        begin = self._offset - len(self._rest)
        self._offset += len(chunk)
        self._print = (self._print + chunk[-_PRINT:])[-_PRINT:]
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline:
            self._rest += chunk
            return
        block = bytes(self._rest) + head if self._rest else head
        self._rest = bytearray(tail)
        for data in block.split(b"\n"):
            stripped = data.strip()
            if stripped:
                yield Line(begin, stripped)
            begin += len(data) + 1


class Document:
    """A JSON object in a file that Kiro replaces whole; `value` is the last one that could be read, None before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.value: loose.JsonDict | None = None
        self.trouble: Trouble | None = None
        self._signature: _Signature | None = None

    def refresh(self) -> bool:
        """Read the file if it has changed; return whether `value` is new."""
        try:
            about = os.stat(self.path)
            found = _signature(about)
            if found == self._signature:
                return False
            self._signature = found
            if not stat.S_ISREG(about.st_mode):
                self.trouble = "unreadable"
                return False
            data = self.path.read_bytes()
        except FileNotFoundError:
            self.trouble = "vanished" if self.value is not None else None
            self._signature = None
            return False
        except (OSError, ValueError):
            self.trouble, self._signature = "unreadable", None
            return False
        return self._take(data)

    def _take(self, data: bytes) -> bool:
        try:
            value = loose.parsed(data)
        except loose.NotJson:
            value = None
        if not isinstance(value, dict):
            self.trouble = "damaged"
            return False
        self.trouble, self.value = None, value
        return True


def _signature(about: os.stat_result) -> _Signature:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
