"""`kiro-cli acp` on engine v3: the token, pushes, turns, permissions and questions, options, replay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.standin.acp import TOKEN, UNKNOWN, agent, choose, named, selected
from tests.standin.runs import Cli, alive

ALONE = ("--auth-method", "cli")


def infos(frames: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """`_meta.kiro` of the info updates of that kind."""
    return [frame["params"]["update"]["_meta"]["kiro"] for frame in frames if named(frame) == f"update:{kind}"]


def test_handshake_asks_for_the_token_first(cli: Cli) -> None:
    with agent(cli, "v3") as client:
        result = client.initialize()
        assert client.methods() == ["_kiro/auth/getAccessToken", "result"]
        assert client.frames[0]["id"] == 0
        assert ("agentInfo" in result, len(result["authMethods"])) == (False, 2)
        assert result["agentCapabilities"]["_meta"]["kiro"]["replayMarking"] is True


def test_with_auth_method_cli_it_answers_itself(cli: Cli) -> None:
    with agent(cli, "v3", *ALONE) as client:
        session = client.new()
        assert client.prompt(session, "text hi") == "end_turn"
        assert client.requests("_kiro/auth/getAccessToken") == []
    with agent(cli, "v3", *ALONE, KIRO_STANDIN_VERSION="2.19") as client:
        code, said = client.ended()
        assert (code, "unexpected argument '--auth-method' found" in said) == (2, True)


@pytest.mark.parametrize(
    "answer", [UNKNOWN, {"result": {}}, {"result": {**TOKEN, "expiresAt": "2026-01-01T00:00:00Z"}}, {"result": 1}]
)
def test_without_a_good_token_a_prompt_fails(cli: Cli, answer: dict[str, Any]) -> None:
    with agent(cli, "v3") as client:
        client.token = lambda frame: answer
        session = client.new()
        done = client.answer_to(client.start_prompt(session, "text never"))
        assert done["error"]["code"] == -32603
        assert client.text(session).startswith("Something went wrong: [TokenInvalidError] ")
        assert len(client.requests("_kiro/auth/getAccessToken")) == 4
        kinds = ("display_error", "turn_completion", "turn_end")
        (error,), (completion,), (end,) = (infos(client.frames, kind) for kind in kinds)
        assert (error["errorType"], completion["status"], end["stopReason"]) == ("TokenInvalidError", "failed", "error")


def test_new_session_pushes_before_and_after_the_result(cli: Cli) -> None:
    with agent(cli, "v3", *ALONE) as client:
        session = client.new()
        client.until(lambda frame: named(frame) == "update:config_option_update")
        assert client.methods()[1:] == [
            "_kiro/governance/state",
            "_kiro/mcp/status",
            "_kiro/powers/items_changed",
            "_kiro/steering/documents_changed",
            "_kiro/progressive_context/items_changed",
            "_kiro/tools/didChange",
            "_kiro/sessions/changed",
            "result",
            "update:available_commands_update",
            "update:context_usage",
            "update:config_option_update",
        ]
        assert all(frame["params"]["sessionId"] == session for frame in client.frames[1:7])
        result = client.frames[8]["result"]
        assert set(result) == {"_meta", "sessionId", "modes", "configOptions"}
        assert [one["id"] for one in result["configOptions"]] == ["mode", "autopilot", "contentCollection"]
        assert list((cli.home / ".kiro/sessions").glob("*/sess_*")) == []


def test_order_of_a_plain_turn(cli: Cli) -> None:
    with agent(cli, "v3", *ALONE, KIRO_STANDIN_VERSION="2.20.0") as client:
        session = client.new()
        client.until(lambda frame: named(frame) == "update:config_option_update")
        before = len(client.frames)
        client.prompt(session, "thought hm", "text OK")
        client.next()
        assert client.methods()[before:] == [
            "update:user_message_id_assigned",
            "update:focus_update",
            "_kiro/sessions/changed",
            "update:config_option_update",
            "_kiro/sessions/changed",
            "update:turn_start",
            "update:agent_thought_chunk",
            "update:agent_message_chunk",
            "update:context_usage",
            "update:context_usage",
            "update:turn_completion",
            "_kiro/sessions/changed",
            "update:turn_end",
            "result",
            "update:context_usage",
        ]
        before = len(client.frames)
        client.prompt(session, "text OK")
        assert "update:focus_update" not in client.methods()[before:]


@pytest.mark.parametrize(
    ("release", "chunk", "turn"), [("2.11.0", False, False), ("2.18.0", True, False), ("2.28", True, True)]
)
def test_ids_by_release(cli: Cli, release: str, chunk: bool, turn: bool) -> None:
    with agent(cli, "v3", KIRO_STANDIN_VERSION=release) as client:
        session = client.new()
        client.prompt(session, "text OK")
        (said,) = client.updates(session, "agent_message_chunk")
        (start,) = infos(client.frames, "turn_start")
        assert ("_meta" in said, "messageId" in start) == (chunk, turn)


def test_a_shell_call_from_pending_to_failed(cli: Cli) -> None:
    with agent(cli, "v3", *ALONE) as client:
        session = client.new()
        client.prompt(session, "tool shell echo out; exit 3")
        (call,) = client.updates(session, "tool_call")
        assert (call["status"], call["title"], call["kind"]) == ("pending", "Run Command", "execute")
        updates = client.updates(session, "tool_call_update")
        assert [one["status"] for one in updates] == ["in_progress", "in_progress", "failed"]
        assert updates[-1]["rawOutput"]["exitCode"] == 3
        assert json.loads(updates[-1]["content"][0]["content"]["text"]) == updates[-1]["rawOutput"]
        (asked,) = client.requests()
        assert asked["id"] == 0
        names = client.methods()
        at = names.index("session/request_permission")
        assert (names[at - 1], names[at + 1]) == ("update:pending_interaction", "update:interaction_resolved")
        own = asked["params"]["_meta"]["kiro"]
        assert (own["toolId"], own["consent"]["capability"]) == ("run_command", "shell")
        kinds = [one["kind"] for one in asked["params"]["options"]]
        assert kinds == ["allow_once", "allow_always", "reject_once", "reject_always"]


def test_output_of_a_running_command_on_request(cli: Cli) -> None:
    with agent(cli, "v3", "-a", *ALONE) as client:
        session = client.new(_meta={"kiro": {"streamingShellContent": True}})
        client.prompt(session, "tool shell echo out")
        chunks = [frame["params"] for frame in client.frames if frame.get("method") == "_kiro/tools/content_chunk"]
        assert [chunk["content"]["content"]["text"] for chunk in chunks] == ["out\n"]


def test_an_edit_waits_as_pending_and_ends_in_a_diff(cli: Cli) -> None:
    (cli.cwd / "note").write_text("old")
    with agent(cli, "v3", *ALONE) as client:
        session = client.new()
        client.prompt(session, "tool write note new")
        (call,) = client.updates(session, "tool_call")
        assert (call["status"], call["_meta"]["kiro"]["preview"]["modifiedContent"]) == ("in_progress", "new")
        updates = client.updates(session, "tool_call_update")
        assert [one["status"] for one in updates] == ["pending", "in_progress", "completed"]
        path = f"file://{cli.cwd}/note"
        assert updates[-1]["content"] == [{"type": "diff", "path": path, "newText": "new", "oldText": "old"}]


@pytest.mark.parametrize(
    ("kind", "asked", "made"),
    [("allow_once", 2, True), ("allow_always", 1, True), ("reject_once", 2, False), ("reject_always", 1, False)],
)
def test_the_four_answers(cli: Cli, kind: str, asked: int, made: bool) -> None:
    with agent(cli, "v3", *ALONE) as client:
        session = client.new()
        client.permission = choose(kind)
        assert client.prompt(session, "tool shell touch one", "tool shell touch two") == "end_turn"
        assert len(client.requests()) == asked
        ends = [one["status"] for one in client.updates(session, "tool_call_update") if "rawOutput" in one]
        assert ends == ["completed" if made else "failed"] * 2
        answered = infos(client.frames, "interaction_resolved")
        assert [one["outcome"] for one in answered] == ["selected"] * asked
    assert ((cli.cwd / "one").exists(), (cli.cwd / "two").exists()) == (made, made)
    stored = [row["payload"]["type"] for row in cli.v3_rows()]
    assert stored.count("pending_interaction") == stored.count("interaction_resolved") == asked


def test_a_question_has_options_that_all_allow(cli: Cli) -> None:
    with agent(cli, "v3", "-a", *ALONE) as client:
        session = client.new()
        client.permission = lambda frame: selected(frame["params"]["options"][1]["optionId"])
        client.prompt(session, "question Which one? | The first | The second", "text Good.")
        (asked,) = client.requests()
        call = asked["params"]["toolCall"]
        assert (call["title"], "_meta" in asked["params"]) == ("Which one?", False)
        options = asked["params"]["options"]
        assert [one["optionId"] for one in options] == [f"{call['toolCallId']}-option-{n}" for n in (0, 1)]
        assert {one["kind"] for one in options} == {"allow_once"}
        (pending,) = infos(client.frames, "pending_interaction")
        assert pending["interactionType"] == "user_input"
    results = [row["payload"] for row in cli.v3_rows() if row["payload"]["type"] == "tool_result"]
    assert [one["content"] for one in results] == ["The second"]


def test_cancel_of_a_question_in_the_recorded_order(cli: Cli) -> None:
    with agent(cli, "v3", *ALONE, KIRO_STANDIN_VERSION="2.20.0") as client:
        session = client.new()
        client.permission = lambda frame: None
        request = client.start_prompt(session, "question Which? | A | B")
        asked = client.until(lambda frame: frame.get("method") == "session/request_permission")
        client.notify("session/cancel", sessionId=session)
        client.send({"id": asked["id"], "result": {"outcome": {"outcome": "cancelled"}}})
        before = len(client.frames)
        assert client.answer_to(request)["result"] == {"stopReason": "cancelled"}
        client.next()
        assert client.methods()[before:] == [
            "_kiro/hooks/cancel",
            "update:turn_completion",
            "update:interaction_resolved",
            "update:tool_call_update",
            "_kiro/sessions/changed",
            "update:turn_end",
            "result",
            "update:context_usage",
        ]
        assert infos(client.frames, "turn_completion")[0]["status"] == "aborted"
        assert client.prompt(session, "text Again.") == "end_turn"


def test_a_sub_agent_works_in_the_same_session(cli: Cli) -> None:
    with agent(cli, "v3", *ALONE) as client:
        session = client.new()
        client.prompt(session, "subagent-runs probe echo inner", "text outer")
        outer, inner = client.updates(session, "tool_call")
        task = outer["_meta"]["kiro"]["agentSubtaskId"]
        assert (outer["title"], outer["_meta"]["kiro"]["kind"]) == ("Sub-agent: probe", "agent-subtask")
        assert (inner["title"], inner["_meta"]["kiro"]["agentSubtaskId"]) == ("Run Command", task)
        orphans = [
            one for one in client.updates(session, "tool_call_update") if one.get("title") == "Subagent Response"
        ]
        assert orphans[0]["toolCallId"] not in (outer["toolCallId"], inner["toolCallId"])
        assert client.updates(session, "tool_call_update")[-1]["rawOutput"] == "It ran."
        assert (len(client.requests()), client.text(session)) == (1, "outer")


def test_loading_marks_what_it_replays(cli: Cli) -> None:
    with agent(cli, "v3", "-a", *ALONE) as client:
        session = client.new()
        client.prompt(session, "text First.", "tool shell true", "text Last.")
    with agent(cli, "v3", *ALONE) as client:
        client.initialize()
        result = client.call("session/load", sessionId=session, cwd=client.cwd, mcpServers=[])
        assert set(result) == {"_meta", "modes", "configOptions"}
        before = client.methods().index("_kiro/mcp/status")
        replayed = [frame["params"]["update"] for frame in client.frames[1:before]]
        assert all(update["_meta"]["kiro"]["replay"] is True for update in replayed)
        kinds = [named(frame) for frame in client.frames[1:before]]
        assert (kinds[0], kinds[-1]) == ("update:user_message_chunk", "update:turn_end")
        assert client.text(session) == "First.Last."
        assert client.prompt(session, "about") == "end_turn"
        assert "turns=1" in client.text(session)
        error = client.error("session/load", sessionId="sess_absent", cwd=client.cwd, mcpServers=[])
        assert "Session not found" in error["data"]["details"]


def test_list_fork_rename_delete_compact(cli: Cli) -> None:
    with agent(cli, "v3", *ALONE) as client:
        session = client.new()
        client.prompt(session, "text hi")
        forked = client.call("session/fork", sessionId=session, cwd=client.cwd, title="Aside")
        assert forked["_meta"]["kiro"]["parentSessionId"] == session
        client.prompt(forked["sessionId"], "about")
        assert "turns=1" in client.text(forked["sessionId"])
        assert client.call("_kiro/session/rename", sessionId=session, title="Named") == {"success": True}
        client.prompt(session, "text hi")
        listed = {one["sessionId"]: one for one in client.call("session/list", cwd=client.cwd)["sessions"]}
        assert {one["title"] for one in listed.values()} == {"Aside", "Named"}
        assert listed[session]["_meta"]["kiro"]["status"] == "idle"
        assert client.call("session/list", cwd="/absent")["sessions"] == []
        assert client.call("_kiro/session/compact", sessionId=session) == {"success": True}
        assert len(infos(client.frames, "summarization_completed")) == 1
        assert client.call("_kiro/session/delete", sessionId=forked["sessionId"]) == {"success": True}
        assert len(client.call("session/list")["sessions"]) == 1
        assert client.call("_kiro/session/history", sessionId=session) == {"updates": [], "hasMore": False}


def test_options_and_modes(cli: Cli) -> None:
    with agent(cli, "v3", *ALONE) as client:
        session = client.new()
        choice = {"sessionId": session, "configId": "model", "value": "standin-large"}
        found = client.call("session/set_config_option", **choice)["configOptions"]
        assert next(one for one in found if one["id"] == "model")["currentValue"] == "standin-large"
        client.prompt(session, "about")
        assert "model=standin-large" in client.text(session)
        client.call("session/set_config_option", sessionId=session, configId="mode", value="spec")
        assert client.methods()[-3:] == ["_kiro/policy/changed", "_kiro/tools/didChange", "result"]
        assert client.call("session/set_mode", sessionId=session, modeId="vibe") == {}
        wrong = client.error("session/set_config_option", sessionId=session, configId="model", value="absent")
        assert wrong["code"] == -32602


def test_unknown_methods_and_steering(cli: Cli) -> None:
    with agent(cli, "v3", *ALONE) as client:
        session = client.new()
        details = client.error("_kiro/mcp/toggle", sessionId=session)["data"]["details"]
        assert details == "Unknown ext method: _kiro/mcp/toggle"
        assert client.error("no/such/method")["code"] == -32601
        empty = client.error("_session/steer", sessionId=session, text="wrong key")
        assert empty["data"]["details"] == "_session/steer: missing or empty message"
        assert client.call("_session/steer", sessionId=session, message="Be brief.")["queued"] is True
        client.prompt(session, "text OK")
        assert client.text(session) == "(You said meanwhile: Be brief.)\nOK"
        assert len(infos(client.frames, "steering_injected")) == 1
        assert client.call("_session/steer/clear", sessionId=session) == {"cleared": True, "messageIds": []}


def test_mcp_servers_start_after_the_result(cli: Cli) -> None:
    given = [
        {"name": "here", "command": "sh", "args": [], "env": []},
        {"name": "gone", "command": "no-such-command-anywhere", "args": [], "env": []},
        {"type": "http", "name": "web", "url": "https://mcp.example.com/oauth", "headers": []},
    ]
    with agent(cli, "v3", *ALONE) as client:
        client.initialize()
        client.call("session/new", cwd=client.cwd, mcpServers=given)
        client.until(lambda frame: frame.get("method") == "_kiro/mcp/status")
        first, last = (frame["params"] for frame in client.frames if frame.get("method") == "_kiro/mcp/status")
        assert [one["status"] for one in first["servers"]] == ["connecting"] * 3
        here, gone, web = last["servers"]
        assert (here["status"], gone["status"], web["failedAuthorization"]) == ("connected", "failed", True)
        assert web["authorizationUrl"].startswith("https://")


def test_the_engine_outlives_stdin(cli: Cli) -> None:
    with agent(cli, "v3", *ALONE, KIRO_STANDIN_LOG=str(cli.home / "log")) as client:
        session = client.new()
        assert client.process.stdin is not None
        client.process.stdin.close()
        client.until(lambda frame: named(frame) == "update:config_option_update")
        assert session.startswith("sess_")
        assert client.process.poll() is None
        assert alive(client.process.pid)
