"""A start beside a bridge that runs: what has changed since decides whether it stays."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.provision import started
from bridge.provision.running import running_bridge
from tests.provision.conftest import SECRET, WAIT, Mirror, Workspace, free_port, kiro_zip, until

NOTHING = "nothing to do"
REPLACED = "It is ended, and started again with those of now."
LONG = "Work on it\n!standin tool-sleep 120"


def url(workspace: Workspace) -> str:
    return f"http://127.0.0.1:{workspace.config['port']}"


def status(workspace: Workspace) -> str:
    return str(requests.get(f"{url(workspace)}/status", timeout=WAIT).json()["status"])


def send(workspace: Workspace, text: str) -> None:
    reply = requests.post(f"{url(workspace)}/message", json={"type": "user", "content": text}, timeout=WAIT)
    assert reply.status_code == 200, reply.text


def said_in(workspace: Workspace) -> list[str]:
    """Return what users have said, once no turn runs."""
    until(lambda: status(workspace) == "stable", "the turn ends")
    found = requests.get(f"{url(workspace)}/messages", timeout=WAIT).json()["messages"]
    return [message["content"] for message in found if message["role"] == "user"]


def variables(workspace: Workspace) -> dict[str, str]:
    """Return the environment of the running bridge."""
    entries = Path(f"/proc/{running_bridge(workspace.places)}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def change(name: str, value: Any) -> Callable[[Workspace], dict[str, str]]:
    def make(workspace: Workspace) -> dict[str, str]:
        workspace.config[name] = value
        return {}

    return make


def another_key(_workspace: Workspace) -> dict[str, str]:
    return {"KIRO_API_KEY": f"{SECRET}-key"}


def another_token(_workspace: Workspace) -> dict[str, str]:
    return {"CODER_AGENT_URL": "http://127.0.0.1:9", "CODER_AGENT_TOKEN": f"{SECRET}-token"}


def older_module(workspace: Workspace) -> dict[str, str]:
    (workspace.places.state / "started.json").unlink()
    return {}


@pytest.mark.parametrize(
    "changed",
    [change("model", "another-model"), change("system_prompt", "Be brief."), another_key, another_token, older_module],
    ids=["setting", "agent", "key", "token", "unknown"],
)
def test_changes_take_effect_in_a_bridge_that_rests(
    workspace: Workspace, changed: Callable[[Workspace], dict[str, str]]
) -> None:
    """The bridge is replaced, its conversation goes on, and the start after that finds nothing to do."""
    workspace.done("start")
    send(workspace, "Hello\n!standin text hi")
    assert said_in(workspace) == ["Hello\n!standin text hi"]
    before = running_bridge(workspace.places)
    assert NOTHING in workspace.done("start")
    env = changed(workspace)
    said = workspace.done("start", **env)
    after = running_bridge(workspace.places)
    assert "runs with other inputs" in said and REPLACED in said
    assert after not in (None, before)
    assert said_in(workspace) == ["Hello\n!standin text hi"]
    assert variables(workspace).items() >= env.items()
    assert NOTHING in workspace.done("start", **env) and running_bridge(workspace.places) == after


def test_other_kiro_cli_takes_effect(workspace: Workspace, mirror: Mirror) -> None:
    workspace.done("start")
    mirror.put("2.29.0", kiro_zip("kirocli/bin/kiro-cli"))
    workspace.config["kiro_cli_version"] = "2.29.0"
    assert REPLACED in workspace.done("start")


def test_another_port_is_taken_and_the_one_before_is_free(workspace: Workspace) -> None:
    workspace.done("start")
    before = url(workspace)
    workspace.config["port"] = free_port()
    assert REPLACED in workspace.done("start")
    assert status(workspace) == "stable"
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{before}/status", timeout=WAIT)


def test_prompt_that_was_not_sent_yet_is_sent(workspace: Workspace) -> None:
    """A start whose download failed left the prompt; the next one sends it, and no other one does."""
    good, workspace.config["kiro_cli_version"] = workspace.config["kiro_cli_version"], "9.9.9"
    workspace.config["ai_prompt"] = "Do it"
    assert workspace.run("start", PATH="/usr/bin:/bin").returncode == 1
    assert said_in(workspace) == []
    workspace.config["kiro_cli_version"] = good
    assert "It has taken the initial prompt." in workspace.done("start")
    assert said_in(workspace) == ["Do it"]
    assert NOTHING in workspace.done("start") and said_in(workspace) == ["Do it"]
    workspace.config["ai_prompt"] = "And that"
    said = workspace.done("start")
    assert "runs with no initial prompt yet" in said and REPLACED in said
    assert said_in(workspace) == ["Do it", "And that"]


IMPATIENT = """
import functools, sys
from bridge.provision import replacing, running
replacing.TURN_SECONDS, replacing._ANSWER_SECONDS = 0.5, 0.1
replacing.status = functools.partial(running.status, timeout=1.0)
replacing.end = functools.partial(running.end, grace=0.5)
from bridge.cli import main
sys.exit(main())
"""


def start_impatiently(workspace: Workspace) -> str:
    """Start with short bounds; return what it said."""
    file = workspace.home / "config.json"
    file.write_text(json.dumps(workspace.config))
    result = subprocess.run(
        [sys.executable, "-c", IMPATIENT, "start", "--config", str(file)], env=workspace.env, cwd=workspace.home,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_running_turn_is_left_alone_and_the_log_says_how_to_go_on(workspace: Workspace) -> None:
    """Nobody would send the prompt again, so it is not ended for other inputs."""
    workspace.done("start")
    send(workspace, LONG)
    before = running_bridge(workspace.places)
    old_port, workspace.config["port"] = workspace.config["port"], free_port()
    said = start_impatiently(workspace)
    assert "Kiro is at work; waiting up to" in said and "take effect at the next start" in said
    assert f"{workspace.places.root}/bin/kiro-bridge start --config {workspace.places.root}/config.json" in said
    assert running_bridge(workspace.places) == before
    workspace.config["port"] = old_port
    assert status(workspace) == "running"


def test_turn_that_ends_in_time_is_waited_for(workspace: Workspace) -> None:
    workspace.done("start")
    send(workspace, "Work\n!standin tool-sleep 2\n!standin text All done.")
    workspace.config["model"] = "another-model"
    said = workspace.done("start")
    assert "waiting up to" in said and REPLACED in said
    assert said_in(workspace) == ["Work\n!standin tool-sleep 2\n!standin text All done."]
    last = requests.get(f"{url(workspace)}/messages", timeout=WAIT).json()["messages"][-1]
    assert last["content"].endswith("All done.")


def test_bridge_that_does_not_answer_is_replaced(workspace: Workspace) -> None:
    workspace.done("start")
    pid = running_bridge(workspace.places)
    assert pid is not None
    worker = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    for process in (pid, worker):
        os.kill(process, signal.SIGSTOP)
    assert "does not answer" in start_impatiently(workspace)
    assert running_bridge(workspace.places) not in (None, pid) and status(workspace) == "stable"


def test_what_is_remembered_holds_no_secret(workspace: Workspace) -> None:
    """One digest stands for everything; nobody can try keys against it without knowing all the rest."""
    workspace.done("start", **another_key(workspace))
    file = workspace.places.state / "started.json"
    assert set(json.loads(file.read_text())) == {"digest", "port"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and SECRET not in file.read_text()


@pytest.mark.parametrize("text", ["", "[]", '{"digest": "x"}', '{"digest": "x", "port": "none"}'])
def test_memory_that_cannot_be_read_is_none(workspace: Workspace, text: str) -> None:
    file = workspace.places.state / "started.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert started.read(workspace.places) is None
