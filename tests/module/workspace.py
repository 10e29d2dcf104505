"""A scratch workspace: rendered scripts run in it as Coder's agent runs them, and a server has what they download.

Invariant: nothing outside of the scratch home is written, and no address but that of the server is reached.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import python_terraform

from tests.module.terraforming import Terraform

CONFIG: Mapping[str, Any] = {"install_kiro_cli": True, "module_directory": "", "port": 3284, "workdir": "/"}
TIMEOUT = 120.0


@dataclass
class Scripts:
    """What the module rendered."""

    start: str
    parts: list[str]
    stop: str


def render(module: Path, config: Mapping[str, Any] = CONFIG, **inputs: Any) -> Scripts:
    """Render the scripts of the module at `module` with Terraform alone, without any provider."""
    terraform = Terraform(module / "modules" / "render")
    answer = terraform.run(
        "apply", variables={"config": dict(config), **inputs}, auto_approve=python_terraform.IsFlagged
    )
    assert answer.code == 0, answer.text
    values = json.loads(terraform.run("output", json=python_terraform.IsFlagged).out)
    return Scripts(*(values[name]["value"] for name in ("start", "parts", "stop")))


def command(script: str) -> list[str]:
    """Return the arguments with which Coder's agent runs a script (facts/coder-platform.md 7)."""
    return [script.partition("\n")[0].removeprefix("#!"), "-c", script]


@dataclass
class Result:
    """How a script ended, and what it said."""

    code: int
    out: str
    errors: str

    @cached_property
    def handed_over(self) -> dict[str, Any]:
        """Return what the probe in the bridge's place was started with."""
        assert self.code == 0, self.errors
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


@dataclass
class Workspace:
    """A home directory, and the environment of its scripts."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """Return where the module keeps its things unless told otherwise."""
        return self.home / ".coder-modules" / "coder" / "kiro-cli"

    def run(self, script: str, *, before: Sequence[str] = (), cwd: Path | None = None) -> Result:
        """Run one script to its end."""
        result = subprocess.run(
            [*before, *command(script)], cwd=cwd or self.home, env=self.environment(), text=True,
            capture_output=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return Result(result.returncode, result.stdout, result.stderr)

    def start(self, scripts: Scripts, *, cwd: Path | None = None) -> Result:
        """Run the start script and, while it waits, the parts in the wrong order; return how the start script ended."""
        process = subprocess.Popen(
            command(scripts.start), cwd=cwd or self.home, env=self.environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            for part in reversed(scripts.parts):
                result = self.run(part)
                assert (result.code, result.out, result.errors) == (0, "", "")
            out, errors = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
            process.communicate()
        return Result(process.returncode, out, errors)

    def environment(self) -> dict[str, str]:
        """Return the variables that scripts are run with."""
        return {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "TMPDIR": str(self.home), **self.env}


class Server:
    """Files over HTTP, and which of them were asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        files, asked = self.files, self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                body = files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Serve while the body runs."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def wheel(name: str) -> tuple[str, bytes]:
    """Return the file name and bytes of a wheel that holds one module and nothing else."""
    info = f"{name}-1.0.dist-info"
    members = {
        f"{name}.py": "PRESENT = True\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for member, text in members.items():
            archive.writestr(zipfile.ZipInfo(member), text)
    return f"{name}-1.0-py3-none-any.whl", body.getvalue()


def locked(name: str, content: bytes) -> str:
    """Return the line of a lock file for a wheel."""
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(content).hexdigest()}\n"
