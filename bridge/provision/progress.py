"""What provisioning tells on standard output, and the error it stops with.

Invariant: a line says what is being done in plain words, and no line ever holds a secret. Only the standard library
is used, so that the download can run before the bridge's own environment exists.
"""

from __future__ import annotations

import urllib.parse

from bridge.errors import BridgeError


class ProvisionError(BridgeError):
    """A step of provisioning failed. `exit_code` is what the command ends with."""

    def __init__(self, cause: str, remedy: str = "", *, code: str | None = None, exit_code: int = 1) -> None:
        super().__init__(cause, remedy, code=code)
        self.exit_code = exit_code


def say(text: str) -> None:
    """Tell what is being done, at once: the log is read while it grows."""
    print(text, flush=True)


def warn(text: str) -> None:
    """Tell what went wrong without stopping anything."""
    say(f"warning: {text}")


def size_in_words(count: int) -> str:
    """Return a number of bytes as a person reads it: `512 bytes`, `3.4 MB`."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"


def shown_url(url: str) -> str:
    """Return the address without user name, password and query, which may hold secrets."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
