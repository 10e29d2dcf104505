"""A ledger of its own for each test, on a clock that the test can see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.core.records import Session
from bridge.ledger import Ledger


class Ticking:
    """A clock that is one second later each time it is asked, so that every time tells which call it came from."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clock() -> Ticking:
    """Return the clock of the ledger."""
    return Ticking()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the ledger stands."""
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path, clock: Ticking) -> Iterator[Ledger]:
    """Return an open, empty ledger."""
    ledger = Ledger.open(path, clock)
    yield ledger
    ledger.close()


@pytest.fixture
def session(ledger: Ledger) -> Session:
    """Return a session of the ledger."""
    return ledger.create_session("/some/where")[0]
