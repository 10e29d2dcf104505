"""Engine v3: rows, their ids in the stream, and what it refuses."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.standin.runs import Cli, finish, kill, wait_for

BATCH = ["usage_summary", "session_event", "turn_end"]


def types(rows: list[dict[str, Any]]) -> list[str]:
    """Types of rows."""
    return [row["payload"]["type"] for row in rows]


def infos(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """`session_info_update`s of a kind."""
    metas = [
        event["data"]["update"].get("_meta", {}).get("kiro", {}) for event in events if event["type"] == "sessionUpdate"
    ]
    return [meta for meta in metas if meta.get("kind") == kind]


def test_rows_of_a_turn_in_order_and_tools_only_when_done(cli: Cli) -> None:
    copy = f"cat {cli.home}/.kiro/sessions/*/sess_*/messages.jsonl > seen; echo out"
    done = cli.chat("v3", "thought hm", "text First.", f"tool shell {copy}", "text Done")
    assert done.code == 0
    rows = cli.v3_rows()
    asked = ["pending_interaction", "interaction_resolved"]
    before = ["user", "turn_start", "assistant", "assistant", "session_metadata", *asked]
    seen = [json.loads(line) for line in (cli.cwd / "seen").read_text().splitlines()]
    assert types(seen) == before
    after = ["tool_call", "tool_result", "assistant", "session_metadata", *BATCH, "session_start"]
    assert types(rows) == before + after
    call, result = rows[7]["payload"], rows[8]["payload"]
    assert (call["toolName"], call["status"], result["success"]) == ("execute_bash", "completed", True)
    assert result["content"] == "Output:\nout\n\n\nExit Code: 0"
    assert rows[3]["payload"]["content"] == "..."
    cli.chat("v3", "text more", options=("--resume",))
    assert types(cli.v3_rows())[15:] == ["user", "turn_start", "assistant", "session_metadata", *BATCH]


def test_ids_of_stream_and_rows_are_the_same(cli: Cli) -> None:
    done = cli.chat("v3", "text First.", "tool shell echo a", "text Last.", stream=True)
    ids = {row["id"]: row["payload"] for row in cli.v3_rows()}
    (user,) = infos(done.events, "user_message_id_assigned")
    assert ids[user["userMessageId"]]["type"] == "user"
    for kind in ("turn_start", "turn_end"):
        (info,) = infos(done.events, kind)
        assert ids[info["messageId"]]["type"] == kind
    chunks = [event["data"]["update"] for event in done.events if event["data"].get("update", {}).get("content")]
    said: dict[str, str] = {}
    for chunk in chunks:
        if chunk["sessionUpdate"] == "agent_message_chunk":
            key = chunk["_meta"]["kiro"]["replayId"]
            said[key] = said.get(key, "") + chunk["content"]["text"]
    assert {key: ids[key]["content"] for key in said} == said
    assert sorted(said.values()) == ["First.", "Last."]
    call = next(
        event["data"]["update"] for event in done.events if event["data"].get("update", {}).get("kind") == "execute"
    )
    assert ids[f"{call['toolCallId']}-result"]["type"] == "tool_result"
    assert call["toolCallId"].startswith("run_command_tooluse_")
    assert done.last["data"]["sessionId"].startswith("sess_")
    assert "metadata" not in [event["type"] for event in done.events]


def test_focus_goes_idle_after_the_turn_end_in_later_releases(cli: Cli) -> None:
    kinds = []
    for release in ("2.19", "2.28"):
        events = cli.chat("v3", "text hi", options=(), stream=True, KIRO_STANDIN_VERSION=release).events
        updates = [event["data"]["update"] for event in events[1:-1]]
        kinds.append([one.get("_meta", {}).get("kiro", {}).get("kind", one["sessionUpdate"]) for one in updates])
    old, new = kinds
    assert (old[0], old[1], old[-1]) == ("config_option_update", "available_commands_update", "turn_end")
    assert (new[0], new[1], new[-2:]) == (
        "available_commands_update",
        "config_option_update",
        ["turn_end", "focus_update"],
    )


def test_failing_command_and_denied_call_are_failures(cli: Cli) -> None:
    cli.chat("v3", "tool shell exit 3", "text on")
    call, result = (row["payload"] for row in cli.v3_rows()[5:7])
    assert (call["status"], result["success"], result["content"][-12:]) == ("failed", False, "Exit Code: 3")


def test_denied_call_does_not_end_the_run(cli: Cli) -> None:
    done = cli.chat("v3", "tool shell touch made", "text Went on", options=(), stream=True)
    assert (done.code, done.last["type"], (cli.cwd / "made").exists()) == (0, "runFinished", False)
    assert "[denied]" in done.err
    rows = cli.v3_rows()
    assert [row["payload"]["selectedOption"] for row in rows if "selectedOption" in row["payload"]] == ["reject"]
    assert [row["payload"]["status"] for row in rows if row["payload"]["type"] == "tool_call"] == ["denied"]


def test_trust_compares_tool_ids_without_case(cli: Cli) -> None:
    cli.chat("v3", "tool shell touch made", options=("--trust-tools=Execute_Bash",))
    assert (cli.cwd / "made").exists()


def test_old_releases_refuse_trust_flags(cli: Cli) -> None:
    done = cli.chat("v3", "text hi", KIRO_STANDIN_VERSION="2.19")
    assert done.code == 1
    assert "error: the following arguments are not supported with --agent-engine=v3: --trust-all-tools\n" in done.err


def test_session_stands_under_the_home_in_its_bucket(cli: Cli, tmp_path: Path) -> None:
    import hashlib

    cli.chat("v3", "text hi", KIRO_HOME=str(tmp_path / "moved"))
    (path,) = (cli.home / ".kiro/sessions").glob("*/sess_*/session.json")
    session = json.loads(path.read_text())
    assert path.parent.parent.name == hashlib.sha256(str(cli.cwd).encode()).hexdigest()[:16]
    assert (session["id"], session["status"], session["workspacePaths"]) == (path.parent.name, "idle", [str(cli.cwd)])


def test_unknown_id_begins_a_new_session(cli: Cli) -> None:
    done = cli.chat("v3", "text hi", options=("--resume-id", "sess_absent"), stream=True)
    assert (done.code, done.last["data"]["sessionId"] != "sess_absent") == (0, True)


def test_sub_agent_rows_stand_apart(cli: Cli) -> None:
    cli.chat("v3", "subagent probe inner", "text outer")
    (path,) = (cli.home / ".kiro/sessions").glob("*/sess_*/sub-executions/*.jsonl")
    (row,) = (json.loads(line) for line in path.read_text().splitlines())
    assert row["payload"]["subExecutionId"] == path.stem
    assert {"sub_agent_start", "sub_agent_complete"} <= set(types(cli.v3_rows()))


@pytest.mark.leaves("processes", "the engine of v3 does not end with its launcher")
def test_worker_outlives_its_launcher(cli: Cli) -> None:
    prompt = "!standin text Hello.\n!standin tool shell echo $PPID > worker; touch started; exec sleep 300"
    process = cli.start("chat", "--no-interactive", "--v3", "-a", stdin=prompt)
    wait_for(cli.cwd / "started")
    worker = int((cli.cwd / "worker").read_text())
    process.kill()
    process.wait()
    try:
        assert worker != process.pid
        assert Path(f"/proc/{worker}/stat").exists()
    finally:
        import os

        os.killpg(process.pid, signal.SIGKILL)
        kill_if_there(worker)
        assert finish(process).code == -signal.SIGKILL


def kill_if_there(pid: int) -> None:
    """End a process that may be gone already."""
    try:
        kill(pid)
    except ProcessLookupError:
        return
