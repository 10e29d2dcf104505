"""`kill -9` of the bridge, of kiro-cli and of both, at random moments of a turn."""

from __future__ import annotations

import threading
from collections import Counter

from tests.faults.conftest import Case
from tests.faults.harness import FaultBridge, prompt
from tests.whole.conftest import until

TURN = 0.6
PACE = 0.02
_PAUSE = threading.Event()


def states(bridge: FaultBridge) -> str:
    """Return how the turns ended, for the report."""
    ended = Counter(row[0] for row in bridge.ledger_events("SELECT state FROM turns"))
    return ",".join(f"{state}:{count}" for state, count in sorted(ended.items()))


def kill_while_sending(bridge: FaultBridge, text: str, after: float, victim: str) -> None:
    """Send a prompt, and end the bridge `after` seconds later, whether it has answered or not."""
    sender = threading.Thread(target=bridge.send, args=(text,))
    sender.start()
    _PAUSE.wait(after)
    if victim == "worker":
        bridge.hurt(bridge.worker())
    else:
        bridge.crash()
    sender.join(60)
    assert not sender.is_alive()


def test_bridge_is_killed(engine: FaultBridge, case: Case) -> None:
    kills = case.times(2, 50)
    engine.start()
    victims: Counter[str] = Counter()
    for number in range(kills):
        victim = case.chance.choice(["bridge", "bridge", "worker"])
        victims[victim] += 1
        kill_while_sending(engine, prompt(number, case.chance, pace=PACE), case.chance.uniform(0, TURN), victim)
        if victim == "bridge":
            _PAUSE.wait(case.chance.choice([0, case.chance.uniform(0, TURN)]))
            engine.start()
        until(engine.answers, "the bridge answers again")
        engine.verify()
    assert engine.ask("!standin text after all") == "after all"
    case.tell(kills=kills, **victims, turns=states(engine))


def test_kiro_is_killed(engine: FaultBridge, case: Case) -> None:
    kills = case.times(2, 50)
    engine.start()
    engine.send(prompt(kills, case.chance, pace=PACE))
    engine.verify()
    before = engine.usage()
    hits = number = 0
    while hits < kills:
        assert engine.send(prompt(number, case.chance, pace=PACE))
        _PAUSE.wait(case.chance.uniform(0, TURN))
        busy, victims = engine.get("/status")["status"] == "running", engine.detached()
        hits += busy and bool(victims)
        number += 1
        engine.hurt(*(victims if case.chance.random() < 0.5 else victims[:1]))
        engine.verify()
    held = engine.no_leak_since(before)
    case.tell(kills=hits, turns=states(engine), **held.beside(before))


def test_both_are_killed(engine: FaultBridge, case: Case) -> None:
    kills = case.times(1, 10)
    engine.start()
    for number in range(kills):
        assert engine.send(prompt(number, case.chance, pace=PACE))
        _PAUSE.wait(case.chance.uniform(0, TURN))
        engine.hurt(*engine.detached())
        engine.crash()
        engine.start()
        engine.verify()
    case.tell(kills=kills, turns=states(engine))


def test_bridge_is_killed_while_it_recovers(bridge: FaultBridge, case: Case) -> None:
    kills = case.times(1, 20)
    bridge.start()
    for number in range(kills):
        assert bridge.send(prompt(number, case.chance, pace=PACE))
        _PAUSE.wait(case.chance.uniform(0, TURN))
        bridge.crash()
        bridge.launch()
        _PAUSE.wait(case.chance.uniform(0.2, 1.0))
        bridge.crash()
        bridge.start()
        bridge.verify()
    case.tell(kills=2 * kills, turns=states(bridge))
