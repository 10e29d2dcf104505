"""Settings: every kind of value, every origin, the order of origins, and the texts of refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import SettingsError
from bridge.settings import SETTINGS, Setting, Settings, load, unknown_variables
from bridge.settings.kinds import Address, Choice, FilePath, Folders, Hosts, Line, Prose, Seconds, Tools, Whole, YesNo
from bridge.settings.reference import effective

BY_NAME = {setting.name: setting for setting in SETTINGS}


def loaded(
    flags: Mapping[str, Sequence[str]] | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Settings:
    """Load settings in an otherwise empty environment with the home `/home/someone`."""
    return load(flags or {}, {"HOME": "/home/someone", **(env or {})}, cwd or Path("/"))


def refused(
    flags: Mapping[str, Sequence[str]] | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Return the text with which these settings are refused."""
    with pytest.raises(SettingsError) as error:
        loaded(flags, env, cwd)
    return str(error.value)


def config(folder: Path, text: str) -> dict[str, list[str]]:
    """Write a settings file and return the flag that names it."""
    (folder / "bridge.yaml").write_text(text, encoding="utf-8")
    return {"config": [str(folder / "bridge.yaml")]}


def test_defaults_are_those_of_the_contract() -> None:
    """facts/agentapi-contract.md 8 C2."""
    settings = loaded()
    assert (settings.type, settings.port, settings.print_openapi) == ("", 3284, False)
    assert (settings.chat_base_path, settings.term_width, settings.term_height) == ("/chat", 80, 1000)
    assert settings.allowed_hosts == ("localhost", "127.0.0.1", "::1")
    assert settings.allowed_origins == tuple(f"http://localhost:{port}" for port in (3284, 3000, 3001))
    assert (settings.state_file, settings.load_state, settings.save_state) == (None, False, False)
    assert settings.pid_file is None
    assert set(settings.origins.values()) == {"default"}
    assert set(settings.origins) == set(BY_NAME)


def test_defaults_of_ours_are_safe() -> None:
    settings = loaded()
    assert (settings.host, settings.trust_all_tools, settings.trust_tools) == ("127.0.0.1", False, None)
    assert (settings.agent, settings.model, settings.effort) == (None, None, None)
    assert (settings.engine, settings.transport) == ("auto", "auto")


GOOD: list[tuple[str, str, Any]] = [
    *[("trust_all_tools", word, True) for word in ("true", "TRUE", "1", "t", "yes", "On", " true ")],
    *[("trust_all_tools", word, False) for word in ("false", "False", "0", "f", "no", "off")],
    ("port", "0", 0),
    ("port", "65535", 65535),
    ("port", " 80 ", 80),
    ("term_width", "10", 10),
    ("heartbeat", "1", 1.0),
    ("heartbeat", "2.5", 2.5),
    ("engine", "v2", "v2"),
    ("transport", "headless", "headless"),
    ("effort", "xhigh", "xhigh"),
    ("type", "cursor-agent", "cursor-agent"),
    ("model", "claude-sonnet-4.5", "claude-sonnet-4.5"),
    ("agent", " coder ", "coder"),
    ("initial_prompt", "-two\nlines ", "-two\nlines "),
    ("host", "0.0.0.0", "0.0.0.0"),
    ("host", "::", "::"),
    ("host", "[::1]", "::1"),
    ("host", "my-host.example", "my-host.example"),
    ("chat_base_path", "/@user/ws/apps/x", "/@user/ws/apps/x"),
    ("pid_file", "/run/x.pid", Path("/run/x.pid")),
    ("pid_file", "run/../x.pid", Path("/x.pid")),
    ("kiro_cli_path", "~/bin/kiro-cli", Path("/home/someone/bin/kiro-cli")),
    ("state_dir", "~", Path("/home/someone")),
    ("allowed_hosts", "*", ("*",)),
    ("allowed_hosts", "[2001:db8::1]", ("2001:db8::1",)),
    ("allowed_hosts", "App.Example.com", ("App.Example.com",)),
    ("allowed_origins", "*", ("*",)),
    ("allowed_origins", "https://*.example.com", ("https://*.example.com",)),
    ("allowed_origins", "http://[::1]:80/a/b?c=d#e", ("http://[::1]:80",)),
    ("allowed_origins", "https://example.com/", ("https://example.com",)),
    ("trust_tools", "read,write", ("read", "write")),
    ("trust_tools", "@coder/report,read,read,", ("@coder/report", "read")),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_good_value_means_the_same_from_flag_and_environment(name: str, text: str, value: Any) -> None:
    variable = f"KIRO_BRIDGE_{name.upper()}"
    by_flag, by_variable = loaded({name: [text]}), loaded(env={variable: text})
    assert getattr(by_flag, name) == getattr(by_variable, name) == value
    assert by_flag.origins[name] == f"flag --{name.replace('_', '-')}"
    assert by_variable.origins[name] == f"environment variable {variable}"


BAD: list[tuple[str, str, str]] = [
    ("trust_all_tools", "maybe", "it must be true or false"),
    ("port", "65536", "a whole number from 0 to 65535"),
    ("port", "-1", "a whole number from 0 to 65535"),
    ("port", "80.0", "a whole number from 0 to 65535"),
    ("port", "http", "a whole number from 0 to 65535"),
    ("port", "9" * 5000, "a whole number from 0 to 65535"),
    ("port", "\u0663", "a whole number from 0 to 65535"),
    ("term_width", "9", "term width must be at least 10"),
    ("term_height", "9", "term height must be at least 10"),
    ("term_height", "65536", "a whole number from 10 to 65535"),
    ("heartbeat", "0", "a number of seconds from 1 to 30"),
    ("heartbeat", "nan", "a number of seconds from 1 to 30"),
    ("heartbeat", "1e9", "a number of seconds from 1 to 30"),
    ("engine", "v4", "it must be one of: auto, v1, v2, v3"),
    ("effort", "most", "it must be one of: low, medium, high, xhigh, max"),
    ("transport", "pipe", "it must be one of: auto, acp, headless"),
    ("type", "bogus", "invalid agent type: bogus"),
    ("log_level", "INFO", "it must be one of: debug, info, warning, error"),
    ("model", "--trust-all-tools", "it must not begin with '-'"),
    ("agent", "two\nlines", "one line of text without control characters"),
    ("chat_base_path", "/x\r\nSet-Cookie: a", "one line of text without control characters"),
    ("host", "http://localhost", "an IP address or a host name, without scheme and port"),
    ("host", "localhost:80", "an IP address or a host name, without scheme and port"),
    ("workdir", "/does/not/exist", "a directory that exists; create it or name another"),
    ("workdir", "/dev/null", "a directory, and this is something else"),
    ("pid_file", "/a\0b", "a path holds no NUL character"),
    ("config", "/does/not/exist.yaml", "the file cannot be read (No such file or directory)"),
]


@pytest.mark.parametrize(("name", "text", "reason"), BAD)
def test_bad_value_names_setting_value_reason_and_origin(name: str, text: str, reason: str) -> None:
    variable = f"KIRO_BRIDGE_{name.upper()}"
    flag = f"--{name.replace('_', '-')}"
    for told, origin in (
        (refused({name: [text]}), f"flag {flag}"),
        (refused(env={variable: text}), f"environment variable {variable}"),
    ):
        assert told.startswith(f"setting {name} cannot be {text!r} (from {origin}): ")
        assert reason in told


HOST_FAULTS = [
    (["a b"], "'a b' contains whitespace characters, which are not allowed"),
    ([" a"], "' a' contains whitespace characters, which are not allowed"),
    (['"a,b"'], "'a,b' contains comma characters, which are not allowed"),
    (["http://x"], "'http://x' must not include http:// or https://"),
    (["https://x"], "'https://x' must not include http:// or https://"),
    (["x:80"], "'x:80' must not include a port"),
    (["[::1]:443"], "'[::1]:443' must not include a port"),
    (["2001:db8::1"], "'2001:db8::1' must not include a port"),
    (["x/y"], "'x/y' is not a host name"),
    (["a,,b"], "'' is not a host name"),
    ([""], "the list must not be empty"),
]
ORIGIN_FAULTS = [
    (["http://a b"], "'http://a b' contains whitespace characters, which are not allowed"),
    (['"http://a,b"'], "'http://a,b' contains comma characters, which are not allowed"),
    ([""], "the list must not be empty"),
    (["example.com"], "'example.com' is not an origin such as https://coder.example.com"),
    (["http://x:port"], "'http://x:port' is not an origin"),
    (["http://me@x"], "'http://me@x' is not an origin"),
    (["http://[::1"], "'http://[::1' is not an origin"),
]


@pytest.mark.parametrize(("texts", "reason"), HOST_FAULTS)
def test_host_fault_has_the_text_of_the_contract(texts: list[str], reason: str) -> None:
    """facts/agentapi-contract.md 5.3 and 8 H8."""
    assert f"failed to parse allowed hosts: {reason}" in refused({"allowed_hosts": texts})


@pytest.mark.parametrize(("texts", "reason"), ORIGIN_FAULTS)
def test_origin_fault_has_the_text_of_the_contract(texts: list[str], reason: str) -> None:
    """facts/agentapi-contract.md 5.3 and 8 H11."""
    assert f"failed to parse allowed origins: {reason}" in refused({"allowed_origins": texts})


@pytest.mark.parametrize("name", ["allowed_hosts", "allowed_origins"])
def test_star_makes_the_rest_of_a_list_unimportant(name: str) -> None:
    """facts/agentapi-contract.md 8 H7, H11."""
    assert getattr(loaded({name: ["x:80, y ,*", "http://"]}), name) == ("*",)


def test_lists_are_split_by_commas_in_flags_and_by_white_space_in_the_environment() -> None:
    """facts/agentapi-contract.md 8 C4."""
    assert loaded({"allowed_hosts": ["a,b", "[::1]\n"]}).allowed_hosts == ("a", "b", "::1")
    assert loaded(env={"AGENTAPI_ALLOWED_HOSTS": " a\tb  [::1]\n"}).allowed_hosts == ("a", "b", "::1")
    assert "'a,b' contains comma" in refused(env={"AGENTAPI_ALLOWED_HOSTS": "a,b"})
    assert loaded({"allowed_hosts": ["c"]}, {"AGENTAPI_ALLOWED_HOSTS": "a b"}).allowed_hosts == ("c",)
    assert "is no comma-separated list" in refused({"allowed_hosts": ['"a']})


def test_empty_list_of_tools_trusts_none_and_no_list_leaves_it_to_kiro() -> None:
    assert loaded({"trust_tools": [""]}).trust_tools == ()
    assert loaded(env={"KIRO_BRIDGE_TRUST_TOOLS": ""}).trust_tools is None


def test_strongest_origin_wins(tmp_path: Path) -> None:
    flags = config(tmp_path, "model: from-file\n")
    env = {"KIRO_DEFAULT_MODEL": "from-kiro"}
    assert loaded(flags).model == "from-file"
    assert loaded(flags, env).model == "from-kiro"
    assert loaded(flags, {**env, "KIRO_BRIDGE_MODEL": "from-bridge"}).model == "from-bridge"
    assert loaded({**flags, "model": ["from-flag"]}, {**env, "KIRO_BRIDGE_MODEL": "from-bridge"}).model == "from-flag"


def test_our_variable_wins_over_that_of_agentapi() -> None:
    settings = loaded(env={"AGENTAPI_PORT": "1", "KIRO_BRIDGE_PORT": "2"})
    assert (settings.port, settings.origins["port"]) == (2, "environment variable KIRO_BRIDGE_PORT")


def test_empty_variable_counts_as_not_set() -> None:
    assert loaded(env={"KIRO_BRIDGE_PORT": "", "AGENTAPI_PORT": "7"}).port == 7


def test_last_of_repeated_flags_counts() -> None:
    assert loaded({"port": ["1", "2"]}).port == 2


AGENTAPI_FLAGS = {
    *("type", "port", "print_openapi", "chat_base_path", "term_width", "term_height", "allowed_hosts"),
    *("allowed_origins", "initial_prompt", "state_file", "load_state", "save_state", "pid_file", "experimental_acp"),
    "exit",
}
SHORT_FLAGS = dict(zip("tpPcWHaoIs", (
    *("type", "port", "print_openapi", "chat_base_path", "term_width", "term_height", "allowed_hosts"),
    *("allowed_origins", "initial_prompt", "state_file"),
), strict=True))


def test_agentapi_flags_keep_their_names_and_variables() -> None:
    """facts/agentapi-contract.md 5.2."""
    assert {setting.name for setting in SETTINGS if setting.agentapi} == AGENTAPI_FLAGS
    assert {setting.short: setting.name for setting in SETTINGS if setting.short} == SHORT_FLAGS
    assert BY_NAME["load_state"].variables == ("KIRO_BRIDGE_LOAD_STATE", "AGENTAPI_LOAD_STATE")


@pytest.mark.parametrize(
    ("variable", "name"),
    [("KIRO_DEFAULT_MODEL", "model"), ("KIRO_AGENT", "agent"), ("KIRO_CLI_PATH", "kiro_cli_path")],
)
def test_variables_of_kiro_are_honoured(variable: str, name: str) -> None:
    settings = loaded(env={variable: "/x"})
    assert str(getattr(settings, name)) == "/x"
    assert settings.origins[name] == f"environment variable {variable}"


def test_state_file_turns_reading_and_writing_on_unless_told_otherwise() -> None:
    """facts/agentapi-contract.md 8 C5."""
    settings = loaded({"state_file": ["/s.json"], "save_state": ["false"]})
    assert (settings.load_state, settings.save_state) == (True, False)
    assert loaded({"load_state": ["false"]}).load_state is False


EXCLUDED: list[tuple[dict[str, list[str]], str]] = [
    ({"load_state": ["true"]}, "--load-state requires --state-file to be set"),
    ({"save_state": ["true"]}, "--save-state requires --state-file to be set"),
    ({"experimental_acp": ["true"], "state_file": ["/s"]}, "ACP mode doesn't support state persistence"),
    (
        {"experimental_acp": ["true"], "print_openapi": ["true"]},
        "flags --print-openapi and --experimental-acp are mutually exclusive",
    ),
]


@pytest.mark.parametrize(("flags", "reason"), EXCLUDED)
def test_settings_that_exclude_each_other(flags: dict[str, list[str]], reason: str) -> None:
    """facts/agentapi-contract.md 5.3."""
    told = refused(flags)
    assert reason in told
    assert f"(from flag --{next(iter(flags)).replace('_', '-')})" in told


def test_workdir_is_the_real_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert loaded({"workdir": ["link"]}, cwd=tmp_path).workdir == (tmp_path / "real").resolve()
    assert loaded(cwd=tmp_path / "link").workdir == (tmp_path / "real").resolve()


def test_state_is_kept_where_the_system_says() -> None:
    assert loaded().ledger == Path("/home/someone/.local/state/kiro-bridge/ledger.sqlite3")
    assert loaded(env={"XDG_STATE_HOME": "/x"}).state_dir == Path("/x/kiro-bridge")
    assert loaded(env={"XDG_STATE_HOME": "relative"}).state_dir == Path("/home/someone/.local/state/kiro-bridge")
    assert loaded({"state_dir": ["/y"]}).ledger == Path("/y/ledger.sqlite3")
    assert load({}, {"HOME": ""}, Path("/")).state_dir.is_absolute()


def test_file_gives_values_of_every_type_with_their_lines(tmp_path: Path) -> None:
    text = (
        "# of ours\ntrust_all_tools: yes\nport: 8080\nheartbeat: 2.5\nmodel: some-model\n"
        "allowed_hosts: [a, '[::1]']\npid_file: run.pid\nagent: null\n"
    )
    settings = loaded(config(tmp_path, text), cwd=tmp_path)
    assert (settings.trust_all_tools, settings.port, settings.heartbeat) == (True, 8080, 2.5)
    assert (settings.model, settings.allowed_hosts) == ("some-model", ("a", "::1"))
    assert settings.pid_file == tmp_path / "run.pid"
    assert settings.origins["port"] == f"file {tmp_path / 'bridge.yaml'}, line 3"
    assert settings.origins["agent"] == "default"


def test_file_can_be_named_by_the_environment(tmp_path: Path) -> None:
    config(tmp_path, "port: 1\n")
    assert loaded(env={"KIRO_BRIDGE_CONFIG": "bridge.yaml"}, cwd=tmp_path).port == 1


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_empty_file_is_fine(tmp_path: Path, text: str) -> None:
    assert loaded(config(tmp_path, text)).port == 3284


FILE_FAULTS = [
    ("prot: 1\n", "line 1: there is no setting 'prot'; did you mean 'port'?"),
    ("port: 1\ntrust-all-tools: true\n", "line 2: there is no setting 'trust-all-tools'; did you mean 'trust_all_"),
    ("zzz: 1\n", "line 1: there is no setting 'zzz'; there are: trust_all_tools, "),
    ("exit: true\n", "line 1: there is no setting 'exit'"),
    ("port: 1\nport: 2\n", "line 2: port stands in line 1 already"),
    ("- port\n", "the file must hold one mapping, a line `name: value` for each setting"),
    ("port: [1\n", "line 2: the file is not YAML"),
    ("port: 1\n---\nport: 2\n", "line 2: the file is not YAML"),
    ("port: !!python/object:os.system x\n", "the file is not YAML"),
    ("model: \a\n", "the file is not YAML"),
    ("port: " + "[" * 5000, "the file is nested too deeply"),
    ("port: 1\nmodel: 2026-13-45\n", "line 2: the value cannot be read (month must be in 1..12); put it in quotes"),
    ("model: !!timestamp x\n", "line 1: the value cannot be read"),
    ("heartbeat: !!float x\n", "line 1: the value cannot be read"),
    ("port: !!int ''\n", "line 1: the value cannot be read"),
    (f"port: {'9' * 6000}\n", "line 1: the value cannot be read"),
    (f"allowed_hosts: [0x{'f' * 6000}]\n", "line 1: the value cannot be read"),
]


@pytest.mark.parametrize(("text", "reason"), FILE_FAULTS)
def test_faulty_file_is_refused_as_a_whole(tmp_path: Path, text: str, reason: str) -> None:
    flags = config(tmp_path, text)
    told = refused(flags)
    assert told.startswith(f"setting config cannot be '{tmp_path / 'bridge.yaml'}' (from flag --config): ")
    assert reason in told


FILE_TYPE_FAULTS = [
    ("port: true\n", "port", "a whole number"),
    ("heartbeat: true\n", "heartbeat", "a number of seconds"),
    ("trust_all_tools: 2\n", "trust_all_tools", "true or false"),
    ("model: 4.5\n", "model", "it must be text; put it in quotes"),
    ("allowed_hosts: a\n", "allowed_hosts", "it must be a list of texts"),
    ("trust_tools: [1]\n", "trust_tools", "it must be a list of texts"),
    ("workdir: ''\n", "workdir", "it must name a directory"),
    ('workdir: "\\ud800"\n', "workdir", "a character that no path can hold"),
    ('initial_prompt: "\\ud800"\n', "initial_prompt", "it must be UTF-8 text"),
    ("ledger: ''\n", "ledger", "it must name a path"),
]


@pytest.mark.parametrize(("text", "name", "reason"), FILE_TYPE_FAULTS)
def test_wrong_type_in_the_file_names_the_line(tmp_path: Path, text: str, name: str, reason: str) -> None:
    told = refused(config(tmp_path, text))
    assert told.startswith(f"setting {name} cannot be ")
    assert f"(from file {tmp_path / 'bridge.yaml'}, line 1): " in told
    assert reason in told


@pytest.mark.parametrize("name", ["state_dir", "ledger"])
def test_path_that_is_needed_cannot_be_empty(name: str) -> None:
    assert "it must name a path" in refused({name: [""]})


def test_raw_bytes_in_the_environment_are_no_text() -> None:
    """Python hands on what is not UTF-8 as half characters, which neither the ledger nor HTTP can hold."""
    assert "it must be UTF-8 text" in refused(env={"AGENTAPI_INITIAL_PROMPT": "\udcff"})
    assert loaded(env={"KIRO_BRIDGE_LEDGER": "/\udcff"}).ledger == Path("/\udcff")


def test_tag_does_not_hide_a_name(tmp_path: Path) -> None:
    assert loaded(config(tmp_path, "!!binary port: 4000\n")).port == 4000


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bridge.yaml").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text" in refused({"config": [str(tmp_path / "bridge.yaml")]})
    assert "cannot be read (Is a directory)" in refused({"config": [str(tmp_path)]})


def test_unknown_variables_of_ours_are_found() -> None:
    env = {"KIRO_BRIDGE_PROT": "1", "KIRO_BRIDGE_PORT": "1", "KIRO_HOME": "x"}
    assert unknown_variables(env) == ["KIRO_BRIDGE_PROT"]


def test_initial_prompt_can_be_added_with_its_origin() -> None:
    settings = loaded().with_initial_prompt("hello", "standard input")
    assert (settings.initial_prompt, settings.origins["initial_prompt"]) == ("hello", "standard input")
    assert settings.origins["port"] == "default"


TEXTS: dict[type, st.SearchStrategy[str]] = {
    YesNo: st.sampled_from(["true", "no"]),
    Seconds: st.integers(1, 30).map(str),
    Line: st.from_regex(r"\A[a-z/][a-z./ #'\"-]{0,20}\Z"),
    Prose: st.text(st.characters(blacklist_categories=["Cs"])),
    Address: st.ip_addresses().map(str),
    FilePath: st.from_regex(r"\A/[a-z #:'\"]{1,20}\Z"),
    Folders: st.lists(st.from_regex(r"\A/[a-z #:'\"]{1,20}\Z"), max_size=3).map(",".join),
    Tools: st.lists(st.from_regex(r"\A@?[a-z/_]{1,8}\Z"), max_size=3).map(",".join),
    Hosts: st.lists(st.from_regex(r"\A[a-z.]{1,8}\Z") | st.just("[::1]"), min_size=1, max_size=3).map(",".join),
}


def texts_for(setting: Setting) -> st.SearchStrategy[str] | None:
    """Return texts that are good values of a setting, None for one that is left out here."""
    if isinstance(setting.kind, Choice):
        return st.sampled_from(setting.kind.words)
    if isinstance(setting.kind, Whole):
        return st.integers(max(10, setting.kind.least), min(200, setting.kind.most)).map(str)
    left_out = {"experimental_acp", "load_state", "save_state"}
    return TEXTS.get(type(setting.kind)) if setting.in_file and setting.name not in left_out else None


FLAGS = st.fixed_dictionaries(
    {}, optional={s.name: texts.map(lambda text: [text]) for s in SETTINGS if (texts := texts_for(s)) is not None}
)


@hypothesis.settings(max_examples=40)
@given(FLAGS)
def test_what_is_printed_as_effective_loads_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, flags: dict[str, list[str]]
) -> None:
    first = loaded(flags)
    folder = tmp_path_factory.getbasetemp()
    second = loaded(config(folder, effective(first)))
    assert [getattr(second, s.name) for s in SETTINGS if s.in_file] == [
        getattr(first, s.name) for s in SETTINGS if s.in_file
    ]
