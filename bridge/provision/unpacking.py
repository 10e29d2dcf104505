"""A kiro-cli zip becomes a folder with its programs.

Invariant: nothing is written outside the folder, no link is made, and the size is bounded whatever the zip claims.
Only the standard library is used.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from bridge.provision.progress import ProvisionError

MOST_BYTES = 8 << 30
MOST_FILES = 10_000
PROGRAM = "kiro-cli"

_CHUNK = 1 << 20


def unpack(archive: Path, folder: Path) -> list[Path]:
    """Unpack the zip into the empty folder and return its programs, relative to it, `kiro-cli` first.

    Both layouts are taken: three programs in `kirocli/bin` and a single one (facts/kiro-cli.md 7). Raises
    `ProvisionError` for a zip that is damaged, hostile or without kiro-cli, `OSError` for the disk.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _unpack_all(opened, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise _broken(f"it is damaged or no zip at all ({error})") from None
    except RuntimeError as error:
        raise _broken(f"it cannot be unpacked ({error})") from None
    return _programs(folder)


def _unpack_all(opened: zipfile.ZipFile, folder: Path) -> None:
    entries = opened.infolist()
    if len(entries) > MOST_FILES:
        raise _broken(f"it holds {len(entries)} files, more than {MOST_FILES}")
    left = MOST_BYTES
    for entry in entries:
        path = _confined(entry.filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.is_dir():
            (folder / path).mkdir(parents=True, exist_ok=True)
            continue
        if kind not in (0, stat.S_IFREG):
            raise _broken(f"the entry {entry.filename!r} is a link or a device")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(entry) as source, open(target, "xb") as file:
            left -= _copy(source, file, left)
        target.chmod(0o755 if _is_program(path) or entry.external_attr >> 16 & 0o111 else 0o644)


def _copy(source: IO[bytes], file: IO[bytes], most: int) -> int:
    done = 0
    while part := source.read(_CHUNK):
        done += len(part)
        if done > most:
            raise _broken(f"it unpacks to more than {MOST_BYTES >> 30} GiB")
        file.write(part)
    return done


def _confined(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise _broken(f"the entry {name!r} leads outside of it")
    return path


def _is_program(path: PurePosixPath | Path) -> bool:
    return path.name == PROGRAM or path.name.startswith(f"{PROGRAM}-")


def _programs(folder: Path) -> list[Path]:
    found = sorted(folder.rglob(PROGRAM), key=lambda path: (len(path.parts), path))
    found = [path for path in found if path.is_file()]
    if not found:
        raise _broken("it holds no program kiro-cli")
    beside = [path for path in sorted(found[0].parent.iterdir()) if path.is_file() and _is_program(path)]
    return [path.relative_to(folder) for path in beside]


def _broken(cause: str) -> ProvisionError:
    return ProvisionError(
        f"The downloaded kiro-cli cannot be used: {cause}.",
        "Check the file behind kiro_install_url (an error page or half a file?) and start the workspace again.",
        code="kiro_zip_broken",
    )
