"""Section 10 no. 7: what breaks AgentAPI (its section 9), and must not break the bridge."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess

import pytest

from .servers import Server, Workshop, unique, wait_until

PASTE_END = "\x1b[201~"


def test_w1_same_reply_twice(workshop: Workshop) -> None:
    """Two equal replies: AgentAPI does not record the second and stays running, the bridge has both."""
    server = workshop.launch()
    text = unique("same")
    prompt = server.target.prompt_say(text)
    assert server.turn(prompt) == text
    assert server.post(prompt).status == 200
    if server.pick("same-reply", agentapi=True, bridge=False):
        refused = server.post(prompt)
        assert refused.status == 500
        assert server.status() == "running"
        assert server.texts().count(("agent", text)) == 1
    else:
        server.wait_stable()
        assert server.texts() == [("user", prompt), ("agent", text)] * 2


def test_w4_long_reply(workshop: Workshop) -> None:
    """5,000 lines: AgentAPI keeps what the screen shows, the bridge all; every event stays under 128 KiB."""
    server = workshop.launch()
    tag = unique("many")
    with server.events() as stream:
        server.turn(server.target.prompt_lines(5000, tag))
        lines = server.text(server.messages()[-1]).split("\n")
        assert max(len(block) for block in stream.blocks) < 128 * 1024
    expected = [f"{tag} line {number}" for number in range(1, 5001)]
    assert lines[-1] == expected[-1]
    assert (lines == expected) == server.pick("long-reply", agentapi=False, bridge=True)
    with server.events() as late:
        late.wait(lambda seen: bool(seen.named("status_change")))
        assert max(len(block) for block in late.blocks) < 128 * 1024


def test_w5_repeated_lines(workshop: Workshop) -> None:
    """A reply that begins with lines seen before: AgentAPI drops them, the bridge does not."""
    server = workshop.launch()
    tag = unique("seen")
    lines = [f"{tag} line {number}" for number in range(1, 11)]
    assert server.turn(server.target.prompt_say("\n".join(lines[:5]))).split("\n") == lines[:5]
    found = server.turn(server.target.prompt_say("\n".join(lines))).split("\n")
    assert found == server.pick("seen-before", agentapi=lines[5:], bridge=lines)


def test_w12_paste_end(workshop: Workshop) -> None:
    """`ESC[201~` in a prompt lets AgentAPI's terminal take the rest as keys; the bridge's agent gets every byte."""
    server = workshop.launch()
    server.wait_stable()
    injected = unique("injected")
    keys = "\x1b!say " + base64.b64encode(injected.encode()).decode()
    content = f"!standin echo\nbefore \\n $HOME{PASTE_END}{keys}"
    reply = server.turn(content)
    assert next(text for role, text in server.texts() if role == "user") == content
    received = hashlib.sha256(content.encode()).hexdigest()
    assert server.pick("paste", agentapi=injected, bridge=received) in reply


def test_w16_kill_in_mid_turn(workshop: Workshop) -> None:
    """SIGKILL in mid-turn: after a restart the bridge shows all before, the prompt, and one ended answer."""
    server = workshop.launch()
    tag = unique("mid")
    server.turn(server.target.prompt_say(unique("earlier")))
    listed = server.messages()
    prompt = server.target.prompt_slow(40, tag)
    assert server.post(prompt).status == 200
    server.wait_answer(f"{tag} step")
    seen = [message["id"] for message in server.messages()]
    server.process.kill_all()
    again = workshop.launch(home=server.home)
    again.wait_stable()
    if server.pick("crash", agentapi=True, bridge=False):
        assert again.texts() == []
        return
    found = again.messages()
    assert found[: len(listed)] == listed
    assert [message["role"] for message in found[len(listed) :]] == ["user", "agent"]
    assert [message["id"] for message in found] == seen
    assert found[len(listed)]["content"] == prompt
    assert f"{tag} step" in found[-1]["content"]
    after = unique("after")
    assert again.turn(again.target.prompt_say(after)) == after
    assert [message["id"] for message in again.messages()][: len(found)] == seen


def test_w20_open_pipe(workshop: Workshop) -> None:
    """Standard input that is a pipe nobody closes: AgentAPI does not listen, the bridge does."""
    server = workshop.launch(stdin=subprocess.PIPE, wait=False)
    pipe = server.process.popen.stdin
    assert pipe is not None
    if server.pick("stdin-pipe", agentapi=True, bridge=False):
        other = workshop.launch()
        other.wait_stable()  # a server that started later has long been ready
        assert not server.listens()
        pipe.close()
        wait_until(server.listens, "answer after the pipe's end")
    else:
        wait_until(server.listens, "answer with an open pipe")
        server.wait_stable()
    tag = unique("pipe")
    assert server.turn(server.target.prompt_say(tag)) == tag


def test_w21_raw_is_no_prompt(server: Server) -> None:
    """The Stop key on an idle server starts no turn."""
    before = server.messages()
    reply = server.post("\x1b", "raw")
    assert reply.status == 200 or server.pick("raw", agentapi=False, bridge=400 <= reply.status < 500)
    assert server.status() == "stable"
    assert [message["id"] for message in server.messages()] == [message["id"] for message in before]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted through /proc")
def test_w26_nothing_left_of_clients(workshop: Workshop) -> None:
    """A hundred clients that came and went leave no open connection behind."""
    server = workshop.launch()
    server.wait_stable()

    def connections() -> int:
        done = subprocess.run(["cat", "/proc/net/tcp"], capture_output=True, text=True, check=True).stdout.upper()
        return sum(f":{server.address[1]:04X} " in line and " 01 " in line for line in done.splitlines())

    for _ in range(100):
        with server.events() as stream:
            stream.wait(lambda seen: bool(seen.named("status_change")))
    # Each event wakes the streams, so that a server notices who has left.
    server.turn(server.target.prompt_say(unique("wake")))
    wait_until(lambda: connections() == 0, "the end of all connections")
