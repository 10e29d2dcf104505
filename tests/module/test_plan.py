"""What Terraform plans with the real provider, for good inputs and bad ones."""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.module.terraforming import Plan, Terraform, copy_module


def _incompressible(size: int) -> str:
    """The same text of `size` bytes' hexadecimal digits in every process, so that all collect the same tests."""
    return random.Random(size).randbytes(size).hex()


NEEDED = {"agent_id": "agent", "workdir": "/home/coder"}
LIMIT = 131_071
MCP = json.dumps(
    {"mcpServers": {"docs": {"command": "docs", "args": ["--stdio"]}, "web": {"url": "https://x.example"}}}
)
AGENT = json.dumps({"name": "my-agent", "description": "Mine", "tools": ["read"]})


def planned(module: Terraform, **inputs: Any) -> Plan:
    """Return the plan for the needed inputs and these."""
    answer = module.plan({**NEEDED, **inputs})
    assert answer.code == 0, answer.text
    return module.planned()


def parameters(plan: Plan) -> dict[str, Any]:
    """Return what the start script hands to the bootstrap."""
    found = re.search(r'main\("([A-Za-z0-9+/=]+)"\)', plan.resources["coder_script.start"]["script"])
    assert found
    loaded: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return loaded


def test_defaults_are_those_of_the_readme(module: Terraform) -> None:
    """Nothing but the two needed inputs gives a web app, a status slug, and the start and stop scripts."""
    plan = planned(module)
    app = plan.resources["coder_app.web[0]"]
    assert (app["slug"], app["display_name"], app["url"]) == ("kiro-cli", "Kiro CLI", "http://localhost:3284/")
    assert (app["subdomain"], app["share"], app["icon"]) == (True, "owner", "/icon/kiro.svg")
    assert app["healthcheck"] == [{"url": "http://localhost:3284/status", "interval": 5, "threshold": 30}]
    slug = plan.resources["coder_env.status_slug[0]"]
    assert (slug["name"], slug["value"]) == ("CODER_MCP_APP_STATUS_SLUG", "kiro-cli")
    start, stop = plan.resources["coder_script.start"], plan.resources["coder_script.stop"]
    assert (start["run_on_start"], start["run_on_stop"], start["start_blocks_login"]) == (True, False, False)
    assert (stop["run_on_start"], stop["run_on_stop"], stop["timeout"]) == (False, True, 60)
    assert not [name for name in plan.resources if re.match("coder_(ai_task|env.auth|env.kiro|app.cli)", name)]
    assert {**plan.outputs, "task_app_id": None} == {
        "agent_name": "agent",
        "cli_app_slug": None,
        "port": 3284,
        "task_app_id": None,
        "web_app_slug": "kiro-cli",
    }


def test_config_holds_the_inputs_under_their_names(module: Terraform) -> None:
    """The bridge is told every input of it, as it was given, and nothing of the login."""
    given = {
        "agent_config": AGENT,
        "ai_prompt": "Prüfe das\nund \"das\" $HOME ${x} `y` 'z' 🦆",
        "allowed_origins": ["https://a.example"],
        "auth_tarball": "c2VjcmV0LXRhcmJhbGw=",
        "coder_mcp_instructions": "Report.\nAlways.\n",
        "engine": "v2",
        "install_kiro_cli": False,
        "kiro_api_key": "kk-very-secret",
        "kiro_cli_sha256": "AB" * 32,
        "kiro_cli_version": "1.24.0",
        "kiro_install_url": "https://mirror.example/kiro/",
        "mcp": MCP,
        "model": "claude-sonnet-4.5",
        "module_directory": "$HOME/.own",
        "port": 4000,
        "post_install_script": "#!/bin/sh\necho after\n",
        "pre_install_script": "#!/bin/sh\necho before\n",
        "resume": False,
        "system_prompt": "One\n\nTwo\n",
        "task_log_snapshot": False,
        "transport": "headless",
        "trust_all_tools": True,
        "workdir": "/home/coder/",
    }
    plan = planned(module, **given)
    expected = {
        **{name: value for name, value in given.items() if name not in ("auth_tarball", "kiro_api_key")},
        "allowed_hosts": ["*"],
        "app_slug": "kiro-cli",
        "auth_tarball_path": "",
        "chat_base_path": "./chat",
        "install_agentapi": True,
        "kiro_cli_sha256": "ab" * 32,
        "kiro_install_url": "https://mirror.example/kiro",
        "report_tasks": True,
        "task_id": "",
        "workdir": "/home/coder",
    }
    assert parameters(plan)["config"] == expected
    everything = json.dumps(plan.scripts()) + json.dumps(parameters(plan))
    assert "kk-very-secret" not in everything and "c2VjcmV0" not in everything
    assert "echo before" not in json.dumps(plan.scripts()), "the users' scripts stand in clear"
    assert plan.resources["coder_env.kiro_api_key[0]"]["value"] == "kk-very-secret"
    assert plan.resources["coder_env.auth_tarball[0]"]["value"] == "c2VjcmV0LXRhcmJhbGw="


def test_prompts_are_the_users_word_for_word(module: Terraform) -> None:
    """The default prompts keep their line breaks, with one at their end."""
    config = parameters(planned(module))["config"]
    assert config["system_prompt"].splitlines()[1:] == [
        "and solve issues the user gives you and test your work, whenever possible.",
        "Avoid shortcuts like mocking tests. When you get stuck, you can ask the user",
        "but opt for autonomy.",
    ]
    assert config["system_prompt"].startswith("You are a helpful Coding assistant. Aim to autonomously investigate\n")
    assert config["system_prompt"].endswith("autonomy.\n")
    instructions = config["coder_mcp_instructions"]
    assert instructions.startswith("YOU MUST REPORT ALL TASKS TO CODER.\nWhen reporting tasks you MUST follow")
    assert instructions.endswith("- Be less than 160 characters in length\n") and instructions.count("\n") == 14


@pytest.mark.parametrize("size", [130_999, 131_000, 131_001, 393_001])
def test_long_login_is_split(module: Terraform, size: int) -> None:
    """Every part fits into one environment string, and together they are the login."""
    login = secrets.token_hex(size // 2 + 1)[:size]
    plan = planned(module, auth_tarball=login)
    parts = [plan.resources[name] for name in plan.resources if name.startswith("coder_env.auth_tarball")]
    parts.sort(key=lambda part: (len(part["name"]), part["name"]))
    assert [part["name"] for part in parts] == [
        f"KIRO_CLI_AUTH_TARBALL{f'_{number}' if number > 1 else ''}" for number in range(1, -(-size // 131_000) + 1)
    ]
    assert "".join(part["value"] for part in parts) == login
    assert max(len(f"{part['name']}={part['value']}") for part in parts) <= LIMIT


def test_login_of_several_lines_is_passed_on_unchanged(module: Terraform) -> None:
    """What the user's own example makes, a heredoc with its line break, is for the workspace to judge."""
    login = "base64encoded-tarball\n"
    assert planned(module, auth_tarball=login).resources["coder_env.auth_tarball[0]"]["value"] == login


def test_every_script_fits_into_one_argument(module: Terraform, capsys: pytest.CaptureFixture[str]) -> None:
    """The limit of Linux holds for all of them, with room for the bridge to grow within its parts."""
    sizes = {name: len(text.encode()) for name, text in planned(module).scripts().items()}
    with capsys.disabled():
        print("\nrendered scripts in bytes: " + ", ".join(f"{name} {size:,}" for name, size in sorted(sizes.items())))
    assert max(sizes.values()) <= LIMIT
    assert all(text.isascii() for text in planned(module).scripts().values()), "Terraform's length() counts bytes then"


def test_changed_inputs_leave_the_payload_alone(module: Terraform) -> None:
    """The same sources make the same parts, whatever the inputs are, so that a workspace unpacks them once."""
    first, second = planned(module), planned(module, ai_prompt="Other", port=4001)
    parts = {name: text for name, text in first.scripts().items() if "part" in name}
    assert len(parts) == parameters(first)["parts"] > 0
    assert parts == {name: text for name, text in second.scripts().items() if "part" in name}
    assert parameters(first)["digest"] == parameters(second)["digest"]


GOOD: list[tuple[dict[str, Any], dict[str, dict[str, Any] | None]]] = [
    ({"workdir": "/"}, {}),
    ({"workdir": "/home/coder/a b's"}, {}),
    ({"web_app": False}, {"coder_app.web[0]": None, "coder_env.status_slug[0]": None}),
    (
        {"web_app": False, "cli_app": True},
        {"coder_env.status_slug[0]": {"value": "kiro-cli-cli"}, "coder_app.cli[0]": {"slug": "kiro-cli-cli"}},
    ),
    ({"report_tasks": False}, {"coder_env.status_slug[0]": None}),
    ({"auth_tarball": ""}, {"coder_env.auth_tarball[0]": None}),
    ({"auth_tarball": None, "ai_prompt": None, "system_prompt": None, "agent_config": None}, {}),
    ({"auth_tarball_path": "~/.kiro-login"}, {}),
    ({"auth_tarball_path": "https://vault.internal.example/kiro/login"}, {}),
    ({"agentapi_chat_based_path": True}, {"coder_app.web[0]": {"subdomain": False}}),
    ({"agentapi_chat_based_path": True, "subdomain": False}, {"coder_app.web[0]": {"subdomain": False}}),
    ({"subdomain": False}, {"coder_app.web[0]": {"subdomain": False}}),
    ({"subdomain": True}, {"coder_app.web[0]": {"subdomain": True}}),
    (
        {"order": 3, "group": "AI", "icon": "/i.svg", "cli_app": True, "cli_app_display_name": "Terminal"},
        {
            "coder_app.web[0]": {"order": 3, "group": "AI", "icon": "/i.svg"},
            "coder_app.cli[0]": {"order": 3, "group": "AI", "icon": "/i.svg", "display_name": "Terminal"},
        },
    ),
    (
        {"cli_app": True, "cli_app_order": 0, "cli_app_group": "X", "cli_app_icon": "/c.svg", "order": 5},
        {"coder_app.cli[0]": {"order": 0, "group": "X", "icon": "/c.svg"}, "coder_app.web[0]": {"order": 5}},
    ),
    (
        {"cli_app": True, "port": 4001},
        {
            "coder_app.cli[0]": {
                "command": '"$HOME/.coder-modules/coder/kiro-cli/bin/kiro-bridge" attach --url http://127.0.0.1:4001'
            },
            "coder_app.web[0]": {"url": "http://localhost:4001/"},
        },
    ),
    (
        {"cli_app": True, "module_directory": "~/.own/kiro"},
        {"coder_app.cli[0]": {"command": '"$HOME/.own/kiro/bin/kiro-bridge" attach --url http://127.0.0.1:3284'}},
    ),
    ({"transport": "auto"}, {}),
    ({"transport": "acp"}, {}),
    ({"share": "authenticated"}, {"coder_app.web[0]": {"share": "authenticated"}}),
    ({"install_agentapi": False}, {"coder_script.part[0]": None, "coder_script.start": {"run_on_start": True}}),
    ({"agentapi_version": "v0.5.0"}, {}),
    ({"agentapi_version": "v0.12.1"}, {}),
    ({"agentapi_version": "0.6.3"}, {}),
    ({"agentapi_version": "latest"}, {}),
    ({"kiro_cli_version": "1.14.0"}, {}),
    ({"kiro_cli_version": "2.15.0", "kiro_cli_sha256": "0" * 64}, {}),
    ({"kiro_install_url": "http://10.0.0.1:8080"}, {}),
    ({"pip_index_url": "https://pypi.internal.example/simple/"}, {}),
    ({"bridge_wheels_url": "https://artifacts.internal.example/wheels.zip"}, {}),
    ({"bridge_wheels_url": "file:///opt/wheels"}, {}),
    ({"agent_config": ""}, {}),
    ({"agent_config": AGENT}, {}),
    ({"mcp": MCP}, {}),
    ({"mcp": '{"mcpServers": {}}'}, {}),
    ({"allowed_origins": ["*", "http://localhost:8080"]}, {}),
    ({"bridge_python": "/opt/python/bin/python3.12"}, {}),
    ({"kiro_api_key": "abc!#%~"}, {"coder_env.kiro_api_key[0]": {"name": "KIRO_API_KEY"}}),
    ({"system_prompt": _incompressible(60_000)}, {}),
]


@pytest.fixture(scope="session")
def cases(module: Terraform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the module as `module`, but a bridge of one small file, so that many of it are planned soon.

    It asks for `module`, which skips where there is no provider.
    """
    folder = tmp_path_factory.mktemp("cases")
    bridge = copy_module(folder / "module") / "bridge"
    shutil.rmtree(bridge)
    bridge.mkdir()
    (bridge / "small.txt").touch()
    return folder


@pytest.fixture(scope="session")
def good(cases: Path) -> Plan:
    """Return one plan of all good inputs."""
    template = Terraform(cases / "good")
    template.write_cases("../module", [{**NEEDED, **inputs} for inputs, _ in GOOD])
    assert template.init().code == 0
    answer = template.run("plan", out="plan", input=False)
    assert answer.code == 0, answer.text
    return template.planned()


@pytest.mark.parametrize("number", range(len(GOOD)), ids=lambda number: f"{number}-{'-'.join(GOOD[number][0])[:60]}")
def test_good_inputs(good: Plan, number: int) -> None:
    """Each plan holds the resources with these values; None stands for a resource that must not be there."""
    resources = good.of_case(number)
    assert "coder_script.start" in resources
    for address, values in GOOD[number][1].items():
        if values is None:
            assert address not in resources
        else:
            assert {name: resources[address][name] for name in values} == values


BAD: list[tuple[dict[str, Any], str]] = [
    ({"agent_id": ""}, "agent_id is empty: set it to the id"),
    ({"workdir": ""}, "workdir must be an absolute path"),
    ({"workdir": "~/project"}, "Write the home directory out"),
    ({"workdir": "/a\nb"}, "workdir must be an absolute path"),
    ({"auth_tarball": "a" * 524_001}, "pack-login"),
    ({"auth_tarball": "YQ==", "auth_tarball_path": "/login"}, "keep the one that holds the login"),
    ({"auth_tarball_path": "login.txt"}, "must be a path of the workspace that begins with / or ~/"),
    ({"auth_tarball_path": "https://vault.internal.example/login?token=x"}, "without user name, password or query"),
    ({"auth_tarball_path": "http://vault.internal.example/login"}, "or an https address"),
    ({"kiro_api_key": "abc\n"}, "use trimspace()"),
    ({"kiro_api_key": "a$b"}, "a dollar sign"),
    ({"kiro_api_key": "a" * 10_000}, "belongs in auth_tarball"),
    ({"agent_config": "{name: x}"}, "agent_config is no JSON object"),
    ({"agent_config": "[1]"}, "agent_config is no JSON object"),
    ({"agent_config": '{"description": "x"}'}, 'agent_config needs a "name"'),
    ({"agent_config": '{"name": "../../etc/x"}'}, 'agent_config needs a "name"'),
    ({"agent_config": '{"name": "a b"}'}, "~/.kiro/agents/<name>.json"),
    ({"mcp": "nonsense"}, 'mcp is no JSON object with "mcpServers"'),
    ({"mcp": '{"docs": {"command": "x"}}'}, 'mcp is no JSON object with "mcpServers"'),
    ({"mcp": '{"mcpServers": {"a b": {"command": "x"}}}'}, "Each server of mcp needs a name"),
    ({"mcp": '{"mcpServers": {"a": {"args": []}}}'}, 'a "command" or a "url"'),
    ({"model": "a b"}, "model must be a name"),
    ({"engine": "v4"}, "engine must be auto, v1, v2 or v3"),
    ({"transport": "terminal"}, "transport must be auto, acp or headless"),
    ({"web_app_display_name": "x" * 65}, "longer than the 64 characters"),
    ({"cli_app_display_name": "x" * 65}, "longer than the 64 characters"),
    ({"group": "x" * 65}, "longer than the 64 characters"),
    ({"cli_app_group": "x" * 65}, "longer than the 64 characters"),
    ({"share": "everybody"}, "owner is the safe one"),
    ({"subdomain": True, "agentapi_chat_based_path": True}, "leave one of them out"),
    ({"port": 80}, "port must be a whole number from 1024"),
    ({"port": 3284.5}, "port must be a whole number"),
    ({"port": 70_000}, "port must be a whole number"),
    ({"allowed_origins": ["https://a.example/path"]}, "a scheme and a host without a path"),
    ({"kiro_cli_version": "v1.14.0"}, "without a v"),
    ({"kiro_cli_version": "1.14"}, "a whole version"),
    ({"kiro_cli_version": "../x"}, "a whole version"),
    ({"kiro_install_url": "ftp://x.example"}, "kiro_install_url must be the part of the address before"),
    ({"kiro_install_url": "https://user:secret@x.example"}, "without user name, password or query"),
    ({"kiro_install_url": ""}, "kiro_install_url must be"),
    ({"kiro_cli_sha256": "abc", "kiro_cli_version": "1.24.0"}, "sha256sum"),
    ({"kiro_cli_sha256": "a" * 64}, "set kiro_cli_version to that version"),
    ({"agentapi_version": "v0.4.9"}, "from v0.5.0"),
    ({"agentapi_version": "v1.0.0"}, "from v0.5.0"),
    ({"agentapi_version": "newest"}, "from v0.5.0"),
    ({"pip_index_url": "https://user:token@pypi.example/simple"}, "~/.netrc"),
    ({"pip_index_url": "pypi.example"}, "pip_index_url must be an http or https address"),
    ({"bridge_wheels_url": "/opt/wheels"}, "file:///opt/kiro-bridge/wheels"),
    ({"bridge_wheels_url": "file:///w", "pip_index_url": "https://p.example"}, "keep the one that the workspace"),
    ({"bridge_python": "python3 -I"}, "without blanks and arguments"),
    ({"module_directory": "kiro"}, "module_directory must begin with"),
    ({"module_directory": "$HOME/../x"}, "module_directory must begin with"),
    ({"module_directory": '/a"; rm -rf /; "'}, "module_directory must begin with"),
    ({"module_directory": "/home/coder/"}, "no slash at its end"),
]


@pytest.fixture(scope="session")
def refusals(cases: Path) -> list[str]:
    """Return what one plan of all bad inputs, and of good ones, has against each."""
    template = Terraform(cases / "bad")
    template.write_cases("../module", [{**NEEDED, **inputs} for inputs, _ in [*BAD, ({}, "")]])
    assert template.init().code == 0
    return template.refusals()


@pytest.mark.parametrize("number", range(len(BAD)), ids=lambda number: f"{number}-{str(BAD[number])[1:60]}")
def test_bad_inputs(refusals: list[str], number: int) -> None:
    """A wrong input is refused with what to do about it, and the good one beside it is not."""
    assert BAD[number][1] in refusals[number]
    assert refusals[-1] == ""


def test_refusal_ends_the_plan_and_shows_no_login(module: Terraform, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody sees who runs the plan by hand."""
    monkeypatch.setenv("TF_VAR_auth_tarball", "c2VjcmV0LWxvZ2lu")
    answer = module.plan({**NEEDED, "auth_tarball_path": "/login"})
    assert answer.code == 1 and "keep the one that holds the login" in answer.text
    assert "c2VjcmV0" not in answer.text


def test_inputs_too_long_for_one_script(module: Terraform) -> None:
    """The size and what to do about it are told before anything is built."""
    answer = module.plan({**NEEDED, "ai_prompt": _incompressible(100_000)})
    assert answer.code == 1 and "Shorten system_prompt, ai_prompt" in answer.text
    assert "and a script may have 131071" in answer.text


@pytest.mark.parametrize(("size", "fits"), [(1_500_000, True), (6_500_000, False)])
def test_bridge_may_grow(own_environment: None, module: Terraform, tmp_path: Path, size: int, fits: bool) -> None:
    """A larger bridge travels in more parts, until all of them are more than Coder hands to a workspace."""
    grown = Terraform(copy_module(tmp_path / "grown"))
    (grown.folder / "bridge" / "grown.txt").write_text(_incompressible(size // 2))
    assert grown.init().code == 0
    answer = grown.plan(NEEDED)
    if not fits:
        assert answer.code == 1 and "set install_agentapi = false" in answer.text
        return
    assert answer.code == 0, answer.text
    scripts = grown.planned().scripts()
    assert len(scripts) > 10 and max(map(len, scripts.values())) <= LIMIT


def test_unknown_agent_and_sensitive_inputs_can_be_planned(module_copy: object, module: Terraform) -> None:
    """A real template knows the agent's id only when it is applied, and may mark any input as sensitive."""
    folder = module.folder / "examples" / "wrapped"
    folder.mkdir(exist_ok=True)
    (folder / "main.tf").write_text(
        """
        terraform {
          required_providers {
            coder = { source = "coder/coder" }
          }
        }
        resource "coder_agent" "main" {
          arch = "amd64"
          os   = "linux"
        }
        resource "terraform_data" "later" {}
        module "kiro-cli" {
          source             = "../.."
          agent_id           = coder_agent.main.id
          workdir            = "/home/coder"
          ai_prompt          = terraform_data.later.id
          agent_config       = sensitive(jsonencode({ name = "hidden" }))
          mcp                = sensitive(jsonencode({ mcpServers = {} }))
          pre_install_script = sensitive("echo hidden")
        }
        output "task_app_id" {
          value = module.kiro-cli.task_app_id
        }
        """
    )
    terraform = Terraform(folder)
    assert terraform.init().code == 0
    answer = terraform.plan({})
    assert answer.code == 0, answer.text
