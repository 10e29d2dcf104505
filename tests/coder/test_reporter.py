"""The reporter on a real ledger, hub and engine, with voices in the hands of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from bridge.coder.reporter import StatusReporter
from bridge.coder.rules import Report
from bridge.coder.voice import Untold
from bridge.core.feed import Ended, TextDelta, ToolSeen
from bridge.engine import Hub
from tests.engine.conftest import Bench, bench

__all__ = ["bench"]

PATIENCE = 60.0


class Ear:
    """A voice that keeps what it was told. `deaf` says why it hears nothing, `gate` holds whoever tells."""

    name = "the test"

    def __init__(self) -> None:
        self.heard: list[Report] = []
        self.tries = 0
        self.deaf = ""
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False
        self._changed = threading.Condition()

    def tell(self, report: Report, timeout: float) -> None:
        with self._changed:
            self.tries += 1
            self._changed.notify_all()
        self.gate.wait(PATIENCE)
        if self.deaf:
            raise Untold(self.deaf)
        with self._changed:
            self.heard.append(report)
            self._changed.notify_all()

    def close(self) -> None:
        self.closed = True
        self.gate.set()

    def until(self, holds: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, PATIENCE), self.heard

    def until_heard(self, state: str, summary: str) -> None:
        self.until(lambda: self.heard and (self.heard[-1].state, self.heard[-1].summary) == (state, summary))

    def states(self) -> list[str]:
        return [report.state for report in self.heard]


class Parts:
    """An engine with a reporter that tells `ears` in their order."""

    def __init__(self, bench: Bench, *ears: Ear) -> None:
        self.bench = bench
        self.ears = ears or (Ear(),)
        self.ear = self.ears[0]
        self.reporter = StatusReporter(bench.hub, bench.ledger, bench.engine.primary, self.ready, self.ears)

    def ready(self) -> bool:
        return self.bench.engine.status().ready

    def start(self) -> Parts:
        self.reporter.start()
        self.bench.start()
        return self

    def end(self, outcome: str = "completed") -> None:
        self.bench.puppet.say(Ended(outcome))  # type: ignore[arg-type]
        self.bench.settled()


@pytest.fixture
def parts(bench: Bench) -> Iterator[Parts]:
    made = Parts(bench)
    yield made
    for ear in made.ears:
        ear.gate.set()
    made.reporter.stop(PATIENCE)
    assert all(ear.closed for ear in made.ears)


def test_a_turn_as_coder_hears_it(parts: Parts) -> None:
    parts.start()
    parts.ear.until_heard("idle", "Ready for a prompt")
    parts.bench.engine.submit("fix it")
    parts.ear.until_heard("working", "fix it")
    parts.bench.puppet.say(ToolSeen("t", "shell", "Running: make", status="running"))
    parts.ear.until_heard("working", "Running: make")
    parts.bench.puppet.say(ToolSeen("t", status="completed"), TextDelta("done"))
    parts.end()
    parts.ear.until_heard("idle", "Done: fix it")


def test_the_models_own_report_is_the_last_word(parts: Parts) -> None:
    parts.start()
    parts.bench.engine.submit("fix it")
    parts.ear.until_heard("working", "fix it")
    given = {"state": "complete", "summary": "Fixed", "link": ""}
    parts.bench.puppet.say(ToolSeen("t", "coder_report_task", status="completed", input=given))
    parts.end()
    parts.bench.engine.submit("and more")
    parts.ear.until_heard("working", "and more")
    parts.end("cancelled")
    parts.ear.until_heard("idle", "Stopped: and more")
    assert ("idle", "Done: fix it") not in [(report.state, report.summary) for report in parts.ear.heard]


def test_the_second_way_is_taken_when_the_first_is_shut(bench: Bench) -> None:
    first, second = Ear(), Ear()
    first.deaf = "shut"
    parts = Parts(bench, first, second).start()
    second.until_heard("idle", "Ready for a prompt")
    first.deaf = ""
    bench.engine.submit("go")
    first.until_heard("working", "go")
    parts.end()
    first.until_heard("idle", "Done: go")
    parts.reporter.stop(PATIENCE)
    assert second.states() == ["idle"]


def test_what_nobody_heard_is_told_again(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    parts.ear.deaf = "Coder is gone"
    parts.start()
    parts.ear.until(lambda: parts.ear.tries >= 2)
    parts.ear.deaf = ""
    parts.ear.until_heard("idle", "Ready for a prompt")
    told = [record.message for record in caplog.records if "Coder is gone" in record.message]
    assert len(told) == 1, "said once, however often it was tried"


def test_a_coder_that_hangs_delays_no_turn_and_hears_only_the_newest(parts: Parts) -> None:
    parts.ear.gate.clear()
    parts.start()
    parts.ear.until(lambda: parts.ear.tries == 1)
    for number in range(20):
        parts.bench.engine.submit(f"prompt {number}")
        parts.bench.puppet.say(ToolSeen(f"t{number}", "shell", status="running"), TextDelta("x"))
        parts.end()
    assert parts.ear.heard == [] and parts.ear.tries == 1
    parts.ear.gate.set()
    parts.ear.until_heard("idle", "Done: prompt 19")
    assert len(parts.ear.heard) == 2


def test_a_reporter_that_fell_behind_reads_the_ledger(bench: Bench) -> None:
    bench.hub = Hub(bench.ledger.last_seq(), max_events=4)
    bench.engine = bench._engine()
    parts = Parts(bench)
    parts.ear.gate.clear()
    parts.start()
    parts.ear.until(lambda: parts.ear.tries == 1)
    bench.engine.submit("long ago")
    bench.puppet.say(*(ToolSeen(f"t{number}", "shell", status="completed") for number in range(50)))
    bench.puppet.say(ToolSeen("last", "shell", "Running: last", status="running"))
    bench.until(lambda: any(item.item.data.get("title") == "Running: last" for item in bench.ledger.turn_items(1)))
    assert bench.hub.since(0) is None
    parts.ear.gate.set()
    parts.ear.until_heard("working", "Running: last")
    parts.end()
    parts.ear.until_heard("idle", "Done: long ago")
    parts.reporter.stop(PATIENCE)


def test_the_end_of_the_bridge_is_told(parts: Parts) -> None:
    parts.start()
    parts.bench.engine.submit("go")
    parts.ear.until_heard("working", "go")
    parts.bench.engine.stop()
    parts.reporter.stop(PATIENCE)
    assert (parts.ear.heard[-1].state, parts.ear.heard[-1].summary.split(":")[0]) == ("idle", "Interrupted")


def test_other_sessions_are_not_told(parts: Parts) -> None:
    parts.start()
    parts.ear.until_heard("idle", "Ready for a prompt")
    parts.bench.engine.submit("ours")
    other, event = parts.bench.ledger.create_session("/")
    parts.bench.hub.publish([event])
    _turn, events = parts.bench.ledger.accept(other.id, "another session's")
    parts.bench.hub.publish(events)
    parts.end()
    parts.ear.until_heard("idle", "Done: ours")
    assert all("another" not in report.summary for report in parts.ear.heard)


def test_a_reporter_that_never_began_can_be_stopped(bench: Bench) -> None:
    Parts(bench).reporter.stop()
