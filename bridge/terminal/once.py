"""One prompt and its answer, for scripts.

Invariants: standard output gets the answer and nothing else, once the turn has ended; whatever went wrong is on
standard error, and the exit code says whether the turn was completed.
"""

from __future__ import annotations

import queue
import time
from typing import TextIO

from bridge.core.records import TURN_OVER, Turn
from bridge.errors import BridgeError
from bridge.terminal.approvals import details, title
from bridge.terminal.arrival import turn_of_prompt
from bridge.terminal.clean import clean
from bridge.terminal.client import Client, Refused, Unreachable
from bridge.terminal.follower import Connected, Follower, Gone, Happened, Loaded, Lost, News
from bridge.terminal.model import Conversation, OutOfStep
from bridge.terminal.wording import ending

AWAY_SECONDS = 120.0
"""How long the bridge may be away before we give up waiting for it."""


def once(client: Client, session: str | None, prompt: str, out: TextIO, err: TextIO) -> int:
    """Send `prompt`, wait for its turn, print the answer; return 0 for a completed turn, else 1.

    Ctrl-C stops the turn, a second one leaves.
    """
    return _Once(client, session, prompt, out, err).run()


class _Once:
    def __init__(self, client: Client, session: str | None, prompt: str, out: TextIO, err: TextIO) -> None:
        self._client, self._named, self._prompt, self._out, self._err = client, session, prompt, out, err
        self._conversation = Conversation()
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._before = 0
        self._turn_id: int | None = None
        self._uncertain = False
        self._failure = ""
        self._stopping = False
        self._away: float | None = None
        self._asked: set[int] = set()

    def run(self) -> int:
        with Follower(self._client, self._named, 1, self._news.put) as follower:
            while not self._failure and not self._over():
                try:
                    self._take(follower, self._next())
                except KeyboardInterrupt:
                    self._interrupted()
        if self._failure:
            print(f"error: {self._failure}", file=self._err)
            return 1
        return self._finish()

    def _next(self) -> News | None:
        limit = None if self._away is None else max(0.0, self._away + AWAY_SECONDS - time.monotonic())
        try:
            return self._news.get(timeout=limit)
        except queue.Empty:
            return None

    def _take(self, follower: Follower, news: News | None) -> None:
        match news:
            case None:
                self._failure = (
                    f"The bridge at {self._client.url} has been away for {AWAY_SECONDS:.0f} seconds."
                    " When it is back, `kiro-bridge attach` shows what became of the prompt."
                )
            case Loaded():
                self._conversation.load(news.session, news.page)
            case Connected():
                self._away = None
                self._connected()
            case Happened():
                try:
                    self._conversation.apply(news.name, news.data)
                except OutOfStep:
                    follower.reload()
            case Lost():
                self._away = time.monotonic()
            case Gone():
                self._failure = str(news.error)
        self._tell_what_is_asked()

    def _connected(self) -> None:
        """Send the prompt, or find out whether it had arrived when the connection broke."""
        if self._turn_id is not None:
            return
        if self._uncertain:
            self._ask_what_arrived()
            return
        self._before = self._conversation.last_turn()
        try:
            self._turn_id = self._client.send(str(self._conversation.session["id"]), self._prompt)
        except BridgeError as error:
            self._uncertain = isinstance(error, Unreachable) and error.sent
            if self._uncertain:
                self._ask_what_arrived()
            else:
                self._failure = str(error)

    def _ask_what_arrived(self) -> None:
        try:
            found = turn_of_prompt(self._client, self._conversation.session, self._prompt, self._before)
        except BridgeError:  # the bridge is away: we look again when it is back
            return
        self._turn_id = found.id if found else None
        self._failure = "" if found else "The connection broke before the bridge had the prompt. Send it again."

    def _tell_what_is_asked(self) -> None:
        """Say on standard error that Kiro waits for a person, who has to answer elsewhere."""
        asked = self._conversation.pending()
        if asked is None or asked.id in self._asked or asked.turn_id != self._turn_id:
            return
        self._asked.add(asked.id)
        for line in (f"Kiro asks: {title(asked.item)}", *details(asked.item).splitlines()):
            print(line, file=self._err)
        print(f"Answer it on the page {self._client.url}/ or with `kiro-bridge attach`.", file=self._err, flush=True)

    def _interrupted(self) -> None:
        if self._stopping or self._turn_id is None:
            sent = self._turn_id is not None
            self._failure = "Left; the turn goes on." if sent else "Left before the prompt was sent."
            return
        self._stopping = True
        print("stopping (Ctrl-C again leaves)", file=self._err)
        try:
            self._client.cancel(str(self._conversation.session["id"]))
        except (Unreachable, Refused) as error:
            self._failure = str(error)

    def _turn(self) -> Turn | None:
        return None if self._turn_id is None else self._conversation.turn(self._turn_id)

    def _over(self) -> bool:
        turn = self._turn()
        return turn is not None and turn.state in TURN_OVER

    def _finish(self) -> int:
        turn = self._turn()
        assert turn is not None
        items = [stored.item for stored in self._conversation.items(turn.id)]
        texts = [item.text.strip("\n") for item in items if item.kind == "text" and "agent" not in item.data]
        if texts:
            print(clean("\n\n".join(texts)), file=self._out, flush=True)
        for line in ending(turn):
            print(line, file=self._err)
        return 0 if turn.state == "completed" else 1
