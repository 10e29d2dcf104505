"""How long fuzzing takes, and the one running bridge that it is done to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from tests.whole.conftest import Bridge, until

LONGER = 40
"""How many times as many examples `--long` takes."""


class Fuzz(Protocol):
    """Runs a check on many values; `examples` is how many in a short run."""

    def __call__(self, values: SearchStrategy[Any], check: Callable[[Any], object], *, examples: int) -> None: ...


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Fuzz:
    """Give a function that runs a check on as many values as this run has time for."""
    times = LONGER if request.config.getoption("--long", default=False) else 1

    def run(values: SearchStrategy[Any], check: Callable[[Any], object], *, examples: int) -> None:
        @settings(max_examples=examples * times, suppress_health_check=list(HealthCheck))
        @given(values)
        def one(value: Any) -> None:
            check(value)

        one()

    return run


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, own_environment: None) -> Iterator[Bridge]:
    """Give one running bridge with a finished turn in it, for all tests of a module.

    When they are through it must still answer, and every turn that they made must have come to one end.
    """
    bridge = Bridge(tmp_path_factory.mktemp("fuzzed"))
    bridge.start()
    try:
        bridge.ask("!standin tool shell echo hello", "!standin text Hello.")
        yield bridge
        bridge.settled()
        bridge.one_end_each()
        assert "Traceback" not in bridge.log.read_text(), bridge.log.read_text()[-5000:]
    finally:
        bridge.stop()
    until(lambda: not bridge.running(), f"no process is left: {bridge.running()}")
