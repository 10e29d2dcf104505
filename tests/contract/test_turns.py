"""Section 3: what a turn is, from POST to the reply."""

from __future__ import annotations

import itertools
import json
import re
import socket
import subprocess
import threading

import pytest

from .servers import JSON_TYPE, Server, Workshop, unique, wait_until
from .wire import Reply, request_bytes

NOT_STABLE = "failed to send message: message can only be sent when the agent is waiting for user input"
#: Reads that may slip in before a POST has reached the server.
FEW = 5


def test_3_4_turn(server: Server) -> None:
    """stable, POST, at once running with the user's message present, stable with the reply present (X1, X2)."""
    tag = unique("turn")
    before = server.messages()
    prompt = server.target.prompt_slow(1.5, tag)
    assert server.post(prompt).status == 200
    assert server.status() == "running"
    listed = server.messages()
    assert prompt in [message["content"] for message in listed if message["role"] == "user"]
    server.wait_stable()
    after = server.messages()
    assert after[: len(before)] == before
    assert [message["role"] for message in after[len(before) :]] == ["user", "agent"]
    assert f"{tag} done" in server.text(after[-1])


def test_3_1_ids_and_times(server: Server) -> None:
    """Ids are integers that strictly increase; times do not go back from a prompt to the next."""
    for _ in range(2):
        server.turn(server.target.prompt_say(unique("id")))
    listed = server.messages()
    ids = [message["id"] for message in listed]
    assert all(type(number) is int for number in ids)
    assert all(first < second for first, second in itertools.pairwise(ids))
    users = [message["time"][:19] for message in listed if message["role"] == "user"]
    assert users == sorted(users)


def test_3_8_append_only(server: Server) -> None:
    """Earlier messages never change, and roles alternate."""
    server.turn(server.target.prompt_say(unique("one")))
    before = server.messages()
    server.turn(server.target.prompt_say(unique("two")))
    after = server.messages()
    assert after[: len(before)] == before
    roles = [role for role, _ in server.texts()]
    assert roles == ["user", "agent"] * (len(roles) // 2)


def test_x2_several_outputs_are_one_message(server: Server) -> None:
    """All an agent writes in one turn is one message, in order."""
    tag = unique("both")
    text = server.turn(server.target.prompt_lines(20, tag))
    assert text.split("\n") == [f"{tag} line {number}" for number in range(1, 21)]


#: What is sent before and after, and the text between that is kept as it is.
CONTENTS = {
    "outer-space": (" \n\t ", "keep", " \r\n\v\f"),
    "inner-newline": ("", "one\ntwo\n\nthree", ""),
    "inner-crlf": ("", "one\r\ntwo", ""),
    "escape": ("", "red \x1b[31mtext\x1b[0m", ""),
    "unicode": ("", "naïve 日本語 🦊 e\u0301", ""),
    "no-break-space": (" ", "\u00a0kept\u00a0", "\n"),
    "html": ("", "<b>&amp;</b>", ""),
    "dash": ("", "--help", ""),
    "quotes": ("", 'it\'s "$HOME" `id` \\n', ""),
}


@pytest.mark.parametrize("name", CONTENTS, ids=[f"3.3-{name}" for name in CONTENTS])
def test_3_3_user_text(server: Server, name: str) -> None:
    """Outer white space goes, everything inside is stored as sent."""
    before, inner, after = CONTENTS[name]
    kept = inner + server.target.short_answer
    server.turn(before + kept + after)
    assert [text for role, text in server.texts() if role == "user"][-1] == kept


def test_3_3_agent_text(server: Server) -> None:
    """Agent text has no control sequences; only a terminal's is padded to its width."""
    text = f"{unique('plain')} some words"
    server.turn(server.target.prompt_say(text))
    content = server.messages()[-1]["content"]
    assert "\x1b" not in content
    assert (content != text) == server.pick("padding", agentapi=True, bridge=False)
    assert content.rstrip() == text


def test_3_3_long_line(server: Server) -> None:
    """A line of 300 characters: wrapped at 80 by a terminal, whole otherwise."""
    line = f"{unique('long')} " + "x" * 280
    server.turn(server.target.prompt_say(line))
    content = server.messages()[-1]["content"]
    assert content.replace("\n", "").rstrip() == line
    assert ("\n" in content.strip()) == server.pick("padding", agentapi=True, bridge=False)


def test_3_4_two_posts_at_once(server: Server) -> None:
    """Of two prompts posted together one is taken and the other refused; nothing of the other is recorded."""
    tags = [unique("left"), unique("right")]
    replies: dict[str, Reply] = {}

    def send(tag: str) -> None:
        replies[tag] = server.post(server.target.prompt_slow(1, tag))

    threads = [threading.Thread(target=send, args=(tag,)) for tag in tags]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.wait_stable()
    assert sorted(reply.status for reply in replies.values()) == [200, 500]
    refused = next(reply for reply in replies.values() if reply.status == 500)
    assert refused.json()["errors"][0]["message"] == NOT_STABLE
    whole = "\n".join(text for _, text in server.texts())
    taken = [tag for tag in tags if replies[tag].status == 200]
    assert [tag for tag in tags if tag in whole] == taken


def test_3_4_reads_during_a_turn(server: Server) -> None:
    """Reads are answered during a turn, with the conversation as it is."""
    tag = unique("reads")
    assert server.post(server.target.prompt_slow(2, tag)).status == 200
    seen = set()
    while server.status() == "running":
        seen.add(len(server.messages()))
        assert server.get("/status").status == 200
    assert seen
    assert f"{tag} done" in server.text(server.messages()[-1])


def test_3_4_reads_during_a_post(server: Server) -> None:
    """Reads wait while AgentAPI's POST executes (over a second); the bridge answers them all through the turn."""
    seen: list[str] = []
    prompt = server.target.prompt_slow(2, unique("window"))
    posting = threading.Thread(target=lambda: seen.append(f"post {server.post(prompt).status}"))
    posting.start()
    while posting.is_alive() or server.status() == "running":
        seen.append(server.status())
    posting.join()
    blocked = seen.index("post 200") <= FEW
    assert server.pick("gets-never-block", agentapi=blocked, bridge=seen.count("running") > FEW), seen[:20]
    server.wait_stable()


def test_3_4_client_that_leaves(server: Server) -> None:
    """A client that does not wait for its 200 does not stop the turn."""
    tag = unique("gone")
    body = json.dumps({"content": server.target.prompt_say(tag), "type": "user"}).encode()
    with socket.create_connection(server.address) as link:
        link.sendall(request_bytes("POST", "/message", host=server.host, headers=[JSON_TYPE], body=body))
        wait_until(lambda: server.status() == "running" or tag in str(server.messages()), "the turn of a gone client")
    wait_until(lambda: server.status() == "stable" and tag in server.text(server.messages()[-1]), "the reply")


def test_3_5_raw_is_not_recorded(server: Server) -> None:
    """Raw text never appears in the conversation, in any status."""
    before = server.messages()
    for text in ("xyz", "\x1b"):
        server.post(text, "raw")
    wait_until(lambda: server.status() == "stable", "stable after raw text")
    assert [message["role"] for message in server.messages()] == [message["role"] for message in before]
    assert "xyz" not in str([message["content"] for message in server.messages()])


@pytest.mark.parametrize("text", ["ls", "\x1b[A", "yes"], ids=["3.5-letters", "3.5-arrow", "3.5-word"])
def test_3_5_raw_without_meaning(server: Server, text: str) -> None:
    """Keystrokes: typed by AgentAPI, refused by a bridge that has no terminal."""
    reply = server.post(text, "raw")
    typed = server.pick("raw", agentapi=True, bridge=False)
    assert (reply.status == 200) == typed
    if not typed:
        assert 400 <= reply.status < 500
        assert reply.header("Content-Type") == "application/problem+json"
        assert reply.json()["type"] != "about:blank"
    server.post("\x1b", "raw")
    server.wait_stable()


def test_3_5_raw_keys_reach_the_terminal(server: Server) -> None:
    """AgentAPI's terminal shows typed keys; a bridge refuses them and shows nothing."""
    key = unique("k")[:8]
    with server.events("/internal/screen") as stream:
        stream.wait(lambda seen: bool(seen.named("screen")))
        shown = server.pick("raw", agentapi=True, bridge=False)
        assert (server.post(key, "raw").status == 200) == shown
        if shown:
            stream.wait(lambda seen: f"> {key}" in seen.named("screen")[-1]["screen"])
        assert (key in str(stream.named("screen"))) == shown
    server.post("\x1b", "raw")
    server.wait_stable()


@pytest.mark.parametrize("key", ["\x1b", "\x03"], ids=["3.5-escape", "3.5-ctrl-c"])
def test_3_5_stop(workshop: Workshop, key: str) -> None:
    """The Stop keys are accepted during a turn; in the bridge they end it early, with what was said so far kept."""
    server = workshop.launch()
    tag = unique("stop")
    server.wait_stable()
    length = server.pick("raw", agentapi=1, bridge=40)
    assert server.post(server.target.prompt_slow(length, tag)).status == 200
    server.wait_answer(f"{tag} step")
    if server.pick("raw", agentapi=key == "\x1b", bridge=True):
        assert server.post(key, "raw").status == 200
    server.wait_stable()
    text = server.text(server.messages()[-1])
    assert f"{tag} step" in text
    assert (f"{tag} done" in text) == server.pick("raw", agentapi=True, bridge=False)
    after = unique("after")
    assert after in server.turn(server.target.prompt_say(after))


def test_3_7_initial_prompt(workshop: Workshop) -> None:
    """An initial prompt is sent once by itself; no `stable` is seen before its turn has ended."""
    tag = unique("initial")
    prompt = workshop.target.prompt_say(tag)
    server = workshop.launch("--initial-prompt", prompt)
    with server.events() as stream:
        stream.wait(lambda seen: any(data["status"] == "stable" for data in seen.named("status_change")))
        statuses = [data["status"] for data in stream.named("status_change")]
    assert statuses in (["running", "stable"], ["stable"])
    wait_until(lambda: len(server.texts()) == 2, "the initial prompt's turn")
    assert server.texts() == [("user", prompt), ("agent", tag)]


def test_3_7_initial_prompt_from_environment(workshop: Workshop) -> None:
    """`AGENTAPI_INITIAL_PROMPT` does the same."""
    tag = unique("env")
    prompt = workshop.target.prompt_say(tag)
    server = workshop.launch(env={"AGENTAPI_INITIAL_PROMPT": prompt})
    wait_until(lambda: server.status() == "stable" and server.texts() == [("user", prompt), ("agent", tag)], "the turn")


def piped(text: str, folder: str) -> subprocess.Popen[bytes]:
    """A process whose standard output is ``text``; its pipe can be given to a server."""
    return subprocess.Popen(["printf", "%s", text], stdout=subprocess.PIPE, cwd=folder)


def test_x3_stdin_is_the_first_prompt(workshop: Workshop) -> None:
    """What is piped in becomes the first user message; `--initial-prompt` wins over it."""
    tag, other = unique("piped"), unique("flag")
    prompt, flagged = workshop.target.prompt_say(tag), workshop.target.prompt_say(other)
    for flags, expected in (((), (prompt, tag)), (("--initial-prompt", flagged), (flagged, other))):
        home = workshop.new_home()
        with piped(prompt + "\n", str(home)) as source:
            assert source.stdout is not None
            server = workshop.launch(*flags, home=home, stdin=source.stdout)
            wait_until(
                lambda: server.status() == "stable" and len(server.texts()) == 2,  # noqa: B023
                "the turn of a piped prompt",
            )
        assert server.texts() == [("user", expected[0]), ("agent", expected[1])]


def test_3_7_blank_initial_prompt(workshop: Workshop) -> None:
    """A blank initial prompt: an empty user message in AgentAPI, none in the bridge."""
    server = workshop.launch("--initial-prompt", "   ")
    tag = unique("blank")
    server.wait_stable()
    expected = server.pick("blank-initial-prompt", agentapi=[("user", "")], bridge=[])
    wait_until(lambda: [pair for pair in server.texts() if pair[0] == "user"] == expected, "the blank prompt's fate")
    assert re.search(tag, server.turn(server.target.prompt_say(tag)))
