"""`python -m bench`: prints one table, AgentAPI's figures beside ours where AGENTAPI_BIN names its binary."""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import crowd, histories, library, load, stores, table, turns, warmth
from bench.figures import Results
from bench.rows import HEADLESS
from bench.servers import AgentApi, Bridge, Kind, running

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


@dataclass(frozen=True)
class Effort:
    """How much is measured. Servers take turns in `rounds`, so that a busy machine is busy for both."""

    rounds: int = 3
    turns: int = 8
    slow_turns: int = 4
    spoken: int = 4
    starts: int = 3
    seconds: float = 6.0
    requests: int = 150
    words: int = 40
    crowds: tuple[int, ...] = (1, 100, 300)
    status_clients: int = 100
    v1_sizes: tuple[int, ...] = (1, 5, 20)
    v2_sizes: tuple[int, ...] = (1, 10, 100)
    histories: tuple[int, ...] = (100, 10_000, 100_000)
    repeats: int = 20
    ledger_turns: int = 100
    libraries: tuple[tuple[int, int], ...] = ((100, 100), (1_000, 100_000))
    start_up: float = 2.0


QUICK = Effort(1, 1, 1, 1, 1, 0.1, 5, 3, (1,), 5, (1,), (1,), (100,), 2, 3, ((100, 100),), 0.1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the table into docs/performance.md if asked to."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few samples only, to see that it runs")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("--only", choices=("servers", "alone"), help="leave out the other half of the rows")
    parser.add_argument("--ahead", action="store_true", help="go before the machine's other programs (root)")
    options = parser.parse_args(arguments)
    if not sys.platform.startswith("linux"):
        print("error: the benchmarks read /proc, so they need Linux.", file=sys.stderr)
        return 1
    if options.ahead:
        # Not `nice`: that counts within a session only, and each server and agent has its own (sched(7), autogroup).
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    began = time.monotonic()
    effort = QUICK if options.quick else Effort()
    results = Results()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if options.only != "alone":
            _servers(Path(folder), effort, results)
        if options.only != "servers":
            _alone(Path(folder), effort, results)
    text = f"{_about(options.ahead, time.monotonic() - began)}\n\n{table.table(results)}"
    print(text)
    if options.write:
        table.write(DOCUMENT, f"{text}\n\n## What each figure means\n\n{table.meanings()}")
    return 0


def kinds() -> list[Kind]:
    """Return the servers that can be measured."""
    binary = os.environ.get("AGENTAPI_BIN")
    bridges: list[Kind] = [Bridge(), Bridge(name=HEADLESS)]
    return [*bridges, AgentApi(binary)] if binary else bridges


def _servers(folder: Path, effort: Effort, results: Results) -> None:
    homes = {kind.name: folder / kind.name for kind in kinds()}
    for number in range(effort.rounds):
        for kind in kinds():
            _say(f"round {number + 1} of {effort.rounds}: {kind.name}")
            for start in range(effort.starts if kind.name != HEADLESS else 0):
                load.cold(kind, folder / f"{kind.name}-{number}-{start}", results)
            _round(kind, homes[kind.name], number, effort, results)


def _round(kind: Kind, home: Path, number: int, effort: Effort, results: Results) -> None:
    """Measure a server; of the bridge that runs headless only what the transport makes a difference to."""
    with running(kind, home) as server:
        server.settle()
        count = effort.turns if isinstance(kind, Bridge) else effort.slow_turns
        turns.measure(server, kind.name, range(number * count, (number + 1) * count), effort.spoken, results)
        load.rest(server, kind.name, "idle", effort.seconds, results)
        load.quiet_turn(server, kind.name, effort.seconds, results)
        if kind.name != HEADLESS:
            load.status(server, kind.name, effort.status_clients, effort.requests, results)
            for clients in effort.crowds:
                crowd.measure(server, kind.name, clients, effort.words, results)
        load.memory(server, kind.name, results)


def _alone(folder: Path, effort: Effort, results: Results) -> None:
    for kind in (Bridge(), Bridge(name=HEADLESS)):
        _say(f"a second prompt: {kind.name}")
        warmth.measure(kind, folder / f"second-{kind.name}", effort.start_up, effort.starts, results)
    for number in range(effort.starts):
        load.floor(folder / f"floor-{number}", results)
    for size in effort.v1_sizes:
        _say(f"v1 row of {size} MB")
        stores.v1(folder / f"v1-{size}", size, effort.repeats, results)
    for size in effort.v2_sizes:
        _say(f"v2 file of {size} MB")
        stores.v2(folder / f"v2-{size}", size, effort.repeats, results)
    for items in effort.histories:
        _say(f"session of {items} items")
        histories.session(folder / f"history-{items}", items, effort.repeats, results)
    for sessions, items in effort.libraries:
        _say(f"{sessions} sessions, search over {items} items")
        library.measure(folder / f"library-{sessions}", sessions, items, effort.repeats, results)
    histories.growth(folder / "growth", effort.ledger_turns, results)


def _about(ahead: bool, seconds: float) -> str:
    cores, load_now = os.cpu_count(), os.getloadavg()[1]
    beside = (
        "beside AgentAPI" if os.environ.get("AGENTAPI_BIN") else "alone: AGENTAPI_BIN names no AgentAPI to compare with"
    )
    return (
        f"{time.strftime('%Y-%m-%d')}, {beside}; {cores} cores, {platform.system()} {platform.release()},"
        f" Python {platform.python_version()}; taken in {math.ceil(seconds / 60)} min;"
        f" load over the last five minutes {load_now:.1f}"
        f"{', with the benchmark and both servers ahead of it (SCHED_RR)' if ahead else ''}."
    )


def _say(text: str) -> None:
    print(f"{text} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
