"""Kiro's own things, the diagnostics and the export over HTTP."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Request, Response
from flask.testing import FlaskClient

from bridge.core.ports import Choice, Surface
from bridge.core.records import Session
from bridge.web import export_routes, late_views
from bridge.web.diagnostic_routes import UsageStream
from bridge.web.operation import View

from .memory import PRIMARY, MemoryChat, make_app
from .memory_things import MadeUpMeter, MemoryThings, conforming

BASE = f"/api/v1/sessions/{PRIMARY}"


class FolderChat(MemoryChat):
    """A service whose session is in a folder that is there, with a title that is given."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.title = "A title"
        self._folder = folder

    def session(self, session_id: str) -> Session:
        """See `ChatService`."""
        return dataclasses.replace(super().session(session_id), cwd=str(self._folder), title=self.title)


@pytest.fixture
def chat(tmp_path: Path) -> FolderChat:
    """A service in a folder with an MCP server and a skill."""
    work = tmp_path / "work"
    (work / ".kiro/settings").mkdir(parents=True)
    entries = {"docs": {"command": "docs", "env": {"T": "s3cr3t"}}, "off": {"url": "https://x.org/p", "disabled": True}}
    (work / ".kiro/settings/mcp.json").write_text(json.dumps({"mcpServers": entries}))
    (work / ".kiro/skills/greet").mkdir(parents=True)
    (work / ".kiro/skills/greet/SKILL.md").write_text("---\nname: greet\ndescription: greets\n---\n")
    return FolderChat(work)


@pytest.fixture
def app(chat: FolderChat, tmp_path: Path) -> Flask:
    """The application."""
    app = conforming(make_app(chat, tmp_path / "uploads"))
    app.extensions["things"] = MemoryThings(chat, tmp_path)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of it."""
    return app.test_client()


def got(client: FlaskClient, path: str) -> Any:
    """The body of a reply that is well."""
    response = client.get(f"{BASE}/{path}")
    assert response.status_code == 200, response.data
    body = response.get_json()
    body.pop("$schema", None)
    return body


def test_what_kiro_offers(client: FlaskClient, app: Flask) -> None:
    assert got(client, "kiro") == {
        "transport": "acp",
        "engine": "v2",
        "agents": [{"id": "dev", "name": "dev", "description": "Develops", "current": True}],
        "models": [{"id": "auto", "name": "Auto", "description": "", "current": True}],
        "efforts": ["low", "medium", "high", "xhigh", "max"],
        "commands": [{"name": "/context", "description": "Show the context", "hint": "[show]", "choices": True}],
        "features": ["approvals", "commands"],
    }


def test_lists_fill_what_kiro_has_not_told(client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    things: MemoryThings = app.extensions["things"]
    things.surfaces.surface_now = Surface(models=(Choice("m", "M"),))
    monkeypatch.setattr("tests.web.memory_things._NoOffers.of", lambda *_: ((Choice("a", "A"),), (Choice("b", "B"),)))
    offered = got(client, "kiro")
    assert [one["id"] for one in offered["agents"] + offered["models"]] == ["a", "m"]


def test_what_kiro_tells_while_lists_are_waited_for(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    things: MemoryThings = app.extensions["things"]
    told, things.surfaces.surface_now = things.surfaces.surface_now, Surface()

    def list_slowly(*_: object) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
        things.surfaces.surface_now = told
        return (Choice("a", "A"),), (Choice("b", "B"),)

    monkeypatch.setattr("tests.web.memory_things._NoOffers.of", list_slowly)
    offered = got(client, "kiro")
    assert [one["id"] for one in offered["agents"] + offered["models"]] == ["dev", "auto"]
    assert offered["commands"]


def test_commands(client: FlaskClient) -> None:
    said = client.post(f"{BASE}/commands", json={"name": "/context", "argument": "show"})
    assert (said.status_code, said.get_json()["text"]) == (200, "/context show")
    assert client.post(f"{BASE}/commands", json={"name": "/context"}).get_json()["text"] == "/context"
    refused = client.post(f"{BASE}/commands", json={"name": "/rm -rf /"})
    assert (refused.status_code, refused.get_json()["type"]) == (409, "urn:kiro-bridge:unknown-command")
    wrong: list[Any] = [{}, {"name": ""}, {"name": 5}, {"name": "x" * 300}, {"name": "x", "argument": "y" * 20_000}]
    for body in wrong:
        assert client.post(f"{BASE}/commands", json=body).status_code == 422


def test_servers(client: FlaskClient, chat: FolderChat) -> None:
    docs, off = got(client, "mcp-servers")["servers"]
    assert (docs["name"], docs["status"], docs["url"]) == ("docs", "needs_login", "https://login.example.com/x")
    assert (off["enabled"], off["status"], off["transport"], off["command"]) == (
        False,
        "unknown",
        "http",
        "https://x.org",
    )
    assert "s3cr3t" not in json.dumps([docs, off])


def test_switching_a_server(client: FlaskClient, tmp_path: Path) -> None:
    url = f"{BASE}/mcp-servers/workspace/docs"
    server = client.patch(url, json={"enabled": False}).get_json()["server"]
    assert (server["enabled"], server["status"]) == (False, "unknown")
    file = tmp_path / "work/.kiro/settings/mcp.json"
    assert json.loads(file.read_text())["mcpServers"]["docs"]["disabled"] is True
    for path in ("workspace/none", "global/docs", "agent/docs", "nowhere/docs", "workspace/%2e%2e"):
        refused = client.patch(f"{BASE}/mcp-servers/{path}", json={"enabled": True})
        assert (refused.status_code, refused.get_json()["type"]) == (404, "urn:kiro-bridge:no-such-server")
    wrong: list[Any] = [{}, {"enabled": "yes"}, {"enabled": None}, []]
    for body in wrong:
        assert client.patch(url, json=body).status_code == 422
    file.write_text("broken")
    assert client.patch(url, json={"enabled": True}).status_code == 404


def test_library(client: FlaskClient) -> None:
    entry = {"name": "greet", "description": "greets", "path": ".kiro/skills/greet/SKILL.md", "scope": "workspace"}
    assert got(client, "library") == {"skills": [entry], "prompts": [], "steering": []}


@pytest.mark.parametrize("path", ["kiro", "mcp-servers", "library", "export"])
def test_an_unknown_session(client: FlaskClient, path: str) -> None:
    assert client.get(f"/api/v1/sessions/none/{path}").status_code == 404


def test_diagnostics(client: FlaskClient) -> None:
    body = client.get("/api/v1/diagnostics").get_json()
    assert body["made_at"] == "1970-01-01T00:00:05.000000Z"
    assert body["checks"][1] == {"name": "login", "state": "failed", "found": "Logged out.", "remedy": "Log in."}


def test_usage_is_handed_to_the_broadcaster(app: Flask, client: FlaskClient) -> None:
    taken: list[Any] = []

    class Followers:
        def follow(self, _request: Request, stream: Any) -> Response:
            taken.append(stream)
            return Response("", content_type="text/event-stream")

    app.extensions["streams"] = Followers()
    assert client.get("/api/v1/diagnostics/usage").status_code == 200
    name, data = taken[0].take().decode().strip().split("\n")
    assert name == "event: usage"
    assert set(json.loads(data.removeprefix("data: "))) == {"at", "bridge", "kiro", "memory", "disk"}


def test_a_listener_gets_each_measurement_once() -> None:
    meter = MadeUpMeter()
    stream = UsageStream(meter)
    assert stream.take()
    latest = meter.latest()
    meter.latest = lambda: latest  # type: ignore[method-assign]
    assert stream.take() and not stream.take()


def test_export_as_markdown(client: FlaskClient, chat: FolderChat) -> None:
    chat.submit("Say hello")
    chat.say("Hello *you*")
    chat.finish()
    response = client.get(f"{BASE}/export")
    assert response.content_type == "text/markdown; charset=utf-8"
    assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''A-title.md"
    text = response.data.decode()
    assert text.startswith("# A title\n") and "**You**\n\nSay hello\n\n**Kiro**\n\nHello *you*\n" in text


def test_export_as_json(client: FlaskClient, chat: FolderChat) -> None:
    for number in range(45):
        chat.submit(f"prompt {number}")
        chat.say("answer")
        chat.finish()
    document = json.loads(client.get(f"{BASE}/export?format=json").data)
    assert document["session"]["id"] == PRIMARY
    assert [turn["prompt"] for turn in document["turns"]] == [f"prompt {number}" for number in range(45)]
    assert all(turn["items"][0]["text"] == "answer" for turn in document["turns"])
    assert client.get(f"{BASE}/export?format=pdf").status_code == 422


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("", "session"),
        ("...", "session"),
        ("../../etc/passwd", "etcpasswd"),
        ("ünï  code", "%C3%BCn%C3%AF-code"),
        ("x" * 300, "x" * 80),
        ('"\r\nSet-Cookie: a=b', "Set-Cookie-ab"),
    ],
)
def test_names_of_exports(client: FlaskClient, chat: FolderChat, title: str, name: str) -> None:
    chat.title = title
    with client.get(f"{BASE}/export") as response:
        assert response.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{name}.md"


def test_few_exports_at_a_time(client: FlaskClient) -> None:
    url = f"{BASE}/export"
    with client.get(url), client.get(url), client.get(url):
        assert client.get(url).status_code == 503
    for _ in range(2 * export_routes.AT_ONCE):
        with client.get(url) as response:
            assert response.status_code == 200


@pytest.mark.parametrize("operation", late_views.PLACES)
def test_late_views_are_there(operation: str) -> None:
    module, name = late_views.PLACES[operation]
    view: View = getattr(__import__(f"bridge.web.{module}", fromlist=[name]), name)
    assert callable(view)
