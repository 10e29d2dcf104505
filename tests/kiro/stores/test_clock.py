"""When a turn began, told by a wall clock that may be set."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.kiro.history import CLOCK_SLACK, TurnStart


@dataclass
class Clocks:
    """A wall clock and one that is never set."""

    wall: float = 1000.0
    steady: float = 50.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def start(self, at: float) -> TurnStart:
        return TurnStart(at, lambda: self.wall, lambda: self.steady)


def test_time_that_passes_changes_nothing() -> None:
    clocks = Clocks()
    start = clocks.start(999.0)
    clocks.pass_by(500.0)
    assert start.earliest() == 999.0 - CLOCK_SLACK and start.earliest(0.0) == 999.0


def test_a_clock_that_is_set_back_takes_the_start_with_it() -> None:
    clocks = Clocks()
    start = clocks.start(1000.0)
    clocks.pass_by(10.0)
    clocks.wall -= 600.0
    assert start.earliest(0.0) == 400.0
    clocks.pass_by(10.0)
    clocks.wall -= 100.0
    assert start.earliest(0.0) == 300.0 == start.began


def test_a_clock_that_is_set_forth_does_not() -> None:
    clocks = Clocks()
    start = clocks.start(1000.0)
    clocks.wall += 600.0
    assert start.earliest(0.0) == 1000.0


def test_a_start_in_the_future_was_noted_before_the_clock_was_set_back() -> None:
    assert Clocks(wall=1000.0).start(4600.0).earliest(0.0) == 1000.0
