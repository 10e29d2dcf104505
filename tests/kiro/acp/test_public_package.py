"""Our client and an agent that we did not write the protocol of: the server side of a public package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.core.feed import ApprovalAsked, FeedEvent, TextDelta
from bridge.engine.control import Control

from .agents import agent
from .conftest import Conversation, Making, by_kind

AGENT = Path(__file__).with_name("public_agent.py")
PYTHON = os.environ.get("BRIDGE_TEST_ACP_PYTHON", sys.executable)
"""A Python that has the package `agent-client-protocol`, if this one has not."""

if subprocess.run([PYTHON, "-c", "import acp"], capture_output=True, check=False).returncode != 0:
    pytest.skip("the package agent-client-protocol is not installed", allow_module_level=True)


@pytest.fixture
def talk(conversation: Making, tmp_path: Path) -> Conversation:
    body = f"os.execv({PYTHON!r}, [{PYTHON!r}, {str(AGENT)!r}])"
    return conversation("v2", binary=agent(tmp_path / "public", body))


def test_turns(talk: Conversation) -> None:
    pieces = "".join(f"{number} " for number in range(100))
    for number in (1, 2):
        events = talk.run("hello", answer=by_kind("allow_once"))
        said = "".join(e.text for e in events if isinstance(e, TextDelta) and e.speaker == "text")
        assert said == f"{pieces}prompt {number}: hello"
        (tool,) = talk.of_kind("tool")
        assert tool.data["status"] == "completed" and tool.text == "a file" and tool.data["kind"] == "execute"
        (approval,) = talk.of_kind("approval")
        assert approval.text == "ls" and approval.data["title"] == "Look around"
        assert talk.of_kind("plan")[0].data["steps"] == [{"text": "look", "status": "running"}]
        assert [item.text for item in talk.of_kind("thought")] == ["let me see"]
    assert [choice.id for choice in talk.transport.surface().agents] == ["plain"]


def test_a_refusal(talk: Conversation) -> None:
    talk.run("hello", answer=by_kind("reject_once"))
    assert talk.of_kind("tool")[0].data["status"] == "failed"


def test_a_stop(talk: Conversation) -> None:
    def stop(event: FeedEvent, control: Control) -> None:
        if isinstance(event, TextDelta):
            control.cancel()

    assert talk.outcome("wait", when=stop).outcome == "cancelled"
    pid = talk.pid
    assert talk.outcome("hello", answer=by_kind("allow_once")).outcome == "completed" and talk.pid == pid


def test_what_is_replayed_is_not_news(talk: Conversation) -> None:
    talk.run("hello", answer=by_kind("allow_once"))
    sessions = Path(os.environ["HOME"]) / ".kiro/sessions/cli"
    sessions.mkdir(parents=True)
    (sessions / f"{talk.kiro_id}.jsonl").touch()
    assert talk.seat.suspend()
    events = talk.run("again", answer=by_kind("allow_once"))
    assert "an old" not in "".join(event.text for event in events if isinstance(event, TextDelta))
    assert talk.answer_text().endswith("prompt 1: again") and any(isinstance(e, ApprovalAsked) for e in events)
