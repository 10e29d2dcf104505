"""Follows a session from a thread of its own, over cuts and restarts of the bridge.

Invariant: between `Loaded` and the next `Loaded` every event is reported once and in order, whatever was cut meanwhile;
after `Gone` nothing is reported any more.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from bridge.errors import BridgeError
from bridge.terminal.client import Client, JsonObject, NotABridge, Refused, Stream, Unreachable
from bridge.terminal.frames import Frame

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 2.0
RELOADED = 500
"""Items to load when the conversation is loaded anew, so that none of a long turn is missing."""

LEAVE_SECONDS = 5.0
"""How long leaving waits for a connection that is just being made; it is given up then."""


@dataclass(frozen=True)
class Loaded:
    """The conversation as it is; what was known of it before is void."""

    session: JsonObject
    page: JsonObject


@dataclass(frozen=True)
class Connected:
    """Events come from now on. `problem` says why a prompt would fail now, empty when it would not."""

    problem: str


@dataclass(frozen=True)
class Happened:
    """An event of the session."""

    name: str
    data: JsonObject


@dataclass(frozen=True)
class Lost:
    """The connection is gone; it is being made again."""

    reason: str


@dataclass(frozen=True)
class Gone:
    """There is nothing to follow, and waiting will not help."""

    error: BridgeError


News = Loaded | Connected | Happened | Lost | Gone


class Follower:
    """Reports what happens in a session, the primary one unless it is named. `report` is called in our thread.

    `history` is how many items the first `Loaded` holds at most.
    """

    def __init__(self, client: Client, session: str | None, history: int, report: Callable[[News], None]) -> None:
        self._client = client
        self._named = session
        self._history = max(1, history)
        self._report = report
        self._place: tuple[str, int] | None = None
        self._stream: Stream | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._stale = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stopped.set()
        self._interrupt()
        self._thread.join(LEAVE_SECONDS)

    def reload(self) -> None:
        """Load the conversation anew; `Loaded` follows."""
        self._stale.set()
        self._interrupt()

    def _interrupt(self) -> None:
        with self._lock:
            if self._stream is not None:
                self._stream.wake()

    def _run(self) -> None:
        try:
            self._follow()
        except (Refused, NotABridge) as error:
            self._report(Gone(error))
        except (KeyError, TypeError, ValueError) as error:
            self._report(Gone(NotABridge(self._client.url, f"what it says cannot be read: {type(error).__name__}")))

    def _follow(self) -> None:
        """Connect and listen until we are stopped. A connection that can be made anew at once was never lost."""
        pause, lost = FIRST_PAUSE, False
        while not self._stopped.is_set():
            try:
                self._connect()
            except (Unreachable, Refused, NotABridge) as error:
                if not self._may_pass(error):
                    raise
                if not lost and self._place is not None:
                    self._report(Lost(error.reason if isinstance(error, Unreachable) else error.problem.cause))
                lost, pause = True, min(2 * pause, LONGEST_PAUSE)
            else:
                lost, pause = False, FIRST_PAUSE
                with contextlib.suppress(Unreachable):
                    self._listen()
            self._stopped.wait(pause)

    def _may_pass(self, error: Unreachable | Refused | NotABridge) -> bool:
        """Return whether to go on. A session that we chose ourselves and that is gone is chosen anew."""
        if isinstance(error, Unreachable):
            return True
        if isinstance(error, Refused) and error.kind == "unknown-session" and self._named is None and self._place:
            self._place = None
            return True
        return isinstance(error, Refused) and error.passes

    def _connect(self) -> None:
        """Load the conversation if need be, and open the stream of what follows."""
        status = self._client.status()
        if self._place is None or self._stale.is_set():
            self._stale.clear()
            self._load()
        assert self._place is not None
        stream = self._client.stream(*self._place)
        with self._lock:
            self._stream = stream
        if self._stopped.is_set():  # nobody saw the stream to wake it
            stream.wake()
        problem = status.get("problem")
        self._report(Connected(f"{problem['cause']} {problem['remedy']}".strip() if problem else ""))

    def _load(self) -> None:
        session = self._named or self._client.sessions()["primary"]
        if session is None:
            raise Refused(503, "", "The bridge has no session yet.", "Try again.")
        facts = self._client.session(session)
        page = self._client.page(session, self._history)
        self._history = RELOADED
        self._place = (session, int(page["last_seq"]))
        self._report(Loaded(facts, page))

    def _listen(self) -> None:
        stream = self._stream
        assert stream is not None
        try:
            for frame in stream:
                if self._stale.is_set() or self._stopped.is_set():
                    return
                self._take(frame)
        finally:
            with self._lock:
                self._stream = None
            stream.close()

    def _take(self, frame: Frame) -> None:
        assert self._place is not None
        session, seq = self._place
        if frame.id and int(frame.id) > seq:
            self._report(Happened(frame.name, json.loads(frame.data)))
            self._place = (session, int(frame.id))
