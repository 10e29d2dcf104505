"""A server with kiro-cli zips, a scratch home, and the real commands run in it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import sqlite3
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import zstandard

from bridge.provision.inputs import Inputs, Places, inputs_from
from bridge.provision.release import file_name
from bridge.provision.running import end, running_bridge

ROOT = Path(__file__).resolve().parents[2]
WAIT = 120.0
SECRET = "a-token-that-must-never-be-seen-anywhere"
_PAUSE = threading.Event()


def until(holds: Callable[[], Any], what: str) -> Any:
    """Ask until the answer is true and return it; fail saying `what` never happened."""
    limit = time.monotonic() + WAIT
    while not (answer := holds()):
        assert time.monotonic() < limit, f"never happened: {what}"
        _PAUSE.wait(0.02)
    return answer


class Mirror:
    """An HTTP server on 127.0.0.1 whose files and faults a test decides on.

    `files` maps paths to bodies; `faults` maps a path to what happens to its next requests, one each: a number is a
    status, `("cut", n)` breaks the connection after n bytes of the body. `tags` are ETags; without one a file cannot be
    resumed. `requests` are the method, path and Range of all that was asked.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Any]] = {}
        self.tags: dict[str, str] = {}
        self.ranges = True
        self.requests: list[tuple[str, str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                mirror.answer(self)

            do_HEAD = do_GET

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                mirror.posts.append((self.path, dict(self.headers), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range", "")
        self.requests.append((request.command, request.path, asked))
        self.headers.append(dict(request.headers))
        waiting = self.faults.get(request.path, [])
        fault = waiting.pop(0) if waiting else None
        body = self.files.get(request.path)
        if isinstance(fault, int) or body is None:
            request.send_response(fault if isinstance(fault, int) else 404)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        tag = self.tags.get(request.path, "")
        found = re.fullmatch(r"bytes=(\d+)-", asked)
        start = int(found[1]) if found and self.ranges and request.headers.get("If-Range") == tag else 0
        request.send_response(206 if start else 200)
        if tag:
            request.send_header("ETag", tag)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        rest = body[start:]
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        if request.command == "HEAD":
            return
        if isinstance(fault, tuple):
            request.wfile.write(rest[: fault[1]])
            request.close_connection = True
            with contextlib.suppress(OSError):
                request.connection.shutdown(socket.SHUT_RDWR)
            return
        request.wfile.write(rest)

    def put(self, version: str, body: bytes, *, tag: str = '"one"') -> str:
        """Offer a zip for this machine under a version; return its path."""
        path = f"/{version}/{file_name()}"
        self.files[path] = body
        self.tags[path] = tag
        return path

    def manifest(self, version: str, sha256: str, *, of: str = "latest") -> None:
        """Offer a manifest beside a version."""
        package = {"download": f"{version}/{file_name()}", "sha256": sha256, "variant": "headless"}
        self.files[f"/{of}/manifest.json"] = json.dumps({"version": version, "packages": [package]}).encode()

    def asked(self, path: str) -> int:
        return sum(found == path for _, found, _ in self.requests)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    made = Mirror()
    yield made
    made.close()


WRAPPER = f'#!/bin/sh\nexec python3 {ROOT}/standin/kiro-cli "$@"\n'
THREE = tuple(f"kirocli/bin/{name}" for name in ("kiro-cli", "kiro-cli-chat", "kiro-cli-term"))


def kiro_zip(*names: str, script: str = WRAPPER, padding: int = 0) -> bytes:
    """Return a zip in the official layout with the stand-in as program."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name in names or THREE:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | 0o755) << 16
            made.writestr(entry, script)
        made.writestr("kirocli/BUILD-INFO", os.urandom(padding))
    return buffer.getvalue()


_SCHEMA = """
CREATE TABLE migrations (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, migration_time INTEGER NOT NULL);
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB);
CREATE TABLE auth_kv (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE conversations_v2 (key TEXT NOT NULL, conversation_id TEXT NOT NULL, value TEXT NOT NULL,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (key, conversation_id));
CREATE INDEX idx_conversations_v2_updated_at ON conversations_v2 (updated_at);
INSERT INTO migrations VALUES (1, 9, 1);
"""


def make_database(
    path: Path, token: str = SECRET, *, ends: str = "2030-01-01T00:00:00Z", talks: int = 0, journal: str = "delete"
) -> Path:
    """Make a database as Kiro's, with a login and some conversations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.executescript(_SCHEMA)
        value = json.dumps({"access_token": token, "expires_at": ends})
        connection.execute("INSERT INTO auth_kv VALUES ('kirocli:odic:token', ?)", (value,))
        connection.execute("INSERT INTO state VALUES ('api.codewhisperer.profile', ?)", (f"profile of {token}",))
        connection.execute("INSERT INTO state VALUES ('desktop.seen', 'yes')")
        for number in range(talks):
            connection.execute("INSERT INTO conversations_v2 VALUES ('/w', ?, 'said', 1, 1)", (str(number),))
    return path


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def tokens(path: Path) -> str:
    return str(rows(path, "SELECT group_concat(value) FROM auth_kv")[0][0])


def tar_of(*entries: tuple[str | tarfile.TarInfo, bytes]) -> bytes:
    """Return a plain tar with the entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in entries:
            entry = tarfile.TarInfo(name) if isinstance(name, str) else name
            if entry.isreg():
                entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Workspace:
    """A home in which the commands are run as the module runs them."""

    def __init__(self, folder: Path, mirror: Mirror) -> None:
        self.home = folder / "home"
        self.work = folder / "work"
        self.home.mkdir()
        self.config = {
            "workdir": str(self.work),
            "kiro_install_url": mirror.url,
            "kiro_cli_version": "2.28.0",
            "system_prompt": "Be helpful.\nAnd brief.\n",
            "coder_mcp_instructions": "REPORT, always, please.\n",
            "trust_all_tools": True,
            "report_tasks": True,
            "task_log_snapshot": True,
            "app_slug": "kiro-cli",
            "port": free_port(),
        }
        self.env = {**os.environ, "HOME": str(self.home), "KIRO_STANDIN_VERSION": "2.28",
                    "KIRO_STANDIN_TOKEN_DELAY": "0", "PYTHONPATH": str(ROOT)}  # fmt: skip
        self.database = self.home / ".local/share/kiro-cli/data.sqlite3"
        self.kiro = self.home / ".kiro"

    @property
    def inputs(self) -> Inputs:
        return inputs_from(self.config)

    @property
    def places(self) -> Places:
        return Places.of(self.inputs, self.env)

    def run(self, command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the bridge's and return how it ended."""
        file = self.home / "config.json"
        file.write_text(json.dumps(self.config))
        return subprocess.run(
            [sys.executable, "-m", "bridge", command, "--config", str(file)], env={**self.env, **env},
            cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT, check=False,
        )  # fmt: skip

    def done(self, command: str, **env: str) -> str:
        """Run a command that must succeed; return what it said."""
        result = self.run(command, **env)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def agent(self, name: str = "agent") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.kiro / "agents" / f"{name}.json").read_text())
        return found

    def close(self) -> None:
        pid = running_bridge(self.places)
        if pid is not None:
            assert end(pid, self.places)


@pytest.fixture
def workspace(tmp_path: Path, mirror: Mirror) -> Iterator[Workspace]:
    mirror.put("2.28.0", kiro_zip())
    made = Workspace(tmp_path, mirror)
    yield made
    made.close()
