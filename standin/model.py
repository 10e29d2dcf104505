"""What a turn consists of while it runs, shared by the stores and the outputs.

Invariant: plain values and one `Listener` with methods that do nothing; stores and outputs override what concerns
them, so the runner tells every one of them the same story in the same order.
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

Json = dict[str, Any]
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def new_id() -> str:
    """A fresh uuid as text."""
    return str(uuid.uuid4())


def new_tool_id() -> str:
    """A tool-use id as the model gives it: `tooluse_` and 22 letters (facts/kiro-wire.md 4)."""
    return "tooluse_" + "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(22))


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def iso_millis(ms: int) -> str:
    """A moment as `2026-10-08T20:32:08.850Z` (facts/kiro-stores.md B.4)."""
    moment = datetime.fromtimestamp(ms / 1000, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def iso_micros() -> str:
    """Now as `2026-08-22T01:52:02.394163Z` (facts/kiro-wire.md 18)."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Call:
    """One tool call of a model message. `tool` is shell, read, write, subagent or question; `args` are the script's
    own; an `asked` one needs the user's word whatever is trusted."""

    tool: str
    args: Json
    purpose: str | None = None
    id: str = field(default_factory=new_tool_id)
    asked: bool = False


@dataclass
class Outcome:
    """How a call ended. `status` is ok, error (bad arguments), denied or cancelled; `text` is a non-shell result."""

    status: str
    text: str = ""
    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    seconds: float = 0.0
    agent: Json = field(default_factory=dict)


@dataclass
class Said:
    """One model message: its id, what it said so far, its calls, and the figures of its request."""

    id: str = field(default_factory=new_id)
    request_id: str = field(default_factory=new_id)
    text: str = ""
    thought: str = ""
    calls: list[Call] = field(default_factory=list)
    started_ms: int = field(default_factory=now_ms)
    ended_ms: int = 0
    chunks: int = 0

    @property
    def credits(self) -> float:
        """What the request cost: a made-up figure that grows with the text."""
        return 0.0159 + len(self.text) / 100_000


@dataclass
class TurnInfo:
    """A turn as a whole. `said` grows with every model message; ids are made here so that stream and store share
    them."""

    prompt: str
    cwd: str
    agent: str
    model: str
    user_id: str = field(default_factory=new_id)
    execution_id: str = field(default_factory=new_id)
    started_ms: int = field(default_factory=now_ms)
    said: list[Said] = field(default_factory=list)
    final_text: str = ""
    child_credits: float = 0.0

    @property
    def context_percent(self) -> float:
        """Share of the context window in use, 0 to 100: made up, growing with the turn."""
        return 1.2198 + len(self.prompt) / 40_000 + sum(len(said.text) for said in self.said) / 20_000

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the turn began."""
        return now_ms() - self.started_ms


@dataclass(frozen=True)
class Failure:
    """An error that ends a run: `stage` and `message` of the stream's runError, lines for a terminal, exit code.

    A `plain` one is never a runError: its message goes to stderr as it stands, whatever the output format."""

    name: str
    message: str
    exit_code: int = 1
    stage: str = "prompt"
    stream_message: str = ""
    plain: bool = False


class Listener:
    """What the runner tells of a turn. Every method may be left as it is."""

    def begin(self, info: TurnInfo) -> None:
        """The prompt was accepted."""

    def message_begins(self, info: TurnInfo, said: Said) -> None:
        """The model is asked."""

    def chunk(self, said: Said, text: str) -> None:
        """The model said `text`."""

    def thought(self, said: Said, text: str) -> None:
        """The model thought `text`."""

    def message_ends(self, info: TurnInfo, said: Said) -> None:
        """The model's message is complete; `said.calls` are what it wants to run."""

    def tool_begins(self, call: Call) -> None:
        """A call was allowed and starts."""

    def tool_output(self, call: Call, text: str) -> None:
        """A running command wrote `text`."""

    def tool_ends(self, info: TurnInfo, call: Call, outcome: Outcome) -> None:
        """A call has its result."""

    def turn_ends(self, info: TurnInfo, stop_reason: str) -> None:
        """The model has finished."""

    def turn_fails(self, info: TurnInfo, failure: Failure) -> None:
        """The turn ended with an error."""

    def close(self) -> None:
        """The process is about to end in an orderly way."""


class Store(Listener):
    """A conversation store. `session_id` is known from the start; a muted store writes nothing more."""

    session_id: str = ""
    turns_before: int = 0
    muted: bool = False

    def damage(self, name: str, argument: str) -> bool:
        """Do a store fault (faults.TABLE); False when this store does not know it."""
        del name, argument
        return False
