"""What the ledger holds and every client sees: sessions, turns, items, events.

Invariant: `seq` is one sequence for the whole ledger; it never repeats and never goes back, over restarts too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.core.feed import Engine, FeedEvent
from bridge.core.items import Item
from bridge.errors import Problem

TurnState = Literal["accepted", "running", "completed", "cancelled", "failed", "interrupted"]

TURN_OVER: frozenset[str] = frozenset({"completed", "cancelled", "failed", "interrupted"})


Trust = Literal["", "all", "listed", "ask"]


@dataclass(frozen=True)
class SessionOptions:
    """What a session wants of Kiro. An empty value means what the bridge's settings say.

    `trust` is whether tools run without asking: all, those of `trust_tools`, or none.
    """

    model: str = ""
    agent: str = ""
    effort: str = ""
    trust: Trust = ""
    trust_tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Session:
    """A conversation. `kiro_id` is Kiro's own id of it; `cwd` is a real path; times in seconds since the epoch.

    `origin` is `kiro` for one that was begun elsewhere, in a terminal or an IDE. `last_line` is the beginning of what
    was said last, `queued` how many prompts wait. A `deleted` session is only heard of in its last event.
    """

    id: str
    cwd: str
    title: str
    engine: Engine | None
    kiro_id: str | None
    created_at: float
    updated_at: float
    pinned: bool = False
    archived: bool = False
    origin: Literal["bridge", "kiro"] = "bridge"
    options: SessionOptions = field(default_factory=SessionOptions)
    last_line: str = ""
    queued: int = 0
    deleted: bool = False


@dataclass(frozen=True)
class SessionChange:
    """What is to be changed of a session; None leaves it as it is."""

    title: str | None = None
    pinned: bool | None = None
    archived: bool | None = None
    options: SessionOptions | None = None


@dataclass(frozen=True)
class QueuedPrompt:
    """A prompt that waits for its turn."""

    id: int
    session_id: str
    text: str
    created_at: float


@dataclass(frozen=True)
class Queue:
    """The prompts of a session that wait, the next one first. `held` says in words why none is sent, if so."""

    prompts: tuple[QueuedPrompt, ...] = ()
    held: str = ""


@dataclass(frozen=True)
class Found:
    """A place where the words of a search stand: in a session's title, or in an item.

    In `snippet` what was found stands between U+E000 and U+E001.
    """

    session_id: str
    title: str
    item_id: int | None
    turn_id: int | None
    snippet: str
    at: float


@dataclass(frozen=True)
class KiroConversation:
    """A conversation in one of Kiro's stores. `prompts` is their number, None where that would cost too much."""

    engine: Engine
    kiro_id: str
    cwd: str
    title: str
    updated_at: float
    prompts: int | None = None


@dataclass(frozen=True)
class PastTurn:
    """A prompt that Kiro recorded and what it recorded of the answer, which holds no `Ended`.

    `prompt` None means that no prompt belongs to it; times are in seconds since the epoch.
    """

    prompt: str | None
    began_at: float
    ended_at: float
    events: tuple[FeedEvent, ...]


@dataclass(frozen=True)
class Turn:
    """One prompt and what came of it.

    `message_id` is the AgentAPI id of the prompt; the answer has the next one. `mark` is what the transport asked to
    be remembered. `origin` is `import` for a turn that was read from an AgentAPI state file or from Kiro's own store.
    `sent` is what Kiro is given, where that is more than the prompt.
    """

    id: int
    session_id: str
    message_id: int
    prompt: str
    state: TurnState
    accepted_at: float
    ended_at: float | None = None
    changed_at: float = 0.0
    problem: Problem | None = None
    mark: dict[str, Any] = field(default_factory=dict)
    origin: Literal["user", "initial", "import"] = "user"
    sent: str = ""


@dataclass(frozen=True)
class StoredItem:
    """An item with its number in the ledger, which stays when its key changes. `seq` is that of its last change."""

    id: int
    session_id: str
    turn_id: int
    item: Item
    created_at: float
    updated_at: float
    seq: int


@dataclass(frozen=True)
class TurnEvent:
    """A turn was accepted, started or ended; `turn.state` says which."""

    seq: int
    turn: Turn

    @property
    def session_id(self) -> str:
        """Return the session the event belongs to."""
        return self.turn.session_id


@dataclass(frozen=True)
class ItemEvent:
    """An item is new or changed; the whole item travels."""

    seq: int
    item: StoredItem

    @property
    def session_id(self) -> str:
        """Return the session the event belongs to."""
        return self.item.session_id


@dataclass(frozen=True)
class DeltaEvent:
    """`text` follows at `offset` characters of the item's text. Only in memory: the ledger answers with the item."""

    seq: int
    session_id: str
    turn_id: int
    item_id: int
    offset: int
    text: str
    at: float


@dataclass(frozen=True)
class RemovedEvent:
    """An item was taken back."""

    seq: int
    session_id: str
    turn_id: int
    item_id: int


@dataclass(frozen=True)
class SessionEvent:
    """A session is new or its title, engine or Kiro id changed."""

    seq: int
    session: Session

    @property
    def session_id(self) -> str:
        """Return the session the event belongs to."""
        return self.session.id


Event = TurnEvent | ItemEvent | DeltaEvent | RemovedEvent | SessionEvent
