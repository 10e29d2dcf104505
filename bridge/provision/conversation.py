"""Which ledger a start goes on with, and whether its initial prompt is still to be sent.

Invariant: the initial prompt of a task is sent once, whatever restarts, and only by a start that became ready.

A task is its id (empty outside Coder Tasks) and its prompt: a home that is used by another task gets a new ledger, and
so a conversation of its own; another prompt under the same id is sent into the conversation that is there. Within one
ledger the bridge itself sends an initial prompt once; here the prompts are remembered across ledgers. A start that did
not become ready is repeated on the same ledger, so that it cannot send its prompt a second time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bridge.files import replace_file

_FIRST = "ledger.sqlite3"


@dataclass(frozen=True)
class Conversation:
    """What is remembered from start to start: the ledger's file name, its task, what was sent as initial prompt.

    `number` counts ledgers; `ready` says whether the last start on this ledger became ready.
    """

    ledger: str = _FIRST
    number: int = 1
    task: str = ""
    ready: bool = False
    sent: tuple[str, ...] = ()

    def begun(self, task: str, *, resume: bool) -> Conversation:
        """Return what a start is to use: the same ledger, or a fresh one for another task or without `resume`."""
        other = bool(task and self.task and task != self.task)
        if other or (self.ready and not resume):
            number = self.number + 1
            return replace(self, ledger=f"ledger-{number}.sqlite3", number=number, task=task, ready=False)
        return replace(self, task=task or self.task, ready=False)

    def prompt_to_send(self, prompt: str) -> str:
        """Return the prompt, empty when it was sent before."""
        return "" if not prompt.strip() or self._digest(prompt) in self.sent else prompt

    def became_ready(self, prompt: str) -> Conversation:
        """Return what is known once the bridge is ready; it has taken the prompt by then, if there was one."""
        sent = (*self.sent, self._digest(prompt)) if prompt else self.sent
        return replace(self, ready=True, sent=sent)

    def _digest(self, prompt: str) -> str:
        return hashlib.sha256(f"{self.task}\0{prompt}".encode()).hexdigest()


def read(path: Path) -> Conversation:
    """Return what is remembered in a file; nothing, when there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Conversation(**{**found, "sent": tuple(found["sent"])})
    except (OSError, ValueError, TypeError, KeyError):
        return Conversation()


def write(path: Path, conversation: Conversation) -> None:
    """Remember in a file. Raises `OSError`."""
    replace_file(path, json.dumps(asdict(conversation)).encode(), durable=True)
