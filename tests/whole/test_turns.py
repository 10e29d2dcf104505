"""Whole turns on every engine: what was asked, what Kiro did, what every client sees."""

from __future__ import annotations

import hashlib
import json
import os
import signal

import pytest
import requests

from tests.whole.conftest import WAIT, Bridge, until


def texts(bridge: Bridge) -> list[str]:
    return [item["text"] for item in bridge.items() if item["kind"] == "text"]


def test_a_turn_with_tools(kind: Bridge) -> None:
    kind.start()
    answer = kind.ask(
        "!standin text I will look.",
        "!standin tool shell echo from-the-tool; exit 3",
        "!standin text All **done** `here`.",
    )
    assert answer.startswith("I will look.\n\n[Tool: ") and answer.endswith("\n\nAll **done** `here`.")
    kinds = [item["kind"] for item in kind.items() if item["kind"] in ("prompt", "text", "tool")]
    assert kinds == ["prompt", "text", "tool", "text"]
    tool = next(item for item in kind.items() if item["kind"] == "tool")
    assert "from-the-tool" in tool["text"]
    assert tool["data"]["exit_code"] == 3 and tool["data"]["status"] in ("completed", "failed")
    assert tool["recorded"] and tool["final"]
    assert all(item["recorded"] for item in kind.items() if item["kind"] in ("prompt", "text"))
    assert [turn["state"] for turn in kind.turns()] == ["completed"]
    kind.one_end_each()


def test_the_conversation_goes_on_and_survives_a_restart(kind: Bridge) -> None:
    kind.start()
    kind.ask("!standin text one")
    assert " turns=1 " in kind.ask("!standin about")
    kind.stop()
    kind.start()
    assert " turns=2 " in kind.ask("!standin about")
    assert [message["id"] for message in kind.messages()] == list(range(6))
    assert kind.messages()[1]["content"] == "one"


def test_the_same_answer_twice(kind: Bridge) -> None:
    kind.start()
    for _ in range(3):
        assert kind.ask("!standin text ok") == "ok"
    assert kind.ask("!standin twice ok").split("\n\n")[::2] == ["ok", "ok"]
    assert texts(kind) == ["ok"] * 5
    ids = [message["id"] for message in kind.messages()]
    assert ids == sorted(set(ids)) and len(ids) == 8


def test_a_long_answer_is_whole(engine: Bridge) -> None:
    engine.start()
    answer = engine.ask("!standin numbered 5000 this is line number")
    assert answer.rstrip("\n").split("\n") == [f"this is line number {number}" for number in range(1, 5001)]


def test_a_prompt_of_five_megabytes_arrives_unchanged(kind: Bridge) -> None:
    kind.start()
    prompt = "!standin echo\n-- --help \0 \x1b[201~ " + "0123456789abcde\n" * (5 * 1024 * 1024 // 16) + "end"
    path = f"/api/v1/sessions/{kind.session()}/messages"
    reply = requests.post(kind.url + path, json={"content": prompt}, timeout=WAIT)
    assert reply.ok, reply.text
    kind.settled()
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    assert kind.answer() == f"bytes={len(prompt)} chars={len(prompt)} lines={prompt.count(chr(10)) + 1} sha256={digest}"
    assert all(prompt[:20] not in " ".join(run["argv"]) for run in kind.runs())


@pytest.mark.parametrize("text", ["-h", "--version", "- a list", "/quit", "$(touch made)", "'\"\\"])
def test_odd_prompts_are_only_text(bridge: Bridge, text: str) -> None:
    bridge.start()
    bridge.ask(text)
    assert bridge.messages()[0]["content"] == text
    assert [turn["state"] for turn in bridge.turns()] == ["completed"]
    assert not list(bridge.work.iterdir())


def test_the_first_words_come_long_before_the_end(bridge: Bridge) -> None:
    """With stream-json; the turn is held open until the words have been seen."""
    gate = bridge.work / "gate"
    bridge.start()
    wait = f"while [ ! -e {gate} ]; do sleep 0.05; done"
    bridge.post(f"!standin text First words.\n!standin tool shell {wait}\n!standin text End.")
    until(lambda: "First words." in bridge.answer(), "first words")
    assert bridge.get("/status")["status"] == "running"
    gate.touch()
    bridge.settled()
    assert bridge.answer().endswith("End.")


def test_stop_in_the_middle_of_a_tool(kind: Bridge) -> None:
    kind.start()
    kind.post("!standin text Working.\n!standin tool shell touch begun; sleep 600 & sleep 600\n!standin text never")
    until(lambda: (kind.work / "begun").exists(), "the tool runs")
    assert kind.post("\x1b", "raw").status_code == 200
    kind.settled()
    assert kind.answer().startswith("Working.") and kind.answer().endswith("[Stopped]")
    assert not kind.at_work()
    tools = [item for item in kind.items() if item["kind"] == "tool"]
    assert [tool["data"]["status"] for tool in tools] == ["cancelled"]
    assert kind.ask("!standin text next") == "next"
    kind.one_end_each()


def test_stop_of_a_program_that_does_not_listen(headless: Bridge) -> None:
    headless.start(KIRO_BRIDGE_STOP_GRACE="0.2")
    headless.post("!standin fault ignore-signals\n!standin text Hear nothing.\n!standin sleep 600")
    until(lambda: "Hear nothing." in headless.answer(), "it speaks")
    headless.post("\x03", "raw")
    headless.settled()
    assert headless.answer().endswith("[Stopped]") and not headless.running()


def test_stop_of_an_agent_that_does_not_listen(warm: Bridge) -> None:
    warm.start(KIRO_BRIDGE_STOP_GRACE="0.2", KIRO_STANDIN_FAULT="ignore-signals")
    warm.post("!standin fault deaf-to-cancel\n!standin text Hear nothing.\n!standin sleep 600")
    until(lambda: "Hear nothing." in warm.answer(), "it speaks")
    warm.post("\x03", "raw")
    warm.settled()
    assert warm.answer().endswith("[Stopped]") and not warm.running()
    assert warm.ask("!standin text next") == "next"


def test_what_a_run_leaves_behind_is_ended(headless: Bridge) -> None:
    headless.start()
    for fault in ("leave-child 600", "leave-child-pipe 600"):
        assert headless.ask(f"!standin fault {fault}", f"!standin text after {fault}").startswith("after")
        assert not headless.running()


def test_what_a_turn_leaves_behind_is_ended_with_the_agent(warm: Bridge) -> None:
    """Between turns it may be a server that the session needs; the session's end spares it not."""
    warm.start()
    for fault in ("leave-child 600", "leave-child-pipe 601"):
        assert warm.ask(f"!standin fault {fault}", f"!standin text after {fault}").startswith("after")
    assert sorted(warm.at_work()) == ["sleep 600 ", "sleep 601 "]
    assert warm.stop() == 0
    assert not warm.running()


def test_what_was_detached_on_purpose_lives_on_until_a_stop(headless: Bridge) -> None:
    """A development server that Kiro started in a session of its own is the user's; a stop spares nothing."""
    headless.start()
    headless.ask("!standin fault leave-child-session 600")
    left = headless.running()
    assert left == ["sleep 600 "]
    headless.post("!standin fault leave-child-session 601\n!standin text Working.\n!standin sleep 600")
    until(lambda: "Working." in headless.answer(), "it works")
    headless.post("\x1b", "raw")
    headless.settled()
    assert headless.running() == left
    for run in headless.detached():
        os.kill(run, signal.SIGKILL)


def test_a_stop_over_acp_ends_what_the_turn_left_running(warm: Bridge) -> None:
    warm.start()
    warm.ask("!standin fault leave-child-session 600")
    assert warm.at_work() == ["sleep 600 "]
    warm.post("!standin fault leave-child-session 601\n!standin text Working.\n!standin sleep 600")
    until(lambda: "Working." in warm.answer(), "it works")
    warm.post("\x1b", "raw")
    warm.settled()
    assert "sleep 601 " not in warm.running()
    assert warm.ask("!standin text next") == "next"


def test_events_of_a_session_resume_where_they_were_cut(bridge: Bridge) -> None:
    bridge.start()
    bridge.post("!standin chunks 60\n!standin delay 0.02\n!standin numbered 300 some words for line")
    path = f"{bridge.url}/api/v1/sessions/{bridge.session()}/events"
    texts: dict[int, str] = {}
    last, ended, cuts = 0, False, 0
    while not ended:
        cuts += 1
        with requests.get(path, headers={"Last-Event-ID": str(last)}, stream=True, timeout=WAIT) as stream:
            for number, line in enumerate(stream.iter_lines()):
                if line.startswith(b"id: "):
                    seq = int(line[4:])
                    assert seq > last
                if line.startswith(b"data: "):
                    last, data = seq, json.loads(line[6:])
                    if "item" in data:
                        texts[data["item"]["id"]] = data["item"]["text"]
                    elif "offset" in data:
                        assert data["offset"] == len(texts[data["item_id"]])
                        texts[data["item_id"]] += data["text"]
                    ended = data.get("turn", {}).get("state") == "completed"
                if ended or number > 12:
                    break
    assert cuts > 3
    expected = "\n".join(f"some words for line {number}" for number in range(1, 301))
    assert expected in [text.rstrip("\n") for text in texts.values()]
