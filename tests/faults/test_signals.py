"""Signals that come while requests do."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.faults.conftest import Case
from tests.faults.harness import FaultBridge, prompt
from tests.whole.conftest import until

_PAUSE = threading.Event()
_CLIENTS = 4


def test_saving_the_state_disturbs_no_request(bridge: FaultBridge, case: Case) -> None:
    """A handler that takes a lock the main loop holds would end all answers; it did once, within a second."""
    rounds = case.times(200, 3000)
    state = bridge.home / "state.json"
    bridge.start("--state-file", str(state))
    pid, over = bridge.master(), threading.Event()

    def ask() -> int:
        count = 0
        while not over.is_set():
            bridge.get("/status")
            count += 1
        return count

    with ThreadPoolExecutor(_CLIENTS) as clients:
        counts = [clients.submit(ask) for _ in range(_CLIENTS)]
        try:
            for _ in range(rounds):
                os.kill(pid, signal.SIGUSR1)
                _PAUSE.wait(case.chance.uniform(0.001, 0.006))
        finally:
            over.set()
        requests = sum(count.result() for count in counts)
    assert bridge.send(prompt(0, case.chance))
    bridge.verify()
    os.kill(pid, signal.SIGUSR1)
    until(state.exists, "the state file")
    case.tell(rounds=rounds, requests=requests)
