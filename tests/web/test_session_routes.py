"""`/api/v1` over a real engine: every route answers as it is documented, and refuses as it says."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.feed import Ended
from bridge.web.areas import agentapi, sessions, turns
from bridge.web.schemas import SCHEMAS

from .real import RealApp
from .schema_check import violations

SESSION = "/api/v1/sessions/{session_id}"
OPERATIONS = [one for area in (agentapi, sessions, turns) for one in area.OPERATIONS]


def call(real: RealApp, method: str, path: str, body: object = None, expected: int = 200) -> dict[str, Any]:
    """Send a request and return the answer, which must have the status expected."""
    response = real.client.open(path, method=method, json=body)
    assert response.status_code == expected, response.data
    assert response.json is not None
    if expected >= 400:
        assert response.content_type == "application/problem+json"
        assert violations(SCHEMAS["ErrorModel"], response.json) == []
    found: dict[str, Any] = response.json
    return found


def test_every_reply_is_as_documented(real: RealApp) -> None:
    item = real.asks()
    base = f"/api/v1/sessions/{real.primary}"
    queued = call(real, "POST", f"{base}/messages", {"content": "later", "mode": "queue"}, 202)["queued_id"]
    other = call(real, "POST", "/api/v1/sessions", {}, 201)["session"]["id"]
    steps: list[tuple[str, str, object]] = [
        ("get-status", "/status", None),
        ("get-messages", "/messages", None),
        ("list-sessions", "/api/v1/sessions?archived=all", None),
        ("create-session", "/api/v1/sessions", {"cwd": str(real.work), "title": "T", "trust": "ask"}),
        ("get-session", base, None),
        ("change-session", base, {"pinned": True, "trust_tools": ["read"]}),
        ("get-session-status", f"{base}/status", None),
        ("list-items", f"{base}/items", None),
        ("get-queue", f"{base}/queue", None),
        ("change-queued", f"{base}/queue/{queued}", {"content": "sooner", "position": 0}),
        ("remove-queued", f"{base}/queue/{queued}", None),
        ("resume-queue", f"{base}/queue/resume", None),
        ("answer-approval", f"{base}/approvals/{item}", {"option": "yes"}),
        ("post-prompt", f"{base}/messages", {"content": "next", "mode": "queue"}),
        ("cancel-turn", f"{base}/cancel", None),
        ("search", "/api/v1/search?q=do", None),
        ("list-folders", "/api/v1/folders", None),
        ("list-kiro-sessions", "/api/v1/kiro-sessions", None),
        ("adopt-kiro-session", "/api/v1/kiro-sessions/v2/theirs", None),
        ("fork-session", f"{base}/fork", {}),
        ("delete-session", f"/api/v1/sessions/{other}", None),
        ("post-message", "/message", {"content": "", "type": "raw"}),
    ]
    table = {one.id: one for one in OPERATIONS}
    for name, path, body in steps:
        operation = table[name]
        found = call(real, operation.method, path, body, operation.status)
        assert violations(SCHEMAS[operation.gives], found) == [], name
    assert {name for name, _, _ in steps} == {one.id for one in OPERATIONS if one.gives} - {"post-upload"}


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if SESSION in one.path], ids=lambda one: one.id)
def test_an_unknown_session_is_404_everywhere(real: RealApp, operation: Any) -> None:
    path = operation.path.format(session_id="none", queued_id="1", item_id="1")
    body = {"content": "x"} if operation.takes in ("PromptRequestBody", "QueuedChange") else {}
    body = {"option": "x"} if operation.takes == "Answer" else body
    refused = call(real, operation.method, path, body if operation.takes else None, 404)
    assert refused["type"] == "urn:kiro-bridge:unknown-session" and refused["remedy"]


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/api/v1/sessions", {"cwd": ""}, "body.cwd"),
        ("/api/v1/sessions", {"cwd": 5}, "body.cwd"),
        ("/api/v1/sessions", {"trust": "some"}, "body.trust"),
        ("/api/v1/sessions", {"trust_tools": "read"}, "body.trust_tools"),
        ("/api/v1/sessions", {"trust_tools": ["a", 1]}, "body.trust_tools[1]"),
        ("/api/v1/sessions", {"trust_tools": ["a,b"]}, "body.trust_tools"),
        ("/api/v1/sessions", {"model": "-x"}, "body.model"),
        ("/api/v1/sessions", {"agent": "a\nb"}, "body.agent"),
        ("/api/v1/sessions", {"title": "x" * 201}, "body.title"),
        (SESSION, {"pinned": 1}, "body.pinned"),
        (SESSION, {"archived": None}, "body.archived"),
        (SESSION, {"unknown": 1}, "body.unknown"),
        (f"{SESSION}/messages", {"content": "x", "mode": "later"}, "body.mode"),
        (f"{SESSION}/queue/1", {"position": -1}, "body.position"),
        (f"{SESSION}/queue/1", {"position": True}, "body.position"),
        (f"{SESSION}/approvals/1", {"option": "x", "reason": 1}, "body.reason"),
    ],
)
def test_wrong_bodies_name_the_place(real: RealApp, path: str, body: object, where: str) -> None:
    method = "PATCH" if path == SESSION or "/queue/" in path else "POST"
    refused = call(real, method, path.format(session_id=real.primary), body, 422)
    assert refused["errors"][0]["location"] == where


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/sessions?archived=maybe", 422),
        ("/api/v1/search", 422),
        ("/api/v1/search?q=x&limit=0", 422),
        ("/api/v1/search?q=%00%22*", 200),
        ("/api/v1/search?q=NEAR(a%20b)%20OR", 200),
        ("/api/v1/kiro-sessions?cwd=/nowhere", 200),
        ("/api/v1/events?last_event_id=x", 422),
    ],
)
def test_queries(real: RealApp, path: str, status: int) -> None:
    call(real, "GET", path, expected=status)


def test_an_answer_counts_once_and_the_second_says_what_it_was(real: RealApp) -> None:
    item = real.asks()
    path = f"/api/v1/sessions/{real.primary}/approvals"
    assert call(real, "POST", f"{path}/{item}", {"option": "maybe"}, 422)["type"].endswith("unknown-option")
    for wrong in ("0", "x", str(item + 1), "9" * 30):
        assert call(real, "POST", f"{path}/{wrong}", {"option": "yes"}, 404)["type"].endswith("unknown-item")
    given = call(real, "POST", f"{path}/{item}", {"option": "no", "reason": "  use make  "})["item"]
    assert (given["data"]["answer"], given["data"]["reason"]) == ("no", "use make")
    refused = call(real, "POST", f"{path}/{item}", {"option": "yes"}, 409)
    assert refused["type"] == "urn:kiro-bridge:already-answered"
    assert "“No”" in refused["detail"]
    assert refused["errors"] == [{"message": refused["detail"], "location": "item.data.answer", "value": "no"}]
    queue = call(real, "GET", f"/api/v1/sessions/{real.primary}/queue")
    assert [prompt["content"] for prompt in queue["prompts"]] == ["use make"]


def test_raw_keys_answer(real: RealApp) -> None:
    item = real.asks()
    told = real.client.get("/messages").get_data(as_text=True)
    assert "Send `y` for “Yes”, `n` for “No”, `t` for “Always” as raw text." in told
    call(real, "POST", "/message", {"content": "t", "type": "raw"})
    stored = real.bench.ledger.item(item)
    assert stored is not None and stored.item.data["answer"] == "always"
    call(real, "POST", "/message", {"content": "y", "type": "raw"}, 422)


def test_delete_is_refused_while_something_runs_and_when_kiro_cannot(real: RealApp) -> None:
    made = call(real, "POST", "/api/v1/sessions", {"prompt": "go"}, 201)["session"]
    path = f"/api/v1/sessions/{made['id']}"
    assert call(real, "DELETE", path, expected=409)["type"].endswith("agent-busy")
    real.puppet.say(Ended("completed"))
    real.bench.until(lambda: not real.engine.busy(made["id"]))
    adopted = call(real, "POST", "/api/v1/kiro-sessions/v2/theirs", expected=201)["session"]["id"]
    real.elsewhere.refuses = True
    refused = call(real, "DELETE", f"/api/v1/sessions/{adopted}?kiro=true", expected=409)
    assert refused["type"].endswith("kiro-delete-unavailable")
    assert call(real, "GET", f"/api/v1/sessions/{adopted}")["session"]["origin"] == "kiro"
    real.elsewhere.refuses = False
    assert call(real, "DELETE", f"/api/v1/sessions/{adopted}?kiro=true")["deleted"] is True
    assert real.elsewhere.deleted == ["theirs"]
    assert call(real, "DELETE", f"/api/v1/sessions/{real.primary}", expected=409)["type"].endswith("primary-session")


def test_where_the_events_of_all_sessions_begin(real: RealApp) -> None:
    assert real.client.get("/api/v1/events?last_event_id=7").data == b": overview 7\n\n"
    assert real.client.get("/api/v1/events", headers={"Last-Event-ID": "9"}).data == b": overview 9\n\n"
