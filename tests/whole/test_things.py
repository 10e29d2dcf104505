"""Kiro's own things, files, diagnostics and export of a bridge that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

from tests.whole.conftest import WAIT, Bridge


def got(bridge: Bridge, what: str, **query: str) -> Any:
    """A JSON reply about the session."""
    reply = requests.get(f"{bridge.url}/api/v1/sessions/{bridge.session()}/{what}", params=query, timeout=WAIT)
    assert reply.status_code == 200, reply.text
    return reply.json()


def folder_of(bridge: Bridge) -> Path:
    """The folder of the session."""
    return Path(requests.get(f"{bridge.url}/api/v1/sessions", timeout=WAIT).json()["sessions"][0]["cwd"])


def test_files_come_go_and_are_told_of(bridge: Bridge) -> None:
    bridge.start()
    url = f"{bridge.url}/api/v1/sessions/{bridge.session()}/files"
    large = b"line of a large file\n" * 500_000
    sent = [("files", ("a.txt", b"one")), ("files", ("a.txt", b"two")), ("files", ("big.log", large))]
    results = requests.post(url, files=sent, timeout=WAIT).json()["files"]
    assert [one["path"] for one in results] == ["a.txt", "a-1.txt", "big.log"]
    assert {one["path"] for one in got(bridge, "files")["files"]} == {"a.txt", "a-1.txt", "big.log"}
    assert got(bridge, "files/find", q="big")["paths"] == ["big.log"]
    assert got(bridge, "files/preview", path="a-1.txt")["text"] == "two"
    for name, data in (("a.txt", b"one"), ("big.log", large)):
        assert requests.get(f"{url}/content", params={"path": name}, timeout=WAIT).content == data
    assert requests.get(f"{url}/content", params={"path": "../bridge.log"}, timeout=WAIT).status_code in (403, 404)


def test_what_was_uploaded_is_known_after_a_restart(bridge: Bridge) -> None:
    bridge.start()
    url = f"{bridge.url}/api/v1/sessions/{bridge.session()}/files"
    requests.post(url, files=[("files", ("kept.txt", b"x"))], timeout=WAIT)
    bridge.kill()
    bridge.start()
    assert [one["path"] for one in got(bridge, "files")["files"]] == ["kept.txt"]


def test_a_server_is_switched_off(bridge: Bridge) -> None:
    bridge.start()
    path = folder_of(bridge) / ".kiro/settings/mcp.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"mcpServers": {"docs": {"command": "docs", "env": {"T": "s3cr3t"}}}}')
    listed = got(bridge, "mcp-servers")
    assert [one["name"] for one in listed["servers"]] == ["docs"] and "s3cr3t" not in json.dumps(listed)
    url = f"{bridge.url}/api/v1/sessions/{bridge.session()}/mcp-servers/workspace/docs"
    assert requests.patch(url, json={"enabled": False}, timeout=WAIT).json()["server"]["enabled"] is False
    assert json.loads(path.read_text())["mcpServers"]["docs"]["disabled"] is True


def test_usage_is_sent_while_somebody_listens(bridge: Bridge) -> None:
    bridge.start()
    url = f"{bridge.url}/api/v1/diagnostics/usage"
    with requests.get(url, stream=True, timeout=WAIT) as one, requests.get(url, stream=True, timeout=WAIT) as other:
        for reply in (one, other):
            lines = reply.iter_lines(chunk_size=1)
            seen = [json.loads(line[6:]) for line in (next(lines) for _ in range(6)) if line.startswith(b"data: ")]
            assert len(seen) == 2 and seen[0]["at"] < seen[1]["at"]
            assert seen[1]["bridge"]["rss_bytes"] > 10_000_000 and seen[1]["bridge"]["processes"] == 2


def test_diagnostics_and_export(bridge: Bridge) -> None:
    bridge.start()
    bridge.ask("!standin tool shell echo hello", "!standin text Hello.")
    checks = requests.get(f"{bridge.url}/api/v1/diagnostics", timeout=WAIT).json()["checks"]
    assert [check for check in checks if check["state"] == "failed"] == []
    assert {"kiro-cli", "login", "agent", "usage of bridge", "usage of kiro"} <= {check["name"] for check in checks}
    assert next(check for check in checks if check["name"] == "usage of bridge")["found"].startswith("2 processes")
    url = f"{bridge.url}/api/v1/sessions/{bridge.session()}/export"
    text = requests.get(url, timeout=WAIT).text
    assert "!standin text Hello." in text and "**Tool**" in text and "hello" in text
    document = requests.get(url, params={"format": "json"}, timeout=WAIT).json()
    assert document["turns"][0]["state"] == "completed" and document["turns"][0]["items"]
    assert got(bridge, "kiro")["models"]
