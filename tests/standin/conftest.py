"""The stand-in, ready to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.standin.runs import Cli, fresh


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Return the stand-in with an empty home and an empty working folder."""
    return fresh(tmp_path)
