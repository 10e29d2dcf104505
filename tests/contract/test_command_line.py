"""Section 5: the command line; C1 to C5, H8, H11, and the exit codes of 4.4 that belong to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .servers import Server, Workshop, wait_until

HOSTS, ORIGINS = "failed to parse allowed hosts", "failed to parse allowed origins"
EMPTY = "the list must not be empty"
TYPES = {
    **{name: name for name in ("claude", "goose", "aider", "codex", "gemini", "copilot", "amp", "auggie")},
    **{"opencode": "opencode", "custom": "custom", "cursor": "cursor", "cursor-agent": "cursor"},
    **{"q": "amazonq", "amazonq": "amazonq"},
}
#: name -> (flags, environment, texts that stderr holds)
ERRORS: dict[str, tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]] = {
    "C1-type": (("--type", "bogus"), {}, ("invalid agent type: bogus",)),
    "C1-type-env": ((), {"AGENTAPI_TYPE": "bogus"}, ("invalid agent type: bogus",)),
    "width": (("--term-width", "9"), {}, ("term width must be at least 10",)),
    "height": (("--term-height", "9"), {}, ("term height must be at least 10",)),
    "load-state": (("--load-state",), {}, ("--load-state requires --state-file to be set",)),
    "save-state": (("--save-state",), {}, ("--save-state requires --state-file to be set",)),
    "H8-empty": (("--allowed-hosts", ""), {}, (HOSTS, EMPTY)),
    "H8-space": (
        ("--allowed-hosts", "a b"),
        {},
        (HOSTS, "'a b' contains whitespace characters, which are not allowed"),
    ),
    "H8-leading": (("--allowed-hosts", "x, a"), {}, (HOSTS, "' a' contains whitespace characters")),
    "H8-comma": (
        (),
        {"AGENTAPI_ALLOWED_HOSTS": "a,b"},
        (HOSTS, "'a,b' contains comma characters, which are not allowed"),
    ),
    "H8-http": (("--allowed-hosts", "http://x"), {}, (HOSTS, "'http://x' must not include http:// or https://")),
    "H8-https": (("--allowed-hosts", "https://x"), {}, (HOSTS, "'https://x' must not include http:// or https://")),
    "H8-port": (("--allowed-hosts", "x:80"), {}, (HOSTS, "'x:80' must not include a port")),
    "H8-v6": (("--allowed-hosts", "2001:db8::1"), {}, (HOSTS, "'2001:db8::1' must not include a port")),
    "H8-v6-port": (("--allowed-hosts", "[2001:db8::1]:443"), {}, (HOSTS, "must not include a port")),
    "H11-empty": (("--allowed-origins", ""), {}, (ORIGINS, EMPTY)),
    "H11-space": (("--allowed-origins", "http://a b"), {}, (ORIGINS, "contains whitespace characters")),
    "H11-comma": ((), {"AGENTAPI_ALLOWED_ORIGINS": "http://a,http://b"}, (ORIGINS, "contains comma characters")),
}
FLAGS = (
    *("type", "port", "print-openapi", "chat-base-path", "term-width", "term-height", "allowed-hosts"),
    *("allowed-origins", "initial-prompt", "state-file", "load-state", "save-state", "pid-file", "experimental-acp"),
)
USAGE = {
    "unknown-flag": ("--no-such-flag",),
    "flag-without-value": ("--port",),
}


def test_5_1_version(workshop: Workshop) -> None:
    """One line on stdout whose last word is a version not older than 0.12.0, which Coder's modules ask for."""
    done = workshop.run_command(workshop.target.version_command())
    assert (done.code, done.stdout.count("\n")) == (0, 1)
    found = re.fullmatch(r"\S.* version (\d+)\.(\d+)\.(\d+)\n", done.stdout)
    assert found, done.stdout
    assert tuple(map(int, found.groups())) >= (0, 12, 0)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_5_2_help(workshop: Workshop, flag: str) -> None:
    """Help lists every flag and exits 0."""
    done = workshop.run(flag)
    assert done.code == 0
    assert [name for name in FLAGS if f"--{name}" not in done.stdout] == []


@pytest.mark.parametrize("name", ERRORS, ids=[f"5.3-{name}" for name in ERRORS])
def test_5_3_errors(workshop: Workshop, name: str) -> None:
    """A configuration that cannot be: exit code 1, the reason on stderr."""
    flags, environment, texts = ERRORS[name]
    done = workshop.run(*flags, "--port", "0", env=environment)
    assert done.code == 1, done
    assert [text for text in texts if text not in done.stderr] == [], done.stderr


@pytest.mark.parametrize("name", USAGE, ids=[f"4.4-{name}" for name in USAGE])
def test_4_4_usage(workshop: Workshop, server: Server, name: str) -> None:
    """A command line that is wrong: told on stderr."""
    done = workshop.run(*USAGE[name])
    assert done.code == server.pick("usage-exit", agentapi=1, bridge=2)
    assert USAGE[name][0] in done.stderr or "port" in done.stderr


@pytest.mark.parametrize("value", ["abc", "70000"], ids=["word", "too-large"])
def test_4_4_bad_port(workshop: Workshop, value: str) -> None:
    """A port that is none: an exit code that is not 0, and the value on stderr."""
    done = workshop.run("--port", value)
    assert done.code in (1, 2)
    assert value in done.stderr


def test_4_4_unknown_command(workshop: Workshop, server: Server) -> None:
    """A command that does not exist."""
    done = workshop.run_command([*workshop.target.version_command()[:-1], "no-such-command"])
    assert done.code == server.pick("usage-exit", agentapi=1, bridge=2)
    assert "no-such-command" in done.stderr


def test_5_3_acp(workshop: Workshop, tmp_path: Path) -> None:
    """`--experimental-acp` goes neither with the document nor with a state file."""
    document = workshop.run("--experimental-acp", "--print-openapi")
    state = workshop.run("--experimental-acp", "--state-file", str(tmp_path / "state.json"), "--port", "0")
    assert (document.code, state.code) == (1, 1)
    assert "flags --print-openapi and --experimental-acp are mutually exclusive" in document.stderr
    assert "ACP mode doesn't support state persistence" in state.stderr


def test_5_2_exit(workshop: Workshop) -> None:
    """`--exit` ends at once with 0, also from the environment; empty variables count as unset."""
    assert workshop.run("--exit").code == 0
    assert workshop.run(env={"AGENTAPI_EXIT": "true"}).code == 0
    assert workshop.run("--exit", env={"AGENTAPI_PORT": "", "AGENTAPI_TYPE": ""}).code == 0


@pytest.mark.parametrize("environment", [False, True], ids=["flag", "environment"])
def test_h1_print_openapi(workshop: Workshop, server: Server, environment: bool) -> None:
    """`--print-openapi`: the document of /openapi-3.0.json, two spaces, keys sorted; no agent is started."""
    flags, env = ((), {"AGENTAPI_PRINT_OPENAPI": "true"}) if environment else (("--print-openapi",), {})
    done = workshop.run(*flags, env=env, agent="/no/such/program")
    assert done.code == 0
    printed = json.loads(done.stdout)
    assert printed["openapi"] == "3.0.3"
    assert list(printed) == sorted(printed)
    assert done.stdout.startswith('{\n  "')
    served = server.get("/openapi-3.0.json").json()
    assert unordered(printed) == unordered(served)


def unordered(node: object) -> object:
    """A document whose lists of words (enum, required, oneOf) are compared as sets."""
    if isinstance(node, dict):
        return {key: unordered(value) for key, value in node.items()}
    return sorted(map(repr, map(unordered, node))) if isinstance(node, list) else node


@pytest.mark.parametrize("name", TYPES, ids=[f"5.2-C1-{name}" for name in TYPES])
def test_5_2_types(type_servers: dict[str, Server], name: str) -> None:
    """`--type`: each is accepted; AgentAPI reports it under its canonical name."""
    server = type_servers[name]
    reported = server.pick("agent-type", agentapi=TYPES[name], bridge="custom")
    assert server.get("/status").json()["agent_type"] == reported


@pytest.fixture(scope="module")
def type_servers(session_workshop: Workshop) -> Iterator[dict[str, Server]]:
    """One server per type, started together."""
    started = {name: session_workshop.launch("--type", name, wait=False) for name in TYPES}
    for name, server in started.items():
        wait_until(server.listens, f"answer of --type {name}")
    yield started
    for server in started.values():
        server.process.popen.terminate()
    for server in started.values():
        server.process.stop()


def test_5_2_environment(workshop: Workshop) -> None:
    """Port, hosts, origins and base path from the environment; lists are split on spaces and tabs (C3, C4)."""
    server = workshop.launch(
        port_in_environment=True,
        env={
            "AGENTAPI_ALLOWED_HOSTS": "alpha.example\tBeta.example   [2001:db8::1]",
            "AGENTAPI_ALLOWED_ORIGINS": "https://one.example https://two.example",
            "AGENTAPI_CHAT_BASE_PATH": "/env",
            "AGENTAPI_TERM_WIDTH": "100",
            "AGENTAPI_TERM_HEIGHT": "200",
        },
    )
    for host in ("alpha.example", "beta.example:1", "[2001:db8::1]"):
        assert server.call("GET", "/status", host=host).status == 200
    assert server.call("GET", "/status", host="localhost").status == 400
    for origin in ("https://one.example", "https://two.example"):
        reply = server.call("GET", "/", host="alpha.example", headers=[("Origin", origin)])
        assert reply.header("Access-Control-Allow-Origin") == origin
        assert reply.header("Location") == "/env/embed"


def test_5_2_flags_override_environment(workshop: Workshop) -> None:
    """A flag replaces its variable entirely; lists by comma, by repetition, with a trailing line feed (C3, C4)."""
    server = workshop.launch(
        *("--allowed-hosts", "one.example,[2001:db8::2]", "-a", "two.example\n"),
        *("-o", "https://one.example", "--allowed-origins=https://two.example", "-c", "/flag"),
        env={
            "AGENTAPI_ALLOWED_HOSTS": "alpha.example",
            "AGENTAPI_ALLOWED_ORIGINS": "https://alpha.example",
            "AGENTAPI_CHAT_BASE_PATH": "/env",
            "AGENTAPI_PORT": "1",
        },
    )
    for host in ("one.example", "two.example", "[2001:db8::2]:5"):
        assert server.call("GET", "/status", host=host).status == 200
    assert server.call("GET", "/status", host="alpha.example").status == 400
    for origin, allowed in {
        "https://one.example": True,
        "https://two.example": True,
        "https://alpha.example": False,
    }.items():
        reply = server.call("GET", "/", host="one.example", headers=[("Origin", origin)])
        assert (reply.header("Access-Control-Allow-Origin") == origin) == allowed
        assert reply.header("Location") == "/flag/embed"


def test_5_2_mixed(workshop: Workshop) -> None:
    """One setting by flag, another by environment (C3)."""
    server = workshop.launch("--chat-base-path", "/flag", env={"AGENTAPI_ALLOWED_HOSTS": "*"})
    reply = server.call("GET", "/", host="any.example")
    assert (reply.status, reply.header("Location")) == (307, "/flag/embed")


@pytest.mark.parametrize(
    ("name", "value"), [("AGENTAPI_PORT", "abc"), ("AGENTAPI_EXIT", "maybe")], ids=["5.3-port", "5.3-boolean"]
)
def test_5_3_bad_environment(workshop: Workshop, server: Server, name: str, value: str) -> None:
    """An environment that cannot be read: the bridge says which variable, AgentAPI goes on with 0 or false."""
    if server.pick("bad-environment", agentapi=False, bridge=True):
        done = (
            workshop.run("--port", "0", env={name: value})
            if name != "AGENTAPI_PORT"
            else workshop.run(env={name: value})
        )
        assert done.code == 1
        assert name in done.stderr and value in done.stderr
    else:
        ignored = workshop.launch(env={name: value})
        assert ignored.get("/status").status == 200


def test_5_2_agent_command(workshop: Workshop, server: Server) -> None:
    """AgentAPI needs the agent's command line, the bridge none; it takes one and does not run it."""
    whole = workshop.target.command(["--exit"])
    bare = whole[: whole.index("--")] if "--" in whole else whole
    assert workshop.run_command(bare).code == server.pick("agent-command", agentapi=1, bridge=0)
    words = [*bare, "--", "kiro-cli", "chat", "--flag"]
    assert workshop.run_command(words).code == 0
