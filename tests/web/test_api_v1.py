"""`/api/v1`: sessions, items, events, prompts."""

from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient

from .memory import PRIMARY, MemoryChat

BASE = f"/api/v1/sessions/{PRIMARY}"


def test_sessions(client: FlaskClient) -> None:
    """All sessions, and which is the primary one."""
    found = client.get("/api/v1/sessions").json
    assert found is not None
    assert (found["primary"], [session["id"] for session in found["sessions"]]) == (PRIMARY, [PRIMARY])
    one = client.get(BASE).json
    assert one is not None
    assert one["session"] == found["sessions"][0]
    assert one["session"]["created_at"] == "2027-01-15T08:00:00.250000Z"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/items"), ("GET", "/events"), ("POST", "/messages"), ("POST", "/cancel")],
)
def test_unknown_session(client: FlaskClient, method: str, path: str) -> None:
    """Every route of a session that is not there is a 404 problem."""
    response = client.open(f"/api/v1/sessions/none{path}", method=method, json={"content": "x"})
    assert (response.status_code, response.content_type) == (404, "application/problem+json")
    assert response.json is not None
    assert response.json["type"] == "urn:kiro-bridge:unknown-session"
    assert response.json["remedy"]


def test_items_page_backwards(client: FlaskClient, chat: MemoryChat) -> None:
    """The newest page first, older ones by item id, each with its turns."""
    for prompt in ("one", "two"):
        chat.submit(prompt)
        for number in range(3):
            chat.say(f"{prompt} {number}", agent="helper")
        chat.finish()
    page = client.get(f"{BASE}/items?limit=2").json
    assert page is not None
    assert [item["text"] for item in page["items"]] == ["two 1", "two 2"]
    assert ([turn["prompt"] for turn in page["turns"]], page["more"], page["last_seq"]) == (["two"], True, 6)
    older = client.get(f"{BASE}/items?before={page['items'][0]['id']}&limit=500").json
    assert older is not None
    assert [item["text"] for item in older["items"]] == ["one 0", "one 1", "one 2", "two 0"]
    assert (len(older["turns"]), older["more"]) == (2, False)
    first = older["items"][0]
    assert (first["turn_id"], first["kind"], first["data"], first["final"]) == (1, "text", {"agent": "helper"}, True)
    assert "mark" not in older["turns"][0]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=", "limit=-1", "before=0", "before=1.5", "before=" + "9" * 30]
)
def test_wrong_numbers(client: FlaskClient, query: str) -> None:
    """A number out of bounds names itself."""
    response = client.get(f"{BASE}/items?{query}")
    assert response.status_code == 422
    assert response.json is not None
    assert response.json["errors"][0]["location"] == f"query.{query.partition('=')[0]}"


@pytest.mark.parametrize(
    ("query", "header", "expected"),
    [("", None, None), ("?last_event_id=7", None, 7), ("?last_event_id=7", "9", 9), ("", "0", 0), ("", "", None)],
)
def test_where_events_begin(client: FlaskClient, query: str, header: str | None, expected: int | None) -> None:
    """The header wins over the query; without either it is now."""
    headers = {} if header is None else {"Last-Event-ID": header}
    response = client.get(f"{BASE}/events{query}", headers=headers)
    assert response.data == f": session {PRIMARY} {expected}\n\n".encode()


@pytest.mark.parametrize(("query", "header"), [("?last_event_id=x", ""), ("", "x"), ("", "-1"), ("", "٣")])
def test_wrong_event_ids(client: FlaskClient, query: str, header: str) -> None:
    """What is no sequence is refused, not taken for the beginning."""
    response = client.get(f"{BASE}/events{query}", headers={"Last-Event-ID": header.encode().decode("latin-1")})
    assert response.status_code == 422


def test_prompt_and_cancel(client: FlaskClient, chat: MemoryChat) -> None:
    """202 with ids, 409 while busy, and a stop."""
    response = client.post(f"{BASE}/messages", json={"content": "\n hello \n"})
    assert response.status_code == 202
    assert response.json is not None
    assert (response.json["turn_id"], response.json["message_id"]) == (1, 0)
    assert chat.turns[0].prompt == "hello"
    busy = client.post(f"{BASE}/messages", json={"content": "more"})
    assert busy.json is not None
    assert (busy.status_code, busy.json["type"]) == (409, "urn:kiro-bridge:agent-busy")
    for expected in (True, False):
        stopped = client.post(f"{BASE}/cancel")
        assert stopped.json is not None
        assert stopped.json["cancelled"] is expected


@pytest.mark.parametrize(
    ("body", "code"),
    [({"content": " "}, 422), ({}, 422), ({"content": "x", "type": "user"}, 422), ([], 422), ({"content": 5}, 422)],
)
def test_refused_prompts(client: FlaskClient, chat: MemoryChat, body: object, code: int) -> None:
    """Empty and malformed prompts are the client's mistake here."""
    response = client.post(f"{BASE}/messages", json=body)
    assert (response.status_code, response.content_type) == (code, "application/problem+json")
    assert not chat.turns


def test_a_prompt_of_5_megabytes(client: FlaskClient, chat: MemoryChat) -> None:
    """Far beyond AgentAPI's limit, and whole; 16 MiB are too much."""
    text = "wörds " * 900_000
    body = json.dumps({"content": text}, ensure_ascii=False).encode()
    assert len(body) > 5_000_000
    assert client.post(f"{BASE}/messages", data=body).status_code == 202
    assert chat.turns[0].prompt == text.strip()
    assert client.post(f"{BASE}/messages", data=b" " * (16 * 1024 * 1024)).status_code == 413
