"""How long the fault tests run, from which seed, and where their figures go."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.harness import FaultBridge
from tests.whole.conftest import ENGINES, until

FIGURES = pytest.StashKey[list[str]]()
LONG_TIMEOUT = 1200
FOLDER = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of these tests; they are there when this folder is named on the command line."""
    group = parser.getgroup("faults")
    group.addoption("--long", action="store_true", default=False, help="inject faults in full numbers")
    group.addoption("--fault-seed", type=int, default=1, help="where the fault tests' chance begins (default 1)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the long runs the time they need."""
    if config.getoption("long", False):
        for item in items:
            if FOLDER in item.path.parents:
                item.add_marker(pytest.mark.timeout(LONG_TIMEOUT))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures, one line for each case."""
    lines = config.stash.get(FIGURES, [])
    if lines:
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.line(line)


@dataclass
class Case:
    """One test's share of chance and its figures. The same seed and test give the same faults."""

    name: str
    seed: int
    long: bool
    lines: list[str] = field(repr=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed} {self.name}")

    def times(self, short: int, long: int) -> int:
        """Return how often the fault is to be injected."""
        return long if self.long else short

    def tell(self, **figures: object) -> None:
        """Report what was done and measured, in one line."""
        shown = " ".join(
            f"{name}={value:.3f}" if isinstance(value, float) else f"{name}={value}" for name, value in figures.items()
        )
        line = f"{self.name}: seed={self.seed} {shown}"
        self.lines.append(line)
        print(line)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    config = request.config
    lines = config.stash.setdefault(FIGURES, [])
    name = request.node.name.removeprefix("test_")
    return Case(name, config.getoption("fault_seed", 1), config.getoption("long", False), lines)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[FaultBridge]:
    made = FaultBridge(tmp_path)
    yield made
    made.stop()
    until(lambda: not made.running(), f"no process is left: {made.running()}")


@pytest.fixture(params=["v1", "v2-text", "v2", "v3"])
def engine(request: pytest.FixtureRequest, bridge: FaultBridge) -> FaultBridge:
    """A bridge for each of Kiro's engines, and v2 without its stream."""
    bridge.env.update(ENGINES[request.param])
    return bridge
