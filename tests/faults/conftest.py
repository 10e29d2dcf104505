"""How long the fault tests run, from which seed, and where their figures go."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.harness import FaultBridge
from tests.whole.conftest import ENGINES, until

FIGURES = "figures"
LONG_TIMEOUT = 1200
TRANSPORTS = ("headless", "acp")
"""How Kiro is driven in the tests that take every engine. The others take the first; in the long run, each."""

ENGINES_OF = {"headless": ("v1", "v2-text", "v2", "v3"), "acp": ("v2", "v3")}
HEADLESS_ONLY = ("test_clock_is_set_while_turns_run", "test_v1_")
WITHOUT_KIRO = ("test_connections.py", "test_start_is_refused", "test_a_session_of_many_turns")
"""Where it makes no difference how Kiro is driven."""

SHORT_ENGINES = {"headless": ("v1", "v2", "v3"), "acp": ()}
ONE_ENGINE: dict[tuple[str, str], tuple[str, ...]] = {
    ("headless", "test_both_are_killed"): ("v3",),
    ("headless", "test_kiro_is_suspended_and_goes_on"): ("v1",),
    ("headless", "test_a_suspended_kiro_is_stopped"): ("v2",),
    ("acp", "test_bridge_is_killed"): ("v2", "v3"),
    ("acp", "test_kiro_is_killed"): ("v2", "v3"),
    ("acp", "test_both_are_killed"): ("v3",),
    ("acp", "test_kiro_is_suspended_and_goes_on"): ("v3",),
    ("acp", "test_a_suspended_kiro_is_stopped"): ("v2",),
    ("acp", "test_store_is_taken_away_during_a_turn"): ("v2", "v3"),
}
"""The engines of the short run, by the test's name and else `SHORT_ENGINES`; all of them run in the long one."""

FOLDER = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of these tests; they are there when this folder is named on the command line."""
    group = parser.getgroup("faults")
    group.addoption("--long", action="store_true", default=False, help="inject faults in full numbers")
    group.addoption("--transport", choices=sorted(ENGINES_OF), help="drive Kiro in this way alone, in all tests")
    group.addoption("--fault-seed", type=int, default=1, help="where the fault tests' chance begins (default 1)")


def transports(config: pytest.Config) -> tuple[str, ...]:
    """Return how Kiro is to be driven."""
    chosen = config.getoption("transport", None)
    return (chosen,) if chosen else TRANSPORTS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests that take every engine on each engine that a transport can drive."""
    if "engine" in metafunc.fixturenames:
        pairs = [(transport, engine) for transport in transports(metafunc.config) for engine in ENGINES_OF[transport]]
        names = [engine if transport == "headless" else f"{transport}-{engine}" for transport, engine in pairs]
        metafunc.parametrize(("transport", "engine"), pairs, indirect=True, ids=names)
    elif "transport" in metafunc.fixturenames and metafunc.config.getoption("long", False):
        of_kiro = not {metafunc.module.__file__.rpartition("/")[2], metafunc.function.__name__} & {*WITHOUT_KIRO}
        if of_kiro:
            metafunc.parametrize("transport", transports(metafunc.config), indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the long runs the time they need, and leave out of the short ones what says little new."""
    ours = [item for item in items if FOLDER in item.path.parents and isinstance(item, pytest.Function)]
    long = config.getoption("long", False)
    for item in ours if long else ():
        item.add_marker(pytest.mark.timeout(LONG_TIMEOUT))
    left_out = [item for item in ours if not _is_driven(item, config) or not (long or _is_short(item))]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _is_short(item: pytest.Function) -> bool:
    """Return whether a test's engine is one of the short run's."""
    given = _parameters(item)
    if "engine" not in given:
        return True
    transport = str(given["transport"])
    return given["engine"] in ONE_ENGINE.get((transport, item.originalname), SHORT_ENGINES[transport])


def _is_driven(item: pytest.Function, config: pytest.Config) -> bool:
    """Return whether a test can be run by the transport it would get."""
    transport = _parameters(item).get("transport", transports(config)[0])
    needs_headless = item.originalname.startswith(HEADLESS_ONLY) or _parameters(item).get("name") == "v1"
    return transport == "headless" or not needs_headless


def _parameters(item: pytest.Function) -> Mapping[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures, one line for each case, from whatever process it ran in."""
    reports = [one for outcome in ("passed", "failed") for one in terminalreporter.getreports(outcome)]
    told = [one.user_properties for one in reports if isinstance(one, pytest.TestReport) and one.when == "call"]
    lines = [str(line) for properties in told for name, line in properties if name == FIGURES]
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
    told: list[tuple[str, object]] = field(repr=False)

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
        self.told.append((FIGURES, line))
        print(line)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    config = request.config
    name = request.node.name.removeprefix("test_")
    seed, long = config.getoption("fault_seed", 1), config.getoption("long", False)
    return Case(name, seed, long, request.node.user_properties)


@pytest.fixture
def transport(request: pytest.FixtureRequest) -> str:
    """How Kiro is driven."""
    return str(getattr(request, "param", transports(request.config)[0]))


@pytest.fixture
def bridge(tmp_path: Path, transport: str) -> Iterator[FaultBridge]:
    made = FaultBridge(tmp_path, transport)
    yield made
    made.stop()
    until(lambda: not made.running(), f"no process is left: {made.running()}")


@pytest.fixture
def engine(request: pytest.FixtureRequest, bridge: FaultBridge) -> FaultBridge:
    """A bridge for each of Kiro's engines, and v2 without its stream."""
    bridge.env.update(ENGINES[request.param])
    return bridge
