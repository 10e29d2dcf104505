"""The parts of the ACP client that need no process: framing, the choice of a start, approvals, plans of trust."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.feed import MessageBreak, MessageRecorded, Notice, TextDelta, ToolSeen
from bridge.core.records import SessionOptions
from bridge.kiro import acp_wire as wire
from bridge.kiro.acp_idle import afterwards
from bridge.kiro.acp_launch import AcpLaunch, plan_acp
from bridge.kiro.acp_permission import Trusting, read_request, trusting
from bridge.kiro.acp_tools import change, paths, result
from bridge.kiro.acp_v2 import V2Talk
from bridge.kiro.acp_v3 import V3Talk
from bridge.kiro.capabilities import Capabilities, Flags
from bridge.kiro.command import LaunchOptions, for_session

METHODS = (
    *("session/update", "_kiro.dev/session/update", "_kiro.dev/metadata", "_kiro.dev/commands/available"),
    *("_kiro/mcp/status", "_kiro/sessions/changed", "_kiro/tools/content_chunk", "_kiro.dev/mcp/oauth_request"),
)
CLI = Capabilities("2.28.0", {})
BOTH: Flags = {"agent-engine": ("v1", "v2", "v3"), "auth-method": ("cli",), "agent": (), "model": (), "effort": ()}


@given(st.lists(st.binary(max_size=60).filter(lambda one: b"\n" not in one)), st.integers(1, 20))
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    cut = wire.Lines()
    found = [line for start in range(0, len(data), size) for line in cut.feed(data[start : start + size])]
    assert found == lines


def test_a_line_that_is_too_long_is_dropped_alone() -> None:
    cut = wire.Lines(longest=10)
    assert list(cut.feed(b"x" * 8)) == []
    assert list(cut.feed(b"x" * 8 + b"\nshort\n" + b"y" * 11 + b"\nlast\n")) == [b"short", b"last"]
    assert cut.dropped == 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["id", "method", "params", "result", "error", "jsonrpc"]), inner)
        ),
    )
)
def test_any_json_is_read_without_an_error(value: object) -> None:
    wire.messages(json.dumps(value).encode())


def test_both_sides_may_use_one_id() -> None:
    """What has a method is the agent's own, what has none answers us (facts/kiro-wire.md 9)."""
    (request,) = wire.messages(b'{"id":0,"method":"m","params":{}}') or []
    (response,) = wire.messages(b'{"id":0,"result":{}}') or []
    assert isinstance(request, wire.Request) and isinstance(response, wire.Response)
    assert wire.messages(b"not json") is None and wire.messages(b'{"neither":1}') is None


@pytest.mark.parametrize(
    ("flags", "options", "engine", "wanted"),
    [
        (BOTH, LaunchOptions(), None, ("acp", "--agent-engine", "v2")),
        (BOTH, LaunchOptions(), "v3", ("acp", "--agent-engine", "v3", "--auth-method", "cli")),
        (BOTH, LaunchOptions(engine="v3", model="m"), None, ("acp", "--agent-engine", "v3", "--auth-method", "cli")),
        (BOTH, LaunchOptions(engine="v3", agent="a"), "v2", ("acp", "--agent-engine", "v2", "--agent=a")),
        ({}, LaunchOptions(), None, ("acp",)),
        (
            {**BOTH, "agent-engine": ("kas",)},
            LaunchOptions(),
            None,
            ("acp", "--agent-engine", "kas", "--auth-method", "cli"),
        ),
        (None, LaunchOptions(), None, "has no ACP"),
        (BOTH, LaunchOptions(engine="v1"), None, "v1 has no ACP"),
        (BOTH, LaunchOptions(), "v1", "v1 has no ACP"),
        ({**BOTH, "auth-method": ("browser",)}, LaunchOptions(), "v3", "access token"),
        ({"agent-engine": ("v3",)}, LaunchOptions(engine="v3"), None, "access token"),
        ({"auth-method": ()}, LaunchOptions(engine="v3"), None, "no engine be named"),
    ],
)
def test_how_it_is_started(flags: Flags | None, options: LaunchOptions, engine: Any, wanted: Any) -> None:
    found = plan_acp(CLI, flags, options, engine)
    if isinstance(wanted, tuple):
        assert isinstance(found, AcpLaunch) and found.arguments == wanted
    else:
        assert isinstance(found, str) and wanted in found


def request(*options: tuple[str, str], **fields: Any) -> dict[str, Any]:
    listed = [{"optionId": known, "name": known, "kind": kind} for known, kind in options]
    return {"sessionId": "s", "toolCall": {"toolCallId": "t", "title": "Run"}, "options": listed, **fields}


ALLOW, REJECT = ("accept", "allow_once"), ("reject", "reject_once")


@pytest.mark.parametrize(
    ("options", "name", "trust", "answer"),
    [
        ((ALLOW, REJECT), "shell", Trusting("all"), "accept"),
        ((("always", "allow_always"), ALLOW, REJECT), "shell", Trusting("all"), "accept"),
        ((ALLOW, REJECT), "shell", Trusting("ask"), None),
        ((ALLOW, REJECT), "shell", Trusting("listed", frozenset({"shell"})), "accept"),
        ((ALLOW, REJECT), "run_command", Trusting("listed", frozenset({"shell"})), "accept"),
        ((ALLOW, REJECT), "write", Trusting("listed", frozenset({"shell"})), None),
        ((ALLOW, REJECT), "@git/status", Trusting("listed", frozenset({"@git"})), "accept"),
        ((ALLOW, REJECT), "@gitlab/status", Trusting("listed", frozenset({"@git"})), None),
        ((ALLOW, REJECT), None, Trusting("listed", frozenset({"shell"})), None),
        ((REJECT, ALLOW), "shell", Trusting("all"), None),
        ((("t-option-0", "allow_once"),), "user_input", Trusting("all"), None),
        ((("a", "allow_once"), ("b", "allow_once")), "x", Trusting("all"), None),
        ((("a", "something_new"), REJECT), "x", Trusting("all"), None),
        ((("always", "allow_always"), REJECT), "x", Trusting("all"), None),
    ],
)
def test_who_is_asked(options: Any, name: str | None, trust: Trusting, answer: str | None) -> None:
    asked = read_request(1, request(*options), key="k", tool={}, name=name, agent=None, since=0.0)
    assert asked is not None and asked.answer(trust) == answer


def test_what_is_shown_of_a_request() -> None:
    tool: dict[str, Any] = {"rawInput": {"command": "rm x", "__tool_use_purpose": "why"}}
    asked = read_request(1, request(ALLOW, REJECT), key="k", tool=tool, name=None, agent=None, since=0.0)
    assert asked is not None and asked.event.text == "rm x" and asked.event.title == "Run"
    diff = {"type": "diff", "path": "file:///a%20b", "oldText": "one\n", "newText": "two\n"}
    tool = {"rawInput": {"path": "/a b", "command": "create"}, "content": [diff]}
    asked = read_request(1, request(ALLOW, REJECT), key="k", tool=tool, name=None, agent=None, since=0.0)
    assert (
        asked is not None and "-one" in asked.event.text and "+two" in asked.event.text and "/a b" in asked.event.text
    )
    assert read_request(1, request(), key="k", tool={}, name=None, agent=None, since=0.0) is None


def test_whose_trust_it_is() -> None:
    settings = LaunchOptions(trust_tools=("fs_read",))
    assert trusting(SessionOptions(), settings) == Trusting("listed", frozenset({"read"}))
    assert trusting(SessionOptions(trust="ask"), LaunchOptions(trust_all_tools=True)) == Trusting("ask")
    assert trusting(SessionOptions(), LaunchOptions(trust_tools=())) == Trusting("ask")
    assert for_session(LaunchOptions(model="a"), SessionOptions(model="b", trust="all")).trust_all_tools
    assert for_session(LaunchOptions(trust_all_tools=True), SessionOptions(trust="ask")).trust_all_tools is False


def test_results_and_changes() -> None:
    told = result({"rawOutput": {"message": "Output:\nx\n\n\nExit Code: 3", "exitCode": 3}}, "failed")
    assert told is not None and told.exit_code == 3 and told.status == "failed"
    plain = result({"rawOutput": "it failed"}, "failed")
    assert plain is not None and plain.output == "it failed"
    empty = {"content": [{"type": "diff", "path": "", "newText": "", "oldText": ""}]}
    assert result(empty, "pending") is None and change(empty) == ""
    assert paths([{"path": "file:///a"}, {"path": "/a"}, {}]) == ("/a",)


def test_pieces_of_output_are_gathered() -> None:
    """They are the final text in pieces; shown beside it they would double it (facts/kiro-wire.md 4)."""
    talk = V2Talk()
    talk.own = "s"

    def told(**update: Any) -> list[Any]:
        return talk.notification("session/update", {"sessionId": "s", "update": update})

    told(sessionUpdate="tool_call", toolCallId="t", title="Running", kind="execute", rawInput={"command": "x"})
    for piece in ("one\n", "two\n"):
        content = [{"type": "content", "content": {"type": "text", "text": piece}}]
        assert told(sessionUpdate="tool_call_update", toolCallId="t", content=content) == []
    assert talk.flush() == [ToolSeen("t", output="one\ntwo\n")]
    items = [{"Json": {"exit_status": "exit status: 0", "stdout": "one\ntwo\n", "stderr": ""}}]
    (end,) = told(sessionUpdate="tool_call_update", toolCallId="t", status="completed", rawOutput={"items": items})
    assert end.output == "one\ntwo\n" and end.status == "completed" and talk.flush() == []


def test_mcp_servers_and_their_logins() -> None:
    talk = V3Talk()
    talk.own = "s"
    servers = [
        {"name": "a", "status": "connecting"},
        {"name": "b", "status": "failed", "failedAuthorization": True, "authorizationUrl": "https://x.example/login"},
        {"name": "c", "status": "failed", "errorMessage": "no", "authorizationUrl": "javascript:alert(1)"},
        {"name": {"not": "a name"}, "status": ["nor", "a status"]},
    ]
    events = talk.notification("_kiro/mcp/status", {"sessionId": "s", "servers": servers})
    assert [event.key for event in events if isinstance(event, Notice)] == ["mcp:b:needs_login", "mcp:c:needs_login"]
    assert "https://x.example/login" in events[0].text and "javascript" not in events[1].text  # type: ignore[union-attr]
    assert talk.notification("_kiro/mcp/status", {"sessionId": "s", "servers": servers}) == []
    assert [server.status for server in talk.book.surface.mcp_servers] == ["starting", "needs_login", "needs_login"]
    v2 = V2Talk()
    v2.own = "s"
    (notice,) = v2.notification(
        "_kiro.dev/mcp/server_init_failure", {"sessionId": "s", "serverName": "x", "error": "e"}
    )
    assert isinstance(notice, Notice) and "x" in notice.text and "e" in notice.text


def test_what_was_told_between_two_turns() -> None:
    told = afterwards([TextDelta("by "), TextDelta("itself"), MessageBreak(), TextDelta("more"), Notice("n", "x")])
    assert [getattr(event, "text", None) for event in told][1:] == ["by itself", "more", "x"]
    assert isinstance(told[0], Notice)


def test_what_the_store_told_first_is_not_told_again() -> None:
    told = afterwards([TextDelta("by "), TextDelta("itself\n"), MessageBreak(), TextDelta("more")], {"byitself"})
    assert [event.text for event in told if isinstance(event, MessageRecorded)] == ["more"]
    assert afterwards([TextDelta("by itself")], {"byitself"}) == []


@pytest.mark.parametrize("talk", [V2Talk(), V3Talk()])
@given(
    method=st.sampled_from(METHODS),
    params=st.dictionaries(
        st.sampled_from(["sessionId", "update", "servers", "upserted", "commands", "serverName", "content"]),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["sessionUpdate", "toolCallId", "content", "_meta", "kiro", "kind", "name", "status"]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        ),
    ),
)
def test_no_notification_raises(talk: Any, method: str, params: dict[str, Any]) -> None:
    talk.own = "s"
    for kind in ("tool_call", "session_info_update", "agent_message_chunk", "plan", "config_option_update"):
        update = params.get("update")
        if isinstance(update, dict):
            update["sessionUpdate"] = kind
        talk.notification(method, {**params, "sessionId": "s"})
        talk.flush()
