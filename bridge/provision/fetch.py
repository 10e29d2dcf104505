"""kiro-cli in the cache: `python3 -m bridge.provision.fetch --config FILE` needs nothing but Python's own library.

Invariant: a version's folder is whole or not there; `.current` leads to the one that was asked for last. One process
at a time works on the cache, another waits for it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bridge.errors import BridgeError
from bridge.files import make_private_directory, replace_file
from bridge.provision.download import Mark, Sleep, download, local_failure, read_json, remote_mark, sha256_of
from bridge.provision.inputs import LATEST, Inputs, Places, read_inputs
from bridge.provision.opening import private
from bridge.provision.progress import ProvisionError, say, shown_url, size_in_words, warn
from bridge.provision.release import Listed, file_name, folder_url, listed
from bridge.provision.unpacking import unpack

CURRENT = ".current"
KEEP = 2
"""Versions that stay on the disk, each close to a gigabyte: the present one and the one before."""

_STAMP = ".installed.json"
_CHECK_TIMEOUT = 5.0


@dataclass(frozen=True)
class Installed:
    """What is known of an unpacked kiro-cli: where it came from, and its programs relative to its folder."""

    file: str
    version: str
    sha256: str
    mark: str
    programs: tuple[str, ...]


class Cache:
    """The folder of unpacked versions."""

    def __init__(self, places: Places, *, sleep: Sleep = time.sleep) -> None:
        self._folder = places.versions
        self._sleep = sleep

    def ensure(self, inputs: Inputs) -> Path:
        """Return the folder of the version that is asked for, fetched if need be; `.current` then leads to it.

        Raises `ProvisionError`.
        """
        try:
            make_private_directory(self._folder)
            with self._lock():
                folder = self._known(inputs) or self._fetch(inputs)
                self._point_to(folder)
                self._drop_old(folder)
                return folder
        except OSError as error:
            raise local_failure(error, self._folder) from error

    def programs(self) -> list[Path]:
        """Return the programs of the present version by their lasting paths, `kiro-cli` first."""
        current = self._folder / CURRENT
        stamp = _read_stamp(current)
        return [current / name for name in stamp.programs] if stamp else []

    def _known(self, inputs: Inputs) -> Path | None:
        """Return the folder that holds what is asked for already."""
        name, wanted = file_name(), inputs.kiro_cli_sha256.lower()
        pinned = inputs.kiro_cli_version != LATEST
        folder = self._folder / (inputs.kiro_cli_version if pinned else CURRENT)
        stamp = _read_stamp(folder)
        if stamp is None or stamp.file != name or (wanted and stamp.sha256 != wanted):
            return None
        if not pinned and not wanted and self._has_newer(inputs, stamp):
            return None
        say(f"kiro-cli {stamp.version or inputs.kiro_cli_version} is there already.")
        return folder.resolve()

    def _has_newer(self, inputs: Inputs, stamp: Installed) -> bool:
        """Return whether `latest` is known to be another file by now. A server that cannot be asked is no trouble."""
        url = folder_url(inputs.kiro_install_url, LATEST)
        try:
            found = listed(read_json(f"{url}/manifest.json", timeout=_CHECK_TIMEOUT), stamp.file)
            if found is not None and found.sha256:
                return found.sha256 != stamp.sha256
            mark = remote_mark(f"{url}/{stamp.file}", timeout=_CHECK_TIMEOUT)
        except (OSError, ValueError):
            say("Whether there is a newer kiro-cli could not be asked; the one that is there is used.")
            return False
        return bool(mark.text) and mark.text != stamp.mark

    def _fetch(self, inputs: Inputs) -> Path:
        name = file_name()
        url = f"{folder_url(inputs.kiro_install_url, inputs.kiro_cli_version)}/{name}"
        archive = self._folder / f"{inputs.kiro_cli_version}-{name}"
        for attempt in (1, 2):
            manifest = _manifest(inputs, name)
            wanted = inputs.kiro_cli_sha256.lower() or (manifest.sha256 if manifest else "")
            say(f"Downloading kiro-cli {inputs.kiro_cli_version} from {shown_url(url)}")
            mark = download(url, archive, sleep=self._sleep)
            found = sha256_of(archive)
            if found == wanted or not wanted:
                break
            archive.unlink()
            if attempt == 2:
                raise _wrong_sum(url, wanted, found, given=bool(inputs.kiro_cli_sha256))
            warn("the sha256 of the download is not the expected one; fetching it once more.")
        checked = "its sha256 is the expected one" if wanted else "there is no sha256 to compare it with"
        say(f"Downloaded {size_in_words(archive.stat().st_size)}; {checked}.")
        version = (manifest.version if manifest else "") if inputs.kiro_cli_version == LATEST else ""
        try:
            return self._unpack(archive, name, version or inputs.kiro_cli_version, found, mark)
        finally:
            archive.unlink(missing_ok=True)

    def _unpack(self, archive: Path, name: str, version: str, digest: str, mark: Mark) -> Path:
        say("Unpacking kiro-cli")
        target = self._folder / (f"{LATEST}-{digest[:12]}" if version == LATEST else version)
        fresh = Path(tempfile.mkdtemp(prefix=".unpack-", dir=self._folder))
        try:
            programs = unpack(archive, fresh)
            known = "" if version == LATEST else version
            stamp = Installed(name, known, digest, mark.text, tuple(map(str, programs)))
            replace_file(fresh / _STAMP, json.dumps(asdict(stamp)).encode())
            if target.exists():
                shutil.rmtree(target)
            os.rename(fresh, target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return target

    def _point_to(self, folder: Path) -> None:
        link = self._folder / CURRENT
        if link.is_symlink() and os.readlink(link) == folder.name:
            return
        fresh = self._folder / f"{CURRENT}-{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(folder.name)
        os.replace(fresh, link)
        os.utime(folder)

    def _drop_old(self, present: Path) -> None:
        """Remove all but the newest folders, and what a killed unpacking left."""
        entries = [path for path in self._folder.iterdir() if path.is_dir() and not path.is_symlink()]
        whole = [path for path in entries if (path / _STAMP).exists() and path.name != present.name]
        whole.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        broken = [path for path in entries if path.name.startswith(".unpack-")]
        for path in [*whole[KEEP - 1 :], *broken]:
            say(f"Removing {path.name} of kiro-cli, which is not used any more.")
            shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with open(self._folder / ".lock", "w", encoding="ascii", opener=private) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("Waiting for another process that fetches kiro-cli.")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _manifest(inputs: Inputs, name: str) -> Listed | None:
    url = f"{folder_url(inputs.kiro_install_url, inputs.kiro_cli_version)}/manifest.json"
    try:
        return listed(read_json(url), name)
    except (OSError, ValueError) as error:
        say(f"The manifest {shown_url(url)} cannot be read ({error}).")
        return None


def _read_stamp(folder: Path) -> Installed | None:
    """Return what is known of an unpacked version, None when it is not whole."""
    try:
        found: Any = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
        stamp = Installed(**{**found, "programs": tuple(found["programs"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return stamp if all((folder / name).is_file() for name in stamp.programs) else None


def _wrong_sum(url: str, wanted: str, found: str, *, given: bool) -> ProvisionError:
    source = "the input kiro_cli_sha256" if given else "the manifest beside it"
    return ProvisionError(
        f"The file at {shown_url(url)} has the sha256 {found}, but {source} says {wanted}.",
        "Give the sum of this file, or put the right file there; it was not installed.",
        code="wrong_checksum",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch the kiro-cli that the file named with `--config` asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="bridge.provision.fetch", description="Fetch kiro-cli into the cache.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with the module's inputs")
    try:
        inputs = read_inputs(parser.parse_args(arguments).config)
        if inputs.install_kiro_cli:
            Cache(Places.of(inputs, os.environ)).ensure(inputs)
        return 0
    except BridgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
