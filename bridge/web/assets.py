"""The page's own files: styles and modules, each compressed once.

Invariant: their address names the digest of all of them, so that a browser may keep them for ever and never mixes two
versions.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

_STATIC = Path(__file__).with_name("static")
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@dataclass(frozen=True)
class Asset:
    """A file as it is sent: `packed` with gzip."""

    data: bytes
    packed: bytes
    content_type: str


@functools.cache
def assets() -> dict[str, Asset]:
    """Return all files by their path in the folder."""
    return {
        path.relative_to(_STATIC).as_posix(): _asset(path)
        for path in sorted(_STATIC.rglob("*"))
        if path.suffix in _TYPES and path.is_file()
    }


@functools.cache
def version() -> str:
    """Return a name of this state of all files."""
    digest = hashlib.sha256()
    for name, asset in assets().items():
        digest.update(name.encode() + b"\0" + asset.data)
    return digest.hexdigest()[:12]


@functools.cache
def modules() -> tuple[str, ...]:
    """Return the modules of the chat page, for the browser to ask for all of them at once."""
    return tuple(name for name in assets() if name.endswith(".js") and name not in ("main.js", "theme.js"))


def _asset(path: Path) -> Asset:
    data = path.read_bytes()
    return Asset(data, gzip.compress(data, mtime=0), _TYPES[path.suffix])
