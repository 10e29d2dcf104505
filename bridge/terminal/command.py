"""The command `attach`: its flags, and which kind of chat suits the terminal.

Invariants: only the flags are made until the command runs. Without a terminal that can move its cursor nothing but
text is written.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

HISTORY = 100
HISTORY_MOST = 500
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_LINE_TERMINALS = frozenset({"", "dumb", "unknown"})


@dataclass(frozen=True)
class Options:
    """What attach was told. `session` None is the primary one; `once` is a prompt, `-` for standard input."""

    url: str
    session: str | None = None
    history: int = HISTORY
    once: str | None = None


def add_command(commands: Any, program: str) -> None:
    """Add `attach` to the subparsers of the whole command line; `room_command` is what runs it."""
    summary = "chat in the terminal with the bridge that runs"
    parser = commands.add_parser(
        "attach", help=summary, description=f"{summary.capitalize()}.", usage=f"{program} attach [flags]",
        allow_abbrev=False,
    )  # fmt: skip
    parser.set_defaults(room_command=_run)
    parser.add_argument("--url", help="address of the bridge (default: where the settings host and port say)")
    parser.add_argument("--session", metavar="ID", help="session to attach to (default: that of the working folder)")
    parser.add_argument(
        "--history", metavar="N", type=_count, default=HISTORY,
        help=f"show the last N parts of the conversation, up to {HISTORY_MOST} (default: {HISTORY})",
    )  # fmt: skip
    parser.add_argument("--once", metavar="PROMPT", help="send this prompt (- reads it), print the answer, and end")


def _run(flags: argparse.Namespace) -> int:
    from bridge.settings import load
    from bridge.terminal.attach import attach

    url = flags.url
    if url is None:
        settings = load({}, os.environ, Path.cwd())
        url = address(settings.host, settings.port)
    return attach(Options(url, flags.session, flags.history, flags.once))


def address(host: str, port: int) -> str:
    """Return where a bridge on this machine answers that listens on `host` and `port`."""
    named = _ANY_ADDRESS.get(host, host)
    return f"http://{f'[{named}]' if ':' in named else named}:{port}"


def plain(stdin: TextIO, stdout: TextIO, env: Mapping[str, str] = os.environ) -> bool:
    """Return whether only text may be written: no terminal, one without a movable cursor, or `NO_COLOR`."""
    if not stdin.isatty() or not stdout.isatty() or sys.platform == "win32":
        return True
    unicode = (stdout.encoding or "").lower().replace("-", "") == "utf8"
    return not unicode or env.get("TERM", "") in _LINE_TERMINALS or bool(env.get("NO_COLOR"))


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() and len(text) < 10 else 0
    if not 1 <= number <= HISTORY_MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {HISTORY_MOST}")
    return number
