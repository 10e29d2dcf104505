"""kiro-cli is suspended for a while, or for good."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

from tests.faults.conftest import Case
from tests.faults.harness import FaultBridge, prompt
from tests.whole.conftest import until

_PAUSE = threading.Event()


def suspend(bridge: FaultBridge) -> list[int]:
    """Stop every process of the running turn, as Ctrl-Z or a full memory group does; return their ids."""
    pids = [int(pid) for pid in until(bridge.detached, "kiro-cli runs")]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    return pids


def test_kiro_is_suspended_and_goes_on(engine: FaultBridge, case: Case) -> None:
    rounds = case.times(1, 10)
    engine.start()
    worst = 0.0
    for number in range(rounds):
        assert engine.send(prompt(number, case.chance, pace=0.1))
        _PAUSE.wait(case.chance.uniform(0, 0.3))
        pids = suspend(engine)
        _PAUSE.wait(case.chance.uniform(0.2, 1.5))
        worst = max(worst, engine.time_status())
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        engine.verify()
        assert engine.turns()[-1]["state"] == "completed", engine.turns()[-1]
    case.tell(rounds=rounds, worst_status_s=worst)


def test_a_suspended_kiro_is_stopped(engine: FaultBridge, case: Case) -> None:
    rounds = case.times(1, 10)
    engine.start()
    engine.send(prompt(rounds, case.chance))
    engine.settled()
    before = engine.usage()
    for number in range(rounds):
        assert engine.send(prompt(number, case.chance, pace=0.1))
        _PAUSE.wait(case.chance.uniform(0, 0.3))
        suspend(engine)
        assert engine.post("\x1b", "raw").status_code == 200
        engine.verify()
        assert engine.turns()[-1]["state"] == "cancelled", engine.turns()[-1]
    held = engine.no_leak_since(before)
    case.tell(rounds=rounds, **held.beside(before))
