"""The vocabulary every feed speaks: live streams, terminal output and Kiro's stores all yield these events.

Invariant: an event says what Kiro did, never what should be shown. Merging preview and record, order, and the one
terminal event of a turn are decided in `bridge.core.turn` alone.

Ids (`key`) are Kiro's own: `message_id`, `tool_use_id`, row ids. In v2 a message id is unique only within its file
(facts/kiro-wire.md 18), so keys are unique only within one session of the bridge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.errors import Problem

Engine = Literal["v1", "v2", "v3"]
Level = Literal["info", "warning", "error"]
Speaker = Literal["text", "thought"]
ToolStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
Outcome = Literal["completed", "cancelled", "failed", "interrupted"]
OptionKind = Literal["allow_once", "allow_always", "reject_once", "reject_always", "answer"]
ApprovalEnd = Literal["answered", "expired", "interrupted"]
StepStatus = Literal["pending", "running", "completed"]

TOOL_ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True)
class SessionKnown:
    """Kiro's own id of the conversation this turn belongs to has been learned, or has changed."""

    kiro_id: str
    engine: Engine


@dataclass(frozen=True)
class TextDelta:
    """Live text of the running message, in the order of the wire: a preview, to be confirmed by `MessageRecorded`.

    `stream_id` names the live message where the wire has a name for it (v3 `replayId`, which is also the id of the
    stored row); None means "the current one". `agent` is the id of a sub-agent's session, or None for the main one.
    """

    text: str
    speaker: Speaker = "text"
    stream_id: str | None = None
    agent: str | None = None


@dataclass(frozen=True)
class MessageBreak:
    """The live message ended; text that follows belongs to another one."""

    agent: str | None = None


@dataclass(frozen=True)
class MessageRecorded:
    """A finished message as Kiro's store holds it: the truth, replacing any preview of it. `text` may be empty."""

    key: str
    text: str
    speaker: Speaker = "text"
    at: float | None = None
    agent: str | None = None


@dataclass(frozen=True)
class PromptRecorded:
    """Kiro's store holds a user prompt. `text` is what Kiro wrote down, which may be wrapped or generated."""

    key: str
    text: str
    at: float | None = None


@dataclass(frozen=True)
class ToolSeen:
    """What is known of one tool call; fields that are None are unknown or unchanged, never empty.

    `output` is text for people (already joined and decoded), `exit_code` of a shell command where there is one,
    `recorded` tells that a store said so. Seconds since the epoch in `at`.
    """

    key: str
    name: str | None = None
    title: str | None = None
    kind: str | None = None
    status: ToolStatus | None = None
    input: Mapping[str, Any] | None = None
    output: str | None = None
    exit_code: int | None = None
    locations: tuple[str, ...] | None = None
    purpose: str | None = None
    recorded: bool = False
    at: float | None = None
    agent: str | None = None


@dataclass(frozen=True)
class UsageSeen:
    """Credits spent and context used, as totals of this turn for the given `agent`; None means unknown."""

    credits: float | None = None
    context_percent: float | None = None
    duration_ms: int | None = None
    agent: str | None = None


@dataclass(frozen=True)
class Notice:
    """Something a person should know that is neither an answer nor the end of a turn.

    `key` makes it unique within the turn: the same key is shown once.
    """

    key: str
    text: str
    level: Level = "info"


@dataclass(frozen=True)
class ApprovalOption:
    """One way to answer. `id` is Kiro's own; `kind` says what it does, `answer` being one answer to a question."""

    id: str
    label: str
    kind: OptionKind


@dataclass(frozen=True)
class ApprovalAsked:
    """Kiro waits for a person: may this tool run, or which of these answers is it?

    `key` is unique for the life of the session. `title` names what is asked for, `text` says what will run or asks the
    question. `tool_key` is the tool call it is about, `question` tells that no trust setting may answer it.
    """

    key: str
    title: str
    options: tuple[ApprovalOption, ...]
    tool_key: str | None = None
    text: str = ""
    question: bool = False
    agent: str | None = None


@dataclass(frozen=True)
class ApprovalClosed:
    """Kiro no longer waits: somebody answered with `option`, the time was over, or the turn went on without."""

    key: str
    status: ApprovalEnd
    option: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class PlanStep:
    """One step of a plan."""

    text: str
    status: StepStatus = "pending"


@dataclass(frozen=True)
class PlanSeen:
    """Kiro's plan as it stands now; it replaces the one before of the same `agent`."""

    steps: tuple[PlanStep, ...]
    agent: str | None = None


@dataclass(frozen=True)
class TitleSeen:
    """Kiro gave the conversation a title."""

    title: str


@dataclass(frozen=True)
class MessagesRemoved:
    """Kiro's own history no longer holds these keys (compaction, rewind, clear). What was shown stays shown."""

    keys: tuple[str, ...] = field(default=())
    reason: str = ""


@dataclass(frozen=True)
class Ended:
    """The turn is over. The first one counts; a feed yields nothing after it.

    `recorded` says that Kiro's store holds the whole answer, so that a preview which no record confirmed is not a
    part of it.
    """

    outcome: Outcome
    problem: Problem | None = None
    recorded: bool = False


FeedEvent = (
    SessionKnown
    | TextDelta
    | MessageBreak
    | MessageRecorded
    | PromptRecorded
    | ToolSeen
    | UsageSeen
    | Notice
    | ApprovalAsked
    | ApprovalClosed
    | PlanSeen
    | TitleSeen
    | MessagesRemoved
    | Ended
)
