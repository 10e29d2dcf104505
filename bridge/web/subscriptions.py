"""What the subscribers of the broadcaster follow, each with the place it has come to.

Invariant: used from the broadcaster's thread alone, once they are made.
"""

from __future__ import annotations

from typing import Protocol

from bridge.web.agent_feed import AgentFeed
from bridge.web.answers import Body
from bridge.web.session_feed import SessionFeed


class Stream(Protocol):
    """What one subscriber follows."""

    def take(self) -> bytes:
        """Return the next bytes for the subscriber, empty when there is nothing now.

        Raises FellBehind when what comes next is no longer to be had, Finished when nothing will ever come.
        """


class FellBehind(Exception):
    """A subscriber is so slow that it can only start again."""


class Finished(Exception):
    """A subscriber has got all that there is for it."""


class WholeAnswer:
    """A reader of one long answer."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self._taken = False

    def take(self) -> bytes:
        """Return all of it, once."""
        if self._taken:
            raise Finished
        self._taken = True
        return self.body.data


class AgentStream:
    """A subscriber of AgentAPI's `/events`: everything there is, then what changes."""

    def __init__(self, feed: AgentFeed) -> None:
        self._feed = feed
        self._replay = feed.replay()
        self._next: int | None = None

    def take(self) -> bytes:
        """Return the next page of the replay, or the frames that are new since the last call."""
        if self._next is None:
            page = next(self._replay, None)
            if page is not None:
                return page or self.take()
            self._next = self._feed.end
        if self._next < self._feed.begin:
            raise FellBehind
        start, self._next = self._next, self._feed.end
        return self._feed.frames(start) if start < self._next else b""


class ScreenStream:
    """A subscriber of AgentAPI's `/internal/screen`: the latest answer whenever it has changed."""

    def __init__(self, feed: AgentFeed) -> None:
        self._feed = feed
        self._shown = -1

    def take(self) -> bytes:
        """Return the current screen if it is another one than the last."""
        if self._shown == self._feed.screens:
            return b""
        self._shown = self._feed.screens
        return self._feed.screen()


class SessionStream:
    """A subscriber of one session's events: those after sequence `seq`, or from now on when that is None."""

    def __init__(self, feed: SessionFeed, session_id: str, seq: int | None) -> None:
        self._feed = feed
        self._session_id = session_id
        self._seq = feed.last_seq if seq is None else seq

    def take(self) -> bytes:
        """Return the frames after the last ones, a bounded number at a time."""
        if self._seq >= self._feed.last_seq:
            return b""
        batch = self._feed.after(self._session_id, self._seq)
        self._seq = batch.seq
        return batch.data
