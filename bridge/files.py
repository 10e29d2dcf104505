"""How the bridge makes directories and files that are nobody else's business.

Invariant: what is made here is readable by its owner alone, and a file is either the old one or the new one.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def make_private_directory(path: Path) -> None:
    """Create the directory and every missing parent with mode 0700; existing ones keep theirs. Raises `OSError`."""
    if path.is_dir():
        return
    make_private_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Put `data` in the place of `path`, mode 0600, in one step; missing directories are made.

    `durable` waits until it is on the disk. Raises `OSError`; what stood there is untouched then.
    """
    make_private_directory(path.parent)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
