"""What the engine asks of the outside: a transport that runs prompts, a store that remembers them.

Invariant: the engine knows these protocols and nothing of how Kiro is run or where it keeps its files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from bridge.core.feed import Engine, FeedEvent
from bridge.core.records import SessionOptions
from bridge.errors import Problem


@dataclass(frozen=True)
class PromptRequest:
    """One prompt to run.

    `cwd` is an absolute, symlink-free path. `kiro_id` is Kiro's id of the conversation to continue, None to start a
    new one. `engine` is the engine of that conversation (None: the transport chooses). `started_at` is in seconds since
    the epoch. `options` are the session's own wishes.
    """

    prompt: str
    cwd: str
    kiro_id: str | None
    engine: Engine | None
    started_at: float
    options: SessionOptions = field(default_factory=SessionOptions)


@dataclass(frozen=True)
class ApprovalAnswer:
    """Somebody answered what Kiro asked under `key`, with the option whose id is `option`."""

    key: str
    option: str
    reason: str = ""


@dataclass(frozen=True)
class Steer:
    """A message into the running turn."""

    text: str


TurnMessage = ApprovalAnswer | Steer


class Cancellation(Protocol):
    """How something that runs is told to stop."""

    def wake_fd(self) -> int:
        """Return a file descriptor that is readable once `cancelled` is true, and while there is more to hear."""

    def cancelled(self) -> bool:
        """Return whether it is to stop."""


class TurnControl(Cancellation, Protocol):
    """How a running turn is told something, and tells what it needs to be found again."""

    def take(self) -> Sequence[TurnMessage]:
        """Return what was said to the turn since the last call, in order."""

    def options(self) -> SessionOptions:
        """Return the session's wishes as they are now; they may change while the turn runs."""

    def remember(self, mark: Mapping[str, Any]) -> None:
        """Keep `mark` (JSON-ready) durably with the turn, for `Transport.recover` after a crash."""


TransportKind = Literal["acp", "headless"]
Feature = Literal["approvals", "steer", "commands", "model", "agent"]


@dataclass(frozen=True)
class Choice:
    """An agent or a model that Kiro offers."""

    id: str
    name: str
    description: str = ""
    current: bool = False


@dataclass(frozen=True)
class Command:
    """A slash command of Kiro's own. `hint` says what its argument is, `choices` that Kiro has a list of them."""

    name: str
    description: str = ""
    hint: str = ""
    choices: bool = False


@dataclass(frozen=True)
class McpServerState:
    """How an MCP server of a session is. `url` is where a login waits; `tools` is their number, None while unknown."""

    name: str
    status: Literal["starting", "connected", "failed", "needs_login", "unknown"]
    tools: int | None = None
    detail: str = ""
    url: str | None = None


@dataclass(frozen=True)
class Surface:
    """What Kiro offers in a session, as it said itself. Empty while it has not been asked."""

    agents: tuple[Choice, ...] = ()
    models: tuple[Choice, ...] = ()
    commands: tuple[Command, ...] = ()
    mcp_servers: tuple[McpServerState, ...] = ()
    features: frozenset[Feature] = frozenset()


class Transport(Protocol):
    """Runs prompts. One transport serves one session; `run` is called from one thread at a time."""

    @property
    def kind(self) -> TransportKind:
        """Return how Kiro is driven."""

    def run(self, request: PromptRequest, control: TurnControl) -> Iterator[Sequence[FeedEvent]]:
        """Run the prompt, yielding batches of events as they happen; the last event of the last batch is `Ended`.

        Never raises for what Kiro does; a failure is an `Ended("failed", problem)`. No process of the run outlives the
        iterator, but what was deliberately detached by a run that was not stopped: it is the user's.
        """

    def recover(self, request: PromptRequest, mark: Mapping[str, Any]) -> Sequence[FeedEvent]:
        """Return what Kiro recorded for a turn that the bridge did not see the end of. Holds no `Ended`."""

    def surface(self) -> Surface:
        """Return what Kiro offers in this session. Cheap: answers from what is known."""

    def command(self, request: PromptRequest, name: str, argument: str) -> str:
        """Run one of Kiro's own slash commands (`/context`) between two turns and return what it says, for people.

        `request.prompt` is empty. Bounded in time and size. Raises RequestRefused for a command that Kiro does not
        offer, that failed, or where the transport has none.
        """

    def health(self) -> Readiness:
        """Return whether a prompt would work now. Cheap: answers from what is known, refreshing it in bounds."""

    def close(self) -> None:
        """Release everything; nothing runs afterwards."""


@dataclass(frozen=True)
class Readiness:
    """Whether Kiro can be asked now. `problem` says why not. `facts` are for diagnostics (version, engine, path)."""

    ready: bool
    problem: Problem | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class StoreReader(Protocol):
    """Follows one conversation in one of Kiro's stores, read-only. Used from one thread."""

    def baseline(self) -> Mapping[str, Any]:
        """Note what stands there before a prompt is sent, and return it JSON-ready, to be given to `resume_from`."""

    def resume_from(self, mark: Mapping[str, Any]) -> None:
        """Take the state that `baseline` returned in another process."""

    def follow(self, kiro_id: str) -> None:
        """The conversation's id is now known: follow that one and no other."""

    def poll(self, *, final: bool = False) -> Sequence[FeedEvent]:
        """Return what was recorded since the last poll, in order, each thing once.

        A poll that finds nothing costs a few system calls. `final` is the last look after the process ended: it waits a
        bounded time for a locked database and reads what an ordinary poll leaves for later. Never raises for what is in
        the store: a damaged, locked or vanished store is a `Notice`.
        """

    def finished(self) -> bool:
        """Return whether the store proves that the model finished its answer to the prompt."""

    def close(self) -> None:
        """Release files and connections."""
