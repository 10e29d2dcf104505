"""A real bridge in a workspace of a stand-in Coder: what its users would have seen."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from bridge.coder import snapshot
from tests.coder.coderd import TOKEN, Coderd, Task
from tests.coder.conftest import CoderCommand
from tests.coder.merging import Status
from tests.coder.watcher import Watcher
from tests.whole.conftest import Bridge, bridge, until

__all__ = ["bridge"]

SLOW = "!standin tool-sleep 4"
"""A tool that runs for some time: the stand-in says its purpose is to `Wait`."""


def in_workspace(bridge: Bridge, coder: CoderCommand) -> Bridge:
    bridge.env.update(coder.env)
    bridge.env["PATH"] = f"{coder.folder}:{bridge.env['PATH']}"
    return bridge


def prompt(first_line: str, *directives: str) -> str:
    return "\n".join([first_line, *directives, "!standin text Done so far."])


@pytest.fixture
def task(coderd: Coderd) -> Task:
    return Task(coderd, str(uuid.uuid4()))


@pytest.mark.parametrize(("through", "old"), [("mcp", False), ("mcp", True), ("http", False)])
def test_the_life_of_a_task(
    coderd: Coderd, coder_command: CoderCommand, task: Task, bridge: Bridge, through: str, old: bool
) -> None:
    in_workspace(bridge, coder_command)
    coder_command.misbehave("" if through == "mcp" else "absent")
    task.old = old
    assert task.status() == "paused"
    task.build()
    task.app_url = bridge.start().url
    coderd.until_told("idle", "Ready for a prompt")
    assert task.status() == "active" and task.would_send()

    assert task.send(prompt("Look around", SLOW)) == 204
    coderd.until_told("working")
    assert not task.would_send()
    assert task.send("too early") == (502 if old else 409)
    coderd.until(lambda it: any(status.summary == "Wait" for status in it.statuses), "the tool is told")
    coderd.until_told("idle", "Done: Look around")
    assert task.would_send()

    pause(coderd, task, bridge)
    seen, children = len(coderd.seen), len(coder_command.log("list"))
    task.build()
    assert task.current_state() is None
    task.app_url = bridge.start().url
    coderd.until_told("idle", "Ready for a prompt")
    assert task.current_state() == "idle" and len(coderd.seen) == seen + 1
    until(lambda: through == "http" or len(coder_command.log("list")) > children, "the child is there")
    assert task.send(prompt("Go on", SLOW)) == 204
    coderd.until_told("idle", "Done: Go on")

    logs = task.logs()
    assert [message["role"] for message in logs] == ["user", "agent"] * 2
    assert [message["id"] for message in logs] == sorted({message["id"] for message in logs})
    assert coderd.states() == ["idle", "working", "idle", "working", "idle"]
    assert coderd.seen[-1].through == through
    assert through == "mcp" or {seen.through for seen in coderd.seen} == {"http"}
    bridge.stop()
    assert coder_command.running() == []
    nothing_tells_the_token(bridge, coder_command)


def pause(coderd: Coderd, task: Task, bridge: Bridge) -> None:
    """Stop the workspace as the stop script does, and read the logs of the task that sleeps."""
    live = task.logs()
    assert snapshot.send(live, agent_url=coderd.url, token=TOKEN, task_id=task.id)
    assert bridge.stop() == 0
    task.app_url = None
    assert task.status() == "paused" and task.send("anybody there?") == 409
    assert task.logs() == live and live[-1]["content"].endswith("Done so far.")


def nothing_tells_the_token(bridge: Bridge, coder: CoderCommand) -> None:
    for path in (bridge.log, *bridge.home.rglob("*")):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    arguments = [start["argv"] for start in coder.log("start")] + [run["argv"] for run in bridge.runs()]
    assert TOKEN not in str(arguments)


def test_the_initial_prompt_of_a_task(coderd: Coderd, coder_command: CoderCommand, task: Task, bridge: Bridge) -> None:
    in_workspace(bridge, coder_command)
    task.build()
    task.app_url = bridge.start("--initial-prompt", prompt("Begin", SLOW)).url
    coderd.until_told("idle", "Done: Begin")
    assert coderd.states() in (["working", "idle"], ["idle", "working", "idle"])
    assert task.would_send()


def test_a_turn_that_fails_rests_in_idle(
    coderd: Coderd, coder_command: CoderCommand, task: Task, bridge: Bridge
) -> None:
    in_workspace(bridge, coder_command)
    task.build()
    task.app_url = bridge.start().url
    assert task.send("Break\n!standin text I begin\n!standin fault exit 7") == 204
    coderd.until_told("idle", "Failed: ")
    assert task.would_send() and "failure" not in coderd.states()


def test_a_bridge_that_was_killed_is_idle_again(
    coderd: Coderd, coder_command: CoderCommand, task: Task, bridge: Bridge
) -> None:
    in_workspace(bridge, coder_command)
    task.app_url = bridge.start().url
    assert task.send(prompt("Long work", "!standin tool-sleep 30")) == 204
    coderd.until_told("working")
    bridge.kill()
    until(lambda: not coder_command.running(), "the child of a bridge that was killed ends")
    task.app_url = bridge.start().url
    coderd.until_told("idle", "Interrupted: ")
    assert task.would_send()


def test_report_tasks_off_tells_nothing(
    coderd: Coderd, coder_command: CoderCommand, task: Task, bridge: Bridge
) -> None:
    in_workspace(bridge, coder_command).start("--report-tasks=false")
    bridge.ask("!standin text hello")
    bridge.stop()
    assert coderd.seen == [] and coder_command.log("start") == []


@pytest.mark.parametrize(("coder_mode", "mcp_mode"), [("hang", "hang-at-start"), ("500", "die-at-start")])
def test_a_coder_that_is_gone_delays_nothing(
    coderd: Coderd, coder_command: CoderCommand, bridge: Bridge, coder_mode: str, mcp_mode: str
) -> None:
    coderd.mode = coder_mode
    coder_command.misbehave(mcp_mode)
    in_workspace(bridge, coder_command).start()
    for number in range(3):
        assert bridge.ask(f"!standin text answer {number}") == f"answer {number}"
    assert [turn["state"] for turn in bridge.turns()] == ["completed"] * 3
    until(lambda: "Coder is not told the status now" in bridge.log.read_text(), "the trouble is logged")
    assert coderd.seen == []
    assert bridge.stop() == 0
    assert coder_command.running() == []
    nothing_tells_the_token(bridge, coder_command)


def test_a_coder_that_comes_back_is_told(coderd: Coderd, coder_command: CoderCommand, bridge: Bridge) -> None:
    coderd.mode = "500"
    coder_command.misbehave("absent")
    in_workspace(bridge, coder_command).start()
    until(lambda: "Coder is not told the status now" in bridge.log.read_text(), "the trouble is logged")
    coderd.mode = ""
    coderd.until_told("idle", "Ready for a prompt")


@pytest.mark.parametrize("old", [False, True])
def test_what_the_watcher_of_an_mcp_server_sees(tmp_path: Path, bridge: Bridge, old: bool) -> None:
    """A `coder exp mcp server` with our URL, as other modules set it up: it tells the same without our reporter."""
    watcher = Watcher(bridge.start().url, old=old)
    try:
        watcher.until(["idle"])
        bridge.ask(prompt("one", SLOW))
        watcher.until(["idle", "working", "idle"])
        bridge.ask("!standin numbered 3000 a long line of an answer, again and again")
        watcher.until(["idle", "working"] * 2 + ["idle"])
        assert watcher.trouble == ""
    finally:
        bridge.stop()
        watcher.close()
    assert all(status == Status(status.state) for status in watcher.statuses)


def test_the_watcher_after_a_restart_of_the_bridge(bridge: Bridge) -> None:
    """Replayed messages are no news to it, and later ones have higher numbers (facts/coder-platform.md 2.3)."""
    watcher = Watcher(bridge.start().url, old=False)
    try:
        watcher.until(["idle"])
        bridge.ask("!standin text one")
        bridge.ask("!standin text two")
        watcher.until(["idle", "working"] * 2 + ["idle"])
        port = bridge.url.rpartition(":")[2]
        bridge.stop()
        bridge.start("--port", port)
        bridge.ask("!standin text three")
        watcher.until(["idle", "working"] * 3 + ["idle"])
    finally:
        bridge.stop()
        watcher.close()
