"""A whole run with a login, an API key and an agent token: where they can be found afterwards, and while it goes on."""

from __future__ import annotations

import contextlib
import http.client
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.coder.coderd import TOKEN
from tests.module.living import InCoder, Living
from tests.provision.conftest import SECRET, tokens

KEY = "kk-this-key-is-nobodys-business"
MARK = "a-mark-in-the-prompt-of-the-task"
PROMPT = f"{MARK}\n!standin tool-sleep 4\n!standin text Hello from the task."
BYTES_OF_A_STREAM = 1 << 16
SILENCE = 2.0
"""Seconds after which a stream has said what it says at once."""



class Watched:
    """The arguments of every process that could be seen while it was watched."""

    def __init__(self) -> None:
        self.arguments: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._main, name="watched")

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._over.set()
        self._thread.join()

    def _main(self) -> None:
        while not self._over.wait(0.01):
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    try:
                        self.arguments.add(Path(entry.path, "cmdline").read_bytes())
                    except OSError:
                        continue


@contextmanager
def asked(living: Living, path: str) -> Iterator[http.client.HTTPResponse]:
    """Ask the bridge, and give its answer, which may be one without end."""
    connection = http.client.HTTPConnection("127.0.0.1", living.config["port"], timeout=60)
    try:
        connection.connect()
        socket = connection.sock  # the connection forgets it when the answer is its last one
        connection.request("GET", path)
        reply = connection.getresponse()
        socket.settimeout(SILENCE if reply.getheader("Content-Type", "").startswith("text/event") else 60)
        yield reply
    finally:
        connection.close()


def answers(living: Living) -> dict[str, bytes]:
    """Return what the bridge answers on every address without parameters that its description names, and on others."""
    paths = [path for path in living.get("/openapi.json")["paths"] if "{" not in path]
    assert {"/status", "/messages", "/events"} <= set(paths)
    found = {}
    for path in [*paths, "/", "/chat", "/nowhere", "/..%2f..%2fconfig.json"]:
        with asked(living, path) as reply:
            heads = "\n".join(f"{name}: {value}" for name, value in reply.getheaders())
            found[path] = heads.encode() + (beginning(reply) if "event-stream" in heads else reply.read())
    return found


def beginning(stream: http.client.HTTPResponse) -> bytes:
    """Return what a stream says at once; some say nothing before there is news."""
    with contextlib.suppress(TimeoutError):
        return stream.read1(BYTES_OF_A_STREAM)
    return b""


def files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file of the folder with its content; what was installed for the bridge is none of the run."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and "env" not in path.relative_to(folder).parts[:4]:
            yield path, path.read_bytes()


def bare(text: bytes, secrets: dict[str, bytes]) -> list[str]:
    """Return the names of the secrets that stand in the text."""
    return [name for name, secret in secrets.items() if secret in text]


def test_no_secret_is_anywhere(living: Living, coder: InCoder) -> None:
    """Not in a script, an argument, a log, a ledger or an answer; only in Kiro's own database."""
    login = living.login(SECRET, padding=150_000)
    assert len(login) == 2
    living.config |= {"ai_prompt": PROMPT, "pre_install_script": "#!/bin/sh\nenv\nps -ef || true\n"}
    with Watched() as watched:
        said = living.started(**login, KIRO_API_KEY=KEY)
        assert "[hidden]" in said, "the user's script shows what the environment holds"
        variables = Path(f"/proc/{living.pid}/environ").read_bytes()
        coder.coderd.until_told("idle", "Done: ")
        answered = answers(living)
        living.started()
        living.stopped()
    secrets = {"token": SECRET.encode(), "key": KEY.encode(), "agent token": TOKEN.encode()}
    for name, value in login.items():
        secrets |= {f"start of {name}": value[:80].encode(), f"end of {name}": value[-80:].encode()}

    ours = [line for line in watched.arguments if str(living.home).encode() in line]
    assert any(b"serve" in line for line in ours) and any(b"--config" in line for line in ours)
    assert [line for line in watched.arguments if bare(line, secrets)] == []
    for scripts in living.rendered:
        assert bare("".join((scripts.start, scripts.stop, *scripts.parts)).encode(), secrets) == []
        assert MARK not in "".join((scripts.start, *scripts.parts)), "start scripts are logged by the agent"
    spoken = "".join(result.out + result.errors for result in living.said).encode()
    assert bare(spoken, secrets) == []
    assert {path: bare(text, secrets) for path, text in answered.items() if bare(text, secrets)} == {}
    assert b"KIRO_CLI_AUTH_TARBALL" not in variables
    found = dict(files(living.home))
    assert any(path.name.startswith("ledger") for path in found) and any(path.name == "bridge.log" for path in found)
    holders = {path: bare(text, secrets) for path, text in found.items() if bare(text, secrets)}
    assert holders == {living.database: ["token"]}
    assert SECRET in tokens(living.database)


def test_nobody_else_may_look(living: Living, coder: InCoder) -> None:
    """What the module keeps, and what it wrote for Kiro, is its owner's alone, whatever the umask."""
    living.config["ai_prompt"] = PROMPT
    usual = os.umask(0)
    try:
        living.started(**living.login(SECRET), KIRO_API_KEY=KEY)
        coder.coderd.until_told("idle", "Done: ")
        living.stopped()
    finally:
        os.umask(usual)
    written = [living.home / ".kiro/agents/agent.json", living.home / ".kiro/settings/cli.json", living.database]
    kept = [path for path in living.directory.rglob("*") if not path.is_symlink() and not installed(living, path)]
    assert any(path.name.startswith("ledger") for path in kept)
    loose = {path: stat.S_IMODE(path.stat().st_mode) for path in (living.directory, *kept, *written)}
    assert {path: oct(mode) for path, mode in loose.items() if mode & 0o077} == {}


def installed(living: Living, path: Path) -> bool:
    """Return whether a path is of a program: nothing of that was made for this workspace alone."""
    return path.relative_to(living.directory).parts[0] in ("bridge", "env", "kiro-cli")
