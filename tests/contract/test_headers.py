"""Section 1.2 (headers, `$schema`, key order) and 1.4 (the two reads)."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest

from .servers import JSON_TYPE, Server, Workshop
from .wire import Reply, raw_exchange, request_bytes

SCHEMA_OF = {"/status": "StatusResponseBody", "/messages": "MessagesResponseBody"}
#: Host header -> the start of `$schema` (contract 1.2: http only for these two prefixes, case-sensitive).
SCHEMES = {
    "localhost:3284": "http://localhost:3284",
    "127.0.0.1": "http://127.0.0.1",
    "localhost.example:1": "http://localhost.example:1",
    "[::1]:3284": "https://[::1]:3284",
    "LOCALHOST:1": "https://LOCALHOST:1",
    "dev.example.com": "https://dev.example.com",
}
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def replies_with_schema(server: Server) -> dict[str, Reply]:
    """One reply per component that carries `$schema`, by the component's name."""
    empty_raw = json.dumps({"content": "", "type": "raw"}).encode()
    return {
        **{name: server.get(path) for path, name in SCHEMA_OF.items()},
        "MessageResponseBody": server.call("POST", "/message", headers=[JSON_TYPE], body=empty_raw),
        "ErrorModel": server.call("POST", "/message", headers=[JSON_TYPE], body=b"{}"),
    }


def test_1_2_schema_and_link(server: Server) -> None:
    """`$schema` comes first and names this host; `Link` describes the body; JSON ends with a line feed."""
    for name, reply in replies_with_schema(server).items():
        assert reply.pairs()[0] == ("$schema", f"http://{server.host}/schemas/{name}.json")
        assert reply.all("Link") == [f'</schemas/{name}.json>; rel="describedBy"']
        assert reply.body.endswith(b"}\n")
        problem = "application/problem+json" if name == "ErrorModel" else "application/json"
        assert reply.header("Content-Type") == problem


def test_1_2_common_headers(server: Server) -> None:
    """Vary on everything; no caching headers and no server name on REST; a Date."""
    for reply in replies_with_schema(server).values():
        assert reply.all("Vary") == ["Origin"]
        assert reply.header("Date")
        assert [reply.header(name) for name in ("Cache-Control", "ETag", "Server")] == [None, None, None]


@pytest.mark.parametrize(("host", "start"), SCHEMES.items(), ids=[f"1.2-schema-for-{host}" for host in SCHEMES])
def test_1_2_schema_per_host(open_server: Server, host: str, start: str) -> None:
    """The scheme and host of `$schema` follow the Host header as sent."""
    reply = open_server.call("GET", "/status", host=host)
    assert reply.json()["$schema"] == f"{start}/schemas/StatusResponseBody.json"


def test_1_2_schema_without_host(open_server: Server) -> None:
    """HTTP/1.0 without Host, every host allowed: `https:///schemas/...`."""
    data = request_bytes("GET", "/status", host=None).replace(b"HTTP/1.1", b"HTTP/1.0")
    reply = raw_exchange(open_server.address, data)
    assert reply is not None
    assert reply.json()["$schema"] == "https:///schemas/StatusResponseBody.json"


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", "application/json", "nonsense"])
def test_1_2_accept_is_ignored(server: Server, accept: str) -> None:
    """An Accept nobody can satisfy still gets JSON, never 406."""
    reply = server.call("GET", "/status", headers=[("Accept", accept)])
    assert (reply.status, reply.header("Content-Type")) == (200, "application/json")


def test_1_2_json_is_not_html_escaped(server: Server) -> None:
    """REST bodies carry <, > and & as they are."""
    body = json.dumps({"content": "", "type": "<&>"}).encode()
    assert b'"<&>"' in server.call("POST", "/message", headers=[JSON_TYPE], body=body).body


def test_1_4_status(server: Server) -> None:
    """/status: the contract's keys, first and in its order, with legal values."""
    found = server.get("/status").pairs()
    assert [key for key, _ in found][:4] == ["$schema", "status", "agent_type", "transport"]
    values = dict(found)
    assert (values["status"], values["agent_type"]) == ("stable", "custom")
    assert values["transport"] == server.pick("transport", agentapi="pty", bridge="acp")
    extra = server.pick("not-ready", agentapi=set(), bridge={"ready"})
    assert extra <= set(values) - {"$schema", "status", "agent_type", "transport"}
    assert set(values) == {"$schema", "status", "agent_type", "transport"} or extra


def test_1_4_messages(server: Server) -> None:
    """/messages: never null, `content`, key order, RFC 3339 times."""
    server.turn(server.target.prompt_say("golden"))
    reply = server.get("/messages")
    assert [key for key, _ in reply.pairs()] == ["$schema", "messages"]
    listed = dict(reply.pairs())["messages"]
    for pairs in listed:
        assert [key for key, _ in pairs][:4] == ["id", "content", "role", "time"]
        message = dict(pairs)
        assert type(message["id"]) is int
        assert message["role"] in ("user", "agent")
        assert RFC_3339.fullmatch(message["time"]), message["time"]


def test_3_2_fresh_conversation(workshop: Workshop) -> None:
    """A fresh server: AgentAPI's terminal shows its banner as message 0, a bridge without a terminal starts empty."""
    fresh = workshop.launch()
    fresh.wait_stable()
    found = [(message["id"], message["role"]) for message in fresh.messages()]
    assert found == fresh.pick("banner", agentapi=[(0, "agent")], bridge=[])
    first = fresh.pick("banner", agentapi=1, bridge=0)
    fresh.turn(fresh.target.prompt_say("hello there"))
    after = [(message["id"], message["role"]) for message in fresh.messages()]
    assert after[first:] == [(first, "user"), (first + 1, "agent")]


def test_3_1_times_are_local(workshop: Workshop) -> None:
    """Times carry the offset of the server's own zone."""
    there = workshop.launch(env={"TZ": "Asia/Tokyo"})
    there.wait_stable()
    there.turn(there.target.prompt_say("what time is it"))
    for message in there.messages():
        written = message["time"]
        assert RFC_3339.fullmatch(written)
        assert written.endswith("+09:00"), written
        moment = datetime.strptime(written[:19], "%Y-%m-%dT%H:%M:%S")
        assert moment.year >= 2024
