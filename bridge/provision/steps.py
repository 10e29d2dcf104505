"""All steps of provisioning, in their order.

Invariant: each step may be run again at any time and then does only what is missing.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bridge.errors import BridgeError
from bridge.files import make_private_directory
from bridge.provision import agent, login, program
from bridge.provision.download import local_failure
from bridge.provision.inputs import Inputs, Places
from bridge.provision.opening import private
from bridge.provision.progress import ProvisionError, say
from bridge.provision.scripts import run_script

Step = Callable[[Inputs, Places, Mapping[str, str]], object]


def provision(inputs: Inputs, places: Places, environ: Mapping[str, str]) -> list[BridgeError]:
    """Run all steps and return what failed; the post-install script runs only when nothing did.

    Raises `ProvisionError` for a script that failed, and for a pre-install script before anything else is done.
    """
    run_script("pre_install", inputs.pre_install_script, places, environ)
    failures: list[BridgeError] = []
    steps: tuple[Step, ...] = (_make_workdir, program.install, login.log_in, agent.configure)
    for step in steps:
        try:
            step(inputs, places, environ)
        except BridgeError as error:
            say(f"This step failed: {error.problem.cause}")
            failures.append(error)
    if not failures:
        run_script("post_install", inputs.post_install_script, places, environ)
        say("Provisioning is done.")
    return failures


@contextlib.contextmanager
def alone(places: Places) -> Iterator[None]:
    """Let one process at a time provision and start. Raises `ProvisionError` when the folder cannot be used."""
    try:
        make_private_directory(places.root)
        file = open(places.root / ".lock", "w", encoding="ascii", opener=private)  # noqa: SIM115 # closed below
    except OSError as error:
        raise local_failure(error, places.root) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another start of this module.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_workdir(inputs: Inputs, places: Places, environ: Mapping[str, str]) -> None:
    workdir = Path(inputs.workdir)
    if workdir.is_dir():
        return
    try:
        workdir.mkdir(parents=True)
    except OSError as error:
        raise ProvisionError(
            f"The folder {workdir} is not there and cannot be made ({error.strerror}).",
            "Set workdir to a folder of this account.",
            code="workdir_missing",
        ) from error
    say(f"Made the folder {workdir}")
