"""`kiro-bridge doctor`, run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import Standin


def doctor(cwd: Path, env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "bridge", "doctor", *words],
        cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_table_and_its_exit_code(standin: Standin, tmp_path: Path) -> None:
    well = doctor(tmp_path, standin.env)
    assert (well.returncode, well.stderr) == (0, "")
    assert well.stdout.startswith("ok ") and "Logged in" in well.stdout
    ill = doctor(tmp_path, {**standin.env, "KIRO_CLI_PATH": "/nowhere/kiro-cli"})
    assert ill.returncode == 1
    assert ill.stdout.startswith("failed ") and " -> " in ill.stdout


def test_json_and_settings(standin: Standin, tmp_path: Path) -> None:
    made = doctor(tmp_path, standin.env, "--json", "--transport", "headless")
    checks = {check["name"]: check for check in json.loads(made.stdout)["checks"]}
    assert made.returncode == 0 and checks["transport"]["found"].startswith("headless")
    assert set(checks["login"]) == {"name", "state", "found", "remedy"}


def test_wrong_words(standin: Standin, tmp_path: Path) -> None:
    assert doctor(tmp_path, standin.env, "--no-such-flag").returncode == 2
    assert doctor(tmp_path, standin.env, "something").returncode == 2
    wrong = doctor(tmp_path, standin.env, "--engine", "v9")
    assert wrong.returncode == 1 and wrong.stderr.startswith("error:")


def test_looking_changes_nothing(standin: Standin, tmp_path: Path, own_home: Path) -> None:
    doctor(tmp_path, {**standin.env, "KIRO_CLI_PATH": "/nowhere/kiro-cli"})
    assert not list(own_home.iterdir()) and not list(tmp_path.iterdir())
