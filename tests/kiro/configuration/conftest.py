"""A home and a folder with configuration of Kiro's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.kiro.configuration import Configuration

Write = Callable[[str, Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file under `tmp_path`, JSON unless it is a text; `home` and `work` are the two folders."""

    def write(path: str, content: Any) -> Path:
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
        return place

    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    return write


@pytest.fixture
def configuration(tmp_path: Path, write: Write) -> Configuration:
    """The configuration of a session in `work`."""
    return Configuration({"HOME": str(tmp_path / "home")}, str(tmp_path / "work"))
