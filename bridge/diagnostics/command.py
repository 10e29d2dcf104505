"""The command `doctor`: all checks as a table or as JSON.

Invariant: nothing but the flags is made until the command runs.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_command(commands: Any, program: str, add_flags: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add `doctor` to the subparsers of the whole command line; `add_flags` adds a flag for every setting."""
    summary = "check that everything the bridge needs is there, and say what to do where it is not"
    parser = commands.add_parser(
        "doctor", help=summary, description=f"{summary.capitalize()}. The exit code is 1 when something failed.",
        usage=f"{program} doctor [--json] [flags]", allow_abbrev=False,
    )  # fmt: skip
    parser.set_defaults(room_command=_run)
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON instead of a table")
    add_flags(parser)


def _run(flags: argparse.Namespace) -> int:
    from bridge.diagnostics.check import failed, table
    from bridge.diagnostics.doctor import Doctor
    from bridge.settings import load

    given = dict(vars(flags))
    as_json = given.pop("as_json")
    checks = Doctor(load(given, os.environ, Path.cwd()), os.environ).report().checks
    if as_json:
        print(json.dumps({"checks": [check.as_dict() for check in checks]}, indent=2, ensure_ascii=False))
    else:
        print(table(checks), end="")
    return 1 if failed(checks) else 0
