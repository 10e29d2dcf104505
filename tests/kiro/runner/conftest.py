"""Where the recordings of the real CLI are, if they are here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def recordings() -> Path:
    """The folder that KIRO_RECORDINGS names."""
    folder = os.environ.get("KIRO_RECORDINGS")
    if not folder:
        pytest.skip("KIRO_RECORDINGS is not set: no recordings of the real CLI to compare with")
    return Path(folder)
