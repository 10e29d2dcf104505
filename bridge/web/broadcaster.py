"""One thread that writes to every event stream.

Invariants: a subscriber never slows a turn, a request or another subscriber. Nothing is queued for any one of them but
the rest of the batch its socket did not take; one that takes nothing for `STALL_SECONDS` is dropped, and may come back.
The long answers that wait for their readers are no more than `MOST_ANSWERS` and `ANSWER_BYTES`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.engine.hub import Hub
from bridge.web.agent_feed import AgentFeed
from bridge.web.session_feed import SessionFeed
from bridge.web.sse import HEARTBEAT
from bridge.web.subscriptions import FellBehind, Finished, Stream, WholeAnswer

log = logging.getLogger(__name__)

STALL_SECONDS = 20.0
MOST_ANSWERS = 256
ANSWER_BYTES = 128 << 20
"""Bytes of all long answers, equal ones counted once; beyond it the reader goes that has taken nothing for longest."""

LAST_CHUNK = b"0\r\n\r\n"


@dataclass(eq=False)
class _Client:
    sock: socket.socket
    stream: Stream
    chunked: bool
    rest: memoryview = field(default_factory=lambda: memoryview(b""))
    waiting: bool = False
    silent: bool = False
    moved_at: float = field(default_factory=time.monotonic)


class Broadcaster:
    """Owns the sockets of all event streams, and of the readers of long answers.

    `now_streams` counts the streams. `adopt` hands a connection over from the thread that answered its request.
    """

    def __init__(self, hub: Hub, agent_feed: AgentFeed, session_feed: SessionFeed, heartbeat: float) -> None:
        self._hub = hub
        self._agent_feed = agent_feed
        self._session_feed = session_feed
        self._heartbeat = heartbeat
        self._clients: set[_Client] = set()
        self._answers: dict[_Client, WholeAnswer] = {}
        self._arrivals: deque[_Client] = deque()
        self._jobs: deque[Callable[[], None]] = deque()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        for fd in (self._wake_read, self._wake_write):
            os.set_blocking(fd, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._stopping = False
        self._thread = threading.Thread(target=self._main, name="broadcaster", daemon=True)
        self._unlisten = hub.listen(self.wake)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End every stream cleanly and release everything."""
        self._stopping = True
        self._unlisten()
        self.wake()
        self._thread.join(5.0)

    def wake(self) -> None:
        """Have the thread look for news; callable from anywhere, never blocks."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"x")

    def call(self, job: Callable[[], None]) -> None:
        """Run `job` on the broadcaster's thread, before anything else is sent."""
        self._jobs.append(job)
        self.wake()

    @property
    def now_streams(self) -> int:
        """Return how many streams are open."""
        return len(self._clients) - len(self._answers) + len(self._arrivals)

    def adopt(self, sock: socket.socket, head: bytes, stream: Stream, chunked: bool) -> None:
        """Take over a connection: send `head`, then what `stream` gives, until the peer leaves or the bridge stops."""
        self._arrivals.append(_Client(sock, stream, chunked, memoryview(head)))
        self.wake()

    def _main(self) -> None:
        beat_at = time.monotonic() + self._heartbeat
        while not self._stopping:
            try:
                beat_at = self._step(beat_at)
            except Exception:
                log.exception("the event streams met an error and go on")
        self._farewell()

    def _step(self, beat_at: float) -> float:
        rendered_at = self._session_feed.rendered.due()
        until = min(beat_at, self._agent_feed.due() or beat_at, rendered_at, self._stalled_at())
        for key, mask in self._selector.select(max(0.0, until - time.monotonic())):
            self._ready(key, mask)
        while self._jobs:
            self._jobs.popleft()()
        self._welcome()
        self._read_news()
        now = time.monotonic()
        self._agent_feed.refresh(now)
        beat = now >= beat_at
        for client in list(self._clients):
            self._serve(client, now, beat)
        return now + self._heartbeat if beat else beat_at

    def _stalled_at(self) -> float:
        """Return when the first of the clients that take nothing has stalled."""
        return min((client.moved_at for client in self._clients if client.waiting), default=math.inf) + STALL_SECONDS

    def _ready(self, key: selectors.SelectorKey, mask: int) -> None:
        client = key.data
        if client is None:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 65536)
        elif mask & selectors.EVENT_READ:
            self._hear(client)

    def _hear(self, client: _Client) -> None:
        """Notice a peer that left; whatever else it says is of no interest.

        One that has only ended its request still gets its answer: if it is gone, the connection is reset by the next
        bytes.
        """
        try:
            if client.sock.recv(4096):
                return
            client.silent = client in self._answers
        except BlockingIOError:
            return
        except OSError:
            pass
        if client.silent:
            self._watch(client)
        else:
            self._drop(client)

    def _welcome(self) -> None:
        while self._arrivals:
            client = self._arrivals.popleft()
            client.sock.setblocking(False)
            with contextlib.suppress(OSError):
                client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(client.sock, selectors.EVENT_READ, client)
            self._clients.add(client)
            if isinstance(client.stream, WholeAnswer):
                self._answers[client] = client.stream
                self._make_room()

    def _make_room(self) -> None:
        """Keep within bounds what long answers hold."""
        while len(self._answers) > 1:
            held = {answer.body for answer in self._answers.values()}
            if len(self._answers) <= MOST_ANSWERS and sum(len(body.data) for body in held) <= ANSWER_BYTES:
                return
            slowest = min(self._answers, key=lambda client: client.moved_at)
            log.warning("too many long answers are not taken: the one that has waited longest is given up")
            self._drop(slowest)

    def _read_news(self) -> None:
        seq = self._session_feed.last_seq
        events = self._hub.since(seq)
        if events is None:
            self._session_feed.skip_to(self._hub.last_seq)
            self._agent_feed.reload()
        elif events:
            self._session_feed.take(events)
            self._agent_feed.take(events)

    def _serve(self, client: _Client, now: float, beat: bool) -> None:
        """Send what there is for one client, as much as its socket takes and a bounded number of pages."""
        try:
            for _ in range(8):
                if not client.rest:
                    data = client.stream.take()
                    if not data and beat:
                        data, beat = HEARTBEAT, False
                    if not data:
                        client.moved_at = now
                        break
                    client.rest = memoryview(_chunk(data) if client.chunked else data)
                if not self._send(client, now):
                    break
            else:
                self.wake()
        except (OSError, FellBehind, Finished) as error:
            log.debug("an event stream ended: %r", error)
            self._drop(client)

    def _send(self, client: _Client, now: float) -> bool:
        """Send what waits for a client; return whether all of it went out."""
        try:
            sent = client.sock.send(client.rest)
        except BlockingIOError:
            sent = 0
        if sent:
            client.moved_at = now
            client.rest = client.rest[sent:]
        elif now - client.moved_at >= STALL_SECONDS:
            raise FellBehind
        if client.waiting != bool(client.rest):
            client.waiting = not client.waiting
            self._watch(client)
        return not client.rest

    def _watch(self, client: _Client) -> None:
        """Wait for what is of interest: room to write, and the end of a peer that has not said it yet."""
        listen = 0 if client.silent else selectors.EVENT_READ
        write = selectors.EVENT_WRITE if client.waiting or client.silent else 0
        self._selector.modify(client.sock, listen | write, client)

    def _drop(self, client: _Client) -> None:
        if client in self._clients:
            self._clients.discard(client)
            self._answers.pop(client, None)
            self._selector.unregister(client.sock)
            client.sock.close()

    def _farewell(self) -> None:
        self._welcome()
        for client in list(self._clients):
            with contextlib.suppress(OSError, FellBehind, Finished):
                self._serve(client, time.monotonic(), False)
                if client.chunked and not client.rest:
                    client.sock.send(LAST_CHUNK)
                client.sock.shutdown(socket.SHUT_WR)
            self._drop(client)
        self._selector.close()
        read, write = self._wake_read, self._wake_write
        self._wake_read = self._wake_write = -1
        os.close(read)
        os.close(write)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
