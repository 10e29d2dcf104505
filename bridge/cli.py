"""The command line: `kiro-bridge serve`, `kiro-bridge settings`, and the commands of other rooms.

Invariant: flags are made from the declared settings, none is named here; a room adds its commands by itself. Exit
codes: 0 done, 1 a setting or the start failed, 2 the command line itself is wrong, that of the user's own script when
one failed; the reason stands on stderr in a line that begins with `error:`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bridge import __version__
from bridge.diagnostics import command as diagnostics_command
from bridge.errors import BridgeError, UsageError
from bridge.piped_prompt import read_piped_prompt
from bridge.provision import commands as provision_commands
from bridge.settings import SETTINGS, Setting, Settings, load, unknown_variables
from bridge.settings.kinds import FALSE_WORDS, TRUE_WORDS, YesNo
from bridge.terminal import command as terminal_command

PROGRAM = "kiro-bridge"
AGENTAPI_VERSION = "0.12.1"
VERSION_LINE = f"{PROGRAM} {__version__} agentapi version {AGENTAPI_VERSION}"
"""Coder's module compares the last word with AgentAPI's versions (facts/agentapi-contract.md 5.1)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments (default: those of the process) name; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    try:
        known, others = split(parser, words)
        if room_command := known.pop("room_command", None):
            if others:
                raise UsageError(f"the words {' '.join(others)!r} mean nothing to this command.")
            return int(room_command(argparse.Namespace(**known)))
        command: Callable[[Settings, list[str]], int] | None = known.pop("command", None)
        if command is None:
            parser.print_help()
            return 0
        return command(load(known, os.environ, Path.cwd()), others)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BridgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def serve(settings: Settings, others: list[str]) -> int:
    """Start the bridge and return its exit code when it has ended. `others` are words AgentAPI would run."""
    if settings.exit:
        return 0
    if settings.print_openapi:
        from bridge.web.openapi import as_json, openapi_3_0

        print(as_json(openapi_3_0(__version__), indent=2))
        return 0
    for name in unknown_variables(os.environ):
        warn(f"the environment variable {name} names no setting and is not used")
    if others:
        warn(f"the words {' '.join(others)!r} are not used: the bridge finds and runs kiro-cli by itself")
    from bridge.web.server import serve as serve_until_stopped

    return serve_until_stopped(with_piped_prompt(settings))


def show_settings(settings: Settings, others: list[str]) -> int:
    """Print every setting in force and where it came from, in the form of a settings file."""
    if others:
        raise UsageError(f"the command settings takes no words, and was given {' '.join(others)!r}.")
    from bridge.settings.reference import effective  # with PyYAML, which the server does not need

    print(effective(settings), end="")
    return 0


def with_piped_prompt(settings: Settings) -> Settings:
    """Return the settings with the prompt from standard input, where there is one and no other was given."""
    if settings.initial_prompt:
        return settings
    piped = read_piped_prompt(0, settings.start_timeout)
    if piped.ignored:
        warn(piped.ignored)
    return settings.with_initial_prompt(piped.prompt, "standard input") if piped.prompt else settings


def warn(text: str) -> None:
    """Tell the person who starts the bridge something that does not stop it."""
    print(f"warning: {text}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """A parser that raises `UsageError` instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise the error with the command that explains the right usage."""
        raise UsageError(f"{message}.", f"`{self.prog} --help` lists what there is.")


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(prog=PROGRAM, description="AgentAPI and web chat for Kiro CLI.", allow_abbrev=False)
    parser.add_argument("-v", "--version", action="version", version=VERSION_LINE, help="print the version and end")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, aliases, run, summary in (
        ("serve", ["server"], serve, "start the bridge"),
        ("settings", [], show_settings, "print the settings in force and where each came from"),
    ):
        command = commands.add_parser(
            name,
            aliases=aliases,
            help=summary,
            description=f"{summary.capitalize()}. A flag for true or false may stand alone; else --flag false.",
            usage=f"{PROGRAM} {name} [flags]",
            allow_abbrev=False,
        )
        command.set_defaults(command=run)
        add_flags(command)
    provision_commands.add_commands(commands, PROGRAM)
    terminal_command.add_command(commands, PROGRAM)
    diagnostics_command.add_command(commands, PROGRAM, add_flags)
    return parser


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting, in the groups they are declared in."""
    for group in dict.fromkeys(setting.group for setting in SETTINGS):
        section = parser.add_argument_group(group)
        for setting in SETTINGS:
            if setting.group == group:
                names = [f"-{setting.short}"] * bool(setting.short) + [setting.flag]
                section.add_argument(
                    *names,
                    dest=setting.name,
                    action="append",
                    default=argparse.SUPPRESS,
                    metavar="true|false" if isinstance(setting.kind, YesNo) else "VALUE",
                    help=argparse.SUPPRESS if setting.hidden else help_text(setting),
                )


def help_text(setting: Setting) -> str:
    """Return what `--help` says of a setting."""
    default = f" Default: {setting.default_in_words}." if setting.default_in_words else ""
    text = f"{setting.help} ({setting.kind.name}; {', '.join(setting.variables)}){default}"
    return text.replace("%", "%%")


def split(parser: Parser, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return what the flags say and the words besides, which may stand before, between and after them.

    After `--` every word is such a word, as in `server [flags] -- agent args` (facts/agentapi-contract.md 5.2). Raises
    `UsageError` for an unknown flag.
    """
    end = words.index("--") if "--" in words else len(words)
    known, unknown = parser.parse_known_args(with_values(words[:end]))
    for word in unknown:
        if word.startswith("-") and word != "-":
            parser.error(f"there is no flag {word.partition('=')[0]}")
    return vars(known), unknown + list(words[end + 1 :])


def with_values(words: Sequence[str]) -> list[str]:
    """Return the words with each flag for true or false made one with its value.

    `--exit` alone becomes `--exit=true`, and `--exit` with `no` behind it `--exit=no`.
    """
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in BARE_FLAGS and word.lower() in TRUE_WORDS | FALSE_WORDS:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return [f"{word}=true" if word in BARE_FLAGS else word for word in joined]


BARE_FLAGS: frozenset[str] = frozenset(
    name
    for setting in SETTINGS
    if isinstance(setting.kind, YesNo)
    for name in (setting.flag, f"-{setting.short}" if setting.short else setting.flag)
)
