"""The ways to Coder against stand-ins of it, with every way they can fail."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.coder.agent_api import AgentApi, CoderError
from bridge.coder.http_voice import HttpVoice
from bridge.coder.mcp_voice import McpVoice, Pauses
from bridge.coder.rules import Report
from bridge.coder.voice import Untold
from tests.coder.coderd import SLUG, TOKEN, Coderd, Seen
from tests.coder.conftest import CoderCommand
from tests.coder.merging import Status
from tests.kiro.runner.scripts import until

PATIENCE = 60.0
WORKING = Report("working", "fix the tests")


@pytest.fixture
def http_voice(coderd: Coderd) -> HttpVoice:
    return HttpVoice(AgentApi(coderd.url, TOKEN), SLUG)


@pytest.fixture
def mcp_voice(coder_command: CoderCommand) -> Iterator[McpVoice]:
    command = [str(coder_command.path), "exp", "mcp", "server"]
    made = McpVoice(command, coder_command.env, Pauses(PATIENCE, PATIENCE, first=0.1, most=0.2))
    yield made
    made.close()


def told_at_last(voice: McpVoice, report: Report, coder: CoderCommand) -> None:
    """Tell until it is told: a child that is gone is replaced after a pause."""
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            return voice.tell(report, PATIENCE)
        except Untold as error:
            assert time.monotonic() < limit, f"{error}: {coder.log('start')}"
            threading.Event().wait(0.02)


def test_http_voice_tells(coderd: Coderd, http_voice: HttpVoice) -> None:
    http_voice.tell(WORKING, PATIENCE)
    http_voice.tell(Report("idle", "Übung \N{GRINNING FACE}"), PATIENCE)
    assert coderd.seen == [
        Seen(Status("working", "fix the tests"), "http"),
        Seen(Status("idle", "Übung \N{GRINNING FACE}"), "http"),
    ]


@pytest.mark.parametrize("answer", ["401", "404", "500", "302", "307"])
def test_http_voice_says_that_coder_refused(coderd: Coderd, http_voice: HttpVoice, answer: str) -> None:
    coderd.mode = answer
    with pytest.raises(Untold, match=f"HTTP {answer}"):
        http_voice.tell(WORKING, PATIENCE)
    coderd.mode = ""
    http_voice.tell(WORKING, PATIENCE)
    assert len(coderd.seen) == 1


def test_http_voice_does_not_wait_for_a_coder_that_hangs(coderd: Coderd, http_voice: HttpVoice) -> None:
    coderd.mode = "hang"
    with pytest.raises(Untold, match=r"did not answer: .*timed out"):
        http_voice.tell(WORKING, 0.3)


def test_http_voice_says_that_nobody_is_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        voice = HttpVoice(AgentApi(f"http://127.0.0.1:{unused.getsockname()[1]}", TOKEN), SLUG)
        with pytest.raises(Untold, match="refused") as caught:
            voice.tell(WORKING, PATIENCE)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("url", ["", "coder.example.com", "file:///etc/passwd", "https://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(CoderError, match="CODER_AGENT_URL"):
        AgentApi(url, TOKEN)


def test_mcp_voice_tells_through_one_child(coderd: Coderd, coder_command: CoderCommand, mcp_voice: McpVoice) -> None:
    mcp_voice.tell(WORKING, PATIENCE)
    mcp_voice.tell(Report("idle", "é" * 80), PATIENCE)
    assert coderd.seen == [Seen(Status("working", "fix the tests"), "mcp"), Seen(Status("idle", "é" * 80), "mcp")]
    assert [start["argv"] for start in coder_command.log("start")] == [["exp", "mcp", "server"]]
    assert len(coder_command.running()) == 1
    mcp_voice.close()
    assert coder_command.running() == []
    with pytest.raises(Untold):
        mcp_voice.tell(WORKING, PATIENCE)


def test_mcp_voice_says_what_the_tool_refused(coder_command: CoderCommand, mcp_voice: McpVoice) -> None:
    with pytest.raises(Untold, match="160"):
        mcp_voice.tell(Report("working", "x" * 161), PATIENCE)
    mcp_voice.tell(WORKING, PATIENCE)
    assert len(coder_command.log("start")) == 1


def test_mcp_voice_says_that_the_tool_is_not_there(coder_command: CoderCommand, mcp_voice: McpVoice) -> None:
    coder_command.misbehave("absent")
    with pytest.raises(Untold, match="no coder_report_task"):
        mcp_voice.tell(WORKING, PATIENCE)
    coder_command.misbehave("")
    told_at_last(mcp_voice, WORKING, coder_command)


@pytest.mark.parametrize("how", ["die-at-start", "die-in-call"])
def test_mcp_voice_replaces_a_child_that_dies(
    coderd: Coderd, coder_command: CoderCommand, mcp_voice: McpVoice, how: str
) -> None:
    coder_command.misbehave(how)
    for _ in range(2):
        with pytest.raises(Untold):
            mcp_voice.tell(WORKING, PATIENCE)
    coder_command.misbehave("")
    told_at_last(mcp_voice, WORKING, coder_command)
    assert coderd.statuses == [Status("working", "fix the tests")]


def test_mcp_voice_waits_longer_each_time(coder_command: CoderCommand) -> None:
    coder_command.misbehave("die-at-start")
    voice = McpVoice(
        [str(coder_command.path), "exp", "mcp", "server"], coder_command.env, Pauses(PATIENCE, PATIENCE, 1000.0, 2000.0)
    )
    for _ in range(20):
        with pytest.raises(Untold):
            voice.tell(WORKING, PATIENCE)
    voice.close()
    assert len(coder_command.log("start")) == 1


def test_mcp_voice_is_not_asked_while_a_child_starts(coder_command: CoderCommand) -> None:
    coder_command.misbehave("hang-at-start")
    voice = McpVoice([str(coder_command.path), "exp", "mcp", "server"], coder_command.env, Pauses(0.1, PATIENCE))
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(Untold, match=r"started|answered"):
            voice.tell(WORKING, PATIENCE)
    assert time.monotonic() - began < PATIENCE
    until(lambda: coder_command.log("start"))
    voice.close()
    assert coder_command.running() == []


@pytest.mark.parametrize("how", ["hang-at-start", "hang-in-call"])
def test_mcp_voice_does_not_wait_for_a_child_that_hangs(
    coder_command: CoderCommand, mcp_voice: McpVoice, how: str
) -> None:
    coder_command.misbehave(how)
    with pytest.raises(Untold):
        mcp_voice.tell(WORKING, 3.0)
    mcp_voice.close()
    assert coder_command.running() == []


def test_mcp_voice_ends_a_child_that_will_not(coder_command: CoderCommand, mcp_voice: McpVoice) -> None:
    coder_command.misbehave("deaf")
    mcp_voice.tell(WORKING, PATIENCE)
    mcp_voice.close()
    assert coder_command.running() == []


def test_mcp_voice_without_a_command(tmp_path: Path) -> None:
    voice = McpVoice([str(tmp_path / "coder")], {})
    with pytest.raises(Untold, match="coder"):
        voice.tell(WORKING, PATIENCE)
    voice.close()


def test_mcp_voice_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    voice = McpVoice(["true"], {})
    for _ in range(3):
        with pytest.raises(Untold, match="package mcp cannot be used"):
            voice.tell(WORKING, PATIENCE)
    voice.close()
