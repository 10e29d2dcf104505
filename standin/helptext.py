"""Help texts in the shape of the real program's parser.

Invariant: built from the tables of `options`, never written by hand per release; layout as in facts/kiro-stores.md
D.1: the usage names the inner binary, value blocks stand under `Possible values:` or in `[possible values: ...]`, and
the line before `[default: ...]` or `[possible values: ...]` holds ten blanks.
"""

from __future__ import annotations

import textwrap

from standin.options import Option, acp_options, chat_options
from standin.personality import Personality

INDENT = " " * 10
WIDTH = 100


def _wrap(text: str, hanging: str = "") -> list[str]:
    """The text as lines of at most 100 columns, ten blanks in front, later lines moved in by `hanging`."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=INDENT,
        subsequent_indent=INDENT + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _values(option: Option) -> list[str]:
    """The lines that list what an option takes."""
    lines: list[str] = []
    if option.values and option.values[0][1]:
        width = max(len(name) for name, _ in option.values) + 1
        lines += ["", f"{INDENT}Possible values:"]
        for name, meaning in option.values:
            lines += _wrap(f"- {name + ':':<{width}} {meaning}", "  ")
    elif option.values:
        lines += [INDENT, f"{INDENT}[possible values: {', '.join(name for name, _ in option.values)}]"]
    if option.aliases:
        lines += [INDENT, f"{INDENT}[aliases: {', '.join('--' + alias for alias in option.aliases)}]"]
    if option.default:
        lines += [INDENT, f"{INDENT}[default: {option.default}]"]
    return lines


def _entry(option: Option) -> list[str]:
    """One option as the help shows it."""
    short = f"-{option.short}, " if option.short else "    "
    value = f" <{option.value}>" if option.value else ""
    dots = "..." if option.repeats else ""
    return [f"  {short}{option.flag}{value}{dots}", *_wrap(option.text), *_values(option), ""]


def chat_help(personality: Personality) -> str:
    """`kiro-cli chat --help` of this release."""
    lines = [
        "Stand-in for Kiro's assistant in the terminal (not Kiro)",
        "",
        "Usage: kiro-cli-chat chat [OPTIONS] [INPUT]",
        "",
        "Arguments:",
        "  [INPUT]",
        f"{INDENT}The first prompt",
        "",
        "Options:",
    ]
    return _with_options(lines, chat_options(personality))


def _with_options(lines: list[str], options: list[Option]) -> str:
    """The whole text: what stands before the options, and the options."""
    for option in options:
        lines = [*lines, *_entry(option)]
    return "\n".join([*lines, "  -h, --help", f"{INDENT}Print help (see a summary with '-h')"]) + "\n"


def acp_help(personality: Personality) -> str:
    """`kiro-cli acp --help` of this release: the layout of `chat --help` [L]."""
    usage = "Usage: kiro-cli-chat acp [OPTIONS]"
    return _with_options(
        ["Stand-in for Kiro as an ACP agent (not Kiro)", "", usage, "", "Options:"], acp_options(personality)
    )


def root_help() -> str:
    """`kiro-cli --help`."""
    return (
        "A stand-in for kiro-cli: it is not Kiro\n\nUsage: kiro-cli [OPTIONS] [COMMAND]\n\nCommands:\n"
        "  chat      Run a prompt\n  acp       Be an ACP agent on stdin and stdout\n"
        "  whoami    Show who is logged in\n  login     Mark the stand-in as logged in\n"
        "  logout    Mark the stand-in as logged out\n  settings  Read and write settings\n"
        "  standin   How to drive this stand-in: `kiro-cli standin --help`\n\n"
        "Options:\n  -h, --help     Print help\n  -V, --version  Print version\n"
    )
