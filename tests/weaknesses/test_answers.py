"""What AgentAPI guesses from a screen, the bridge knows: text, the end of a turn, and what is no text."""

from __future__ import annotations

import threading
import time
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.contract.sse import Stream
from tests.whole.conftest import WAIT, Bridge, bridge, until

__all__ = ["bridge"]  # the fixture

AGENTAPI_SILENCE = 2.0
"""Seconds for which the screen must not change before AgentAPI says `stable` (facts/agentapi-contract.md 3.6)."""


def follow(bridge: Bridge, path: str = "/events") -> Stream:
    place = urlsplit(bridge.url)
    assert place.hostname and place.port
    return Stream((place.hostname, place.port), path, host="localhost")


def stable_again(stream: Stream) -> bool:
    return [change["status"] for change in stream.named("status_change")][-2:] == ["running", "stable"]


def test_w2_chunks_back_to_back(bridge: Bridge) -> None:
    """An answer in 500 pieces without a pause between them is neither reordered nor cut, while it grows or after."""
    bridge.start()
    answer = "".join(f"{number} " for number in range(3000))
    with follow(bridge) as stream:
        assert bridge.post(f"!standin chunks 500\n!standin text {answer}.").status_code == 200
        stream.wait(stable_again)
        seen = [update["message"] for update in stream.named("message_update") if update["role"] == "agent"]
    assert bridge.answer() == f"{answer}."
    assert seen[-1] == f"{answer}." and all(seen[-1].startswith(text) for text in seen)


def test_w7_no_waiting_for_silence(bridge: Bridge) -> None:
    """The quickest of five whole turns takes less than AgentAPI waits after the end of one."""
    bridge.start()
    took = []
    for _ in range(5):
        with follow(bridge) as stream:
            stream.wait(lambda seen: bool(seen.named("status_change")))
            began = time.monotonic()
            assert bridge.post("!standin text Done.").status_code == 200
            stream.wait(stable_again)
            took.append(time.monotonic() - began)
    assert min(took) < AGENTAPI_SILENCE, took


def test_w8_silence_is_not_the_end(bridge: Bridge) -> None:
    """Kiro is silent for longer than AgentAPI waits: the turn is `running` until it is over, and told so once."""
    bridge.start()
    with follow(bridge) as stream:
        stream.wait(lambda seen: bool(seen.named("status_change")))
        assert bridge.post(f"!standin text One.\n!standin tool-sleep {AGENTAPI_SILENCE + 1}\n!standin text Two.").ok
        stream.wait(lambda seen: "One." in bridge.answer() and bridge.get("/status")["status"] == "running")
        stream.wait(stable_again)
        assert [change["status"] for change in stream.named("status_change")] == ["stable", "running", "stable"]
        names = [event.name if event.name == "status_change" else event.data["message"] for event in stream.events()]
    assert names[-1] == "status_change" and names[-2].endswith("Two.")


def test_w9_more_than_text(bridge: Bridge) -> None:
    """Thoughts, tools with their output, usage, and the reason of a failure are objects of their own."""
    bridge.start()
    bridge.ask("!standin thought Hm.", "!standin tool shell echo found", "!standin text It is there.")
    items = {item["kind"]: item for item in bridge.items()}
    assert {"thought", "tool", "text", "usage"} <= set(items)
    assert items["thought"]["text"] == "Hm." and items["text"]["text"] == "It is there."
    tool = items["tool"]
    assert (tool["data"]["status"], tool["data"]["exit_code"], tool["text"].strip()) == ("completed", 0, "found")
    bridge.ask("!standin fault throttled")
    failed = bridge.turns()[-1]
    assert failed["state"] == "failed" and failed["problem"]["code"] and failed["problem"]["remedy"]


def test_w10_text_as_it_was_written(bridge: Bridge) -> None:
    """Long lines, a table and code arrive unchanged; on our own stream text travels once, not again at each step."""
    bridge.start(KIRO_STANDIN_TOKEN_DELAY="")
    line, table = "w" * 300, "| a | b |\\n|---|---|\\n| 1 | 2 |"
    text = f"{line}\\n\\n{table}\\n\\n```\\n    four spaces\\n```" + "\\n- one more point" * 600
    path = f"/api/v1/sessions/{bridge.session()}/events?last_event_id=0"
    with follow(bridge, path) as stream:
        assert bridge.post(f"!standin chunks 50\n!standin delay 0.03\n!standin text {text}").ok
        bridge.settled()
        stream.wait(lambda seen: any(turn["turn"]["state"] == "completed" for turn in seen.named("turn")))
        deltas = stream.named("delta")
    expected = text.replace("\\n", "\n")
    assert bridge.answer() == expected
    assert len(deltas) > 5
    assert sum(len(delta["text"]) for delta in deltas) <= len(expected)


def test_w14_more_than_one_view(bridge: Bridge) -> None:
    """A session has an address, can be read in pages from its end, and its turn can be stopped by a request."""
    bridge.start()
    for number in range(4):
        bridge.ask(f"!standin text Answer {number}.")
    path = f"{bridge.url}/api/v1/sessions/{bridge.session()}"
    pages: list[dict[str, Any]] = []
    before = ""
    while not pages or pages[-1]["more"]:
        pages.append(requests.get(f"{path}/items?limit=3{before}", timeout=WAIT).json())
        before = f"&before={pages[-1]['items'][0]['id']}"
    assert len(pages) > 2
    assert [item for page in reversed(pages) for item in page["items"]] == bridge.items()
    assert requests.post(f"{path}/messages", json={"content": "!standin sleep 60"}, timeout=WAIT).status_code == 202
    assert requests.post(f"{path}/cancel", timeout=WAIT).json()["cancelled"] is True
    bridge.settled()
    assert bridge.turns()[-1]["state"] == "cancelled"


def test_w15_a_client_that_comes_back(bridge: Bridge) -> None:
    """Events carry ids, silence is broken by comments, and a client that was away is told only what it missed."""
    bridge.start("--heartbeat", "1")
    bridge.ask("!standin text One.")
    path = f"/api/v1/sessions/{bridge.session()}/events?last_event_id=0"
    with follow(bridge, path) as stream:
        stream.wait(lambda seen: any(block.startswith(b":") for block in seen.blocks))
        ids = [int(line[4:]) for block in stream.blocks for line in block.splitlines() if line.startswith(b"id: ")]
        last = stream.events()[-1].data["seq"]
    assert ids and ids == sorted(set(ids))
    bridge.ask("!standin text Two.")
    with follow(bridge, path.replace("=0", f"={last}")) as stream:
        stream.wait(lambda seen: any(turn["turn"]["state"] == "completed" for turn in seen.named("turn")))
        missed = [event.data["seq"] for event in stream.events()]
    assert missed and min(missed) > last and missed == sorted(set(missed))


def test_w17_a_refusal_says_which(bridge: Bridge) -> None:
    """Busy, empty and wrong are told apart by a machine-readable type, on our routes by the status code too."""
    bridge.start()
    kinds = [bridge.post("  ").json()["type"]]
    path = f"{bridge.url}/api/v1/sessions/{bridge.session()}/messages"
    assert requests.post(path, json={"content": "!standin sleep 60"}, timeout=WAIT).status_code == 202
    until(lambda: bridge.get("/status")["status"] == "running", "running")
    kinds.append(bridge.post("Two.").json()["type"])
    busy = requests.post(path, json={"content": "Two."}, timeout=WAIT)
    kinds.append(bridge.post("x", "raw").json()["type"])
    assert (busy.status_code, busy.json()["type"]) == (409, kinds[1])
    assert busy.json()["remedy"]
    assert len(set(kinds)) == 3 and all(kind.startswith("urn:kiro-bridge:") for kind in kinds)
    bridge.post("\x1b", "raw")


def test_w18_uploads(bridge: Bridge) -> None:
    """A part without a file name is refused in words, the rest goes on, and a stored file outlives the bridge."""
    bridge.start()
    nameless = requests.post(bridge.url + "/upload", files={"file": ("", b"x", "text/plain")}, timeout=WAIT)
    assert nameless.status_code == 422 and nameless.json()["errors"]
    replies: list[requests.Response] = []

    def send(number: int) -> None:
        files = {"file": (f"{number}.txt", b"x" * 1000 * number)}
        replies.append(requests.post(bridge.url + "/upload", files=files, timeout=WAIT))

    threads = [threading.Thread(target=send, args=[number]) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.status_code for reply in replies] == [200] * 5
    bridge.stop()
    for reply in replies:
        path = reply.json()["filePath"]
        number = int(path.rpartition("/")[2].removesuffix(".txt"))
        with open(path, "rb") as file:
            assert file.read() == b"x" * 1000 * number
