"""Everything that can go wrong while a turn runs: one end, nothing lost, and the next prompt works."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.whole.conftest import Bridge, until


def state(bridge: Bridge) -> tuple[str, str]:
    turn = bridge.turns()[-1]
    return turn["state"], (turn.get("problem") or {}).get("code", "")


def test_the_bridge_is_killed_while_kiro_works(kind: Bridge) -> None:
    kind.start()
    kind.ask("!standin text before")
    kind.post("!standin text I begin.\n!standin tool shell touch begun; sleep 600\n!standin text never")
    until(lambda: (kind.work / "begun").exists(), "the tool runs")
    until(lambda: "I begin." in kind.answer(), "the text is there")
    kind.kill()
    kind.start()
    kind.settled()
    assert state(kind) == ("interrupted", "bridge_restarted")
    contents = [message["content"] for message in kind.messages()]
    assert len(contents) == 4 and contents[1] == "before"
    assert contents[3].startswith("I begin.") and contents[3].count("I begin.") == 1 and "[Interrupted]" in contents[3]
    assert [item["kind"] for item in kind.items() if item["kind"] in ("text", "tool")] == ["text", "text", "tool"]
    assert not kind.running()
    assert kind.ask("!standin text after") == "after"
    assert [message["id"] for message in kind.messages()] == list(range(6))
    kind.one_end_each()


def test_kiro_is_killed_while_it_works(kind: Bridge) -> None:
    kind.start()
    kind.post("!standin text I begin.\n!standin tool shell touch begun; sleep 600")
    until(lambda: (kind.work / "begun").exists(), "the tool runs")
    [run] = kind.chats()
    os.killpg(run["pgid"], signal.SIGKILL)
    kind.settled()
    assert state(kind) == ("failed", "killed")
    assert kind.answer().startswith("I begin.") and "[Failed]" in kind.answer()
    assert kind.ask("!standin text after") == "after"
    kind.one_end_each()


@pytest.mark.parametrize("version", ["1.28", "2.19"])
def test_the_database_is_locked_then_vanishes(bridge: Bridge, version: str) -> None:
    bridge.env.update(KIRO_STANDIN_VERSION=version, KIRO_BRIDGE_ENGINE="v1")
    bridge.start()
    assert bridge.ask("!standin fault lock-database 3", "!standin text through the lock").endswith("through the lock")
    assert state(bridge) == ("completed", "")
    bridge.ask("!standin text said before it went", "!standin fault remove-database", "!standin text nowhere")
    assert state(bridge)[0] in ("failed", "completed")
    assert bridge.ask("!standin text and on it goes") == "and on it goes"
    bridge.one_end_each()


FAILURES = {
    "not-logged-in": "not_logged_in",
    "expired-token": "login_expired",
    "throttled": "throttled",
    "out-of-credits": "out_of_credits",
    "model-unavailable": "model_unavailable",
    "mcp-startup": "mcp_startup_failed",
    "agent-not-found": "agent_not_found",
    "context-overflow": "context_overflow",
    "silent": "no_answer",
    "die": "killed",
    "device-login": "not_logged_in",
}
ONLY_HEADLESS = "device-login"
"""An ACP agent asks for no login by itself: it ends before the handshake, which the tests of ACP play."""


def test_each_failure_is_told_with_cause_and_remedy(kind: Bridge) -> None:
    kind.start()
    over_acp = kind.env["KIRO_BRIDGE_TRANSPORT"] == "auto"
    for fault, code in FAILURES.items():
        if over_acp and fault == ONLY_HEADLESS:
            continue
        kind.post(f"!standin fault {fault}")
        kind.settled()
        assert (fault, *state(kind)) == (fault, "failed", code)
        problem = kind.turns()[-1]["problem"]
        assert problem["cause"] and problem["remedy"]
        assert problem["cause"] in kind.answer() and problem["remedy"] in kind.answer()
        assert not kind.at_work()
        assert kind.ask("!standin text the next one works") == "the next one works"
    kind.one_end_each()


def test_an_untrusted_tool_is_refused_and_the_turn_says_so(engine: Bridge) -> None:
    engine.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    engine.ask("!standin text I try.", "!standin tool shell touch made", "!standin text It did not work.")
    assert not (engine.work / "made").exists()
    tool = next(item for item in engine.items() if item["kind"] == "tool")
    assert tool["data"]["status"] in ("failed", "cancelled")
    if state(engine)[0] == "failed":
        assert state(engine) == ("failed", "tool_refused")
    assert engine.ask("!standin text next") == "next"


def test_a_tool_that_is_not_trusted_waits_for_an_answer(warm: Bridge) -> None:
    warm.start(KIRO_BRIDGE_TRUST_ALL_TOOLS="false")
    warm.post("!standin text I try.\n!standin tool shell touch made\n!standin text It did not work.")
    until(lambda: warm.get("/status").get("phase") == "waiting", "somebody is asked")
    assert warm.post("n", "raw").status_code == 200
    warm.settled()
    assert not (warm.work / "made").exists()
    tool = next(item for item in warm.items() if item["kind"] == "tool")
    assert tool["data"]["status"] in ("failed", "cancelled") and state(warm) == ("completed", "")
    warm.post("!standin tool shell touch made")
    until(lambda: warm.get("/status").get("phase") == "waiting", "somebody is asked again")
    warm.post("\x1b", "raw")
    warm.settled()
    assert state(warm) == ("cancelled", "") and not (warm.work / "made").exists()
    assert warm.ask("!standin text next") == "next"


def test_without_kiro_cli_a_prompt_tells_what_to_do_and_then_it_works(bridge: Bridge) -> None:
    real = bridge.env.pop("KIRO_CLI_PATH")
    bridge.env["PATH"] = "/usr/bin:/bin"
    bridge.start()
    status = until(lambda: bridge.get("/status").get("problem") and bridge.get("/status"), "the problem is known")
    assert (status["status"], status["ready"], status["problem"]["code"]) == ("stable", False, "kiro_missing")
    bridge.post("hello")
    bridge.settled()
    assert state(bridge) == ("failed", "kiro_missing")
    place = bridge.home / ".local" / "bin"
    place.mkdir(parents=True)
    (place / "kiro-cli").symlink_to(real)
    assert bridge.ask("!standin text there now") == "there now"


@pytest.mark.parametrize("transport", ["headless", "auto"])
def test_logged_out_is_told_and_works_after_the_login(bridge: Bridge, transport: str) -> None:
    data = bridge.home / ".local" / "share" / "kiro-cli"
    data.mkdir(parents=True)
    (data / "standin-logged-out").touch()
    bridge.start(KIRO_BRIDGE_TRANSPORT=transport)
    bridge.post("hello")
    bridge.settled()
    assert state(bridge) == ("failed", "not_logged_in")
    until(lambda: bridge.get("/status").get("ready") is False, "the status tells it too")
    assert not bridge.chats(), "a browser login is never opened"
    (data / "standin-logged-out").unlink()
    assert bridge.ask("!standin text back") == "back"


@pytest.mark.parametrize("transport", ["headless", "auto"])
def test_floods_and_noise_do_no_harm(bridge: Bridge, transport: str) -> None:
    bridge.start(KIRO_BRIDGE_TRANSPORT=transport)
    for fault in (
        "flood 20",
        "flood-stderr 20",
        "huge-line 8",
        "noise",
        "unknown-lines",
        "final-truncated",
        "linger 1",
    ):
        assert bridge.ask(f"!standin fault {fault}", f"!standin text fine after {fault}") == f"fine after {fault}"


def test_histories_that_change_under_us(engine: Bridge) -> None:
    engine.start()
    engine.ask("!standin text one")
    for fault in ("compact", "clear", "shrink-history", "rewind"):
        answer = engine.ask(f"!standin text before {fault}", f"!standin fault {fault}", f"!standin text after {fault}")
        assert f"after {fault}" in answer
        assert answer.count(f"before {fault}") == 1 and answer.count(f"after {fault}") == 1
    assert engine.messages()[1]["content"] == "one"
    engine.one_end_each()


def test_over_acp_histories_change_under_us(warm: Bridge) -> None:
    warm.start()
    warm.ask("!standin text one")
    for fault in ("compact", "clear", "shrink-history"):
        answer = warm.ask(f"!standin text before {fault}", f"!standin fault {fault}", f"!standin text after {fault}")
        assert answer.count(f"before {fault}") == 1 and answer.count(f"after {fault}") == 1
    assert warm.messages()[1]["content"] == "one"
    warm.one_end_each()


def test_a_second_bridge_on_the_same_ledger_names_the_first(bridge: Bridge) -> None:
    import subprocess
    import sys

    bridge.start()
    second = subprocess.run(
        [sys.executable, "-m", "bridge", "serve", "--port", "0"],
        cwd=bridge.work, env=bridge.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert second.returncode == 1
    assert "error:" in second.stderr and "ledger" in second.stderr


def test_stopping_the_bridge_during_a_turn(kind: Bridge) -> None:
    kind.start()
    kind.post("!standin text I begin.\n!standin tool shell touch begun; sleep 600")
    until(lambda: (kind.work / "begun").exists(), "the tool runs")
    began = time.monotonic()
    assert kind.stop() == 0
    assert time.monotonic() - began < 30
    assert not kind.running()
    kind.start()
    assert state(kind) == ("interrupted", "bridge_stopped")
    assert kind.answer().startswith("I begin.")
    kind.one_end_each()
