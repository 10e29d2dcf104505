"""How files are opened that grow or that others wait for: never readable by anybody else, whatever the umask.

Invariant: only the standard library is used.
"""

from __future__ import annotations

import os


def private(path: str, flags: int) -> int:
    """Open a file, one that is new with mode 0600; for `open(..., opener=private)`. Raises `OSError`."""
    return os.open(path, flags, 0o600)
