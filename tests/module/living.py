"""A workspace in which the rendered scripts start the real bridge, with a Coder, a mirror of kiro-cli and the stand-in.

Invariant: the bridge and its private environment were brought once by the scripts and are linked into each workspace,
as a restart would find them; all else happens anew.
"""

from __future__ import annotations

import base64
import compileall
import json
import os
import shutil
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bridge.provision.inputs import Places
from bridge.provision.running import running_bridge
from tests.coder.coderd import Coderd, Task
from tests.coder.conftest import CoderCommand
from tests.module.terraforming import ROOT
from tests.module.workspace import Result, Scripts, Workspace, render
from tests.provision.conftest import WAIT, Mirror, free_port, make_database, tar_of, until, zstd

VERSION = "2.28.0"
PATH = os.pathsep.join((str(Path(sys.executable).parent), "/usr/bin", "/bin"))
STAND_IN = {"KIRO_STANDIN_VERSION": "2.28", "KIRO_STANDIN_TOKEN_DELAY": "0", "KIRO_BRIDGE_STOP_GRACE": "1"}


def download_wheels(folder: Path) -> bool:
    """Put the wheels of the lock file into the folder; return whether there was a package index to have them from."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    result = subprocess.run(
        [*pip, "-r", str(ROOT / "requirements.lock"), "-d", str(folder)],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    return result.returncode == 0


def bring_bridge(module: Path, wheels: Path, home: Path) -> Path:
    """Have the scripts bring the bridge and its private environment; return the folder that holds both.

    There is no kiro-cli and no folder to work in, so the start ends before there is anything else.
    """
    config = {"module_directory": "", "install_kiro_cli": False, "workdir": "/dev/null/none"}
    workspace = Workspace(home, {"PATH": PATH})
    scripts = render(module, config, bridge_wheels_url=f"file://{wheels}", python=sys.executable)
    result = workspace.start(scripts)
    assert "/dev/null/none" in result.errors, result
    for source in workspace.directory.glob("bridge/*/src"):
        assert compileall.compile_dir(source, quiet=2)
    return workspace.directory


class Living(Workspace):
    """The workspace. `config` is what the module hands to the bridge; `scripts` are rendered from it when first run."""

    def __init__(self, folder: Path, module: Path, brought: Path, mirror: Mirror) -> None:
        super().__init__(folder / "home", {"PATH": PATH, **STAND_IN})
        self.home.mkdir()
        self.work = self.home / "a project's"
        self.mirror = mirror
        self.module = module
        self.said: list[Result] = []
        self.rendered: list[Scripts] = []
        self.disk: list[str] = []
        self._made_of: tuple[Path, str] | None = None
        self.config: dict[str, Any] = {
            "ai_prompt": "",
            "allowed_hosts": ["*"],
            "app_slug": "kiro-cli",
            "chat_base_path": "./chat",
            "coder_mcp_instructions": "REPORT, always.\n",
            "install_kiro_cli": True,
            "kiro_cli_version": VERSION,
            "kiro_install_url": mirror.url,
            "module_directory": "",
            "port": free_port(),
            "report_tasks": False,
            "system_prompt": "Be helpful.\nAnd brief.\n",
            "task_id": "",
            "task_log_snapshot": True,
            "trust_all_tools": True,
            "workdir": str(self.work),
        }
        self.directory.mkdir(mode=0o700, parents=True)
        for name in ("bridge", "env"):
            shutil.copytree(brought / name, self.directory / name, copy_function=os.link, symlinks=True)

    @property
    def places(self) -> Places:
        return Places(self.home, self.directory)

    @property
    def pid(self) -> int | None:
        """Return the process id of the bridge that runs."""
        return running_bridge(self.places)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.config['port']}"

    @property
    def database(self) -> Path:
        return self.home / ".local/share/kiro-cli/data.sqlite3"

    def scripts(self) -> Scripts:
        """Return the scripts for the present inputs, rendered unless they are the last ones."""
        made_of = (self.module, json.dumps(self.config))
        if made_of != self._made_of:
            self.rendered.append(render(self.module, self.config, python=sys.executable))
            self._made_of = made_of
        return self.rendered[-1]

    def begin(self, **env: str) -> Result:
        """Run the parts and the start script, as a start of the workspace does."""
        self.env.update(env)
        scripts = self.scripts()
        self.said.append(self.together(*scripts.parts, scripts.start) if self.disk else self.start(scripts))
        return self.said[-1]

    def together(self, *scripts: str) -> Result:
        """Run scripts one after the other on the small disk `disk`, whatever becomes of them; the last one counts."""
        one_by_one = 'for script; do /bin/sh -c "$script"; code=$?; done; exit $code'
        result = subprocess.run(
            [*self.disk, "sh", "-c", one_by_one, "sh", *scripts], cwd=self.home, env=self.environment(), text=True,
            capture_output=True, timeout=WAIT, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return Result(result.returncode, result.stdout, result.stderr)

    def started(self, **env: str) -> str:
        """Start, which must succeed; return what the script said."""
        result = self.begin(**env)
        assert result.code == 0, result.out + result.errors
        return result.out

    def failed(self, *words: str, **env: str) -> str:
        """Start, which must fail and say all these words; return what it said."""
        result = self.begin(**env)
        assert result.code == 1, result
        assert "Traceback" not in result.errors + result.out
        assert any(line.startswith("error: ") for line in result.errors.splitlines()), result
        for word in words:
            assert word in result.errors, f"{word!r} is not in {result.errors}"
        return result.out + result.errors

    def stopped(self) -> str:
        """Run the stop script, which must succeed and leave no bridge; return what it said."""
        self.said.append(self.run(self.scripts().stop))
        assert self.said[-1].code == 0 and self.pid is None, self.said[-1]
        return self.said[-1].out

    def get(self, path: str) -> Any:
        """Return the JSON at a path of the bridge."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=WAIT) as reply:
            return json.load(reply)

    def messages(self) -> list[dict[str, Any]]:
        """Return the conversation, once no turn runs."""
        until(lambda: self.get("/status")["status"] == "stable", "the turn ends")
        found: list[dict[str, Any]] = self.get("/messages")["messages"]
        return found

    def prompts(self) -> list[str]:
        """Return what users have said, once no turn runs."""
        return [message["content"] for message in self.messages() if message["role"] == "user"]

    def send(self, text: str) -> None:
        """Send a prompt."""
        body = json.dumps({"type": "user", "content": text}).encode()
        request = urllib.request.Request(f"{self.url}/message", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=WAIT) as reply:
            assert json.load(reply)["ok"] is True

    def login(self, token: str, *, ends: str = "2030-01-01T00:00:00Z", padding: int = 0) -> dict[str, str]:
        """Return the variables with a login tarball, in two parts when padded beyond one."""
        database = make_database(self.home.parent / f"login {token}" / "data.sqlite3", token, ends=ends).read_bytes()
        text = base64.b64encode(zstd(tar_of(("./data.sqlite3", database), ("./more", os.urandom(padding))))).decode()
        parts = {"KIRO_CLI_AUTH_TARBALL": text[:131_000], "KIRO_CLI_AUTH_TARBALL_2": text[131_000:]}
        return {name: value for name, value in parts.items() if value}

    def close(self) -> None:
        """See that no bridge is left."""
        if self.pid is not None:
            self.stopped()


class InCoder:
    """A workspace of a task: the stand-in Coder, its command, and the task's own view."""

    def __init__(self, living: Living, coderd: Coderd, command: CoderCommand) -> None:
        self.coderd = coderd
        self.command = command
        self.task = Task(coderd, str(uuid.uuid4()))
        self.task.app_url = living.url
        living.env.update(command.env)
        living.env["PATH"] = f"{command.folder}{os.pathsep}{living.env['PATH']}"
        living.config |= {"report_tasks": True, "task_id": self.task.id}


def small_disk(unshare: Sequence[str], place: Path, size: str) -> list[str]:
    """Return a command in front of another, which then finds an empty disk of this size (`64k`) at the place."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    mount = 'mount -t tmpfs -o "size=$1,mode=700" none "$2" && shift 2 && exec "$@"'
    return [*unshare, "sh", "-ec", mount, "sh", size, str(place)]
