"""kiro-cli where users and the bridge find it.

Invariant: a command of the user's own in `~/.local/bin` is moved aside and told of, never lost.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bridge.errors import Problem
from bridge.files import make_private_directory
from bridge.kiro.finder import find_binary
from bridge.provision.fetch import CURRENT, Cache
from bridge.provision.inputs import Inputs, Places
from bridge.provision.progress import ProvisionError, say, warn
from bridge.provision.secrets import without_login

_VERSION_TIMEOUT = 60.0
_ASIDE = ".before-module"


def install(inputs: Inputs, places: Places, environ: Mapping[str, str]) -> None:
    """Bring the kiro-cli that is asked for and link its programs, or see that one is there. Raises `ProvisionError`."""
    if not inputs.install_kiro_cli:
        found = find_binary(None, environ)
        if isinstance(found, Problem):
            raise ProvisionError(
                f"install_kiro_cli is false, and {found.cause}",
                "Put kiro-cli into the image, name it with KIRO_CLI_PATH, or set install_kiro_cli = true.",
                code="kiro_missing",
            )
        say(f"Using {found}, as install_kiro_cli is false.")
        return
    cache = Cache(places)
    before = os.path.realpath(places.versions / CURRENT)
    folder = cache.ensure(inputs)
    programs = cache.programs()
    if str(folder.resolve()) != before or not all(_is_linked(places.bin / path.name, path) for path in programs):
        _try_out(programs[0], environ)
    for path in programs:
        _link(places.bin / path.name, path, places)


def binary(inputs: Inputs, places: Places) -> Path | None:
    """Return the kiro-cli the bridge is to use, None when it is to find one by itself."""
    programs = Cache(places).programs() if inputs.install_kiro_cli else []
    return programs[0] if programs else None


def _try_out(program: Path, environ: Mapping[str, str]) -> None:
    try:
        result = subprocess.run(
            [str(program), "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_VERSION_TIMEOUT,
            env=without_login(environ), check=False,
        )  # fmt: skip
        said = (result.stdout or result.stderr).decode(errors="replace").strip().partition("\n")[0][:200]
        trouble = "" if result.returncode == 0 else f"ended with exit code {result.returncode} and said {said!r}"
    except subprocess.TimeoutExpired:
        trouble = f"gave no answer within {_VERSION_TIMEOUT:g} s"
    except OSError as error:
        trouble = f"cannot be run ({error.strerror})"
    if trouble:
        raise ProvisionError(
            f"kiro-cli was installed, but {program} --version {trouble}.",
            "Choose another kiro_cli_version, or check that the file is for this machine.",
            code="kiro_broken",
        )
    say(f"Installed {said}.")


def _is_linked(link: Path, program: Path) -> bool:
    return link.is_symlink() and os.readlink(link) == str(program)


def _link(link: Path, program: Path, places: Places) -> None:
    if _is_linked(link, program):
        return
    try:
        make_private_directory(link.parent)
        if link.is_symlink():
            old = os.readlink(link)
            if not old.startswith(f"{places.versions}/"):
                warn(f"{link} led to {old}; it leads to {program} now.")
        elif link.exists():
            aside = link.with_name(link.name + _ASIDE)
            os.replace(link, aside)
            warn(f"{link} was a file of its own; it is kept as {aside.name}, and the link leads to {program} now.")
        fresh = link.with_name(f".{link.name}-{os.getpid()}")
        fresh.symlink_to(program)
        os.replace(fresh, link)
    except OSError as error:
        warn(f"{link} could not be made ({error.strerror}); the bridge uses {program} all the same.")
