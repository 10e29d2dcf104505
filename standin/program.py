"""The program: which command was asked for.

Invariant: `--version` needs nothing but the standard library's smallest parts; every other import happens where it is
needed.
"""

from __future__ import annotations

import os
import sys
import time

from standin import invocations
from standin.personality import Personality, current

COMMANDS = ("chat", "whoami", "settings", "login", "logout", "acp", "standin")


#: The environment the stand-in listens to, besides the real program's own.
KNOBS = {
    "KIRO_STANDIN_VERSION": "the release played: 1.28, 2.5, 2.19, 2.28 (default), 3.0 or three numbers",
    "KIRO_STANDIN_START_DELAY": "seconds before `chat` or `acp` does anything",
    "KIRO_STANDIN_TOKEN_DELAY": "seconds after each piece of text, whatever the script says",
    "KIRO_STANDIN_LOGGED_OUT": "1, error, device or browser; methods: `acp` of v2 lists a way to log in",
    "KIRO_STANDIN_FAULT": "NAME ARGUMENT: a fault from the start, see below",
    "KIRO_STANDIN_SCRIPT": "the script file",
    "KIRO_STANDIN_COUNTER": "where the script's next turn is kept",
    "KIRO_STANDIN_JOURNAL": "wal: the database is in that mode",
    "KIRO_STANDIN_LEGACY_TABLE": "1: v1 writes the older table `conversations`",
    "KIRO_STANDIN_LOG": "a file that gets one JSON line per start",
}


def _split(argv: list[str]) -> tuple[str, list[str]]:
    """Command and its arguments. Flags before the command go to it (`kiro-cli --v3 chat`, facts/kiro-stores.md D.2);
    without a command it is `chat`."""
    for position, argument in enumerate(argv):
        if argument in COMMANDS:
            return argument, argv[:position] + argv[position + 1 :]
        if not argument.startswith("-"):
            break
    return "chat", argv


def _chat(rest: list[str], personality: Personality) -> int:
    """`chat`: help, lists, removals, or a run."""
    from standin import arguments, console, database

    try:
        parsed = arguments.parse_chat(rest, personality)
    except arguments.UsageError as error:
        console.err(str(error))
        return 2
    if parsed.help:
        from standin.helptext import chat_help

        console.out(chat_help(personality))
        return 0
    time.sleep(float(os.environ.get("KIRO_STANDIN_START_DELAY") or 0))
    database.connect().close()  # every start makes sure of the tables (facts/kiro-cli.md 4.3, recording `logged_out`)
    from standin import chat

    engine = chat.choose_engine(parsed, personality)
    if parsed.has("list-sessions") or parsed.has("list-models") or parsed.has("delete-session"):
        from standin import lists

        if parsed.has("list-sessions"):
            return lists.list_sessions(parsed, personality, engine)
        return lists.list_models(parsed) if parsed.has("list-models") else lists.delete_session(parsed, engine)
    return chat.run(parsed, personality)


def _driving_help() -> str:
    """How to drive the stand-in: the script module's own text and the table of faults."""
    from standin import faults, script
    from standin.acp import misbehaviour

    tables = {
        "Faults (name, what happens, section of the facts)": faults.TABLE,
        "Over ACP besides": misbehaviour.TABLE,
        "Over ACP at a method, in KIRO_STANDIN_FAULT only": misbehaviour.AT,
    }
    text = f"{script.__doc__}\nEnvironment:\n\n" + "".join(f"  {name:<25} {what}\n" for name, what in KNOBS.items())
    for title, table in tables.items():
        lines = [f"  {name:<22} {what}  [{where}]" for name, (what, where) in table.items()]
        text += f"\n{title}:\n\n" + "\n".join(lines) + "\n"
    return text


def _other(command: str, rest: list[str], personality: Personality) -> int:
    """Every command but `chat`."""
    from standin import console, login

    if command == "whoami":
        return login.whoami(rest)
    if command == "login":
        return login.log_in(rest)
    if command == "logout":
        return login.log_out()
    if command == "settings":
        from standin.settings_file import settings

        return settings(rest)
    if command == "standin":
        console.out(_driving_help())
        return 0
    return _acp(rest, personality)


def _acp(rest: list[str], personality: Personality) -> int:
    """`acp`: help or the agent."""
    from standin import arguments, console

    try:
        parsed = arguments.parse_acp(rest, personality)
    except arguments.UsageError as error:
        console.err(str(error))
        return 2
    if parsed.help:
        from standin.helptext import acp_help

        console.out(acp_help(personality))
        return 0
    time.sleep(float(os.environ.get("KIRO_STANDIN_START_DELAY") or 0))
    from standin.acp import entry

    return entry.run(parsed, personality)


def main(argv: list[str]) -> int:
    """Run the command line; the exit code. What is wrong with the stand-in's own set-up ends with 2."""
    try:
        return _run(argv, current())
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"error: {error}: the stand-in needs a home folder it can write to\n")
        return 1
    finally:
        invocations.record(None)


def _run(argv: list[str], personality: Personality) -> int:
    """The command; its exit code."""
    command, rest = _split(argv)
    if argv[:1] in (["--version"], ["-V"]):
        sys.stdout.write(f"kiro-cli {personality.label}\n")
        return 0
    if argv[:1] in (["--help"], ["-h"]):
        from standin.helptext import root_help

        sys.stdout.write(root_help())
        return 0
    return _chat(rest, personality) if command == "chat" else _other(command, rest, personality)
