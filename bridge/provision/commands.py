"""The commands of provisioning: `provision`, `start`, `stop`, `pack-login`.

Invariant: nothing but the parsers is made until a command runs, so that `serve` pays nothing for them.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.errors import BridgeError
    from bridge.provision.inputs import Inputs, Places

Command = Callable[[argparse.Namespace], int]


def add_commands(commands: Any, program: str) -> None:
    """Add the commands to the subparsers of the whole command line; each sets `room_command` to what runs it."""
    config = "JSON file with the module's inputs"
    for name, run, summary in (
        ("provision", _provision, "install kiro-cli, take in the login, write the agent's configuration"),
        ("start", _start, "provision, then start the bridge in the background and wait until it is ready"),
        ("stop", _stop, "give Coder the last messages and end the bridge that `start` started"),
    ):
        parser = _parser(commands, program, name, run, summary)
        parser.add_argument("--config", dest="inputs", metavar="FILE", type=Path, required=True, help=config)
    parser = _parser(commands, program, "pack-login", _pack_login, "print this account's login as auth_tarball")
    parser.add_argument("--database", metavar="FILE", type=Path, help="Kiro's database; default: this account's")
    parser.add_argument("--output", metavar="FILE", type=Path, help="file to write, mode 0600; default: stdout")


def _parser(commands: Any, program: str, name: str, run: Command, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", usage=f"{program} {name} [flags]",
        allow_abbrev=False,
    )  # fmt: skip
    parser.set_defaults(room_command=functools.partial(_run, run))
    return parser


def _run(command: Command, options: argparse.Namespace) -> int:
    """Run a command; a script of the user's that failed gives its exit code on."""
    from bridge.provision.progress import ProvisionError

    try:
        return command(options)
    except ProvisionError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _provision(options: argparse.Namespace) -> int:
    from bridge.provision.steps import alone, provision

    inputs, places = _read(options)
    with alone(places):
        return _exit_code(provision(inputs, places, os.environ))


def _start(options: argparse.Namespace) -> int:
    """Start the bridge even when a step failed, without the initial prompt: its page then shows what is missing."""
    from bridge.provision.launch import launch
    from bridge.provision.steps import alone, provision

    inputs, places = _read(options)
    with alone(places):
        failures = provision(inputs, places, os.environ)
        if not any(failure.problem.code in _FATAL for failure in failures):
            launch(inputs, places, os.environ, with_prompt=not failures)
    return _exit_code(failures)


_FATAL = frozenset({"bad_agent_config", "workdir_missing"})
"""Without these there is nothing the bridge could be started with."""


def _stop(options: argparse.Namespace) -> int:
    from bridge.provision.shutdown import stop

    inputs, places = _read(options)
    stop(inputs, places, os.environ)
    return 0


def _pack_login(options: argparse.Namespace) -> int:
    from bridge.provision.packing import pack_login, write_login

    write_login(pack_login(options.database, os.environ), options.output)
    return 0


def _read(options: argparse.Namespace) -> tuple[Inputs, Places]:
    from bridge.provision.inputs import Places, read_inputs

    inputs = read_inputs(options.inputs)
    return inputs, Places.of(inputs, os.environ)


def _exit_code(failures: list[BridgeError]) -> int:
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0
