"""Section 2: server-sent events; H13, E1 to E6."""

from __future__ import annotations

import itertools
import json
import re
import socket
from typing import Any

import pytest

from .servers import JSON_TYPE, Server, Workshop, unique
from .sse import Event, Stream
from .wire import HANG, request_bytes

HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "0",
    "X-Accel-Buffering": "no",
    "X-Proxy-Buffering": "no",
    "Connection": "keep-alive",
    "Vary": "Origin",
    "Transfer-Encoding": "chunked",
}
SHAPES = {
    "message_update": ["id", "role", "message", "time"],
    "status_change": ["status", "agent_type"],
    "agent_error": ["message", "level", "time"],
}
LIMIT = 128 * 1024


def replayed(stream: Stream) -> bool:
    """Whether the stream has sent its whole replay: the one status comes after all messages."""
    return bool(stream.named("status_change"))


def answered(tag: str) -> Any:
    """A condition: an agent message holds ``tag`` and the last status is stable."""

    def holds(stream: Stream) -> bool:
        updates = [data for data in stream.named("message_update") if data["role"] == "agent"]
        statuses = stream.named("status_change")
        done = bool(statuses) and statuses[-1]["status"] == "stable"
        return done and any(tag in data["message"] for data in updates)

    return holds


def follow(server: Server, stream: Stream, prompt: str, tag: str) -> list[Event]:
    """Send a prompt, wait on the stream for its end and return the events since before it."""
    stream.wait(replayed)
    before = len(stream.events())
    assert server.post(prompt).status == 200
    stream.wait(answered(tag))
    server.wait_stable()
    return stream.events()[before:]


@pytest.mark.parametrize("path", ["/events", "/internal/screen"], ids=["2.1-H13-events", "2.1-H13-screen"])
def test_2_1_headers(server: Server, path: str) -> None:
    """The response head, header by header."""
    with server.events(path) as stream:
        response = stream.response
        assert (response.status, {name: response.getheader(name) for name in HEADERS}) == (200, HEADERS)
        assert response.getheader("Content-Length") is None


def test_2_1_framing(server: Server) -> None:
    """Every block is `event: <name>`, `data: <one line of JSON>`; comments may stand between events."""
    tag = unique("frame")
    with server.events() as stream:
        follow(server, stream, server.target.prompt_say(tag), tag)
        assert stream.named("message_update")
        for block in stream.blocks:
            comment = all(line.startswith(b":") for line in block.splitlines())
            if comment:
                assert server.pick("heartbeat", agentapi=False, bridge=True)
            else:
                assert re.fullmatch(rb"event: [a-z_]+\ndata: \{[^\n\r]*\}\n", block), block


def test_2_1_html_is_escaped(server: Server) -> None:
    """SSE data carries `<`, `>` and `&` (here in a message) so that it parses back to the same text."""
    tag = unique("esc")
    with server.events() as stream:
        follow(server, stream, server.target.prompt_say(f"{tag} <b>&amp;</b>"), tag)
        answers = [event for event in stream.events() if event.data.get("role") == "agent"]
    assert server.text(answers[-1].data) == f"{tag} <b>&amp;</b>"
    assert (b"<b>" not in answers[-1].block) == server.pick("sse-escape", agentapi=True, bridge=False)


def test_2_2_shapes(server: Server) -> None:
    """Each event has its fields in order, and no other event name ever appears."""
    tag = unique("shape")
    with server.events() as stream:
        follow(server, stream, server.target.prompt_say(tag), tag)
        events = stream.events()
    for event in events:
        keys = [key for key, _ in json.loads(event.block.partition(b"data: ")[2], object_pairs_hook=list)]
        assert keys[: len(SHAPES[event.name])] == SHAPES[event.name]
    assert {event.data["agent_type"] for event in events if event.name == "status_change"} == {"custom"}
    assert "transport" not in [key for event in events for key in event.data]


def test_2_3_replay(server: Server) -> None:
    """A new subscriber gets every message in order, then one status, and the same text as GET /messages."""
    server.turn(server.target.prompt_say(unique("replay")))
    listed = server.messages()
    with server.events() as stream:
        stream.wait(replayed)
        events = stream.events()
    expected = [(message["id"], message["role"], message["content"], message["time"]) for message in listed]
    updates = [event.data for event in events[: len(expected)]]
    assert [(data["id"], data["role"], data["message"], data["time"]) for data in updates] == expected
    assert [event.name for event in events[len(expected) :]] == ["status_change"]
    assert events[-1].data["status"] == "stable"


def test_2_3_last_event_id_is_no_filter(server: Server) -> None:
    """Whatever `Last-Event-ID` a client sends to /events, it gets the whole replay."""
    server.turn(server.target.prompt_say(unique("again")))
    with server.events(headers=[("Last-Event-ID", "999999")]) as stream:
        stream.wait(replayed)
        assert len(stream.named("message_update")) == len(server.messages())


def test_e1_fresh_server(workshop: Workshop) -> None:
    """A subscriber of a server that is still starting sees one status at once, and `stable` later (X8)."""
    fresh = workshop.launch()
    with fresh.events() as stream:
        stream.wait(lambda seen: any(data["status"] == "stable" for data in seen.named("status_change")))
        statuses = [data["status"] for data in stream.named("status_change")]
    assert statuses[-1] == "stable"
    assert all(first != second for first, second in itertools.pairwise(statuses))


def test_2_4_live_turn(server: Server) -> None:
    """A turn on the stream: running, the user's message, a growing answer under one id, stable (E2)."""
    tag = unique("live")
    with server.events() as stream:
        events = follow(server, stream, server.target.prompt_slow(2, tag), f"{tag} done")
    statuses = [event.data["status"] for event in events if event.name == "status_change"]
    assert statuses == ["running", "stable"]
    assert events[0].name == "status_change" or events[0].data["role"] == "user"
    updates = [event.data for event in events if event.name == "message_update"]
    users = {data["id"] for data in updates if data["role"] == "user"}
    answers = [data for data in updates if data["role"] == "agent"]
    final = {data["id"] for data in answers if f"{tag} done" in data["message"]}
    assert len(users) == len(final) == 1
    assert users.pop() < final.pop()
    growing = [server.text(data) for data in answers if tag in data["message"]]
    assert len(growing) >= 2
    assert [len(text) for text in growing] == sorted(len(text) for text in growing)
    last = server.messages()[-1]
    assert (answers[-1]["id"], answers[-1]["message"]) == (last["id"], last["content"])


def test_2_4_unchanged_is_not_sent_again(server: Server) -> None:
    """An update always says something new about its message; older messages are left alone."""
    first = unique("first")
    server.turn(server.target.prompt_say(first))
    tag = unique("second")
    with server.events() as stream:
        events = follow(server, stream, server.target.prompt_say(tag), tag)
    updates = [event.data for event in events if event.name == "message_update"]
    assert not [data for data in updates if first in data["message"]]
    seen: dict[int, dict[str, Any]] = {}
    for data in updates:
        assert seen.get(data["id"]) != data
        seen[data["id"]] = data


def test_2_4_order_around_post(server: Server) -> None:
    """`running` comes no later than the answer, the user's message before the answer to it."""
    tag = unique("order")
    with server.events() as stream:
        events = follow(server, stream, server.target.prompt_say(tag), tag)
    names = [(event.name, event.data.get("role") or event.data.get("status")) for event in events]
    answer = next(
        i for i, event in enumerate(events) if tag in str(event.data.get("message")) and event.data["role"] == "agent"
    )
    assert names.index(("status_change", "running")) < answer
    assert names.index(("message_update", "user")) < answer
    assert names[-1] == ("status_change", "stable") or ("status_change", "stable") in names[answer - 1 :]


def test_e3_subscribers_see_the_same(server: Server) -> None:
    """Ten subscribers get the same final state; one of them never reads and disturbs nobody (E4)."""
    tag = unique("many")
    with socket.create_connection(server.address, timeout=HANG) as stalled:
        stalled.sendall(request_bytes("GET", "/events", host=server.host))
        streams = [server.events() for _ in range(10)]
        try:
            for stream in streams:
                stream.wait(replayed)
            follow(server, streams[0], server.target.prompt_lines(60, tag), f"{tag} line 60")
            finals = []
            for stream in streams:
                stream.wait(answered(f"{tag} line 60"))
                upserted = {data["id"]: data["message"] for data in stream.named("message_update")}
                finals.append((upserted, [data["status"] for data in stream.named("status_change")]))
        finally:
            for stream in streams:
                stream.close()
    assert all(found == finals[0] for found in finals)
    assert finals[0][0] == {message["id"]: message["content"] for message in server.messages()}


def test_2_4_event_size(server: Server) -> None:
    """No event reaches 128 KiB, however long the conversation is (the Go SDK ends there)."""
    tag = unique("big")
    with server.events() as stream:
        follow(server, stream, server.target.prompt_lines(900, tag), tag)
        assert max(len(block) for block in stream.blocks) < LIMIT
    with server.events() as late:
        late.wait(replayed)
        assert max(len(block) for block in late.blocks) < LIMIT


def test_2_4_disconnected_client_changes_nothing(server: Server) -> None:
    """A subscriber that leaves in mid-turn neither ends the turn nor the server."""
    tag = unique("leave")
    with server.events() as stream:
        stream.wait(replayed)
        assert server.post(server.target.prompt_slow(1, tag)).status == 200
    server.wait_stable()
    assert f"{tag} done" in server.text(server.messages()[-1])


def test_2_4_clean_end(workshop: Workshop) -> None:
    """Shutdown ends every stream with its last chunk."""
    server = workshop.launch()
    server.wait_stable()
    with server.events() as stream, server.events("/internal/screen") as screen:
        stream.wait(replayed)
        server.process.popen.terminate()
        stream.wait(lambda seen: bool(seen.ended))
        screen.wait(lambda seen: bool(seen.ended))
        assert (stream.ended, screen.ended) == ("clean", "clean")
    assert server.process.wait() == 0


def test_2_5_screen(server: Server) -> None:
    """/internal/screen: event `screen`, data `{"screen": text}`; at once, then at each change."""
    tag = unique("scr")
    with server.events("/internal/screen") as stream:
        stream.wait(lambda seen: bool(seen.named("screen")))
        server.turn(server.target.prompt_say(tag))
        stream.wait(lambda seen: tag in str(seen.named("screen")[-1]["screen"]))
        assert {event.name for event in stream.events()} == {"screen"}
        assert all(list(event.data) == ["screen"] for event in stream.events())
        last = stream.named("screen")[-1]["screen"]
    prompt_line = server.pick("screen", agentapi="\n>", bridge="")
    assert "\n".join(line.rstrip() for line in str(last).split("\n")) == tag + prompt_line


def test_e5_agent_errors_are_replayed(workshop: Workshop) -> None:
    """A late subscriber gets each stored agent_error after the status, with level and time (E6)."""
    home = workshop.new_home()
    (home / "state.json").write_text("{")
    server = workshop.launch("--state-file", str(home / "state.json"), home=home)
    server.wait_stable()
    with server.events() as stream:
        stream.wait(lambda seen: bool(seen.named("agent_error")))
        names = [event.name for event in stream.events()]
        error = stream.named("agent_error")[0]
    assert names.index("agent_error") > names.index("status_change")
    assert (error["level"], list(error)) == ("warning", SHAPES["agent_error"])
    assert server.call("POST", "/message", headers=[JSON_TYPE], body=b'{"content":"","type":"raw"}').status == 200
