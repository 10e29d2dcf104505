"""What the bridge costs while nothing happens, and what clients leave in it."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
import requests

from tests.whole.conftest import WAIT, Bridge, bridge, until

__all__ = ["bridge"]  # the fixture

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are measured through /proc")

IDLE = 5.0
AGENTAPI_IDLE = 0.045
"""Share of a core that an idle AgentAPI takes (facts/agentapi-contract.md 9, W19)."""


def processes(bridge: Bridge) -> list[Path]:
    """Return the processes of the bridge itself."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"HOME={bridge.home}\0".encode() in (entry / "environ").read_bytes():
                found.append(entry)
        except OSError:
            continue
    return found


def cpu_seconds(bridge: Bridge) -> float:
    """Return the processor time that the bridge has taken so far."""
    ticks = 0
    for process in processes(bridge):
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def holdings(bridge: Bridge) -> tuple[int, int]:
    """Return how many threads and open files the bridge has."""
    found = processes(bridge)
    return (
        sum(len(list((process / "task").iterdir())) for process in found),
        sum(len(list((process / "fd").iterdir())) for process in found),
    )


def test_w19_idle_is_idle(bridge: Bridge) -> None:
    """With a conversation and ten streams open, doing nothing takes far less of the processor than AgentAPI's idle."""
    bridge.start()
    bridge.ask("!standin numbered 1000 some words for line")
    streams = [requests.get(bridge.url + "/events", stream=True, timeout=WAIT) for _ in range(10)]
    try:
        before = cpu_seconds(bridge)
        threading.Event().wait(IDLE)
        assert cpu_seconds(bridge) - before < AGENTAPI_IDLE / 2 * IDLE
    finally:
        for stream in streams:
            stream.close()


def test_w26_nothing_left_of_a_hundred_clients(bridge: Bridge) -> None:
    """Streams that were cut and requests that were left leave no thread and no open file."""
    bridge.start()
    bridge.ask("!standin text Hello.")

    def come_and_go(count: int) -> None:
        for number in range(count):
            path = ("/events", f"/api/v1/sessions/{session}/events?last_event_id=0")[number % 2]
            with requests.get(bridge.url + path, stream=True, timeout=WAIT) as stream:
                assert next(stream.iter_lines())
        bridge.ask("!standin text Again.")  # each event wakes the streams, so that a server notices who has left

    session = bridge.session()
    come_and_go(10)
    threads, files = holdings(bridge)
    come_and_go(100)

    def few() -> bool:
        now = holdings(bridge)
        return now[0] <= threads + 2 and now[1] <= files + 2

    until(few, "as few threads and files as before")
