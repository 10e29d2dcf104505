"""Many clients of `/events` in a process of their own, so that reading them delays nobody who measures.

`python -m bench.crowd URL COUNT`: prints `ready` when all are told the status, then, once each has seen the word
`wEND.` or nothing has come for ten seconds, one JSON object: for each word the times (monotonic) at which clients had
it, and how many words are missing.
"""

from __future__ import annotations

import json
import re
import selectors
import subprocess
import sys
import threading
import time
from collections import defaultdict

from bench.figures import Results
from bench.servers import ROOT, Server
from bench.turns import begun
from bench.wire import Link, Stream

_WORD = re.compile(rb"w(\d+|END)\.")
_KEPT = 65_536
_SILENCE = 10.0
_PAUSE = threading.Event()


class Client:
    """One stream: the words it has, and what may be the beginning of the next one."""

    def __init__(self, url: str) -> None:
        self.stream = Stream(url, "/events")
        self.stream.wait(b'"status":')
        self.stream.sock.setblocking(False)
        self.words: set[bytes] = set()
        self._rest = b""

    def read(self, now: float, times: dict[str, list[float]]) -> bool:
        """Take what has come, noting the words that are new; return whether the last one has come."""
        try:
            data = self.stream.sock.recv(_KEPT)
        except BlockingIOError:
            return False
        text = self._rest + data
        self._rest = text[-16:]
        for word in set(_WORD.findall(text)) - self.words:
            self.words.add(word)
            times[word.decode()].append(now)
        return b"END" in self.words or not data


def follow(url: str, count: int) -> None:
    """Be the crowd."""
    clients = [Client(url) for _ in range(count)]
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.stream.sock, selectors.EVENT_READ, client)
    print("ready", flush=True)
    times: dict[str, list[float]] = defaultdict(list)
    left = count
    while left:
        ready = selector.select(_SILENCE)
        if not ready:
            break
        for key, _ in ready:
            if key.data.read(time.monotonic(), times):
                selector.unregister(key.fileobj)
                left -= 1
    words = set(times)
    print(json.dumps({"times": times, "lost": sum(len(words - {w.decode() for w in c.words}) for c in clients)}))


class Crowd:
    """The process, seen from the one that measures."""

    def __init__(self, server: Server, count: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.crowd", server.url, str(count)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the clients could not connect")

    def result(self) -> tuple[dict[str, list[float]], int]:
        """Wait for the end; return (times by word, words missing)."""
        text, _ = self._process.communicate(timeout=120)
        found = json.loads(text)
        return found["times"], found["lost"]


def measure(server: Server, who: str, count: int, words: int, results: Results) -> None:
    """Have the agent say words to a crowd and note when each of its clients had them."""
    link = Link(server.url)
    told: dict[str, float] = {}
    with begun(server, f"crowd{count}", link) as turn:
        crowd = Crowd(server, count)
        cpu, began = server.cpu(), time.monotonic()
        for number in range(words):
            told[str(number)] = server.tell("stream", f"w{number}.")
            _PAUSE.wait(0.1)
        results.add(who, f"load{count}", 100 * (server.cpu() - cpu) / (time.monotonic() - began))
        told["END"] = server.tell("stream", "wEND.")
        times, lost = crowd.result()
        turn.finish()
    for word, at in told.items():
        seen = times.get(word, [])
        results.add(who, f"crowd{count}", *((one - at) * 1000 for one in seen))
        lost += count - len(seen) if not seen else 0
    results.add(who, f"lost{count}", lost)
    link.close()


if __name__ == "__main__":
    follow(sys.argv[1], int(sys.argv[2]))
