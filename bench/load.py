"""What a server costs while it rests, and how it answers while it works."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from bench import processes
from bench.crowd import Crowd
from bench.figures import Results
from bench.rows import FLOOR
from bench.servers import Floor, Kind, Server, running
from bench.turns import begun
from bench.wire import Link

_PAUSE = threading.Event()
STATUS_PAUSE = 0.02
WORD_PAUSE = 0.05


def cold(kind: Kind, home: Path, results: Results) -> None:
    """Start a server in a new folder and end it."""
    with running(kind, home) as server:
        results.add(kind.name, "cold", server.wait_ready() * 1000)


def floor(home: Path, results: Results) -> None:
    """Note what gunicorn and Flask take by themselves."""
    with running(Floor(), home) as server:
        results.add(FLOOR, "floor", server.wait_ready() * 1000)
        results.add(FLOOR, "floor_rss", processes.memory(server.own())[0])


def rest(server: Server, who: str, row: str, seconds: float, results: Results) -> None:
    """Note what the server's processes use while nobody asks anything."""
    _PAUSE.wait(min(1.0, seconds))
    before, began = server.cpu(), time.monotonic()
    _PAUSE.wait(seconds)
    results.add(who, row, 100 * (server.cpu() - before) / (time.monotonic() - began))


def quiet_turn(server: Server, who: str, seconds: float, results: Results) -> None:
    """The same during a turn in which the agent says nothing."""
    link = Link(server.url)
    with begun(server, "quiet", link) as turn:
        rest(server, who, "quiet", seconds, results)
        turn.finish()
    link.close()


def memory(server: Server, who: str, results: Results) -> None:
    """Note the memory of the server's processes."""
    rss, pss = processes.memory(server.pids)
    results.add(who, "rss", rss)
    results.add(who, "pss", pss)


def status(server: Server, who: str, clients: int, requests: int, results: Results) -> None:
    """Ask for the status again and again during a turn that a crowd follows."""
    link, asking = Link(server.url), Link(server.url)
    done = threading.Event()
    with begun(server, "status", link) as turn:
        crowd = Crowd(server, clients)

        def speak() -> None:
            number = 0
            while not done.wait(WORD_PAUSE):
                server.tell("stream", f"w{number}.")
                number += 1

        speaker = threading.Thread(target=speak)
        speaker.start()
        for _ in range(requests):
            _PAUSE.wait(STATUS_PAUSE)
            results.add(who, "status", asking.get("/status")[0] * 1000)
        done.set()
        speaker.join()
        server.tell("stream", "wEND.")
        crowd.result()
        turn.finish()
    link.close()
    asking.close()
