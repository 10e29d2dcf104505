"""Asking whether kiro-cli is logged in, and keeping what is known of it at hand."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.core.ports import Readiness
from bridge.kiro.command import LaunchOptions
from bridge.kiro.installation import FRESH_NOT_READY, FRESH_READY, Found, Installation
from bridge.kiro.login import REMEMBER_FOR, LoginCheck

from .scripts import program, until
from .test_capabilities import fake


class Clock:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def whoami(folder: Path, source: str) -> Path:
    return program(folder / "kiro-cli", f"echo x >> {folder}/asked\n{source}", "/bin/sh")


def asked(folder: Path) -> int:
    return len((folder / "asked").read_text().split())


def test_a_good_answer_is_remembered_for_a_while(tmp_path: Path) -> None:
    clock = Clock()
    binary, check = whoami(tmp_path, "echo Logged in with Builder ID; echo Email: a@b"), LoginCheck(clock)
    login = check.check(binary, os.environ, "/")
    assert login.logged_in and login.certain and login.account == "Logged in with Builder ID"
    clock.now += REMEMBER_FOR - 1
    check.check(binary, os.environ, "/")
    assert asked(tmp_path) == 1
    clock.now += 1
    check.check(binary, os.environ, "/")
    assert asked(tmp_path) == 2
    check.forget()
    check.check(binary, os.environ, "/")
    assert asked(tmp_path) == 3


@pytest.mark.parametrize("source", ["echo Not logged in; exit 1", "echo '{\"account\":null}'; exit 1"])
def test_logged_out_is_a_problem_and_asked_again_each_time(tmp_path: Path, source: str) -> None:
    binary, check = whoami(tmp_path, source), LoginCheck()
    for _ in range(2):
        login = check.check(binary, os.environ, "/")
        assert not login.logged_in and login.problem is not None and login.problem.code == "not_logged_in"
        assert "kiro-cli login" in login.problem.remedy and "KIRO_API_KEY" in login.problem.remedy
    assert asked(tmp_path) == 2


def test_an_api_key_counts_as_a_login_and_is_never_repeated(tmp_path: Path) -> None:
    binary = whoami(tmp_path, "exit 1")
    login = LoginCheck().check(binary, {**os.environ, "KIRO_API_KEY": "secret"}, "/")
    assert login.logged_in and "KIRO_API_KEY" in login.account and "secret" not in str(login)
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(("source", "code"), [("sleep 1000", "login_check_timeout"), ("exit 7", "login_check_failed")])
def test_no_answer_is_not_taken_for_logged_out(tmp_path: Path, source: str, code: str) -> None:
    login = LoginCheck(timeout=0.3).check(whoami(tmp_path, source), os.environ, "/")
    assert login.logged_in and not login.certain and login.problem is not None and login.problem.code == code


@pytest.fixture
def made() -> Iterator[list[Installation]]:
    installations: list[Installation] = []
    yield installations
    for installation in installations:
        installation.close()


def installed(made: list[Installation], binary: Path, clock: Clock) -> Installation:
    made.append(Installation(os.environ, LaunchOptions(), explicit=str(binary), monotonic=clock))
    return made[-1]


def health(installation: Installation, ready: bool) -> Readiness:
    """Ask until the answer that is waited for is there."""
    until(lambda: installation.health().ready is ready and "checking" not in installation.health().facts)
    return installation.health()


def test_health_is_answered_at_once_and_refreshed_behind(tmp_path: Path, made: list[Installation]) -> None:
    clock = Clock()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    binary = fake(tmp_path / "kiro-cli", extra=f'[ "$1" = whoami ] && {{ read x < {gate}; echo Logged in; }}')
    installation = installed(made, binary, clock)
    assert installation.health() == Readiness(False, None, {"checking": True})
    gate.write_text("go\n")
    ready = health(installation, True)
    assert ready.problem is None
    assert {
        **ready.facts,
        "path": str(binary),
        "version": "2.28.0",
        "engine": "v2",
        "login": "Logged in",
    } == ready.facts
    clock.now += FRESH_READY - 1
    installation.health()
    binary.unlink()
    clock.now += 1
    missing = health(installation, False)
    assert missing.problem is not None and missing.problem.code == "kiro_missing"
    fake(binary, extra="[ $1 = whoami ] && echo Logged in")
    clock.now += FRESH_NOT_READY
    health(installation, True)


def test_a_logged_out_cli_is_not_ready_until_it_is_logged_in(tmp_path: Path, made: list[Installation]) -> None:
    mark = tmp_path / "logged-in"
    said = f"if [ $1 = whoami ]; then [ -e {mark} ] && echo Logged in || {{ echo Not logged in; exit 1; }}; fi"
    installation = installed(made, fake(tmp_path / "kiro-cli", extra=said), Clock())
    out = installation.refresh_health()
    assert not out.ready and out.problem is not None and out.problem.code == "not_logged_in"
    mark.touch()
    assert installation.refresh_health().ready


def test_closing_interrupts_an_examination(tmp_path: Path, made: list[Installation]) -> None:
    started = tmp_path / "started"
    installation = installed(made, fake(tmp_path / "kiro-cli", extra=f"touch {started}; sleep 1000"), Clock())
    installation.health()
    until(started.exists)
    installation.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "kiro-health"]
    assert not installation.health().ready


def test_what_is_found_can_be_run(tmp_path: Path, made: list[Installation]) -> None:
    binary = fake(tmp_path / "kiro-cli")
    found = installed(made, binary, Clock()).find()
    assert isinstance(found, Found) and found.binary == binary and found.env["NO_COLOR"] == "1"
