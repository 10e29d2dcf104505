"""Our client and agents of the npm package `@agentclientprotocol/sdk`: the example it shipped, and one made with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bridge.core.feed import FeedEvent, TextDelta
from bridge.engine.control import Control

from .agents import agent
from .conftest import Conversation, Making, by_kind

SOURCE = Path(__file__).with_name("npm")
NODE, NPM = shutil.which("node"), shutil.which("npm")
HOME = os.environ.get("HOME", "")
"""Where npm keeps its settings and what it downloaded; read at import, before the run moves the home."""

HURRY = "const real = setTimeout; globalThis.setTimeout = (done, wait) => real(done, Math.min(wait, 20));"
"""The example sleeps for a second where a model would think."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, own_environment: None) -> Path:
    """Install the pinned packages beside a copy of our agent; skip where they cannot be had."""
    if NODE is None or NPM is None:
        pytest.skip("the npm agents are tested where node and npm are in PATH")
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json", "agent.mjs"):
        shutil.copy(SOURCE / name, folder)
    command = [NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    env = {**os.environ, "HOME": HOME}
    done = subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150
    )
    if done.returncode:
        why = next((line for line in done.stderr.splitlines() if "npm error" in line), "no reason given")
        pytest.skip(f"the npm agents are tested where their packages can be downloaded once: {why}")
    return folder


def spoken_with(conversation: Making, folder: Path, *words: str) -> Conversation:
    """Return a conversation with the node program that is started by `words`."""
    command = json.dumps([NODE, *words])
    return conversation("v2", binary=agent(folder, f"command = {command}\nos.execv(command[0], command)"))


@pytest.fixture
def ours(conversation: Making, installed: Path, tmp_path: Path) -> Conversation:
    """Talk with the agent that we made with the package."""
    return spoken_with(conversation, tmp_path / "kiro", str(installed / "agent.mjs"))


def example(conversation: Making, installed: Path, tmp_path: Path, *flags: str) -> Conversation:
    """Talk with the example that the package shipped in its version 1."""
    program = installed / "node_modules/acp-with-example/dist/examples/agent.js"
    return spoken_with(conversation, tmp_path / "kiro", *flags, str(program))


def test_turns_with_chunks_a_plan_a_tool_and_an_approval(ours: Conversation) -> None:
    pieces = "".join(f"{number} " for number in range(100))
    for number in (1, 2):
        events = ours.run("hello", answer=by_kind("allow_once"))
        said = "".join(e.text for e in events if isinstance(e, TextDelta) and e.speaker == "text")
        assert said == f"{pieces}prompt {number}: hello"
        (tool,) = ours.of_kind("tool")
        assert (tool.data["status"], tool.data["kind"], tool.text) == ("completed", "execute", "a file")
        (approval,) = ours.of_kind("approval")
        assert (approval.text, approval.data["title"], approval.data["answer"]) == ("ls", "Look around", "yes")
        assert ours.of_kind("plan")[0].data["steps"] == [{"text": "look", "status": "running"}]
        assert [item.text for item in ours.of_kind("thought")] == ["let me see"]


def test_a_refusal(ours: Conversation) -> None:
    ours.run("hello", answer=by_kind("reject_once"))
    assert ours.of_kind("tool")[0].data["status"] == "failed"
    assert ours.of_kind("approval")[0].data["answer"] == "no"


def test_a_stop_leaves_the_agent_warm(ours: Conversation) -> None:
    def stop(event: FeedEvent, control: Control) -> None:
        if isinstance(event, TextDelta):
            control.cancel()

    assert ours.outcome("wait", when=stop).outcome == "cancelled"
    pid = ours.pid
    assert pid is not None
    assert ours.outcome("hello", answer=by_kind("allow_once")).outcome == "completed" and ours.pid == pid


def test_an_error_is_a_failed_turn_that_says_why(ours: Conversation) -> None:
    ended = ours.outcome("fail")
    assert ended.outcome == "failed" and ended.problem is not None
    assert "The model has gone." in ended.problem.cause
    assert ours.outcome("hello", answer=by_kind("allow_once")).outcome == "completed"


def test_an_unknown_request_is_answered(ours: Conversation) -> None:
    ours.run("ask something unknown")
    assert ours.answer_text() == "-32601"


def test_what_is_replayed_is_not_news(ours: Conversation) -> None:
    ours.run("hello", answer=by_kind("allow_once"))
    sessions = Path(os.environ["HOME"]) / ".kiro/sessions/cli"
    sessions.mkdir(parents=True)
    (sessions / f"{ours.kiro_id}.jsonl").touch()
    assert ours.seat.suspend()
    events = ours.run("again", answer=by_kind("allow_once"))
    assert "an old" not in "".join(event.text for event in events if isinstance(event, TextDelta))
    assert ours.answer_text().endswith("prompt 1: again")


@pytest.mark.parametrize(("kind", "status", "last"), [
    ("allow_once", "completed", "The changes have been applied."),
    ("reject_once", "failed", "I'll skip the configuration update."),
])  # fmt: skip
def test_the_example_agent(
    conversation: Making, installed: Path, tmp_path: Path, kind: str, status: str, last: str
) -> None:
    talk = example(conversation, installed, tmp_path, "--import", f"data:text/javascript,{HURRY}")
    assert talk.outcome("Update my project.", answer=by_kind(kind)).outcome == "completed"
    read, changed = talk.of_kind("tool")
    assert (read.data["status"], read.data["kind"]) == ("completed", "read")
    assert read.text == "# My Project\n\nThis is a sample project..."
    assert (changed.data["status"], changed.data["kind"]) == (status, "edit")
    (approval,) = talk.of_kind("approval")
    assert approval.data["title"] == "Modifying critical configuration file"
    assert talk.answer_text().startswith("I'll help you with that.") and talk.answer_text().endswith(last)


def test_the_example_agent_is_stopped(conversation: Making, installed: Path, tmp_path: Path) -> None:
    def stop(event: FeedEvent, control: Control) -> None:
        if isinstance(event, TextDelta):
            control.cancel()

    talk = example(conversation, installed, tmp_path)
    assert talk.outcome("Update my project.", when=stop).outcome == "cancelled"
    assert talk.of_kind("approval") == []
