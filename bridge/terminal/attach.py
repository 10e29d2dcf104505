"""`kiro-bridge attach`: chooses the kind of chat and starts it.

Invariant: `rich` and `prompt_toolkit` are imported only when a terminal can show what they write.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from bridge.terminal.client import Client, Refused
from bridge.terminal.command import Options, plain
from bridge.terminal.lines import LineChat
from bridge.terminal.once import once

INTERRUPTED = 130


def attach(options: Options) -> int:
    """Chat until the person leaves, or send one prompt; return the exit code.

    Raises `BridgeError` when no bridge answers, or it is not one, or has no such session.
    """
    client = Client(options.url)
    _look(client, options)
    _lenient(sys.stdin, sys.stdout, sys.stderr)
    try:
        return _chat(client, options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python would fail once more while it flushes standard output at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _look(client: Client, options: Options) -> None:
    """Fail now when there is nothing to attach to; a bridge that is starting is waited for later."""
    try:
        known = [str(session["id"]) for session in client.sessions()["sessions"]]
        if options.session is not None and options.session not in known:
            raise Refused(
                404, "unknown-session", f"There is no session {options.session!r}.",
                f"Leave --session away, or take one of {', '.join(known)}.",
            )  # fmt: skip
    except Refused as error:
        if not error.passes:
            raise


def _chat(client: Client, options: Options) -> int:
    if options.once is not None:
        prompt = sys.stdin.read() if options.once == "-" else options.once
        return once(client, options.session, prompt, sys.stdout, sys.stderr)
    if plain(sys.stdin, sys.stdout):
        return LineChat(client, options.session, options.history, sys.stdin, sys.stdout).run()
    from bridge.terminal.screen import ScreenChat

    return ScreenChat(client, options.session, options.history).run()


def _lenient(*streams: TextIO) -> None:
    """What cannot be encoded becomes a question mark instead of an exception."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
