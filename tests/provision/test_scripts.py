"""The user's scripts before and after."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bridge.provision.inputs import Places
from bridge.provision.progress import ProvisionError
from bridge.provision.scripts import run_script
from tests.provision.conftest import SECRET


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path / "root")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(tmp_path), "KIRO_CLI_AUTH_TARBALL": SECRET, "KIRO_API_KEY": f"key {SECRET}"}


def test_script_runs_in_the_home_with_its_shebang_and_its_output_is_kept(
    places: Places, env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_script("pre_install", "#!/usr/bin/env python3\nimport os\nprint('here', os.getcwd())\n", places, env)
    assert f"here {places.home}" in capsys.readouterr().out
    assert (places.logs / "pre_install.log").read_text() == f"here {places.home}\n"
    assert stat.S_IMODE((places.scripts / "pre_install").stat().st_mode) == 0o700
    assert stat.S_IMODE((places.logs / "pre_install.log").stat().st_mode) == 0o600


def test_script_without_a_shebang_and_with_foreign_line_ends_runs(
    places: Places, env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_script("pre_install", "echo one\r\necho two >&2\r\n", places, env)
    assert "  one\n  two\n" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "  \n"])
def test_no_script_does_nothing(places: Places, env: dict[str, str], text: str) -> None:
    run_script("pre_install", text, places, env)
    assert not places.root.exists()


@pytest.mark.parametrize(("code", "told"), [("exit 7", 7), ("kill -9 $$", 1), ("exit 127", 1)])
def test_failure_stops_with_the_exit_code(places: Places, env: dict[str, str], code: str, told: int) -> None:
    with pytest.raises(ProvisionError) as failed:
        run_script("post_install", f"#!/bin/sh\necho before\n{code}\n", places, env)
    assert failed.value.exit_code == told and failed.value.problem.code == "script_failed"
    assert "post_install.log" in failed.value.problem.remedy


def test_missing_interpreter_is_told(places: Places, env: dict[str, str]) -> None:
    with pytest.raises(ProvisionError) as failed:
        run_script("pre_install", "#!/no/such/shell\necho\n", places, env)
    assert "/no/such/shell" in failed.value.problem.cause


def test_secrets_in_the_output_are_hidden(
    places: Places, env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_script("pre_install", "#!/bin/sh\nenv\n", places, env)
    log = (places.logs / "pre_install.log").read_text()
    assert "KIRO_API_KEY=[hidden]" in log and "KIRO_CLI_AUTH_TARBALL" not in log
    assert SECRET not in log + capsys.readouterr().out


def test_process_left_in_the_background_does_not_hold_the_start_up(places: Places, env: dict[str, str]) -> None:
    run_script("pre_install", "#!/bin/sh\nsleep 600 &\necho $! > background\n", places, env)
    os.kill(int((places.home / "background").read_text()), 9)


def test_installed_commands_are_found(places: Places, env: dict[str, str]) -> None:
    places.bin.mkdir(parents=True)
    (places.bin / "kiro-cli").write_text("#!/bin/sh\necho found\n")
    (places.bin / "kiro-cli").chmod(0o755)
    run_script("post_install", "#!/bin/sh\nkiro-cli\n", places, env)
    assert "found" in (places.logs / "post_install.log").read_text()
