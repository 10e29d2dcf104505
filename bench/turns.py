"""Turns through `/events`: accepting, the agent's words, the end."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator

from bench.figures import Results
from bench.servers import Server
from bench.wire import Link, Stream

STABLE = b'"status":"stable"'
_PAUSE = threading.Event()


class Turn:
    """A turn that was begun: `say` has the agent speak, `finish` ends it."""

    def __init__(self, server: Server, stream: Stream, name: str) -> None:
        self._server = server
        self._stream = stream
        self._name = name
        self._count = 0

    def say(self, how: str) -> float:
        """Have the agent say one word; return the milliseconds until the stream has it."""
        self._count += 1
        word = f"{self._name}-{self._count}-"
        return self._told(how, word)

    def finish(self) -> float:
        """Have the agent finish; return the milliseconds until the stream says `stable`."""
        word = f"{self._name}-end-"
        told = self._server.tell("finish", word)
        self._stream.wait(word.encode())
        return (self._stream.wait(STABLE) - told) * 1000

    def _told(self, how: str, word: str) -> float:
        told = self._server.tell(how, word)
        return (self._stream.wait(word.encode()) - told) * 1000


@contextlib.contextmanager
def begun(server: Server, name: str, link: Link, figures: Results | None = None, who: str = "") -> Iterator[Turn]:
    """Send a prompt and wait until the agent has begun; the turn is finished at the end of the block if need be."""
    stream = Stream(server.url, "/events")
    try:
        stream.wait(STABLE)
        before = time.monotonic()
        accepted = link.post("/message", {"type": "user", "content": f"prompt {name}"})
        first = stream.wait(b"begun") - before
        if figures is not None:
            figures.add(who, "accept", accepted * 1000)
            figures.add(who, "begun", first * 1000)
        yield Turn(server, stream, name)
    finally:
        stream.close()


def measure(server: Server, who: str, numbers: range, words: int, results: Results) -> None:
    """Run whole turns of those numbers, with so many words of each sort, and note what each part took."""
    link = Link(server.url)
    moments = random.Random(
        numbers.start
    )  # even pauses would meet a server that looks at even times always at the same one
    for number in numbers:
        with begun(server, f"t{number}", link, results, who) as turn:
            for _ in range(words):
                _PAUSE.wait(moments.uniform(0.05, 0.08))
                results.add(who, "write", turn.say("store"))
            for _ in range(words):
                _PAUSE.wait(moments.uniform(0.05, 0.08))
                results.add(who, "live", turn.say("stream"))
            _PAUSE.wait(moments.uniform(0.05, 0.08))
            results.add(who, "stable", turn.finish())
    link.close()
