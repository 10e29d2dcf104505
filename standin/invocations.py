"""A record of how the stand-in was started, for tests: KIRO_STANDIN_LOG names the file.

Invariant: one JSON line per start, appended by one write; of an API key only whether there is one.
"""

from __future__ import annotations

import os
import sys

_recorded = False
_SHOWN = ("NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM")
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def record(stdin_bytes: int | None) -> None:
    """Add this start's line, unless it is there: `{argv, cwd, stdin_bytes, env, api_key, pid, pgid, sid}`;
    `stdin_bytes` is null when stdin was not read."""
    global _recorded
    path = os.environ.get("KIRO_STANDIN_LOG")
    if _recorded or not path:
        return
    _recorded = True
    import json

    env = {name: value for name, value in os.environ.items() if name.startswith("KIRO_") or name in _SHOWN}
    env = {
        name: value
        for name, value in env.items()
        if not any(word in name for word in _SECRET) or name == "KIRO_STANDIN_TOKEN_DELAY"
    }
    line = {
        "argv": sys.argv[1:],
        "cwd": os.getcwd(),
        "stdin_bytes": stdin_bytes,
        "env": env,
        "api_key": bool(os.environ.get("KIRO_API_KEY")),
        "pid": os.getpid(),
        "pgid": os.getpgrp(),
        "sid": os.getsid(0),
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)
