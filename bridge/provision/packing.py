"""A login tarball that holds the login alone: `kiro-bridge pack-login`.

Invariant: no conversation, history or setting is in it, and it is written for its owner's eyes only.
"""

from __future__ import annotations

import base64
import io
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bridge.files import replace_file
from bridge.kiro.locations import find_locations
from bridge.provision import login_database
from bridge.provision.archive import DATABASE
from bridge.provision.progress import ProvisionError

_MOST_CHARACTERS = 4 * 131_000
"""What `auth_tarball` takes: the module spreads it over variables of 131,000 characters (facts/coder-platform.md 7)."""


def pack_login(database: Path | None, environ: Mapping[str, str]) -> str:
    """Return the login in a database (by default this account's) as base64 text. Raises `ProvisionError`."""
    import zstandard

    source = database or find_locations(environ).database
    if not source.exists():
        raise ProvisionError(
            f"There is no database {source}.",
            "Log in with `kiro-cli login` on this machine first, or name the file with --database.",
            code="no_login",
        )
    login_database.check(source)
    with tempfile.TemporaryDirectory(prefix="kiro-login-") as folder:
        copy = Path(folder) / DATABASE
        login_database.copy_login(source, copy)
        packed = zstandard.ZstdCompressor(level=19).compress(_tar(copy.read_bytes()))
    return base64.b64encode(packed).decode()


def write_login(text: str, output: Path | None) -> None:
    """Write the packed login to a file, mode 0600, or to standard output, with what must be known of it on stderr."""
    if output is None:
        print(text)
    else:
        replace_file(output, text.encode() + b"\n")
    for line in advice(text, output):
        print(line, file=sys.stderr)


def advice(text: str, output: Path | None) -> list[str]:
    """Return what the one who packs a login must know."""
    lines = [
        f"Packed the login ({len(text)} bytes of base64) to {output or 'standard output'}.",
        "Keep it secret: whoever has it is logged in as you. Hand it to the module as auth_tarball, from a sensitive",
        "variable, and pack it again after a logout or a new login.",
    ]
    if len(text) > _MOST_CHARACTERS:
        lines.append(f"The module takes at most {_MOST_CHARACTERS} bytes in auth_tarball: use auth_tarball_path.")
    return lines


def _tar(database: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entry = tarfile.TarInfo(f"./{DATABASE}")
        entry.size, entry.mode = len(database), 0o600
        tar.addfile(entry, io.BytesIO(database))
    return buffer.getvalue()
