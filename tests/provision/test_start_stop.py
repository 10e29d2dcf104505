"""The real commands in a scratch home: first start, warm restart, stop, and every way they fail."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.provision.launch import LOG
from bridge.provision.running import is_ours, running_bridge
from tests.provision.conftest import (
    ROOT,
    SECRET,
    WAIT,
    Mirror,
    Workspace,
    kiro_zip,
    make_database,
    rows,
    tar_of,
    tokens,
    until,
    zstd,
)  # fmt: skip

TASK = "3c4a1c56-6a5c-4bb4-a0f5-7c11a2f1a001"


def messages(workspace: Workspace) -> list[dict[str, Any]]:
    url = f"http://127.0.0.1:{workspace.config['port']}"
    until(lambda: requests.get(f"{url}/status", timeout=WAIT).json()["status"] == "stable", "stable")
    found: list[dict[str, Any]] = requests.get(f"{url}/messages", timeout=WAIT).json()["messages"]
    return found


def prompts(workspace: Workspace) -> list[str]:
    return [message["content"] for message in messages(workspace) if message["role"] == "user"]


def tarball(folder: Path, token: str = SECRET) -> str:
    made = make_database(folder / f"login-{len(token)}" / "data.sqlite3", token)
    return base64.b64encode(zstd(tar_of(("./data.sqlite3", made.read_bytes())))).decode()


def test_from_nothing_to_a_chat_and_over_a_restart(workspace: Workspace, mirror: Mirror, tmp_path: Path) -> None:
    workspace.config |= {"ai_prompt": "Hello\n!standin text from the task", "task_id": TASK}
    workspace.config |= {"pre_install_script": "#!/bin/sh\necho pre", "post_install_script": "kiro-cli --version\n"}
    login = {"KIRO_CLI_AUTH_TARBALL": tarball(tmp_path)}
    said = workspace.done("start", **login)
    assert "The bridge is ready" in said and "It has taken the initial prompt." in said
    assert SECRET in tokens(workspace.database)
    assert (workspace.home / ".local/bin/kiro-cli-chat").resolve().is_file()
    assert "from the task" in messages(workspace)[-1]["content"]
    assert workspace.agent()["mcpServers"]["coder"]
    asked = len(mirror.requests)

    first = running_bridge(workspace.places)
    said = workspace.done("start", **login)
    assert "runs already" in said and running_bridge(workspace.places) == first

    workspace.done("stop")
    assert running_bridge(workspace.places) is None and not workspace.places.pid_file.exists()
    said = workspace.done("start", **login)
    assert len(mirror.requests) == asked, "a warm restart needs no network"
    assert "Wrote" not in said and "Downloading" not in said and "nothing to do" in said
    assert len(prompts(workspace)) == 1

    workspace.done("stop")
    workspace.config["ai_prompt"] = "Another\n!standin text more"
    workspace.done("start", **login)
    assert len(prompts(workspace)) == 2


def test_another_task_in_the_same_home_gets_its_own_conversation(workspace: Workspace) -> None:
    workspace.config |= {"ai_prompt": "Do it", "task_id": TASK}
    workspace.done("start")
    first = messages(workspace)
    workspace.done("stop")
    workspace.config["task_id"] = TASK.replace("3c", "4d")
    workspace.done("start")
    assert prompts(workspace) == ["Do it"] and messages(workspace)[0]["time"] != first[0]["time"]


def test_without_resume_a_restart_begins_anew_and_sends_no_prompt_again(workspace: Workspace) -> None:
    workspace.config |= {"ai_prompt": "Do it", "resume": False}
    workspace.done("start")
    assert prompts(workspace) == ["Do it"]
    workspace.done("stop")
    workspace.done("start")
    assert messages(workspace) == []


def test_prompt_may_be_larger_than_a_variable_and_is_in_no_argument(workspace: Workspace) -> None:
    workspace.config["ai_prompt"] = "prompt-mark " + "x" * 200_000
    workspace.done("start")
    pid = running_bridge(workspace.places)
    assert "prompt-mark" not in Path(f"/proc/{pid}/cmdline").read_text()
    assert "prompt-mark" not in Path(f"/proc/{pid}/environ").read_text()
    assert prompts(workspace)[0].startswith("prompt-mark")


def test_failed_download_starts_the_bridge_without_the_prompt(workspace: Workspace, mirror: Mirror) -> None:
    good, workspace.config["kiro_cli_version"] = workspace.config["kiro_cli_version"], "9.9.9"
    workspace.config["ai_prompt"] = "Do it"
    result = workspace.run("start", PATH="/usr/bin:/bin")
    assert result.returncode == 1
    assert "error:" in result.stderr and "HTTP status 404" in result.stderr and "Check the address" in result.stderr
    status = requests.get(f"http://127.0.0.1:{workspace.config['port']}/status", timeout=WAIT).json()
    assert status["ready"] is False and status["problem"]["code"] == "kiro_missing"
    assert messages(workspace) == []
    workspace.done("stop")
    workspace.config["kiro_cli_version"] = good
    workspace.done("start")
    assert prompts(workspace) == ["Do it"]


def test_missing_kiro_is_told_when_none_is_to_be_installed(workspace: Workspace) -> None:
    workspace.config["install_kiro_cli"] = False
    result = workspace.run("provision", PATH="/usr/bin:/bin")
    assert result.returncode == 1 and "install_kiro_cli is false" in result.stderr and "KIRO_CLI_PATH" in result.stderr
    assert "Using" in workspace.done("provision", KIRO_CLI_PATH=str(ROOT / "standin" / "kiro-cli"))


def test_taken_port_is_told_and_the_next_start_sends_the_prompt(workspace: Workspace) -> None:
    workspace.config["ai_prompt"] = "Do it"
    with socket.socket() as other:
        other.bind(("127.0.0.1", workspace.config["port"]))
        other.listen()
        result = workspace.run("start")
    assert result.returncode == 1
    assert f"port {workspace.config['port']} cannot be used" in result.stderr and "another port" in result.stderr
    workspace.done("start")
    assert prompts(workspace) == ["Do it"]


def test_start_that_fails_prints_the_reason(workspace: Workspace) -> None:
    result = workspace.run("start", KIRO_BRIDGE_THREADS="none")
    assert result.returncode == 1 and "setting threads" in result.stderr and LOG in result.stderr


def test_failing_scripts_stop_everything_with_their_code(workspace: Workspace, mirror: Mirror) -> None:
    workspace.config["pre_install_script"] = "#!/bin/sh\nexit 42\n"
    result = workspace.run("start")
    assert result.returncode == 42 and "exit code 42" in result.stderr and mirror.requests == []
    workspace.config |= {"pre_install_script": "", "post_install_script": "exit 3"}
    assert workspace.run("provision").returncode == 3


def test_kiro_that_does_not_run_is_told(workspace: Workspace, mirror: Mirror) -> None:
    mirror.put("2.28.0", kiro_zip(script="#!/bin/sh\necho version GLIBC_2.99 not found >&2\nexit 1\n"))
    for _ in range(2):
        result = workspace.run("provision")
        assert result.returncode == 1 and "GLIBC_2.99" in result.stderr


def test_command_of_the_users_own_is_moved_aside(workspace: Workspace) -> None:
    own = workspace.places.bin / "kiro-cli"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    said = workspace.done("provision")
    assert own.is_symlink() and own.with_name("kiro-cli.before-module").read_text() == "mine"
    assert "kiro-cli.before-module" in said


def test_version_change_brings_the_other_one(workspace: Workspace, mirror: Mirror) -> None:
    workspace.done("provision")
    mirror.put("2.29.0", kiro_zip("kirocli/bin/kiro-cli"))
    workspace.config["kiro_cli_version"] = "2.29.0"
    workspace.done("provision")
    assert (workspace.home / ".local/bin/kiro-cli").resolve().parts[-4] == "2.29.0"


def test_stale_pid_file_of_another_process_is_no_hindrance(workspace: Workspace) -> None:
    workspace.places.root.mkdir(parents=True)
    workspace.places.pid_file.write_text(str(os.getpid()))
    assert not is_ours(os.getpid(), workspace.places.pid_file)
    assert "does not run" in workspace.done("stop")
    workspace.done("start")
    assert running_bridge(workspace.places) not in (None, os.getpid())


def test_stop_with_a_dead_bridge_is_fine(workspace: Workspace) -> None:
    assert "does not run" in workspace.done("stop")
    workspace.done("start")
    pid = running_bridge(workspace.places)
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    until(lambda: running_bridge(workspace.places) is None, "it is dead")
    assert "does not run" in workspace.done("stop")
    workspace.done("start")


def test_hanging_bridge_is_ended_all_the_same(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.provision.running import end

    workspace.done("start")
    pid = running_bridge(workspace.places)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert end(pid, workspace.places, grace=0.2)
    assert running_bridge(workspace.places) is None


def test_stop_gives_coder_the_last_messages(workspace: Workspace, mirror: Mirror) -> None:
    workspace.config |= {"ai_prompt": "Hello\n!standin text the answer", "task_id": TASK, "report_tasks": False}
    workspace.done("start")
    messages(workspace)
    said = workspace.done("stop", CODER_AGENT_URL=mirror.url, CODER_AGENT_TOKEN=SECRET)
    assert "Coder has the last messages." in said
    [(path, headers, body)] = mirror.posts
    assert path == f"/api/v2/workspaceagents/me/tasks/{TASK}/log-snapshot?format=agentapi"
    assert headers["Coder-Session-Token"] == SECRET
    assert [message["role"] for message in json.loads(body)["messages"]] == ["user", "agent"]


def test_stop_with_a_dead_coder_ends_the_bridge(workspace: Workspace) -> None:
    workspace.config["task_id"] = TASK
    workspace.done("start")
    said = workspace.done("stop", CODER_AGENT_URL="http://127.0.0.1:9", CODER_AGENT_TOKEN=SECRET)
    assert "could not be given to Coder" in said and running_bridge(workspace.places) is None


def test_two_starts_at_once_make_one_bridge(workspace: Workspace) -> None:
    file = workspace.home / "config.json"
    file.write_text(json.dumps(workspace.config))
    command = [sys.executable, "-m", "bridge", "start", "--config", str(file)]
    starts = [
        subprocess.Popen(command, env=workspace.env, cwd=workspace.home, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    said = [start.communicate(timeout=WAIT)[0] for start in starts]
    assert [start.returncode for start in starts] == [0, 0]
    assert sorted("runs already" in text for text in said) == [False, True]


def test_large_log_is_put_away_at_the_start(workspace: Workspace) -> None:
    workspace.places.logs.mkdir(parents=True)
    (workspace.places.logs / LOG).write_bytes(b"old\n" * (2 << 20))
    (workspace.places.logs / f"{LOG}.1").write_text("older")
    workspace.done("start")
    assert (workspace.places.logs / LOG).stat().st_size < 1 << 20
    assert (workspace.places.logs / f"{LOG}.2").read_text() == "older"


def test_nothing_secret_is_left_anywhere(workspace: Workspace, tmp_path: Path) -> None:
    key, agent_token = "kiro-api-key-of-this-test", "agent-token-of-this-test"
    workspace.config |= {"ai_prompt": "Hello\n!standin text hi", "pre_install_script": "#!/bin/sh\nenv\n"}
    text = tarball(tmp_path)
    env = {"KIRO_CLI_AUTH_TARBALL": text[:99], "KIRO_CLI_AUTH_TARBALL_2": text[99:], "KIRO_API_KEY": key,
           "CODER_AGENT_TOKEN": agent_token}  # fmt: skip
    said = workspace.done("start", **env)
    messages(workspace)
    pid = running_bridge(workspace.places)
    group = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and session_of(entry) == pid]
    assert len(group) > 1
    arguments = "".join(arguments_of(entry) for entry in group)
    variables = Path(f"/proc/{pid}/environ").read_text()
    workspace.done("stop", **env)
    secrets = (SECRET, text[:60], text[99:159], key, agent_token)
    files = [path for path in workspace.home.rglob("*") if path.is_file() and path != workspace.database]
    assert any(path.name.startswith("ledger") for path in files) and any(path.name == LOG for path in files)
    for secret in secrets:
        assert secret not in said + arguments
        assert [path for path in files if secret.encode() in path.read_bytes()] == []
    assert "KIRO_CLI_AUTH_TARBALL" not in variables
    assert rows(workspace.places.state / "ledger.sqlite3", "SELECT count(*) FROM turns") == [(1,)]


def session_of(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[3])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def arguments_of(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_words_that_mean_nothing_are_refused(workspace: Workspace) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "bridge", "start"], env=workspace.env, capture_output=True, text=True, check=False,
        cwd=workspace.home, timeout=WAIT,
    )  # fmt: skip
    assert result.returncode == 2 and "--config" in result.stderr


def test_login_is_packed_from_the_command_line(workspace: Workspace, tmp_path: Path) -> None:
    made = make_database(tmp_path / "mine" / "data.sqlite3")
    result = subprocess.run(
        [sys.executable, "-m", "bridge", "pack-login", "--database", str(made)], env=workspace.env, timeout=WAIT,
        capture_output=True, text=True, check=False, cwd=workspace.home,
    )  # fmt: skip
    assert result.returncode == 0 and "secret" in result.stderr
    workspace.done("provision", KIRO_CLI_AUTH_TARBALL=result.stdout)
    assert SECRET in tokens(workspace.database)
