"""The agent's file: what the module wants, and what the user made of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.provision import agent
from bridge.provision.documents import keep
from bridge.provision.inputs import Inputs, Places, inputs_from
from bridge.provision.merging import ABSENT, merge
from bridge.provision.progress import ProvisionError

SYSTEM = "You are helpful.\nSecond line.\n"
INSTRUCTIONS = "REPORT, at once, always.\n- with \"quotes\"\n"
ENV = {"PATH": "/nowhere", "CODER_AGENT_TOKEN": "the-agent-token", "CODER_AGENT_URL": "https://coder.example"}


class Home:
    """A home whose agent is configured again and again."""

    def __init__(self, folder: Path) -> None:
        self.places = Places(folder, folder / "root")
        self.env = {**ENV, "HOME": str(folder)}
        self.kiro = folder / ".kiro"
        self.inputs: dict[str, Any] = {
            "workdir": "/", "system_prompt": SYSTEM, "coder_mcp_instructions": INSTRUCTIONS
        }  # fmt: skip

    def configure(self, **inputs: Any) -> dict[str, Any]:
        made = agent.configure(inputs_from({**self.inputs, **inputs}), self.places, self.env)
        return self.read(made.name)

    def path(self, name: str = "agent") -> Path:
        return self.kiro / "agents" / f"{name}.json"

    def read(self, name: str = "agent") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path(name).read_text())
        return found

    def edit(self, **changes: Any) -> None:
        self.path().write_text(json.dumps({**self.read(), **changes}, indent=2))

    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.kiro / "settings" / "cli.json").read_text())
        return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_default_agent_is_the_documented_one(home: Home) -> None:
    assert home.configure(report_tasks=False) == {
        "name": "agent",
        "description": "This is an default agent config",
        "prompt": SYSTEM,
        "mcpServers": {},
        "tools": ["read", "write", "shell", "aws", "@coder", "knowledge"],
        "toolAliases": {},
        "allowedTools": ["read", "@coder"],
        "resources": ["file://KiroQ.md", "file://README.md", "file://.kiro/steering/**/*.md"],
        "hooks": {},
        "toolsSettings": {},
        "useLegacyMcpJson": True,
    }
    assert stat.S_IMODE(home.path().stat().st_mode) == 0o600
    assert home.settings() == {"chat.defaultAgent": "agent"}


def test_reporting_brings_the_coder_server_and_its_instructions(home: Home) -> None:
    made = home.configure(app_slug="kiro-cli")
    assert made["mcpServers"] == {
        "coder": {
            "command": "coder",
            "args": ["exp", "mcp", "server"],
            "env": {
                "CODER_MCP_APP_STATUS_SLUG": "kiro-cli",
                "CODER_MCP_ALLOWED_TOOLS": "coder_report_task",
                "CODER_MCP_INSTRUCTIONS": INSTRUCTIONS,
                "CODER_AGENT_URL": "https://coder.example",
            },
        }
    }
    assert made["prompt"] == f"{SYSTEM}\n{INSTRUCTIONS}"
    kept = [path.read_text() for path in home.places.home.rglob("*") if path.is_file()]
    assert not any("the-agent-token" in text for text in kept)


def test_own_agent_keeps_its_name_and_prompt_and_gets_the_reporting_tool(home: Home) -> None:
    given = {"name": "devops", "prompt": "Mine.", "tools": ["read"], "mcpServers": {"own": {"command": "x"}}}
    made = home.configure(agent_config=json.dumps(given), kiro_cli_version="1.14.0")
    assert made["prompt"] == "Mine." and made["tools"] == ["read", "@coder"] and made["allowedTools"] == ["@coder"]
    assert set(made["mcpServers"]) == {"coder", "own"}
    assert home.settings() == {"chat.defaultAgent": "devops", "app.disableAutoupdates": True}


def test_v3_is_given_rules_for_what_the_default_agent_allows(home: Home) -> None:
    """The two rules are `allowedTools` in v3's words; other engines never see them, and they go with the engine."""
    made = home.configure(engine="v3")
    assert made["allowedTools"] == ["read", "@coder"] and made["prompt"] == f"{SYSTEM}\n{INSTRUCTIONS}"
    assert made["permissions"] == {
        "rules": [
            {"capability": "fs_read", "effect": "allow"},
            {"capability": "mcp", "match": ["coder/*"], "effect": "allow"},
        ]
    }
    for engine in ("auto", "v1", "v2"):
        assert "permissions" not in home.configure(engine=engine)


DENIED = {"capability": "shell", "match": ["rm *"], "effect": "deny"}
REPORTS = {"capability": "mcp", "match": ["coder/*"], "effect": "allow"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"rules": [DENIED], "other": 1}, {"rules": [DENIED, REPORTS], "other": 1}),
        ([DENIED, REPORTS], [DENIED, REPORTS]),
        ("nonsense", "nonsense"),
    ],
)
def test_own_agent_with_rules_may_report_on_v3(home: Home, given: Any, expected: Any) -> None:
    own = {"name": "devops", "permissions": given}
    assert home.configure(agent_config=json.dumps(own), engine="v3")["permissions"] == expected
    assert home.configure(agent_config=json.dumps(own), engine="v3", report_tasks=False)["permissions"] == given


def test_own_agent_without_rules_is_left_to_kiros_upgrade(home: Home) -> None:
    """With rules of ours in it Kiro would not turn the user's denials into rules."""
    own = {"name": "devops", "toolsSettings": {"shell": {"deniedCommands": ["rm .*"]}}}
    assert "permissions" not in home.configure(agent_config=json.dumps(own), engine="v3")


def test_what_kiros_upgrade_wrote_stays(home: Home) -> None:
    """Kiro rewrites the file for v3 in place: rules come in, and tools may get other names."""
    home.configure()
    upgraded = {"permissions": {"rules": [DENIED]}, "tools": ["read", "write", "shell", "@coder", "knowledge", "x"]}
    home.edit(**upgraded)
    home.configure()
    assert {name: home.read()[name] for name in upgraded} == upgraded


def test_own_agent_is_written_as_it_is_without_reporting(home: Home) -> None:
    given = {"name": "devops", "tools": ["*"], "includeMcpJson": True}
    made = home.configure(agent_config=json.dumps(given), report_tasks=False)
    assert made == {**given, "mcpServers": {}}


@pytest.mark.parametrize("wrapped", [True, False])
def test_extra_servers_and_their_tools_are_added(home: Home, wrapped: bool) -> None:
    servers = {"github": {"command": "gh-mcp", "env": {"A": "b"}}, "web": {"url": "https://mcp.example"}}
    made = home.configure(mcp=json.dumps({"mcpServers": servers} if wrapped else servers), report_tasks=False)
    assert made["mcpServers"] == servers
    assert {"@github", "@web"} <= set(made["tools"]) and "@github" not in made["allowedTools"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("agent_config", "{"),
        ("agent_config", "[]"),
        ("agent_config", "{}"),
        ("agent_config", '{"name": "../evil"}'),
        ("agent_config", '{"name": "a", "tools": "read"}'),
        ("agent_config", '{"name": "a", "mcpServers": []}'),
        ("agent_config", '{"name": "a", "useLegacyMcpJson": true, "includeMcpJson": true}'),
        ("mcp", "nonsense"),
        ("mcp", '{"github": "gh"}'),
        ("mcp", '{"coder": {"command": "x"}}'),
        ("mcp", '{"a/b": {"command": "x"}}'),
    ],
)
def test_unusable_configuration_is_refused_and_nothing_written(home: Home, name: str, text: str) -> None:
    with pytest.raises(ProvisionError) as refused:
        home.configure(**{name: text})
    assert refused.value.problem.code == "bad_agent_config" and name in str(refused.value)
    assert not home.kiro.exists()


def test_what_is_unchanged_is_not_touched(home: Home) -> None:
    home.configure()
    before = {path: path.stat().st_mtime_ns for path in home.places.home.rglob("*")}
    home.configure()
    assert {path: path.stat().st_mtime_ns for path in home.places.home.rglob("*")} == before


def test_edits_of_the_user_stay_and_the_rest_follows_the_template(home: Home) -> None:
    home.configure()
    servers = home.read()["mcpServers"]
    home.edit(
        description="mine", tools=[*home.read()["tools"], "@own"], model="opus",
        mcpServers={**servers, "own": {"command": "own"}},
    )  # fmt: skip
    made = home.configure(system_prompt="Another.\n", mcp='{"github": {"command": "gh"}}')
    assert made["description"] == "mine" and made["model"] == "opus"
    assert made["prompt"].startswith("Another.")
    assert set(made["mcpServers"]) == {"coder", "own", "github"}
    assert {"@own", "@github"} <= set(made["tools"])
    made = home.configure()
    assert set(made["mcpServers"]) == {"coder", "own"} and "@github" not in made["tools"] and "@own" in made["tools"]


def test_server_that_the_user_changed_or_removed_is_left_so(home: Home) -> None:
    servers = '{"one": {"command": "a"}, "two": {"command": "b"}}'
    home.configure(mcp=servers)
    edited = home.read()["mcpServers"]
    edited["one"]["disabled"] = True
    del edited["two"]
    home.edit(mcpServers=edited)
    made = home.configure(mcp=servers.replace('"a"', '"c"'))
    assert made["mcpServers"]["one"] == {"command": "c", "disabled": True} and "two" not in made["mcpServers"]


def test_agent_from_before_the_module_is_kept_aside(home: Home) -> None:
    home.path().parent.mkdir(parents=True)
    old = '{\n    "name": "agent",\n    "prompt": "old",\n    "mcpServers": {"mine": {"command": "m"}}\n}\n'
    home.path().write_text(old)
    home.path().chmod(0o640)
    made = home.configure()
    assert made["prompt"].startswith(SYSTEM) and set(made["mcpServers"]) == {"mine", "coder"}
    assert home.path().with_name("agent.json.before-module").read_text() == old
    assert home.path().read_text().startswith('{\n    "name"')
    assert stat.S_IMODE(home.path().stat().st_mode) == 0o640


def test_both_names_of_one_field_never_meet(home: Home) -> None:
    home.path().parent.mkdir(parents=True)
    home.path().write_text('{"name": "agent", "includeMcpJson": false}')
    made = home.configure()
    assert made["includeMcpJson"] is False and "useLegacyMcpJson" not in made


def test_file_that_is_no_json_is_kept_and_written_anew(home: Home) -> None:
    home.configure()
    home.path().write_text("// broken by hand")
    made = home.configure()
    assert made["name"] == "agent"
    assert home.path().with_name("agent.json.invalid").read_text() == "// broken by hand"


def test_default_agent_that_the_user_chose_stays(home: Home) -> None:
    home.configure()
    (home.kiro / "settings" / "cli.json").write_text('{"chat.defaultAgent": "own", "telemetry.enabled": false}')
    home.configure()
    assert home.settings() == {"chat.defaultAgent": "own", "telemetry.enabled": False}


def test_auto_update_is_on_again_when_no_version_is_pinned(home: Home) -> None:
    home.configure(kiro_cli_version="2.0.0")
    assert home.settings()["app.disableAutoupdates"] is True
    home.configure(kiro_cli_version="latest")
    assert "app.disableAutoupdates" not in home.settings()


def test_file_behind_a_link_is_written_where_it_is(home: Home) -> None:
    elsewhere = home.places.home / "dotfiles.json"
    elsewhere.write_text("{}")
    home.path().parent.mkdir(parents=True)
    home.path().symlink_to(elsewhere)
    home.configure()
    assert home.path().is_symlink() and json.loads(elsewhere.read_text())["name"] == "agent"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a": 1}', '{"a": 1, "b": 2}'),
        ('{\n\t"a": "\\u00e4"\n}\n', '{\n\t"a": "\\u00e4",\n\t"b": 2\n}\n'),
        ('\ufeff{\n  "a": "ä"\n}', '{\n  "a": "ä",\n  "b": 2\n}'),
        ("", '{\n  "b": 2\n}\n'),
    ],
)
def test_layout_of_a_file_is_kept(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(before)
    keep(path, {"b": 2}, tmp_path / "memory")
    assert path.read_text() == after


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProvisionError) as refused:
        keep(tmp_path / "file" / "agent.json", {"b": 2}, tmp_path / "memory")
    assert refused.value.problem.code == "not_writable"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
_OBJECTS = st.dictionaries(st.sampled_from("abc"), _JSON, max_size=3)


@given(_OBJECTS, _OBJECTS)
def test_merge_without_edits_is_what_is_wanted(before: Any, wanted: Any) -> None:
    assert json.dumps(merge(before, before, wanted), sort_keys=True) == json.dumps(wanted, sort_keys=True)


@given(_OBJECTS, _OBJECTS)
def test_merge_without_news_is_what_stands_there(before: Any, now: Any) -> None:
    assert merge(before, now, before) == now


@given(_OBJECTS, _OBJECTS, _OBJECTS)
def test_merge_again_changes_nothing(before: Any, now: Any, wanted: Any) -> None:
    merged = merge(before, now, wanted)
    assert merge(wanted, merged, wanted) == merged


def test_what_nobody_knows_of_is_wanted() -> None:
    assert merge(ABSENT, {"a": 1, "k": 0}, {"a": 2}) == {"a": 2, "k": 0}


@pytest.mark.parametrize(
    "found",
    [{}, {"workdir": "relative"}, {"workdir": "/", "port": "3284"}, {"workdir": "/", "port": True},
     {"workdir": "/", "allowed_hosts": "x"}, {"workdir": "/", "resume": "yes"}],
)  # fmt: skip
def test_bad_input_is_refused(found: dict[str, Any]) -> None:
    with pytest.raises(ProvisionError) as refused:
        inputs_from(found)
    assert refused.value.problem.code == "bad_config"


def test_inputs_are_read_with_their_defaults() -> None:
    assert inputs_from({"workdir": "/a/", "model": None, "other": 1}) == Inputs(workdir="/a")
