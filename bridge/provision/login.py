"""Kiro's login, from the tarball into this workspace.

Invariant: a tarball that was taken in once is never taken in again, since the login goes on by itself and an old copy
of it would undo that; conversations in an existing database stay; nothing of the login is ever printed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bridge.files import make_private_directory, replace_file
from bridge.kiro.environment import API_KEY
from bridge.kiro.locations import find_locations
from bridge.provision import login_database
from bridge.provision.archive import extract_database
from bridge.provision.download import download, local_failure
from bridge.provision.inputs import Inputs, Places
from bridge.provision.progress import ProvisionError, say, shown_url
from bridge.provision.secrets import TARBALL, tarball_text

MOST_BYTES = 1 << 30


def log_in(inputs: Inputs, places: Places, environ: Mapping[str, str]) -> None:
    """Bring in the login that was given, if any. Raises `ProvisionError`."""
    target = find_locations(environ).database
    try:
        data = _given(inputs, places, environ)
        if data is None:
            return
        digest, before = hashlib.sha256(data).hexdigest(), stamp(places)
        if target.exists() and before == digest:
            say("The login tarball is the one that was taken in before; nothing to do.")
            return
        _take_in(data, target, first=before is None)
        replace_file(_stamp_file(places), digest.encode())
    except OSError as error:
        raise local_failure(error, target) from error


def stamp(places: Places) -> str | None:
    """Return the sha256 of the tarball that was taken in last, None before the first."""
    try:
        return _stamp_file(places).read_text(encoding="ascii").strip()
    except OSError:
        return None


def decoded(text: str) -> bytes:
    """Return the archive in a base64 text, in which white space does not matter. Raises `ProvisionError`."""
    packed = re.sub(r"\s+", "", text)
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ProvisionError(
            f"The login tarball in {TARBALL} is not base64 text.",
            "Give the output of `kiro-bridge pack-login` as it is, whole and without quotes.",
            code="login_unreadable",
        ) from None


def _given(inputs: Inputs, places: Places, environ: Mapping[str, str]) -> bytes | None:
    if text := tarball_text(environ).strip():
        return decoded(text)
    if inputs.auth_tarball_path:
        return _read(inputs.auth_tarball_path, places)
    if environ.get(API_KEY):
        say(f"Kiro logs in with {API_KEY}; there is no tarball to unpack.")
    else:
        say("No login was given. If nobody is logged in yet, run `kiro-cli login` in a terminal of this workspace.")
    return None


def _read(source: str, places: Places) -> bytes:
    """Return the tarball at a path or an address, base64 text or not."""
    if re.match(r"https?://", source):
        say(f"Downloading the login tarball from {shown_url(source)}")
        make_private_directory(places.state)
        with tempfile.TemporaryDirectory(prefix=".login-", dir=places.state) as folder:
            path = Path(folder) / "tarball"
            download(source, path, most=MOST_BYTES)
            data = path.read_bytes()
    else:
        path = places.home / source[2:] if source.startswith("~/") else Path(source)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ProvisionError(
                f"The login tarball {path} cannot be read ({error.strerror}).",
                "Correct auth_tarball_path, or make the file readable for this account.",
                code="login_unreadable",
            ) from None
    return decoded(data.decode("ascii")) if re.fullmatch(rb"[A-Za-z0-9+/=\s]+", data) else data


def _take_in(data: bytes, target: Path, *, first: bool) -> None:
    make_private_directory(target.parent)
    folder = Path(tempfile.mkdtemp(prefix=".login-", dir=target.parent))
    try:
        database = extract_database(data, folder)
        login_database.check(database)
        if not _is_used(target):
            login_database.move_into_place(database, target)
            say(f"Took in the login as {target}")
        elif first and login_database.ends(target) > login_database.ends(database):
            say("This workspace has a newer login than the tarball; it is kept.")
        else:
            login_database.replace_login(database, target)
            say(f"Replaced the login in {target}; the conversations in it were kept.")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_used(target: Path) -> bool:
    """Return whether there is a database of Kiro's that must be kept."""
    return target.exists() and target.stat().st_size > 0 and login_database.has_tables(target)


def _stamp_file(places: Places) -> Path:
    return places.state / "login.sha256"
