"""Engine v2: lines, side file, lock and stream."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from tests.standin.runs import Cli, finish, signal_group, wait_for

CANCELLED = "Tool use was cancelled by the user"


def updates(events: list[dict[str, Any]], session: str) -> list[dict[str, Any]]:
    """The updates of one session."""
    return [
        event["data"]["update"]
        for event in events
        if event["type"] == "sessionUpdate" and event["data"]["sessionId"] == session
    ]


def spoken(events: list[dict[str, Any]], session: str) -> str:
    """What a session said."""
    chunks = [one for one in updates(events, session) if one["sessionUpdate"] == "agent_message_chunk"]
    return "".join(chunk["content"]["text"] for chunk in chunks)


def test_lines_come_late_and_the_side_file_bounds_the_turn(cli: Cli) -> None:
    copy = f"cat {cli.home}/.kiro/sessions/cli/*.jsonl"
    done = cli.chat("v2", "text First.", f"tool shell {copy} > one", f"tool shell {copy} > two", "text Done")
    assert done.code == 0
    assert [len((cli.cwd / name).read_text().splitlines()) for name in ("one", "two")] == [2, 4]
    lines = cli.v2_lines()
    assert [line["kind"] for line in lines] == ["Prompt", "AssistantMessage", *["ToolResults", "AssistantMessage"] * 2]
    use = lines[1]["data"]["content"][1]["data"]
    block = lines[2]["data"]["content"][0]["data"]
    assert (use["name"], block["toolUseId"], block["status"]) == ("shell", use["toolUseId"], "success")
    (path,) = cli.v2_files(".json")
    side = json.loads(path.read_text())
    (turn,) = side["session_state"]["conversation_metadata"]["user_turn_metadatas"]
    assert turn["message_ids"] == [line["data"]["message_id"] for line in lines]
    assert (turn["end_reason"], len(turn["metering_usage"])) == ("UserTurnEnd", 3)
    assert side["cwd"] == str(cli.cwd)
    assert cli.v2_files(".lock") == []
    assert (done.out, "[tool] Running: cat" in done.err) == ("First.Done\n", True)


def test_stream_has_the_recorded_order(cli: Cli) -> None:
    done = cli.chat("v2", "text Hello there, you.", "tool shell echo hi", "text Bye", stream=True)
    events = done.events
    session = done.last["data"]["sessionId"]
    types = [event["type"] for event in events]
    assert (types[0], types[1], types[-2], types[-1]) == ("runStarted", "metadata", "metadata", "runFinished")
    assert "sessionId" not in events[0]["data"]
    kinds = [one["sessionUpdate"] for one in updates(events, session)]
    assert list(dict.fromkeys(kinds)) == ["agent_message_chunk", "tool_call", "tool_call_update"]
    call = next(one for one in updates(events, session) if one["sessionUpdate"] == "tool_call")
    assert ("status" in call, call["_meta"]["kiro"]["toolName"]) == (False, "shell")
    last = [one for one in updates(events, session) if one["sessionUpdate"] == "tool_call_update"][-1]
    assert last["rawOutput"]["items"][0]["Json"]["stdout"] == "hi\n"
    assert len(events[-2]["data"]["meteringUsage"]) == 2
    assert done.last["data"]["finalText"] == "Hello there, you.Bye" == spoken(events, session)


@pytest.mark.parametrize(("release", "there"), [("2.19", False), ("2.28", True)])
def test_reasoning_is_reported_by_later_releases(cli: Cli, release: str, there: bool) -> None:
    events = cli.chat("v2", "text hi", options=(), stream=True, KIRO_STANDIN_VERSION=release).events
    assert {"reasoning" in event["data"] for event in events if event["type"] == "metadata"} == {there}


def test_sub_agent_has_its_own_session_and_spoils_final_text(cli: Cli) -> None:
    done = cli.chat("v2", "subagent probe inner", "text outer", stream=True)
    session = done.last["data"]["sessionId"]
    others = {event["data"].get("sessionId") for event in done.events[1:]} - {session}
    (child,) = others
    assert (spoken(done.events, session), spoken(done.events, child)) == ("outer", "inner")
    assert done.last["data"]["finalText"] == "innerouter"
    sides = {path.stem: json.loads(path.read_text()) for path in cli.v2_files(".json")}
    assert sides[child]["parent_session_id"] == session
    assert "parent_session_id" not in sides[session]
    cli.chat("v2", "about", options=("--resume",))
    assert any(f"session={session} turns=1 " in path.read_text() for path in cli.v2_files(".jsonl"))


def test_denied_call_cancels_its_neighbours_and_the_run_goes_on(cli: Cli) -> None:
    (cli.cwd / "note").write_text("x")
    done = cli.chat("v2", "tool read note", "also shell touch made", "text Went on", options=(), stream=True)
    assert (done.code, done.last["type"], (cli.cwd / "made").exists()) == (0, "runFinished", False)
    assert done.err.startswith("[denied] tool permission approval is not supported in non-interactive mode.")
    ended = [one for one in updates(done.events, done.last["data"]["sessionId"]) if one.get("status")]
    assert [one["status"] for one in ended] == ["failed", "failed"]
    blocks = cli.v2_lines()[2]["data"]["content"]
    assert [block["data"]["content"][0]["data"] for block in blocks] == [CANCELLED, CANCELLED]


def test_trust_by_flag_is_not_matched_but_by_agent_file(cli: Cli) -> None:
    cli.chat("v2", "tool shell touch by-flag", options=("--trust-tools=shell",))
    agents = cli.home / ".kiro/agents"
    agents.mkdir(parents=True)
    (agents / "helper.json").write_text(json.dumps({"name": "helper", "allowedTools": ["shell"], "model": "m-2"}))
    done = cli.chat("v2", "tool shell touch by-agent", "about", options=("--agent", "helper"), stream=True)
    assert ((cli.cwd / "by-flag").exists(), (cli.cwd / "by-agent").exists()) == (False, True)
    assert "agent=helper model=m-2 " in done.last["data"]["finalText"]


def test_unknown_agent(cli: Cli) -> None:
    warned = cli.chat("v2", "text hi", options=("--agent", "absent"))
    assert (warned.code, '[warn] agent "absent" not found' in warned.err) == (0, True)
    assert cli.chat("v2", "text hi", options=("--agent", "absent"), KIRO_STANDIN_VERSION="3.0").code == 4


def test_model_and_effort_that_cannot_be_set(cli: Cli) -> None:
    options = ("--model", "m-1", "--effort", "low")
    old = cli.chat("v2", "about", options=options, KIRO_STANDIN_VERSION="2.19")
    assert ("[warn] failed to set model 'm-1'" in old.err, "model=auto " in old.out) == (True, True)
    new = cli.chat("v2", "about", options=options)
    assert ("[warn] failed to set effort 'low'" in new.err, "model=m-1 " in new.out) == (True, True)


def test_missing_mcp_server_stops_the_start(cli: Cli) -> None:
    settings = cli.home / ".kiro/settings"
    settings.mkdir(parents=True)
    (settings / "mcp.json").write_text('{"mcpServers":{"gone":{"command":"no-such-command-anywhere"}}}')
    assert cli.chat("v2", "text hi", options=("--require-mcp-startup",)).code == 3
    assert cli.chat("v3", "text hi", options=("--require-mcp-startup",)).code == 0
    assert cli.chat("v2", "text hi").code == 0


def test_unknown_id_begins_anew_or_fails_by_release(cli: Cli) -> None:
    old = cli.chat("v2", "text hi", options=("--resume-id", "absent"), stream=True, KIRO_STANDIN_VERSION="2.19")
    assert (old.code, old.last["data"]["sessionId"] != "absent") == (0, True)
    new = cli.chat("v2", "text hi", options=("--resume-id", "absent"), stream=True)
    assert (new.code, [event["type"] for event in new.events]) == (1, ["runError"])


def test_live_lock_refuses_and_dead_lock_is_taken_over(cli: Cli) -> None:
    cli.chat("v2", "text one")
    (lines,) = cli.v2_files(".jsonl")
    lock = lines.with_suffix(".lock")
    lock.write_text(json.dumps({"pid": os.getpid(), "started_at": "2026-01-01T00:00:00Z"}))
    busy = cli.chat("v2", "text two", options=("--resume-id", lines.stem))
    assert (busy.code, f"Session is active in another process (PID {os.getpid()})" in busy.err) == (1, True)
    lock.write_text('{"pid":999999999,"started_at":"2026-01-01T00:00:00Z"}')
    assert cli.chat("v2", "text two", options=("--resume-id", lines.stem)).code == 0
    assert [line["kind"] for line in cli.v2_lines()] == ["Prompt", "AssistantMessage"] * 2
    assert not lock.exists()


def test_killed_in_a_tool_then_resumed(cli: Cli) -> None:
    prompt = "!standin tool shell touch started; exec sleep 60"
    process = cli.start("chat", "--no-interactive", "-a", "--agent-engine", "v2", stdin=prompt)
    wait_for(cli.cwd / "started")
    signal_group(process, signal.SIGINT)
    assert finish(process).code == -signal.SIGINT
    assert [line["kind"] for line in cli.v2_lines()] == ["Prompt", "AssistantMessage"]
    assert len(cli.v2_files(".lock")) == 1
    cli.chat("v2", "text again", options=("--resume",))
    lines = cli.v2_lines()
    assert [line["kind"] for line in lines[2:]] == ["ToolResults", "Prompt", "AssistantMessage"]
    assert next(iter(lines[2]["data"]["results"].values())) == {"tool": None, "result": "Cancelled"}


def test_worker_ends_with_its_launcher(cli: Cli) -> None:
    prompt = "!standin text Hello.\n!standin sleep 300"
    process = cli.start("chat", "--no-interactive", "--agent-engine", "v2", stdin=prompt)
    assert process.stdout is not None
    assert process.stdout.read(5)
    process.kill()
    assert finish(process).code == -signal.SIGKILL  # returns only when the worker's stdout is closed too


def test_places_can_be_moved(cli: Cli, tmp_path: Any) -> None:
    cli.chat("v2", "text hi", KIRO_HOME=str(tmp_path / "moved"))
    cli.chat("v2", "text hi", KIRO_TEST_SESSIONS_DIR=str(tmp_path / "named"))
    assert len(list((tmp_path / "moved/sessions/cli").glob("*.jsonl"))) == 1
    assert len(list((tmp_path / "named").glob("*.jsonl"))) == 1
    assert not (cli.home / ".kiro").exists()


@pytest.mark.parametrize(
    ("release", "engine"), [("1.28", "v1"), ("2.5", "v1"), ("2.19", "v1"), ("2.28", "v2"), ("3.0", "v2")]
)
def test_engine_of_a_run_that_names_none(cli: Cli, release: str, engine: str) -> None:
    cli.run("chat", "--no-interactive", stdin="!standin text hi", KIRO_STANDIN_VERSION=release)
    assert (len(cli.rows()), len(cli.v2_files(".jsonl"))) == ((1, 0) if engine == "v1" else (0, 1))


def test_engine_by_environment_and_by_setting(cli: Cli) -> None:
    cli.run("chat", "--no-interactive", stdin="!standin text hi", KIRO_AGENT_ENGINE="v1")
    assert len(cli.rows()) == 1
    cli.run("settings", "chat.agentEngine", "v3")
    cli.run("chat", "--no-interactive", stdin="!standin text hi")
    assert cli.v3_rows()
    cli.run("chat", "--no-interactive", "--classic", stdin="!standin text hi")
    assert len(cli.rows()) == 2
