"""The command line: version, help, exit codes, flags as AgentAPI reads them, standard input."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge import __version__
from bridge.cli import main
from bridge.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent


def settings_from(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Return what `kiro-bridge settings` prints for these words, as a mapping."""
    assert main(["settings", *words]) == 0
    values = yaml.safe_load(capsys.readouterr().out)
    assert isinstance(values, dict)
    return values


def failure(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """Return the one line on stderr with which the words end in this exit code; stdout stays empty."""
    assert main(list(words)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    return printed.err


def run(
    *words: str, code: str = "", stdin: int = subprocess.DEVNULL, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the bridge, or Python `code` that uses it, in a process of its own."""
    start = ["-c", code] if code else ["-m", "bridge"]
    feed: dict[str, Any] = {"stdin": stdin} if text is None else {"input": text}
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, *start, *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, env=env, **feed)


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_last_word_of_the_version_is_that_of_agentapi(flag: str) -> None:
    """facts/agentapi-contract.md 5.1: Coder compares the last word, and wants at least 0.12.0."""
    done = run(flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(rf"kiro-bridge {re.escape(__version__)} agentapi version \d+\.\d+\.\d+\n", done.stdout)
    assert tuple(map(int, done.stdout.split()[-1].split("."))) >= (0, 12, 0)


def test_no_command_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "serve" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["serve", "server", "settings"])
def test_help_shows_every_setting_that_is_not_hidden(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    for setting in SETTINGS:
        assert (f" {setting.flag} " in done.stdout) is not setting.hidden
        assert (setting.variables[0] in done.stdout) is not setting.hidden


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["serv"], "invalid choice: 'serv'"),
        (["serve", "--bogus"], "there is no flag --bogus"),
        (["serve", "--bogus=1"], "there is no flag --bogus."),
        (["serve", "--por", "1"], "there is no flag --por"),
        (["serve", "agent", "-x"], "there is no flag -x"),
        (["serve", "--port"], "expected one argument"),
        (["settings", "word"], "the command settings takes no words, and was given 'word'"),
    ],
)
def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str], words: list[str], reason: str) -> None:
    assert reason in failure(capsys, 2, *words)


def test_wrong_setting_is_exit_code_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "(from flag --port)" in failure(capsys, 1, "serve", "--port", "x", "--exit")
    monkeypatch.setenv("AGENTAPI_PORT", "y")
    assert "setting port cannot be 'y' (from environment variable AGENTAPI_PORT)" in failure(capsys, 1, "serve")


def test_exit_ends_after_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--exit", "kiro-cli"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("words", [["serve", "--print-openapi"], ["server", "-P", "--", "agent", "--exit=false"]])
def test_openapi_is_printed_and_nothing_else(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["openapi"] == "3.0.3"
    assert printed.out == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert printed.err == ""


def test_flags_stand_between_words(capsys: pytest.CaptureFixture[str]) -> None:
    """facts/agentapi-contract.md 5.2: `--` is needed only before an agent's own flags."""
    assert main(["server", "agent", "--port", "x", "--", "--port", "1"]) == 1
    assert "'x' (from flag --port)" in capsys.readouterr().err
    assert main(["server", "agent", "--exit", "more", "--", "--port", "x"]) == 0
    assert main(["server", "--exit", "--", "false"]) == 0


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--port", "1"], "port", 1),
        (["--port=1"], "port", 1),
        (["-p", "1"], "port", 1),
        (["-p=1"], "port", 1),
        (["-p1"], "port", 1),
        (["--trust-all-tools"], "trust_all_tools", True),
        (["--trust-all-tools=false"], "trust_all_tools", False),
        (["--trust-all-tools", "false"], "trust_all_tools", False),
        (["--trust-all-tools", "Yes", "--report-tasks", "0", "-p", "1"], "trust_all_tools", True),
        (["--trust-all-tools", "--report-tasks", "off"], "trust_all_tools", True),
        (["--report-tasks", "off", "--trust-all-tools"], "report_tasks", False),
        (["--state-file", "/s", "--load-state=false"], "load_state", False),
        (["--state-file", "/s"], "save_state", True),
        (["-a", "a,b", "--allowed-hosts", "[::1]"], "allowed_hosts", ["a", "b", "[::1]"]),
        (["-I", "-- do this"], "initial_prompt", "-- do this"),
        (["--initial-prompt=--exit"], "initial_prompt", "--exit"),
        (["--trust-tools="], "trust_tools", []),
    ],
)
def test_flags_are_written_as_for_agentapi(
    capsys: pytest.CaptureFixture[str], words: list[str], name: str, value: object
) -> None:
    """facts/agentapi-contract.md 5.2 and 8 C4, C5."""
    assert settings_from(capsys, *words)[name] == value


def test_every_setting_is_printed_with_its_origin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTAPI_TERM_WIDTH", "99")
    assert main(["settings", "-p", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.lstrip("# ").partition(":")[0] for line in lines] == [setting.name for setting in SETTINGS]
    assert "port: 1  # flag --port" in lines
    assert "term_width: 99  # environment variable AGENTAPI_TERM_WIDTH" in lines
    assert 'engine: "auto"  # default' in lines


STDIN = """
import os, sys
from pathlib import Path
from bridge.cli import with_piped_prompt
from bridge.settings import load
settings = with_piped_prompt(load({name: [value] for name, value in [sys.argv[1:]]}, os.environ, Path.cwd()))
print(repr(settings.initial_prompt), settings.origins["initial_prompt"])
"""


def test_prompt_on_standard_input_is_used_when_no_other_is_given() -> None:
    assert run("port", "1", code=STDIN, text="from a pipe").stdout == "'from a pipe' standard input\n"
    done = run("initial_prompt", "mine", code=STDIN, text="from a pipe")
    assert done.stdout == "'mine' flag --initial-prompt\n"
    assert run("port", "1", code=STDIN, text=" \n").stdout == "'' default\n"


def test_open_standard_input_is_told_and_not_used() -> None:
    reading, writing = os.pipe()
    done = run("port", "1", code=STDIN, stdin=reading)
    os.close(reading)
    os.close(writing)
    assert done.stdout == "'' default\n"
    assert done.stderr.startswith("warning: standard input is an open pipe that does not end")


def test_start_says_what_is_not_used(tmp_path: Path) -> None:
    """The start itself fails here, at a PID file that cannot be written."""
    (tmp_path / "file").write_text("")
    env = "import os, sys; os.environ['KIRO_BRIDGE_PROT'] = '1'; from bridge.cli import main; sys.exit(main())"
    words = ["serve", "agent", "--port", "0", "--pid-file", str(tmp_path / "file" / "x"), "--", "-x"]
    done = run(*words, code=env)
    assert done.returncode == 1
    assert done.stderr.splitlines()[:2] == [
        "warning: the environment variable KIRO_BRIDGE_PROT names no setting and is not used",
        "warning: the words 'agent -x' are not used: the bridge finds and runs kiro-cli by itself",
    ]
    assert done.stderr.splitlines()[2].startswith("error: the PID file ")
