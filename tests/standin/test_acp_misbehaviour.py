"""What goes wrong on purpose over ACP."""

from __future__ import annotations

import json
import queue
import signal
import time

import pytest

from standin.acp import misbehaviour
from tests.standin.acp import Client, agent, named, selected
from tests.standin.runs import Cli

ENGINES = pytest.mark.parametrize("engine", ["v2", "v3"])


def silent(client: Client) -> None:
    """Read what is there and fail if the last frame was an answer: silence is all that follows."""
    seen = len(client.frames)
    with pytest.raises(queue.Empty):
        while client.next(timeout=0.3) is not None:
            pass
    assert "result" not in client.methods()[seen:]


@ENGINES
def test_deaf_to_cancel(cli: Cli, engine: str) -> None:
    with agent(cli, engine) as client:
        session = client.new()
        client.permission = lambda frame: None
        request = client.start_prompt(session, "fault deaf-to-cancel", "tool shell true", "text To the end.")
        asked = client.until(lambda frame: frame.get("method") == "session/request_permission")
        client.notify("session/cancel", sessionId=session)
        client.send({"id": asked["id"], **selected(asked["params"]["options"][0]["optionId"])})
        assert client.answer_to(request)["result"] == {"stopReason": "end_turn"}
        assert client.text(session) == "To the end."


@ENGINES
def test_a_cancel_right_behind_the_prompt_counts(cli: Cli, engine: str) -> None:
    with agent(cli, engine) as client:
        session = client.new()
        for _ in range(20):
            request = client.start_prompt(session, "sleep 600")
            client.notify("session/cancel", sessionId=session)
            assert client.answer_to(request)["result"] == {"stopReason": "cancelled"}


@ENGINES
def test_nothing_follows_the_answer_to_a_permission(cli: Cli, engine: str) -> None:
    with agent(cli, engine, "--trust-tools=") as client:
        session = client.new()
        request = client.start_prompt(session, "fault permission-lost", "tool shell touch made")
        client.until(lambda frame: frame.get("method") == "session/request_permission")
        silent(client)
        client.notify("session/cancel", sessionId=session)
        assert client.answer_to(request)["result"] == {"stopReason": "cancelled"}
    assert not (cli.cwd / "made").exists()


@pytest.mark.parametrize("method", ["initialize", "session/new", "session/load", "session/set_mode"])
def test_a_method_that_hangs(cli: Cli, method: str) -> None:
    with agent(cli, "v2", KIRO_STANDIN_FAULT=f"hang-at {method}") as client:
        client.request(method, sessionId="x", cwd=client.cwd, mcpServers=[], protocolVersion=1)
        silent(client)
        assert client.error("no/such/method")["code"] == -32601


def test_a_method_that_fails_or_kills(cli: Cli) -> None:
    with agent(cli, "v3", KIRO_STANDIN_FAULT="error-at session/new") as client:
        client.initialize()
        assert "fails as asked" in client.error("session/new", cwd=client.cwd, mcpServers=[])["data"]
    with agent(cli, "v2", KIRO_STANDIN_FAULT="die-at session/prompt") as client:
        session = client.new()
        client.start_prompt(session, "text never")
        client.until(lambda frame: named(frame) == "_kiro.dev/metadata")
        assert client.next() is None
        assert client.process.wait() == -signal.SIGKILL
    assert len(cli.v2_files(".lock")) == 1


@ENGINES
def test_dies_between_question_and_answer(cli: Cli, engine: str) -> None:
    with agent(cli, engine) as client:
        session = client.new()
        client.permission = lambda frame: None
        client.start_prompt(session, "text Half", "fault die-asking")
        client.until(lambda frame: frame.get("method") == "session/request_permission")
        assert client.next() is None
        assert client.process.wait() == -signal.SIGKILL
        assert client.text(session) == "Half"


def test_dies_after_a_chunk_and_is_loaded_again(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        client.prompt(session, "text Kept.")
        client.start_prompt(session, "fault die-after 2", "chunks 4", "text abcd")
        while client.next() is not None:
            pass
        assert client.text(session) == "Kept.ab"
    with agent(cli, "v2") as client:
        client.initialize()
        client.call("session/load", sessionId=session, cwd=client.cwd, mcpServers=[])
        assert (client.text(session), client.prompt(session, "text on")) == ("Kept.", "end_turn")


@ENGINES
def test_a_hundred_chunks_in_one_write(cli: Cli, engine: str) -> None:
    words = "".join(f"{number:03d} " for number in range(100))
    with agent(cli, engine) as client:
        session = client.new()
        client.prompt(session, "fault burst", "chunks 100", f"text {words}.")
        chunks = [one["content"]["text"] for one in client.updates(session, "agent_message_chunk")]
        assert (len(chunks), "".join(chunks)) == (81, f"{words}.")  # 401 letters in pieces of 5


@ENGINES
def test_frames_cut_across_writes(cli: Cli, engine: str) -> None:
    with agent(cli, engine) as client:
        session = client.new()
        client.prompt(session, "fault split 40", "text gr\\u00fc\\u00dfe \\u2713")
        assert client.text(session) == "gr\u00fc\u00dfe \u2713"


@ENGINES
def test_unknown_requests_updates_and_garbage(cli: Cli, engine: str) -> None:
    with agent(cli, engine) as client:
        session = client.new()
        lines = ("fault unknown-request", "fault unknown-update", "fault garbage", "text Still here.")
        assert client.prompt(session, *lines) == "end_turn"
        assert client.text(session) == "The client answered with error -32601.Still here."
        assert any(not line.endswith(b"}\n") for line in client.raw)
        assert "update:from_the_future" in client.methods()


@ENGINES
def test_mute_for_ever(cli: Cli, engine: str) -> None:
    with agent(cli, engine) as client:
        session = client.new()
        client.start_prompt(session, "fault deaf-to-cancel", "text Before.", "fault mute", "text After.")
        client.until(lambda frame: named(frame) == "update:agent_message_chunk")
        client.notify("session/cancel", sessionId=session)
        silent(client)
        assert (client.text(session), client.process.poll()) == ("Before.", None)


def test_stdout_closes_and_the_process_lives(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        client.start_prompt(session, "text Before.", "fault close-stdout")
        client.until(lambda frame: named(frame) == "update:agent_message_chunk")
        assert client.process.poll() is None


@ENGINES
def test_frames_after_the_end_and_a_turn_nobody_prompted(cli: Cli, engine: str) -> None:
    with agent(cli, engine) as client:
        session = client.new()
        lines = ("fault answer-twice", "fault late-frames", "fault unprompted Surprise.", "text Mine.")
        request = client.start_prompt(session, *lines)
        first = client.answer_to(request)
        assert client.answer_to(request) == first
        client.until(lambda frame: named(frame) == "update:tool_call_update")
        assert client.text(session) == "Mine.late text"
        chunk = client.until(lambda frame: named(frame) == "update:agent_message_chunk")
        assert chunk["params"]["update"]["content"]["text"] == "Surprise."
        assert client.prompt(session, "text Mine again.") == "end_turn"


def test_retries_stalls_and_limits(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        assert client.prompt(session, "fault retry", "fault stall", "fault mcp-trouble", "text On.") == "end_turn"
        own = [name for name in client.methods() if name.startswith(("own:", "_kiro.dev/mcp"))]
        trouble = ["_kiro.dev/mcp/server_init_failure", "_kiro.dev/mcp/oauth_request"]
        assert own == ["own:retry_warning", *["own:stream_stall_notice"] * 3, *trouble]
        stalled = client.answer_to(client.start_prompt(session, "fault stall-error"))
        assert "The stream timed out" in stalled["error"]["data"]
        limited = client.answer_to(client.start_prompt(session, "fault rate-limit"))
        assert ("_kiro.dev/error/rate_limit" in client.methods(), limited["error"]["code"]) == (True, -32603)


@pytest.mark.parametrize(
    ("engine", "told"), [("v2", "_kiro.dev/compaction/status"), ("v3", "update:summarization_completed")]
)
def test_a_compaction_in_mid_turn_is_told(cli: Cli, engine: str, told: str) -> None:
    with agent(cli, engine) as client:
        assert client.prompt(client.new(), "text Before.", "fault compact", "text After.") == "end_turn"
        assert told in client.methods()


@pytest.mark.parametrize("line", ["fault rewind", "fault none", "question Why?", "question Why? | A"])
def test_what_v2_cannot_do_is_said(cli: Cli, line: str) -> None:
    with agent(cli, "v2") as client:
        session = client.new()
        answer = client.answer_to(client.start_prompt(session, line))
        assert answer["error"]["data"].startswith("stand-in: ")


@pytest.mark.parametrize("line", ["ask shell true", "plan A | B", "spawn a text x", "fault burst"])
def test_chat_refuses_what_only_acp_can_do(cli: Cli, line: str) -> None:
    done = cli.chat("v2", line)
    assert (done.code, "stand-in: " in done.err) == (1, True)


@pytest.mark.parametrize("engine", ["v2", "v3"])
@pytest.mark.parametrize("fault", ["ignore-sigint", "ignore-signals"])
def test_a_prompt_cannot_change_signals_and_is_answered(cli: Cli, engine: str, fault: str) -> None:
    with agent(cli, engine) as client:
        answer = client.answer_to(client.start_prompt(client.new(), f"fault {fault}"))
        assert f"KIRO_STANDIN_FAULT={fault}" in json.dumps(answer["error"])


def test_every_fault_is_listed_and_acts(cli: Cli) -> None:
    text = cli.run("standin", "--help").out
    for name in (*misbehaviour.TABLE, *misbehaviour.AT):
        assert f"  {name} " in text
    assert set(misbehaviour.TABLE) == set(misbehaviour.ACTS)


@pytest.mark.parametrize("command", ["acp", "chat"])
def test_a_slow_start(cli: Cli, command: str) -> None:
    begun = time.monotonic()
    if command == "acp":
        with agent(cli, "v2", KIRO_STANDIN_START_DELAY="0.5") as client:
            client.initialize()
    else:
        cli.run("chat", "--no-interactive", stdin="!standin text x", KIRO_STANDIN_START_DELAY="0.5")
    assert time.monotonic() - begun >= 0.5


def test_help_and_usage_of_acp(cli: Cli) -> None:
    text = cli.run("acp", "--help").out
    for flag in ("--agent <AGENT>", "--model <MODEL>", "-a, --trust-all-tools", "--trust-tools <TOOL_NAMES>"):
        assert flag in text
    assert "[possible values: v1, v2, v3]" in text
    assert ("--auth-method" in text, "--auth-method" in cli.run("acp", "--help", KIRO_STANDIN_VERSION="2.19").out) == (
        True,
        False,
    )
    assert "--agent-engine" not in cli.run("acp", "--help", KIRO_STANDIN_VERSION="1.28").out
    wrong = cli.run("acp", "hello")
    assert (wrong.code, "Usage: kiro-cli-chat acp [OPTIONS]" in wrong.err) == (2, True)


def test_a_line_that_is_no_json_is_answered(cli: Cli) -> None:
    with agent(cli, "v2") as client:
        assert client.process.stdin is not None
        client.process.stdin.write(b"nonsense\n\n[1]\n")
        client.process.stdin.flush()
        assert client.until(lambda frame: named(frame) == "error")["error"]["code"] == -32700
        assert client.initialize()["protocolVersion"] == 1


def test_starts_are_recorded(cli: Cli) -> None:
    log = cli.home / "log"
    with agent(cli, "v2", "-a", KIRO_STANDIN_LOG=str(log)) as client:
        client.initialize()
        client.close()
    (line,) = log.read_text().splitlines()
    assert json.loads(line)["argv"] == ["acp", "--agent-engine", "v2", "-a"]
