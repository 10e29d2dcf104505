"""From the plan to the chat: what the real provider planned, run for real with the real bridge and the stand-in."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.module.terraforming import Plan, Terraform
from tests.module.workspace import Scripts, Workspace
from tests.provision.conftest import SECRET, Mirror, free_port, kiro_zip, make_database, tar_of, tokens, zstd

KEY = "kk-this-key-is-nobodys-business"
PROMPT = "Say 'hello' in $HOME`pwd`\nand count to three."


@contextmanager
def mirrored() -> Iterator[Mirror]:
    """Serve a kiro-cli while the body runs."""
    mirror = Mirror()
    mirror.put("2.28.0", kiro_zip())
    try:
        yield mirror
    finally:
        mirror.close()


def scripts_of(plan: Plan) -> Scripts:
    """Return the planned scripts, the parts in their order."""
    texts = plan.scripts()
    parts = [text for name, text in sorted(texts.items()) if ".part[" in name]
    return Scripts(texts["coder_script.start"], parts, texts["coder_script.stop"])


def variables_of(plan: Plan) -> dict[str, str]:
    """Return the environment that the plan gives the workspace."""
    return {values["name"]: values["value"] for name, values in plan.resources.items() if "coder_env" in name}


def get(port: int, path: str) -> Any:
    """Return the JSON at a path of the bridge."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
        return json.load(reply)


def prompts(port: int) -> list[str]:
    """Return what users have said in the conversation."""
    return [message["content"] for message in get(port, "/messages")["messages"] if message["role"] == "user"]


def test_from_plan_to_chat(
    module: Terraform, wheelhouse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """First start, warm restart without any server, and stop; login and key are nowhere else."""
    home = tmp_path / "home"
    work = home / "a project's"
    work.mkdir(parents=True)
    port = free_port()
    database = make_database(tmp_path / "elsewhere" / "data.sqlite3").read_bytes()
    login = base64.b64encode(zstd(tar_of(("./data.sqlite3", database), ("./more", os.urandom(150_000))))).decode()
    with mirrored() as mirror:
        inputs = {
            "agent_id": "agent",
            "ai_prompt": PROMPT,
            "bridge_python": sys.executable,
            "bridge_wheels_url": f"file://{wheelhouse}",
            "auth_tarball": login,
            "kiro_api_key": KEY,
            "kiro_cli_version": "2.28.0",
            "kiro_install_url": mirror.url,
            "port": port,
            "report_tasks": False,
            "trust_all_tools": True,
            "workdir": f"{work}/",
        }
        began = time.monotonic()
        answer = module.plan(inputs)
        planning = time.monotonic() - began
        assert answer.code == 0, answer.text
        plan = module.planned()
        scripts = scripts_of(plan)
        path = os.pathsep.join((str(Path(sys.executable).parent), "/usr/bin", "/bin"))
        assert "KIRO_CLI_AUTH_TARBALL_2" in variables_of(plan)
        stand_in = {"KIRO_STANDIN_VERSION": "2.28", "KIRO_STANDIN_TOKEN_DELAY": "0", "PATH": path}
        workspace = Workspace(home, {**variables_of(plan), **stand_in})
        said = []
        try:
            began = time.monotonic()
            said.append(workspace.start(scripts))
            first = time.monotonic() - began
            assert said[-1].code == 0, said[-1]
            assert get(port, "/status")["status"] in ("running", "stable")
            assert prompts(port) == [PROMPT]
            said.append(workspace.start(scripts))
            assert said[-1].code == 0 and "nothing to do" in said[-1].out, said[-1]
            said.append(workspace.run(scripts.stop))
            assert said[-1].code == 0, said[-1]
            mirror.close()
            began = time.monotonic()
            said.append(workspace.start(scripts))
            warm = time.monotonic() - began
            assert said[-1].code == 0, said[-1]
            assert prompts(port) == [PROMPT], "the prompt of the task was sent again, or its conversation is lost"
        finally:
            said.append(workspace.run(scripts.stop))
    with capsys.disabled():
        print(f"\nplan {planning:.1f} s, first start to ready {first:.1f} s, warm restart {warm:.1f} s")
    assert not (workspace.directory / "kiro-bridge.pid").exists()
    assert SECRET in tokens(home / ".local/share/kiro-cli/data.sqlite3")
    texts = {path: path.read_bytes() for path in workspace.directory.rglob("*") if path.is_file()}
    texts[Path("said")] = "".join(result.out + result.errors for result in said).encode()
    texts[Path("rendered")] = "".join((scripts.start, scripts.stop, *scripts.parts)).encode()
    for place, content in texts.items():
        for secret in (KEY, SECRET, login[:200], login[-200:]):
            assert secret.encode() not in content, f"a secret stands in {place}"
