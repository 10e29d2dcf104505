"""Turns that are over, taken in: messages of an AgentAPI state file, and what Kiro's own stores hold.

Invariant: every message of a state file keeps its id. An answer's id is that of its turn plus one, as everywhere in the
ledger, so an agent's message that does not follow a prompt's id directly gets a turn of its own, which has no
prompt item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.items import Item
from bridge.errors import LedgerError
from bridge.ledger.changes import Batch, NewTurn

HIGHEST_ID = 1 << 53
"""Where JavaScript's whole numbers end: a client could not tell ids above it apart."""


@dataclass(frozen=True)
class ImportedMessage:
    """One message of the file: id, role (`user` or `agent`), text, and when it was made (epoch seconds)."""

    id: int
    role: str
    text: str
    at: float


@dataclass(frozen=True)
class ImportedTurn:
    """A turn that is over, read from Kiro's store. `items` are those besides the prompt's, in their places.

    `prompt` None means that no prompt belongs to it.
    """

    prompt: str | None
    items: Sequence[Item]
    began_at: float
    ended_at: float


@dataclass
class _Exchange:
    """A prompt and its answer; one of them may be missing."""

    prompt: ImportedMessage | None = None
    answer: ImportedMessage | None = None


def check(messages: Sequence[ImportedMessage], free: int) -> None:
    """Raise `LedgerError` (code `bad_import`) unless ids rise strictly from `free` on and roles are known."""
    lowest = free
    for message in messages:
        if message.role not in ("user", "agent"):
            raise _refused(f"message {message.id} has the role '{message.role}'; it must be 'user' or 'agent'")
        if not lowest <= message.id < HIGHEST_ID:
            raise _refused(f"message {message.id} must have an id from {lowest} on, below 2^53")
        lowest = message.id + 1


def write(batch: Batch, session_id: str, messages: Sequence[ImportedMessage]) -> None:
    """Write checked messages as turns of the session. Raises `UnknownSession`."""
    for exchange in _exchanges(messages):
        prompt, answer = exchange.prompt, exchange.answer
        first = prompt or answer
        assert first is not None  # an exchange is made for a message
        new = NewTurn(
            message_id=first.id if prompt else first.id - 1,
            prompt=prompt.text if prompt else None,
            origin="import",
            at=first.at,
            ended_at=(answer or first).at,
        )
        turn = batch.create_turn(session_id, new)
        if answer:
            item = Item(f"import:{answer.id}", "text", position=1, text=answer.text, final=True)
            batch.create_item(turn.id, item, answer.at)


def write_turns(batch: Batch, session_id: str, turns: Sequence[ImportedTurn]) -> None:
    """Write turns with their items to the session. Raises `UnknownSession`."""
    for imported in turns:
        new = NewTurn(batch.even_message_id(), imported.prompt, "import", imported.began_at, ended_at=imported.ended_at)
        turn = batch.create_turn(session_id, new)
        for item in imported.items:
            batch.create_item(turn.id, item, imported.ended_at)


def _exchanges(messages: Sequence[ImportedMessage]) -> list[_Exchange]:
    found: list[_Exchange] = []
    for message in messages:
        last = found[-1].prompt if found else None
        if message.role == "user":
            found.append(_Exchange(prompt=message))
        elif last and last.id + 1 == message.id:
            found[-1].answer = message
        else:
            found.append(_Exchange(answer=message))
    return found


def _refused(why: str) -> LedgerError:
    return LedgerError(
        f"The messages cannot be taken in: {why}.",
        "Give a state file that AgentAPI wrote, and a ledger that has no later messages.",
        code="bad_import",
    )
