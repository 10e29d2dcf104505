"""`kiro-cli acp` on engine v2: handshake, turns, tools, permissions, commands, sub-agents, loading."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.standin.acp import CANCELLED, agent, choose, named, selected
from tests.standin.runs import Cli


def metadata(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parameters of the metadata frames."""
    return [frame["params"] for frame in frames if frame.get("method") == "_kiro.dev/metadata"]


@pytest.mark.parametrize(("release", "auth"), [("2.4.1", False), ("2.5", True), ("2.28", True)])
def test_handshake(cli: Cli, release: str, auth: bool) -> None:
    with agent(cli, "v2", KIRO_STANDIN_VERSION=release) as client:
        result = client.initialize()
        assert ("auth" in result["agentCapabilities"], result["authMethods"]) == (auth, [])
        assert result["agentInfo"]["name"] == "Kiro CLI Agent"
        assert list(client.frames[0]) == ["jsonrpc", "result", "id"]


@pytest.mark.parametrize(
    ("release", "count"), [("2.1.0", 12), ("2.4.1", 13), ("2.8.0", 14), ("2.11.0", 15), ("2.13.0", 18), ("2.28", 19)]
)
def test_new_session_in_order(cli: Cli, release: str, count: int) -> None:
    with agent(cli, "", KIRO_STANDIN_VERSION=release) as client:
        client.new()
        client.until(lambda frame: named(frame) == "_kiro.dev/metadata")
        begun = ["_kiro.dev/subagent/list_update", "result", "_kiro.dev/commands/available", "_kiro.dev/metadata"]
        assert client.methods() == ["result", *begun]
        result = client.frames[2]["result"]
        assert set(result) == {"sessionId", "modes", "models"}
        assert len(result["models"]["availableModels"]) == count
        assert [mode["id"] for mode in result["modes"]["availableModes"]][-1] == "kiro_guide"


def test_a_plain_turn_and_its_files(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        before = len(client.frames)
        assert client.prompt(session, "thought hm", "chunks 3", "text Hello there") == "end_turn"
        names = client.methods()[before:]
        ended = ["_kiro.dev/metadata", "_kiro.dev/metadata", "result"]
        told = [name for name in names if name != "_kiro.dev/commands/available"]
        chunks = ["update:agent_message_chunk"] * 3
        assert told[-7:] == ["update:agent_thought_chunk", *chunks, *ended]
        last = metadata(client.frames)[-1]
        assert (len(last["meteringUsage"]), "turnDurationMs" in last) == (1, True)
        assert client.text(session) == "Hello there"
        assert len(cli.v2_files(".lock")) == 1
        assert client.close() == 0
    assert [line["kind"] for line in cli.v2_lines()] == ["Prompt", "AssistantMessage"]
    assert cli.v2_files(".lock") == []
    (side,) = cli.v2_files(".json")
    assert side.stem == session


def test_an_older_release_sends_one_metadata_at_the_end(cli: Cli) -> None:
    with agent(cli, "v2", KIRO_STANDIN_VERSION="2.11.0") as client:
        session = client.new()
        client.prompt(session, "text hi")
        names = client.methods()
        assert names[-3:] == ["update:agent_message_chunk", "_kiro.dev/metadata", "result"]


def test_a_tool_from_its_name_to_its_end(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        before = len(client.frames)
        client.prompt(session, "tool shell echo one; exit 3")
        names = [name for name in client.methods()[before:] if not name.startswith("_kiro.dev")]
        assert names == [
            "own:tool_call_chunk",
            "update:tool_call",
            "session/request_permission",
            "update:tool_call_update",
            "update:tool_call_update",
            "update:agent_message_chunk",
            "result",
        ]
        (call,) = client.updates(session, "tool_call")
        assert ("status" in call, call["title"], call["kind"]) == (False, "Running: echo one; exit 3", "execute")
        streamed, last = client.updates(session, "tool_call_update")
        assert set(streamed) == {"sessionUpdate", "toolCallId", "content"}
        assert streamed["content"][0]["content"]["text"] == "one\n"
        assert (last["status"], last["rawOutput"]["items"][0]["Json"]["exit_status"]) == (
            "completed",
            "exit status: 3",
        )


def test_permission_has_the_recorded_shape(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        client.prompt(session, "tool shell echo one two three")
        (asked,) = client.requests()
        assert isinstance(asked["id"], str)
        assert set(asked["params"]["toolCall"]) == {"toolCallId", "title"}
        assert [one["optionId"] for one in asked["params"]["options"]] == ["allow_once", "allow_always", "reject_once"]
        offers = asked["params"]["_meta"]["trustOptions"]
        assert [one["label"] for one in offers] == ["Full command", "Partial command", "Base command"]
        assert [one["display"] for one in offers] == ["echo one two three", "echo one *", "echo *"]


def test_a_rejected_call_is_failed_and_the_turn_goes_on(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        client.permission = choose("reject_once")
        assert client.prompt(session, "tool shell touch made", "text Went on.") == "end_turn"
        (last,) = client.updates(session, "tool_call_update")
        assert (last["status"], "rawOutput" in last, client.text(session)) == ("failed", False, "Went on.")
    assert not (cli.cwd / "made").exists()


def test_always_is_remembered_for_the_tool(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        client.permission = choose("allow_always")
        client.prompt(session, "tool shell echo 1", "tool shell echo 2", "tool write a x")
        client.prompt(session, "tool shell echo 3")
        assert [one["params"]["toolCall"]["title"] for one in client.requests()] == ["Running: echo 1", "Creating a"]


def test_a_trust_option_is_remembered_as_a_pattern(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()

        def trust(frame: dict[str, Any]) -> dict[str, Any]:
            offer = frame["params"]["_meta"]["trustOptions"][-1]
            return selected("allow_always", _meta={"trustOption": offer})

        client.permission = trust
        client.prompt(session, "tool shell echo 1", "tool shell echo 2", "tool shell true")
        titles = [one["params"]["toolCall"]["title"] for one in client.requests()]
        assert titles == ["Running: echo 1", "Running: true"]


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ((), ["Running: true", "Creating note"]),
        (("-a",), []),
        (("--trust-tools=shell",), ["Creating note"]),
        (("--trust-tools=execute_bash,fs_write",), []),
        (("--trust-tools=",), ["Running: true", "Creating note"]),
    ],
)
def test_trust_flags_decide_what_is_asked(cli: Cli, options: tuple[str, ...], asked: list[str]) -> None:
    with agent(cli, "v2", *options) as client:
        session = client.new()
        client.prompt(session, "tool shell true", "tool write note x", "tool read note")
        assert [one["params"]["toolCall"]["title"] for one in client.requests()] == asked


def test_ask_is_asked_whatever_is_trusted(cli: Cli) -> None:
    with agent(cli, "v2", "-a") as client:
        client.prompt(client.new(), "ask shell true", "tool shell true")
        assert len(client.requests()) == 1


def test_a_failed_call_has_no_tool_call(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        client.prompt(session, "tool read absent")
        assert client.updates(session, "tool_call") == []
        (last,) = client.updates(session, "tool_call_update")
        assert (last["status"], last["title"]) == ("failed", "read")
        assert "does not exist" in last["content"][0]["content"]["text"]


def test_an_edit_shows_old_and_new_text(cli: Cli) -> None:
    (cli.cwd / "note").write_text("old")
    with agent(cli, "v2", "-a") as client:
        session = client.new()
        client.prompt(session, "tool write note new", "tool write fresh x")
        first, second = (call["content"][0] for call in client.updates(session, "tool_call"))
        assert (first["type"], first["oldText"], first["newText"]) == ("diff", "old", "new")
        assert second["oldText"] is None


def test_cancel_while_speaking(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        request = client.start_prompt(session, "text Begun.", "sleep 600", "text Never.")
        client.until(lambda frame: named(frame) == "update:agent_message_chunk")
        client.notify("session/cancel", sessionId=session)
        assert client.answer_to(request)["result"] == {"stopReason": "cancelled"}
        last = client.next()
        assert last is not None
        assert set(last["params"]) == {"sessionId", "turnDurationMs"}
        assert client.prompt(session, "about") == "end_turn"
        assert "turns=1" in client.text(session)
    (side,) = cli.v2_files(".json")
    turns = json.loads(side.read_text())["session_state"]["conversation_metadata"]["user_turn_metadatas"]
    assert [turn["end_reason"] for turn in turns] == ["Cancelled", "UserTurnEnd"]


def test_cancel_in_a_tool_kills_it(cli: Cli) -> None:
    with agent(cli, "v2", "-a") as client:
        session = client.new()
        request = client.start_prompt(session, "tool shell echo $$; exec sleep 600")
        frame = client.until(lambda frame: named(frame) == "update:tool_call_update")
        pid = int(frame["params"]["update"]["content"][0]["content"]["text"])
        client.notify("session/cancel", sessionId=session)
        assert client.answer_to(request)["result"] == {"stopReason": "cancelled"}
        assert not Path(f"/proc/{pid}").exists()
        client.prompt(session, "text again")
    kinds = [line["kind"] for line in cli.v2_lines()]
    assert kinds == ["Prompt", "AssistantMessage", "ToolResults", "Prompt", "AssistantMessage"]


@pytest.mark.parametrize("engine", ["v2", "v3"])
def test_cancel_while_a_permission_waits(cli: Cli, engine: str) -> None:
    with agent(cli, engine) as client:
        session = client.new()
        client.permission = lambda frame: None
        request = client.start_prompt(session, "tool shell touch made")
        asked = client.until(lambda frame: frame.get("method") == "session/request_permission")
        client.notify("session/cancel", sessionId=session)
        client.send({"id": asked["id"], **CANCELLED})
        assert client.answer_to(request)["result"] == {"stopReason": "cancelled"}
    assert not (cli.cwd / "made").exists()


@pytest.mark.parametrize("engine", ["v2", "v3"])
def test_an_answer_that_was_not_offered_cancels(cli: Cli, engine: str) -> None:
    with agent(cli, engine) as client:
        session = client.new()
        client.permission = lambda frame: selected("made-up")
        assert client.prompt(session, "tool shell touch made") == "cancelled"


def test_failures_are_error_answers(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        answer = client.answer_to(client.start_prompt(session, "fault throttled"))
        assert answer["error"]["code"] == -32603
        assert answer["error"]["data"].startswith("Encountered an error in the response stream: ThrottlingException")
        last = client.next()
        assert last is not None
        assert "meteringUsage" not in last["params"]
        wrong = client.answer_to(client.start_prompt(session, "dance"))
        assert "unknown directive 'dance'" in wrong["error"]["data"]
        assert client.error("no/such/method") == {
            "code": -32601,
            "message": "Method not found",
            "data": "no/such/method",
        }
        assert client.error("session/prompt", sessionId="absent", prompt=[])["code"] == -32602


def test_loading_replays_before_the_result(cli: Cli) -> None:
    with agent(cli, "v2", "-a") as client:
        session = client.new()
        client.prompt(session, "text First.", "tool shell true", "text Last.")
        client.close()
    with agent(cli, "v2") as client:
        client.initialize()
        result = client.call("session/load", sessionId=session, cwd=client.cwd, mcpServers=[])
        assert set(result) == {"modes", "models"}
        names = client.methods()[1:]
        history = ["update:user_message_chunk", *["update:agent_message_chunk"] * 2]
        assert names == ["_kiro.dev/subagent/list_update", *history, "_kiro.dev/subagent/list_update", "result"]
        assert client.text(session) == "First.Last."
        client.prompt(session, "about")
        assert "turns=1" in client.text(session)
        listed = client.call("_kiro.dev/session/list", cwd=client.cwd)["sessions"]
        assert [(one["sessionId"], one["messageCount"]) for one in listed] == [(session, 4)]


def test_a_session_another_process_has_is_refused(cli: Cli) -> None:
    with agent(cli, "v2") as first, agent(cli, "v2") as second:
        session = first.new()
        second.initialize()
        error = second.error("session/load", sessionId=session, cwd=second.cwd, mcpServers=[])
        assert "Session is active in another process (PID " in error["data"]
        first.close()
        second.call("session/load", sessionId=session, cwd=second.cwd, mcpServers=[])
        absent = second.error("session/load", sessionId="absent", cwd=second.cwd, mcpServers=[])
        assert "session not found" in absent["data"]


def test_modes_models_and_commands(cli: Cli) -> None:
    agents = cli.home / ".kiro/agents"
    agents.mkdir(parents=True)
    (agents / "helper.json").write_text(json.dumps({"name": "helper", "allowedTools": ["shell"], "description": "Own"}))
    with agent(cli, "v2") as client:
        session = client.new()

        def execute(name: str, **args: Any) -> dict[str, Any]:
            body = {"command": name, "args": args}
            return dict(client.call("_kiro.dev/commands/execute", sessionId=session, command=body))

        assert client.call("session/set_mode", sessionId=session, modeId="helper") == {}
        assert client.error("session/set_mode", sessionId=session, modeId="absent")["code"] == -32602
        client.prompt(session, "tool shell true", "about")
        assert ("agent=helper" in client.text(session), client.requests()) == (True, [])
        assert execute("model", value="standin-small")["data"]["model"]["id"] == "standin-small"
        assert execute("model", value="absent") == {"success": False, "message": "Unknown model: absent"}
        assert execute("agent", value="kiro_planner")["message"] == "Agent changed to kiro_planner"
        assert execute("agent", value="absent")["message"].startswith("Unknown agent: absent. ")
        listed = client.call("_kiro.dev/commands/options", sessionId=session, command="model", partial="")
        labels = [one["label"] for one in listed["options"]]
        assert ("standin-small [active]" in labels, listed["hasMore"]) == (True, False)
        for name in ("tools", "context", "usage", "stats", "mcp", "hooks", "compact", "clear", "guide", "plan"):
            assert execute(name)["success"], name
        assert execute("effort", value="high")["success"]
        assert execute("nonsense")["success"] is False
        client.prompt(session, "about")
        assert "model=standin-small" in client.text(session)
        assert metadata(client.frames)[-1]["effort"] == "high"
        assert client.call("session/set_model", sessionId=session, modelId="absent") == {}
        assert "not available" in client.answer_to(client.start_prompt(session, "text x"))["error"]["data"]
        client.notify("_kiro.dev/commands/execute", sessionId=session, command={"command": "clear", "args": {}})
        assert "id" not in client.until(lambda frame: named(frame) == "error")


def test_every_command_is_followed_by_metadata(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        client.until(lambda frame: named(frame) == "_kiro.dev/metadata")
        request = client.request("_kiro.dev/commands/execute", sessionId=session, command={"command": "clear"})
        client.answer_to(request)
        client.until(lambda frame: named(frame) == "_kiro.dev/clear/status")
        assert client.methods()[-4:] == ["result", *["_kiro.dev/metadata"] * 2, "_kiro.dev/clear/status"]
        agents = {"command": "agent", "args": {"value": "kiro_guide"}}
        client.call("_kiro.dev/commands/execute", sessionId=session, command=agents)
        client.until(lambda frame: named(frame) == "_kiro.dev/commands/available")
        told = ["_kiro.dev/agent/switched", "result", "_kiro.dev/metadata", "_kiro.dev/commands/available"]
        assert client.methods()[-4:] == told


@pytest.mark.parametrize(("release", "saved"), [("2.5", False), ("2.7.0", True), ("2.28", False)])
def test_some_releases_save_the_model(cli: Cli, release: str, saved: bool) -> None:
    with agent(cli, "v2", KIRO_STANDIN_VERSION=release) as client:
        session = client.new()
        command = {"command": "model", "args": {"value": "standin-large"}}
        said = client.call("_kiro.dev/commands/execute", sessionId=session, command=command)["message"]
        assert said.endswith("(saved as default)") == saved
        assert (client.call("_kiro.dev/settings/list").get("chat.defaultModel") == "standin-large") == saved


def test_rewind_makes_a_session_to_load(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        for text in ("one", "two"):
            client.prompt(session, f"text {text}")
        command = {"command": "rewind", "args": {}}
        turns = client.call("_kiro.dev/commands/execute", sessionId=session, command=command)["data"]["turns"]
        assert [turn["logIndex"] for turn in turns] == [2, 0]
        command = {"command": "rewind", "args": {"value": "0"}}
        fresh = client.call("_kiro.dev/commands/execute", sessionId=session, command=command)["data"]["sessionId"]
        client.call("session/load", sessionId=fresh, cwd=client.cwd, mcpServers=[])
        assert client.text(fresh) == "one"
        assert client.call("_kiro.dev/session/terminate", sessionId=session) == {}


def test_steering_is_used_at_the_next_model_call(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        client.permission = lambda frame: None
        request = client.start_prompt(session, "tool shell true", "text After.")
        asked = client.until(lambda frame: frame.get("method") == "session/request_permission")
        assert client.call("_session/steer", sessionId=session, message="Be brief.") == {"queued": True}
        client.send({"id": asked["id"], **selected("allow_once")})
        client.answer_to(request)
        own = [name for name in client.methods() if name.startswith("own:steer")]
        assert own == ["own:steering_queued", "own:steering_consumed"]
        assert client.text(session) == "(You said meanwhile: Be brief.)\nAfter."
        client.call("_session/steer", sessionId=session, message="Idle.")
        assert client.call("_session/steer/clear", sessionId=session) == {"cleared": True}


def test_a_sub_agent_has_its_own_session_and_may_ask(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        client.prompt(session, "subagent-runs probe echo inner", "text outer")
        crew, shell = client.requests()
        assert crew["params"]["toolCall"]["title"] == "Spawning agent crew"
        child = shell["params"]["sessionId"]
        assert child != session
        assert [one["optionId"] for one in shell["params"]["options"]][-1] == "allow_all_session"
        assert client.text(child) == "It ran."
        assert client.text(session) == "outer"
        states = [
            [one["status"]["type"] for one in frame["params"]["subagents"]]
            for frame in client.frames
            if frame.get("method") == "_kiro.dev/subagent/list_update"
        ]
        assert states == [[], ["working"], ["working"], ["terminated"], ["terminated"], []]


def test_two_sessions_ask_at_the_same_time(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        client.permission = lambda frame: None
        request = client.start_prompt(session, "spawn lance ask shell touch child", "ask shell touch parent")
        asked: dict[str, str] = {}
        while len(asked) < 2:
            frame = client.until(lambda frame: frame.get("method") == "session/request_permission")
            asked[frame["params"]["sessionId"]] = frame["id"]
        client.send({"id": asked.pop(session), **selected("allow_once")})
        assert client.answer_to(request)["result"]["stopReason"] == "end_turn"
        assert ((cli.cwd / "parent").exists(), (cli.cwd / "child").exists()) == (True, False)
        ((child, open_id),) = asked.items()
        client.send({"id": open_id, **selected("allow_all_session")})
        told = client.until(lambda frame: named(frame) == "_kiro.dev/session/inbox_notification")
        assert (told["params"]["sessionId"], (cli.cwd / "child").exists()) == (session, True)
        assert client.call("_kiro.dev/session/terminate", sessionId=child) == {}


def test_spawn_and_a_message_start_turns_nobody_prompted(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        spawned = client.call("_session/spawn", sessionId=session, task="!standin text child")
        assert spawned["name"] == "Lancelot"
        client.until(lambda frame: named(frame) == "_kiro.dev/session/inbox_notification")
        assert client.text(spawned["sessionId"]) == "child"
        assert client.call("_message/send", sessionId=session, content="!standin text unasked") == {"ok": True}
        client.until(lambda frame: "meteringUsage" in frame.get("params", {}))
        assert client.text(session) == "unasked"


def test_mcp_servers_are_told_before_the_result(cli: Cli) -> None:
    settings = cli.cwd / ".kiro/settings"
    settings.mkdir(parents=True)
    servers = {"gone": {"command": "no-such-command-anywhere"}, "web": {"url": "https://mcp.example.com/oauth"}}
    (settings / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    given = [{"name": "here", "command": "sh", "args": [], "env": []}, {"nonsense": 1}]
    with agent(cli, "v2") as client:
        client.initialize()
        session = client.call("session/new", cwd=client.cwd, mcpServers=given)["sessionId"]
        names = client.methods()[1:]
        told = ["server_initialized", "server_init_failure", "oauth_request"]
        expected = [f"_kiro.dev/mcp/{name}" for name in told]
        assert names == [*expected, "_kiro.dev/commands/available", "_kiro.dev/subagent/list_update", "result"]
        assert all(frame["params"]["sessionId"] == session for frame in client.frames[1:5])


@pytest.mark.parametrize("engine", ["v2", "v3"])
def test_the_launcher_dies_without_a_login(cli: Cli, engine: str) -> None:
    with agent(cli, engine, KIRO_STANDIN_LOGGED_OUT="1") as client:
        ended = client.ended()
    assert ended == (1, "error: You are not logged in, please log in with kiro-cli login\n")


def test_the_inner_binary_lists_a_login_method(cli: Cli) -> None:
    with agent(cli, "v2", KIRO_STANDIN_LOGGED_OUT="methods") as client:
        assert client.initialize()["authMethods"][0]["id"] == "kiro-login"
        models = client.call("session/new", cwd=client.cwd, mcpServers=[])["models"]["availableModels"]
        assert [set(model) for model in models] == [{"modelId", "name"}] * 2


def test_the_demo_says_that_it_is_not_kiro(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        client.answer_to(client.start_prompt(session, "What is here?", directives=False))
        assert "I am not Kiro" in client.text(session)
        assert [one["params"]["toolCall"]["title"] for one in client.requests()] == ["Running: ls -1"]


def test_a_session_works_in_its_own_folder(cli: Cli, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with agent(cli, "v2", "-a") as client:
        client.cwd = str(other)
        client.prompt(client.new(), "tool shell touch by-shell", "tool write by-write x")
    assert sorted(os.listdir(other)) == ["by-shell", "by-write"]


def test_a_script_file_gives_one_turn_per_prompt(cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    asked = {"tool": "shell", "args": {"command": "true"}, "ask": True}
    script.write_text(json.dumps([[[asked]], [[{"plan": ["one", "two"]}, {"text": "Planned."}]]]))
    with agent(cli, "v2", "-a", KIRO_STANDIN_SCRIPT=str(script)) as client:
        session = client.new()
        client.prompt(session, "text ignored")
        client.prompt(session, "text ignored")
        (plan,) = client.updates(session, "plan")
        assert [entry["status"] for entry in plan["entries"]] == ["in_progress", "pending"]
        assert (len(client.requests()), client.text(session)) == (1, "Done.Planned.")
