"""Fixtures of the contract suite; the environment chooses the server (see the package's docstring).

Invariant: servers that tests share are session fixtures, so that they exist before a test begins and outlive it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .servers import URL, Server, Workshop, target_of_environment

LISTED_HOSTS = "localhost,app.example.com,[2001:db8::1],UPPER.example.com"
LISTED_ORIGINS = "https://app.example.com/path?q#f,https://*.example.org,http://[2001:db8::1]:80/"


@pytest.fixture(scope="session")
def session_workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """The maker of all servers of this run; ends what is left of them."""
    scratch: Path = tmp_path_factory.mktemp("contract")
    workshop = Workshop(target_of_environment(), scratch, URL)
    yield workshop
    workshop.stop_since(0)


@pytest.fixture(scope="session")
def shared_server(session_workshop: Workshop) -> Server:
    """The server with default flags; see `server`."""
    return session_workshop.default()


@pytest.fixture(scope="session")
def open_server(session_workshop: Workshop) -> Server:
    """A shared server that allows every host."""
    return session_workshop.launch("--allowed-hosts", "*")


@pytest.fixture(scope="session")
def listed_server(session_workshop: Workshop) -> Server:
    """A shared server with lists of allowed hosts and origins of its own."""
    return session_workshop.launch("--allowed-hosts", LISTED_HOSTS, "--allowed-origins", LISTED_ORIGINS)


@pytest.fixture
def workshop(session_workshop: Workshop) -> Iterator[Workshop]:
    """The maker of servers; what a test launches ends with the test."""
    mark = session_workshop.mark()
    yield session_workshop
    session_workshop.stop_since(mark)


@pytest.fixture
def server(shared_server: Server) -> Server:
    """A running server with default flags, shared with other tests, stable."""
    shared_server.wait_stable()
    return shared_server
