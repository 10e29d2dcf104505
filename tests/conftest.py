"""What holds for every test: an environment of its own, and nothing left behind."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import pytest

from tests import leaks

ROOT = Path(__file__).resolve().parent.parent
SCRUBBED = ("AGENTAPI_", "CODER_", "KIRO_", "XDG_")
KEPT = frozenset({"KIRO_RECORDINGS"})

hypothesis.settings.register_profile("busy-machine", deadline=None, print_blob=True)
hypothesis.settings.load_profile("busy-machine")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the processes of `-n auto`: two for each core, because most tests wait for other processes."""
    return 2 * (os.cpu_count() or 1)


def scrub(home: Path) -> None:
    """Take out of the environment what the bridge or kiro-cli would listen to, and move the home to `home`.

    The Python that runs the tests comes first in `PATH`, so that scripts which ask for `python3` get it.
    """
    for name in [name for name in os.environ if name.startswith(SCRUBBED) and name not in KEPT]:
        del os.environ[name]
    os.environ["HOME"] = str(home)
    folder = os.path.dirname(sys.executable)
    if not os.environ["PATH"].startswith(folder + os.pathsep):
        os.environ["PATH"] = folder + os.pathsep + os.environ["PATH"]


@pytest.fixture(scope="session", autouse=True)
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the whole run a scratch home and a mark of its own; restore the environment afterwards."""
    before = dict(os.environ)
    scrub(tmp_path_factory.mktemp("run-home"))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
    os.environ[leaks.MARK] = uuid.uuid4().hex
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def own_home(own_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give each test an empty home, and the environment of the run afterwards."""
    before = dict(os.environ)
    home = tmp_path_factory.mktemp("home")
    scrub(home)
    yield home
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest, own_home: Path) -> Iterator[None]:
    """Fail a test that leaves threads, processes or open files; `@pytest.mark.leaves(what, reason)` allows one kind."""
    allowed = set()
    for mark in request.node.iter_markers("leaves"):
        what, _reason = mark.args
        assert what in ("threads", "processes", "files"), f"the mark leaves() does not know {what!r}"
        allowed.add(what)
    before = leaks.take()
    yield
    left = leaks.left_behind(before, allowed=allowed)
    assert not left, f"left behind: {left}"


@dataclass(frozen=True)
class Standin:
    """The stand-in kiro-cli: its path, and the variables that make the bridge and itself use a scratch home."""

    path: Path
    env: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def standin(own_home: Path) -> Standin:
    """Return the stand-in, with `env` to be added to the environment of whatever runs it."""
    path = ROOT / "standin" / "kiro-cli"
    return Standin(path, {"HOME": str(own_home), "KIRO_CLI_PATH": str(path)})
