"""MCP servers in Kiro's files, and switching one on or off."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from bridge.core.library import McpServer
from bridge.files import replace_file
from bridge.kiro import mcp_files
from bridge.kiro.configuration import Configuration
from bridge.kiro.mcp_files import BACKUP, ConfigurationRefused, NoSuchServer, enable, mcp_servers

from .conftest import Write

AGENT = "home/.kiro/agents/dev.json"
WORKSPACE = "work/.kiro/settings/mcp.json"
GLOBAL = "home/.kiro/settings/mcp.json"


def servers(**entries: Any) -> dict[str, Any]:
    """An `mcp.json`."""
    return {"mcpServers": entries}


def listed(configuration: Configuration, agent: str = "") -> list[McpServer]:
    """The servers of a session."""
    return mcp_servers(configuration, configuration.agent_file(configuration.agent_name(agent)))


def test_all_three_files_in_their_order(configuration: Configuration, write: Write) -> None:
    write(AGENT, {"name": "dev", "includeMcpJson": True, **servers(both={"command": "agents-own"})})
    write(WORKSPACE, servers(both={"command": "x"}, local={"url": "https://user:pw@mcp.example.com:8443/a/b?token=s"}))
    write(GLOBAL, servers(old={"command": "y", "disabled": True}))
    found = [(one.scope, one.name, one.enabled, one.transport, one.command) for one in listed(configuration, "dev")]
    assert found == [
        ("agent", "both", True, "stdio", "agents-own"),
        ("workspace", "both", True, "stdio", "x"),
        ("workspace", "local", True, "http", "https://mcp.example.com:8443"),
        ("global", "old", False, "stdio", "y"),
    ]
    assert "comes first" in listed(configuration, "dev")[1].note


@pytest.mark.parametrize(
    ("field", "read"), [({"includeMcpJson": True}, True), ({"useLegacyMcpJson": True}, True), ({}, False)]
)
def test_an_agent_may_leave_the_files_out(
    configuration: Configuration, write: Write, field: dict[str, bool], read: bool
) -> None:
    write(AGENT, {"name": "dev", **field})
    write(GLOBAL, servers(a={"command": "x"}))
    assert ("includeMcpJson" in listed(configuration, "dev")[0].note) is not read
    assert listed(configuration)[0].note == ""


def test_no_secret_is_told(configuration: Configuration, write: Write) -> None:
    secret = "s3cr3t"
    write(
        GLOBAL,
        servers(
            a={"command": "x", "args": ["--token", secret], "env": {"T": secret}},
            b={"url": f"https://mcp.example.com/{secret}?k={secret}", "headers": {"Authorization": secret}},
            c={"command": "env", "args": [f"K={secret}", "x"], "oauth": {"clientSecret": secret}},
        ),
    )
    assert len(listed(configuration)) == 3
    assert secret not in repr(listed(configuration))


@pytest.mark.parametrize(
    "content", ["", "no json", "[]", '{"mcpServers": []}', '{"mcpServers": {"a": 5}}', "[" * 100_000, '{"a": NaN}']
)
def test_broken_files_say_nothing(configuration: Configuration, write: Write, content: str) -> None:
    write(GLOBAL, content)
    write(AGENT, content)
    assert listed(configuration, "dev") == []


def test_a_file_that_never_ends_is_not_read(configuration: Configuration, write: Write) -> None:
    path = write(GLOBAL, "")
    path.unlink()
    os.mkfifo(path)
    assert listed(configuration) == []
    path.unlink()
    path.symlink_to("/dev/zero")
    assert listed(configuration) == []


def test_an_agent_by_the_name_in_its_file_and_by_the_settings(configuration: Configuration, write: Write) -> None:
    write("work/.kiro/agents/other-file.json", {"name": "dev", **servers(a={"command": "x"})})
    write("home/.kiro/settings/cli.json", {"chat.defaultAgent": "dev"})
    assert [one.scope for one in listed(configuration)] == ["agent"]
    assert configuration.agent_file("x" * 150 + "ä" * 50) is None
    assert configuration.agent_file("../../etc/passwd") is None


def switch(configuration: Configuration, name: str, enabled: bool, scope: Any = "global") -> McpServer:
    """Switch a server of a session without an agent's file."""
    return enable(configuration, None, scope, name, enabled)


def test_off_and_on_again(configuration: Configuration, write: Write) -> None:
    path = write(GLOBAL, '{\n    "mcpServers": {"a": {"command": "x", "env": {"T": "s"}}}, "other": [1,  2]\n}')
    before = path.read_bytes()
    path.chmod(0o640)
    assert switch(configuration, "a", True).enabled
    assert path.read_bytes() == before and not path.with_name("mcp.json" + BACKUP).exists()
    assert not switch(configuration, "a", False).enabled
    assert path.read_bytes() == before.replace(b'"s"}}', b'"s"}, "disabled": true}')
    assert path.with_name("mcp.json" + BACKUP).read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o640
    assert switch(configuration, "a", True).enabled
    assert json.loads(path.read_text())["mcpServers"]["a"]["disabled"] is False


def test_the_agents_own_file(configuration: Configuration, write: Write) -> None:
    path = write(AGENT, {"name": "dev", **servers(a={"command": "x"})})
    agent = configuration.agent_file("dev")
    assert not enable(configuration, agent, "agent", "a", False).enabled
    assert json.loads(path.read_text())["mcpServers"]["a"] == {"command": "x", "disabled": True}
    assert configuration.agent_file("dev") is not None


def test_a_link_stays_a_link(configuration: Configuration, write: Write, tmp_path: Path) -> None:
    real = write("dotfiles/mcp.json", "\ufeff" + json.dumps(servers(a={"command": "x"})))
    link = tmp_path / GLOBAL
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    switch(configuration, "a", False)
    assert link.is_symlink() and real.read_bytes().startswith(b"\xef\xbb\xbf{")
    assert (tmp_path / "dotfiles" / f"mcp.json{BACKUP}").exists()


@pytest.mark.parametrize(("name", "scope"), [("b", "global"), ("a", "workspace"), ("a", "agent"), ("", "global")])
def test_what_is_not_there(configuration: Configuration, write: Write, name: str, scope: Any) -> None:
    write(GLOBAL, servers(a={"command": "x"}))
    with pytest.raises(NoSuchServer):
        switch(configuration, name, False, scope)


def test_a_file_that_changed_meanwhile_is_left_alone(
    configuration: Configuration, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(GLOBAL, servers(a={"command": "x"}))
    other = json.dumps(servers(a={"command": "y"}))
    replace = replace_file

    def replace_and_be_overtaken(place: Path, data: bytes, *, durable: bool = False) -> None:
        replace(place, data, durable=durable)
        if place.name.endswith(BACKUP):
            path.write_text(other)

    monkeypatch.setattr(mcp_files, "replace_file", replace_and_be_overtaken)
    with pytest.raises(ConfigurationRefused, match="somebody else"):
        switch(configuration, "a", False)
    assert path.read_text() == other


def test_a_folder_that_cannot_be_written(configuration: Configuration, write: Write, monkeypatch: Any) -> None:
    path = write(GLOBAL, servers(a={"command": "x"}))
    before = path.read_bytes()

    def full(place: Path, data: bytes, *, durable: bool = False) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mcp_files, "replace_file", full)
    with pytest.raises(ConfigurationRefused, match="no space left"):
        switch(configuration, "a", False)
    assert path.read_bytes() == before


def test_many_at_once_lose_no_switch(configuration: Configuration, write: Write) -> None:
    path = write(GLOBAL, servers(**{f"s{n}": {"command": "x"} for n in range(12)}))
    threads = [threading.Thread(target=switch, args=(configuration, f"s{n}", False)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(entry["disabled"] is True for entry in json.loads(path.read_text())["mcpServers"].values())
