"""A session of the agent: its store, what was chosen for it, and the turn that runs in it.

Invariant: at most one turn runs; `busy` ends right before its prompt is answered; `stop` is set by a cancel and
cleared by the next prompt only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from standin.acp.trust import Trust
from standin.acp.wire import Reply
from standin.model import Call, Json, Store


@dataclass
class Session:
    """One session. `steering` are the messages that wait for the next model call, `effort` is empty until set,
    `chosen` are v3's options, `open_call` is a call whose question a cancel closed."""

    store: Store
    cwd: str
    agent: str
    model: str
    trust: Trust
    effort: str = ""
    context: float = 1.2198
    steering: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    deaf: bool = False
    parent: str = ""
    wrong_model: bool = False
    titled: bool = False
    streams_shell: bool = False
    chosen: dict[str, str] = field(default_factory=dict)
    busy: bool = False
    open_call: tuple[Call, Json] | None = None
    _open: Reply | None = None
    _turn: threading.Thread | None = None

    @property
    def id(self) -> str:
        """The session id on the wire."""
        return self.store.session_id

    def start(self, play: Callable[[], None]) -> None:
        """Run a turn in a thread of its own, after the one before has said its last word. A cancel that comes right
        after this counts for the new turn, unless one still runs."""
        before, queued = self._turn, self.busy

        def run() -> None:
            if before is not None:
                before.join()
            if queued:
                self._fresh()
            play()

        if not queued:
            self._fresh()
        self._turn = threading.Thread(target=run, daemon=True)
        self._turn.start()

    def _fresh(self) -> None:
        self.stop.clear()
        self.deaf = False
        self.busy = True

    def wait_for(self, reply: Reply) -> None:
        """Wait for the client's answer, or until the turn is cancelled."""
        self._open = reply
        if self.stop.is_set():
            reply.ready.set()
        reply.ready.wait()
        self._open = None

    def cancel(self) -> None:
        """Stop the turn, unless it is deaf."""
        if self.deaf:
            return
        self.stop.set()
        waiting = self._open
        if waiting is not None:
            waiting.ready.set()

    def end(self) -> None:
        """Stop the turn, wait for it unless it is deaf, and close the store."""
        self.cancel()
        if self._turn is not None and not self.deaf:
            self._turn.join()
        self.store.close()
