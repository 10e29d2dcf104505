"""Files over HTTP: retried with growing pauses, resumed where they broke off, with progress in the log.

Invariant: a file under its final name is whole, as far as the server told its size. Proxies are taken from the
environment; user name and password in an address are sent to its host alone and never shown. Only the standard
library is used.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from bridge.files import make_private_directory
from bridge.provision.opening import private
from bridge.provision.progress import ProvisionError, say, shown_url, size_in_words, warn

TRIES = 5
TIMEOUT = 60.0
"""Seconds without a byte after which a try is given up."""

_CHUNK = 1 << 20
_PROGRESS_SECONDS = 5.0
_LONGEST_PAUSE = 30.0
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_MOST_JSON = 8 << 20

Sleep = Callable[[float], None]


@dataclass(frozen=True)
class Mark:
    """What tells one state of a remote file from another: `ETag`, else `Last-Modified`; empty when it has none."""

    text: str

    @classmethod
    def of(cls, headers: Message) -> Mark:
        """Return the mark in a reply's headers. A weak tag does not allow to resume and is none."""
        tag = headers.get("ETag", "")
        return cls(tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", ""))


class _Again(Exception):
    """A try failed in a way that another may not; the text says how."""


def read_json(url: str, *, timeout: float = TIMEOUT) -> Any:
    """Return the JSON at an address, None when there is none. Raises `OSError` or `ValueError` for all else."""
    try:
        with _open(url, {}, timeout) as reply:
            return json.loads(reply.read(_MOST_JSON))
    except urllib.error.HTTPError as error:
        error.close()
        if 400 <= error.code < 500 and error.code not in _TRANSIENT:
            return None
        raise OSError(f"HTTP status {error.code}") from None
    except http.client.HTTPException as error:
        raise OSError(str(error) or type(error).__name__) from None


def remote_mark(url: str, *, timeout: float) -> Mark:
    """Return the mark of a remote file without fetching it. Raises `OSError`."""
    try:
        with _open(url, {}, timeout, method="HEAD") as reply:
            return Mark.of(reply.headers)
    except urllib.error.HTTPError as error:
        error.close()
        raise
    except http.client.HTTPException as error:
        raise OSError(str(error) or type(error).__name__) from None


def download(url: str, target: Path, *, most: int | None = None, sleep: Sleep = time.sleep) -> Mark:
    """Fetch a file to `target`, mode 0600, and return its mark. Raises `ProvisionError`.

    What an earlier try left in `target` with `.part` added is continued when the server still has the same file.
    `most` bounds the size in bytes.
    """
    make_private_directory(target.parent)
    part = _Part(target)
    for number in range(1, TRIES + 1):
        try:
            mark = _fetch(url, part, most)
            os.replace(part.path, target)
            part.forget()
            return mark
        except _Again as failure:
            if number == TRIES:
                raise _failed(url, f"{failure}, {TRIES} times") from None
            pause = min(_LONGEST_PAUSE, 2.0 ** (number - 1))
            warn(f"{failure}; trying again in {pause:g} s ({number} of {TRIES - 1}).")
            sleep(pause)
        except OSError as error:
            raise local_failure(error, target) from error
    raise AssertionError("the loop returns or raises")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal digits. Raises `OSError`."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(_CHUNK):
            digest.update(part)
    return digest.hexdigest()


def local_failure(error: OSError, path: Path) -> ProvisionError:
    """Return the error for a file of ours that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ProvisionError(
            f"There is no room left on the disk for {path}.",
            "Make room or give the workspace a larger disk; kiro-cli needs about 1.5 GB while it is installed.",
            code="disk_full",
        )
    return ProvisionError(
        f"{error.filename or path} cannot be written: {error.strerror or error}.",
        "Make its folder writable for this account, or name another with module_directory.",
        code="not_writable",
    )


class _Part:
    """An unfinished download: the bytes so far and the mark of the file they belong to."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self._mark = target.with_name(target.name + ".part.mark")

    def so_far(self) -> tuple[int, Mark]:
        """Return how many bytes can be kept, and of what; 0 when it cannot be told what they belong to."""
        try:
            return self.path.stat().st_size, Mark(self._mark.read_text(encoding="utf-8"))
        except OSError:
            return 0, Mark("")

    def remember(self, mark: Mark) -> None:
        """Keep the mark of what is being fetched, if it has one."""
        if mark.text:
            self._mark.write_text(mark.text, encoding="utf-8")
        else:
            self._mark.unlink(missing_ok=True)

    def forget(self) -> None:
        """Drop bytes and mark."""
        self._mark.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def _fetch(url: str, part: _Part, most: int | None) -> Mark:
    """Fetch what is missing of a file into `part`. Raises `_Again`, `ProvisionError`, `OSError` for our own disk."""
    size, mark = part.so_far()
    asked = {"Range": f"bytes={size}-", "If-Range": mark.text} if size and mark.text else {}
    try:
        reply = _open(url, asked, TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            part.forget()
            raise _Again("the server does not have the rest of the file that was begun") from None
        if error.code in _TRANSIENT:
            raise _Again(f"{shown_url(url)} answered with HTTP status {error.code}") from None
        raise _refused(url, error.code) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Again(f"{shown_url(url)} cannot be reached ({_reason(error)})") from None
    with reply:
        start = size if reply.status == 206 and _continues(reply.headers, size) else 0
        if reply.status == 206 and start != size:
            part.forget()
            raise _Again("the server sent another part of the file than was asked for")
        part.remember(Mark.of(reply.headers))
        _save(reply, part.path, start, url, most)
        return Mark.of(reply.headers)


def _save(reply: http.client.HTTPResponse, path: Path, start: int, url: str, most: int | None) -> None:
    length = reply.headers.get("Content-Length")
    total = start + int(length) if length and length.isdigit() else None
    if most is not None and (total or 0) > most:
        raise _too_large(url, most)
    if total is not None and total - start > shutil.disk_usage(path.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    progress = _Progress(start, total)
    with open(path, "r+b" if start else "wb", opener=private) as file:
        file.truncate(start)
        file.seek(start)
        while part := _read(reply, url):
            file.write(part)
            progress.add(len(part))
            if most is not None and progress.done > most:
                raise _too_large(url, most)
    if total is not None and progress.done != total:
        raise _Again(f"the connection to {shown_url(url)} broke after {size_in_words(progress.done)}")


def _read(reply: IO[bytes], url: str) -> bytes:
    try:
        return reply.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Again(f"the connection to {shown_url(url)} broke ({_reason(error)})") from None


class _Progress:
    """Says every few seconds how far a download is."""

    def __init__(self, start: int, total: int | None) -> None:
        self.done = start
        self._total = total
        self._next = time.monotonic() + _PROGRESS_SECONDS
        if start:
            say(f"  continued after {size_in_words(start)}")

    def add(self, count: int) -> None:
        """Count bytes that came in."""
        self.done += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_SECONDS
            of = f" of {size_in_words(self._total)} ({100 * self.done // self._total} %)" if self._total else ""
            say(f"  {size_in_words(self.done)}{of}")


def _open(url: str, headers: Mapping[str, str], timeout: float, *, method: str = "GET") -> http.client.HTTPResponse:
    parts = urllib.parse.urlsplit(url)
    account, _, host = parts.netloc.rpartition("@")
    plain = urllib.parse.urlunsplit(parts._replace(netloc=host))
    request = urllib.request.Request(plain, headers={"User-Agent": "kiro-bridge", **headers}, method=method)
    if account:
        known = base64.b64encode(urllib.parse.unquote(account).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {known}")
    reply = urllib.request.build_opener().open(request, timeout=timeout)
    assert isinstance(reply, http.client.HTTPResponse)
    return reply


def _continues(headers: Message, size: int) -> bool:
    return re.match(rf"bytes {size}-", headers.get("Content-Range", "")) is not None


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", None)
    return str(inner if inner is not None else error) or type(error).__name__


def _refused(url: str, status: int) -> ProvisionError:
    if status in (401, 403):
        remedy = "Let this workspace read it, or choose another address with the input that names it."
    else:
        remedy = "Check the address and the version, and that a mirror has the file under exactly this path."
    return ProvisionError(f"{shown_url(url)} answered with HTTP status {status}.", remedy, code="download_refused")


def _failed(url: str, cause: str) -> ProvisionError:
    host = urllib.parse.urlsplit(url).hostname
    return ProvisionError(
        f"The download failed: {cause}.",
        f"Let this workspace reach {host} (HTTPS_PROXY and NO_PROXY are honoured), or name a mirror it can reach.",
        code="download_failed",
    )


def _too_large(url: str, most: int) -> ProvisionError:
    return ProvisionError(
        f"The file at {shown_url(url)} is larger than {size_in_words(most)}.",
        "Name the right file.",
        code="download_too_large",
    )
