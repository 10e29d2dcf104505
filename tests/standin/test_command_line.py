"""Commands and flags: what each release has, and how a wrong one ends."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from standin.personality import KNOWN
from tests.standin.runs import PROGRAM, Cli

ENGINE_VALUES = {"1.28": None, "2.5": "v2, v1, kas", "2.19": "v2, v1, v3", "2.28": "v2, v1, v3", "3.0": "v2, v1, v3"}


@pytest.mark.parametrize(("name", "label"), KNOWN.items())
def test_version_of_each_release(cli: Cli, name: str, label: str) -> None:
    assert cli.run("--version", KIRO_STANDIN_VERSION=name).out == f"kiro-cli {label}\n"


def test_runs_as_a_program_through_a_link(cli: Cli, tmp_path: Path) -> None:
    link = tmp_path / "bin" / "kiro-cli"
    link.parent.mkdir()
    link.symlink_to(PROGRAM)
    done = subprocess.run([link, "--version"], capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout == b"kiro-cli 2.28.0\n"


def test_needs_the_standard_library_only() -> None:
    for path in [PROGRAM, *PROGRAM.parent.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in {*sys.stdlib_module_names, "standin"}, f"{path.name} imports {name}"


@pytest.mark.parametrize(("name", "values"), ENGINE_VALUES.items())
def test_help_shows_what_the_release_has(cli: Cli, name: str, values: str | None) -> None:
    text = cli.run("chat", "--help", KIRO_STANDIN_VERSION=name).out
    found = re.search(r"--agent-engine <ENGINE>.*?\[possible values: ([^]]*)\]", text, re.DOTALL)
    assert (found.group(1) if found else None) == values
    assert ("\n      --output-format <" in text) == (name in ("2.19", "2.28", "3.0"))
    assert ("\n      --v2\n" in text) == (name in ("2.28", "3.0"))
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize(
    ("release", "argv", "says"),
    [
        ("2.28", ["--no-such-flag", "hello"], "unexpected argument '--no-such-flag' found"),
        ("2.5", ["--output-format", "stream-json"], "unexpected argument '--output-format' found"),
        ("1.28", ["--agent-engine", "v1"], "unexpected argument '--agent-engine' found"),
        ("2.5", ["--agent-engine", "v3"], "invalid value 'v3' for '--agent-engine <ENGINE>'"),
        ("2.28", ["--effort"], "a value is required for '--effort <EFFORT>'"),
        ("2.28", ["one", "two"], "unexpected argument 'two' found"),
        ("2.28", ["--resume", "--resume"], "cannot be used multiple times"),
    ],
)
def test_usage_errors_end_with_two(cli: Cli, release: str, argv: list[str], says: str) -> None:
    done = cli.run("chat", "--no-interactive", *argv, KIRO_STANDIN_VERSION=release)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert done.err.endswith("For more information, try '--help'.\n")


def test_unknown_release_is_refused(cli: Cli) -> None:
    done = cli.run("--version", KIRO_STANDIN_VERSION="nine")
    assert (done.code, "'nine'" in done.err) == (2, True)


def test_whoami_logout_login(cli: Cli) -> None:
    assert cli.run("whoami").out.startswith("Logged in with Builder ID\nEmail: ")
    assert json.loads(cli.run("whoami", "--format", "json").out)["accountType"] == "BuilderId"
    assert cli.run("logout").code == 0
    assert (cli.run("whoami").code, cli.run("whoami").out) == (1, "Not logged in\n")
    assert json.loads(cli.run("whoami", "-f", "json").out) == {"account": None}
    assert cli.run("whoami", KIRO_API_KEY="k").out == "Authenticated with API key\n"
    refused = cli.run("login")
    assert (refused.code, "Failed to open URL" in refused.err) == (1, True)
    assert cli.run("login", "--use-device-flow").code == 0
    assert cli.run("whoami").code == 0


@pytest.mark.parametrize(("release", "way"), [("1.28", "1"), ("2.28", "error"), ("2.28", "browser")])
def test_logged_out_chat_ends_with_one_line(cli: Cli, release: str, way: str) -> None:
    done = cli.run("chat", "--no-interactive", "hi", KIRO_STANDIN_VERSION=release, KIRO_STANDIN_LOGGED_OUT=way)
    text = "Failed to open URL" if way == "browser" else "You are not logged in, please log in with kiro-cli login"
    assert (done.code, done.out, f"error: {text}\n" in done.err) == (1, "", True)


def test_logged_out_chat_of_later_releases_waits(cli: Cli) -> None:
    process = cli.start("chat", "--no-interactive", "--output-format", "stream-json", "hi", KIRO_STANDIN_LOGGED_OUT="1")
    assert process.stdout is not None and process.stderr is not None
    lines = [process.stdout.readline().decode() for _ in range(5)]
    assert lines[1:3] == ["Confirm the following code in the browser\n", "Code: ABCD-EFGH\n"]
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_settings_are_kept_where_kiro_home_says(cli: Cli, tmp_path: Path) -> None:
    env = {"KIRO_HOME": str(tmp_path / "moved")}
    assert cli.run("settings", "chat.defaultModel", "m-1", **env).code == 0
    assert cli.run("settings", "app.disableAutoupdates", "true", **env).code == 0
    assert json.loads((tmp_path / "moved/settings/cli.json").read_text())["app.disableAutoupdates"] is True
    assert cli.run("settings", "chat.defaultModel", **env).out == '"m-1"\n'
    assert cli.run("settings", "-d", "chat.defaultModel", **env).code == 0
    assert json.loads(cli.run("settings", "list", "--all", "-f", "json", **env).out) == {"app.disableAutoupdates": True}
    assert cli.run("settings", "chat.defaultModel", **env).code == 1


def test_sessions_are_listed_and_deleted(cli: Cli) -> None:
    for engine in ("v1", "v2", "v3"):
        cli.chat(engine, "text hi")
    listed = json.loads(cli.run("chat", "--list-sessions", "--format", "json").out)
    (folder,) = listed
    assert (folder["cwd"], folder["complete"]) == (str(cli.cwd), True)
    assert sorted(session["source"] for session in folder["sessions"]) == ["classic", "v2"]
    (session,) = json.loads(cli.run("--v3", "chat", "--list-sessions", "--format", "json").out)[0]["sessions"]
    assert (session["source"], session["executionTarget"], "messageCount" in session) == ("v3", "local", False)
    for session in folder["sessions"]:
        assert cli.run("chat", "--delete-session", session["sessionId"]).code == 0
    assert json.loads(cli.run("chat", "-l", "-f", "json").out)[0]["sessions"] == []
    assert cli.run("chat", "--delete-session", "absent").code == 1
    assert cli.run("chat", "-l", KIRO_STANDIN_VERSION="2.5").err.startswith("No saved chat sessions")


def test_models_are_listed(cli: Cli) -> None:
    listed = json.loads(cli.run("chat", "--list-models", "--format", "json").out)
    assert listed["default_model"] == "auto"
    assert set(listed["models"][0]) >= {
        "model_name",
        "model_id",
        "context_window_tokens",
        "rate_multiplier",
        "rate_unit",
    }


def test_no_prompt_and_no_terminal(cli: Cli) -> None:
    done = cli.run("chat", "--no-interactive")
    assert (done.code, done.err) == (1, "error: Input must be supplied when running in non-interactive mode\n")
    done = cli.run("acp")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert cli.run("chat", "hello").code == 1


def test_driving_help_names_every_fault(cli: Cli) -> None:
    from standin.faults import TABLE

    text = cli.run("standin", "--help").out
    assert "!standin tool shell COMMAND" in text
    assert all(f"\n  {name} " in text for name in TABLE)
    used = {name for path in PROGRAM.parent.rglob("*.py") for name in re.findall(r"KIRO_STANDIN_\w+", path.read_text())}
    assert used == set(re.findall(r"KIRO_STANDIN_\w+", text))


def test_the_log_tells_how_it_was_started(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log"
    cli.env["KIRO_STANDIN_LOG"] = str(log)
    cli.run("--version")
    cli.run("chat", "--no-such-flag")
    cli.chat("v2", "text hi", KIRO_API_KEY="secret-key", NO_COLOR="1")
    first, _, second = (json.loads(line) for line in log.read_text().splitlines())
    assert (first["argv"], first["stdin_bytes"]) == (["--version"], None)
    assert second["argv"] == ["chat", "--no-interactive", "--agent-engine", "v2", "-a"]
    assert (second["cwd"], second["stdin_bytes"], second["api_key"]) == (str(cli.cwd), len("!standin text hi"), True)
    assert second["env"]["NO_COLOR"] == "1"
    assert "secret-key" not in log.read_text()
