"""The application over a service in memory, and a client for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from .memory import MemoryChat, make_app
from .real import RealApp

MakeClient = Callable[..., FlaskClient]


@pytest.fixture
def chat() -> MemoryChat:
    """A service with one session and no turns."""
    return MemoryChat()


@pytest.fixture
def make_client(chat: MemoryChat, tmp_path: Path) -> MakeClient:
    """Make a client of an application with other settings."""

    def make(**changes: Any) -> FlaskClient:
        return make_app(chat, tmp_path / "uploads", **changes).test_client()

    return make


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealApp]:
    """The application over a real engine and ledger, with a transport in the hands of the test."""
    made = RealApp(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(make_client: MakeClient) -> FlaskClient:
    """A client of the application with AgentAPI's default lists."""
    return make_client()
