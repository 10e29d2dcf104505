"""Misbehaviours on request: `!standin fault NAME [ARGUMENT]`, a script's fault step, or KIRO_STANDIN_FAULT="NAME
ARGUMENT".

Invariant: `TABLE` names every fault, what it does and the section it plays; a fault acts at its place in the turn,
the ones of KIRO_STANDIN_FAULT before the prompt is read.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time

from standin import console, database, invocations, places
from standin.failures import BY_NAME
from standin.model import Failure, Store
from standin.processes import die, die_alone, leave_child

_ERRORS = "ends the run with that error (exit 1; mcp-startup 3, agent-not-found 4, auth-exit-0 0)"
TABLE: dict[str, tuple[str, str]] = {
    "die": ("SIGKILL to the whole program, here", "kiro-cli 5.3, 14 no. 8"),
    "die-after": ("ARG = K: the same right after the K-th chunk of the turn", "kiro-cli 14 no. 8"),
    "die-worker": ("SIGKILL to the worker only; the launcher of v2/v3 ends with 1", "kiro-cli 5.6"),
    "exit": ("ARG = code: ends at once, no last line, nothing more written", "kiro-stores A.8"),
    "silent": ("exit 0 with no answer and no record", "kiro-cli 3.4, 5.3"),
    "empty-answer": ("the message ends here with an empty text: a finished turn", "kiro-cli 14 no. 16"),
    "binary-answer": ("says NUL, ESC, CR, a bracketed-paste end and a ZWJ sequence", "kiro-cli 14 no. 18"),
    "half-line": ("v2, v3: writes half of the next line, then dies", "kiro-cli 4.1; kiro-stores B.4"),
    "half-line-completed": ("v2, v3: half of the next line now, the rest after ARG s (1)", "kiro-stores B.4"),
    "lock-database": ("a child holds the database exclusively for ARG s (3)", "kiro-cli 1"),
    "wal": ("turns the database to WAL", "kiro-cli 1"),
    "shrink-history": ("v1: all but the last entry go; v2, v3: the file is emptied", "kiro-cli 3.4"),
    "compact": ("v1: history goes into latest_summary; v3: tombstone row; v2: no trace", "kiro-cli 3.1; kiro-wire 18"),
    "clear": ("v1: history emptied; v2: Clear line; v3: tombstone row", "kiro-cli 14 no. 17, 4.1"),
    "rewind": ("v1: the last entry goes; v2, v3: goes on in a new session", "kiro-wire 18; kiro-stores B.10"),
    "compaction-line": ("v2: a Compaction line", "kiro-cli 4.1"),
    "reset-to": ("v2: a ResetTo line to ARG", "kiro-cli 4.1"),
    "cancelled-prompt": ("v2: a CancelledPrompt line", "kiro-cli 4.1"),
    "unknown-lines": ("v2, v3: a line of an unknown kind; stream: an unknown type", "kiro-stores A.2, B.4"),
    "model-timeout": ("v1: a made-up Response, then the CLI goes on by itself", "kiro-cli 3.4"),
    "recreate-database": (
        "the database is replaced by an empty one; the turn leaves no more",
        "kiro-cli 2 (Kiro#10697)",
    ),
    "remove-database": ("the database file is removed; the turn leaves no more", "kiro-cli 2 (Kiro#10697)"),
    "remove-conversation": (
        "row or files of the conversation vanish; the turn leaves no more",
        "kiro-stores C (#9728)",
    ),
    "device-login": ("prints a device code and waits for ever", "kiro-stores A.8"),
    "flood": ("ARG MB (10) of junk lines to stdout", "kiro-stores A.1"),
    "flood-stderr": ("ARG MB (10) of log lines to stderr", "kiro-stores A.1"),
    "huge-line": ("one stdout line of ARG MB (2), JSON of an unknown type in stream-json", "kiro-stores A.5"),
    "noise": ("log lines, blank and half JSON lines on stdout", "kiro-cli 5.4"),
    "no-terminal-line": ("stream-json: the last line is left out, exit as ever", "kiro-stores A.8"),
    "final-truncated": ("stream-json: finalText cut and finalTextTruncated true", "kiro-stores A.8"),
    "stop-reason": ("ends with stop reason ARG; refusal and cancelled exit 1", "kiro-stores A.8"),
    "ignore-sigint": (
        "SIGINT has no effect, on tools neither (a script file and ACP need KIRO_STANDIN_FAULT for it)",
        "kiro-cli 5.6",
    ),
    "ignore-signals": ("the same with SIGINT, SIGTERM and SIGHUP", "kiro-cli 5.6"),
    "leave-child": ("a `sleep ARG` (30) in the same group outlives the run", "kiro-stores A.9 row 6"),
    "leave-child-session": ("the same in a session of its own", "kiro-stores A.9 row 6"),
    "leave-child-pipe": ("the same, same group, holding stdout and stderr open", "kiro-stores A.9 row 6"),
    "linger": ("ARG s (5) between the last line and the exit", "kiro-stores A.9 row 7"),
    "deaf": ("never reads stdin and sleeps (only KIRO_STANDIN_FAULT)", "kiro-cli 5.2"),
    **dict.fromkeys(BY_NAME, (_ERRORS, "kiro-cli 5.3, 5.9; kiro-stores A.8")),
}
#: Faults that must hold for launcher and worker alike, so they act before the worker is started.
EARLY = ("ignore-sigint", "ignore-signals")
BINARY = "NUL[\0] ESC[\x1b[31mred\x1b[0m] CR[\r] paste[\x1b[201~] family[\U0001f468\u200d\U0001f469\u200d\U0001f467]"


class RunFailed(Exception):
    """The run ends with this failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.name)
        self.failure = failure


class RunEnds(Exception):
    """The run ends here with `code`, as if nothing more was to be said."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


def wait_for_login() -> None:
    """The device code on stdout, then no end (facts/kiro-stores.md A.8, recorded at 2.29.0)."""
    invocations.record(None)
    url = "https://example.invalid/start/#/device?user_code=ABCD-EFGH"
    console.out(f"\nConfirm the following code in the browser\nCode: ABCD-EFGH\n\nOpen this URL: {url}\n")
    while True:
        time.sleep(3600)


def ignore_signals(name: str) -> None:
    """Do one of the EARLY faults."""
    signals = [signal.SIGINT] if name == "ignore-sigint" else [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    for number in signals:
        signal.signal(number, signal.SIG_IGN)


def _hold_database(seconds: float) -> None:
    """A child takes an exclusive transaction; this returns when it has it."""
    database.connect().close()
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        return
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        connection = sqlite3.connect(places.database(), timeout=30, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        os.write(writing, b"1")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
    finally:
        os._exit(0)


def _remove_database(store: Store, recreate: bool) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        path = places.database()
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    store.muted = True
    if recreate:
        database.connect().close()


def _flood(megabytes: float, stderr: bool) -> None:
    block = "".join(f"2026-01-01T00:00:00Z INFO standin::flood line {number:06d}\n" for number in range(1200))
    for _ in range(max(1, int(megabytes * 1_000_000 / len(block)))):
        (console.err if stderr else console.out)(block)


def _noise(name: str, argument: str, stream: bool) -> bool:
    """Faults that only write to an output; False for any other."""
    if name in ("flood", "flood-stderr"):
        _flood(float(argument or 10), name == "flood-stderr")
    elif name == "huge-line":
        pad = "x" * int(float(argument or 2) * 1_000_000)
        console.out(console.dumps({"type": "fromTheFuture", "data": {"pad": pad}}) + "\n" if stream else pad + "\n")
    elif name == "noise":
        console.out('2026-01-01T00:00:00Z INFO mcp: connected\n\n{"type":"sessionUpd\n[]\n"text"\n')
    elif name == "unknown-lines" and stream:
        console.line({"type": "fromTheFuture", "data": {"sessionId": None}})
    else:
        return False
    return True


def _process(name: str, argument: str) -> bool:
    """Faults of this process and its children; False for any other."""
    if name == "die":
        die()
    if name == "die-worker":
        die_alone()
    if name in ("exit", "silent"):
        raise RunEnds(int(argument or 0) if name == "exit" else 0)
    if name in EARLY:
        ignore_signals(name)
    elif name.startswith("leave-child"):
        leave_child(float(argument or 30), name == "leave-child-session", name == "leave-child-pipe")
    elif name == "device-login":
        wait_for_login()
    elif name == "deaf":
        time.sleep(float(argument or 86400))
    else:
        return False
    return True


def fire(name: str, argument: str, store: Store, stream: bool) -> None:
    """Do the fault. Raises RunFailed or RunEnds when it ends the run."""
    if name in BY_NAME:
        raise RunFailed(BY_NAME[name])
    wrote = _noise(name, argument, stream)
    if _process(name, argument) or store.damage(name, argument) or wrote:
        return
    if name == "lock-database":
        _hold_database(float(argument or 3))
    elif name == "wal":
        connection = database.connect()
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    elif name in ("recreate-database", "remove-database"):
        _remove_database(store, name == "recreate-database")
    else:
        sys.stderr.write(f"stand-in: the fault {name} means nothing to this engine\n")


def fire_at_start() -> None:
    """The fault of KIRO_STANDIN_FAULT, before anything is read. Raises RunFailed, RunEnds, ValueError on one that
    cannot."""
    name, _, argument = os.environ.get("KIRO_STANDIN_FAULT", "").partition(" ")
    if not name:
        return
    invocations.record(None)
    if name in BY_NAME:
        raise RunFailed(BY_NAME[name])
    if name == "lock-database":
        _hold_database(float(argument or 3))
    elif not _noise(name, argument, False) and not _process(name, argument):
        raise ValueError(
            f"KIRO_STANDIN_FAULT names {name!r}, which cannot happen before the prompt is read: use a directive"
        )
