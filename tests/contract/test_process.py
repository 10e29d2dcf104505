"""Sections 4.2 (signals), 4.3 (PID file), 4.4 (exit codes), C6."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from .servers import Server, Workshop, unique, wait_until
from .wire import Reply

GRACEFUL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IS_RUNNING = "another instance is already running with PID"


@pytest.mark.parametrize("number", GRACEFUL, ids=[f"4.2-{number.name}" for number in GRACEFUL])
def test_4_2_graceful(workshop: Workshop, tmp_path: Path, number: signal.Signals) -> None:
    """State saved, streams ended, PID file removed, exit code 0, port free again."""
    state, pid_file = tmp_path / "state.json", tmp_path / "server.pid"
    server = workshop.launch("--state-file", str(state), "--pid-file", str(pid_file))
    tag = unique("signal")
    server.turn(server.target.prompt_say(tag))
    with server.events() as stream:
        stream.wait(lambda seen: bool(seen.named("status_change")))
        server.process.signal(number)
        assert server.process.wait() == 0
        stream.wait(lambda seen: bool(seen.ended))
        assert stream.ended == "clean"
    assert tag in state.read_text()
    assert not pid_file.exists()
    with pytest.raises(OSError, match="refused"):
        server.get("/status")


def test_4_2_during_a_turn(workshop: Workshop) -> None:
    """A turn that runs does not keep the server from ending."""
    server = workshop.launch()
    server.wait_stable()
    assert server.post(server.target.prompt_slow(60, unique("endless"))).status == 200
    server.process.signal(signal.SIGTERM)
    assert server.process.wait() == 0


def test_4_2_during_a_post(workshop: Workshop) -> None:
    """A POST that is executing when the server is told to end gets an answer or a closed connection, soon."""
    server = workshop.launch()
    server.wait_stable()
    replies: list[Reply | OSError | None] = []

    def send() -> None:
        try:
            replies.append(server.exchange("POST", "/message", body=b'{"content":"!mute","type":"user"}'))
        except OSError as error:
            replies.append(error)

    posting = threading.Thread(target=send)
    posting.start()
    wait_until(lambda: not posting.is_alive() or server.address, "the POST is on its way")
    server.process.signal(signal.SIGTERM)
    assert server.process.wait() == 0
    posting.join(30)
    assert len(replies) == 1


def test_4_3_pid_file(workshop: Workshop, tmp_path: Path) -> None:
    """`<pid>` and a line feed, mode 0600, nested folders 0700; gone after the end (C6)."""
    pid_file = tmp_path / "a" / "b" / "server.pid"
    server = workshop.launch("--pid-file", str(pid_file))
    assert pid_file.read_text() == f"{server.process.pid}\n"
    assert pid_file.stat().st_mode & 0o777 == 0o600
    assert [folder.stat().st_mode & 0o777 for folder in (pid_file.parent, pid_file.parent.parent)] == [0o700, 0o700]
    server.process.stop()
    assert not pid_file.exists()


@pytest.mark.parametrize(
    "content", ["999999999\n", "no number", "", "-5\n"], ids=["stale", "garbage", "empty", "negative"]
)
def test_4_3_left_over_file(workshop: Workshop, tmp_path: Path, content: str) -> None:
    """A file that names no live process is overwritten (C6)."""
    pid_file = tmp_path / "server.pid"
    pid_file.write_text(content)
    server = workshop.launch("--pid-file", str(pid_file))
    assert pid_file.read_text() == f"{server.process.pid}\n"


def test_4_3_live_process(workshop: Workshop, tmp_path: Path) -> None:
    """A file that names a live process stops the start, and stays as it is (C6)."""
    pid_file = tmp_path / "server.pid"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        pid_file.write_text(f"{other.pid}\n")
        done = workshop.run("--pid-file", str(pid_file), "--port", "0")
        assert pid_file.read_text() == f"{other.pid}\n"
    assert done.code == 1
    assert f"{IS_RUNNING} {other.pid} (PID file: {pid_file})" in done.stdout + done.stderr


def test_4_3_foreign_file_is_kept(workshop: Workshop, tmp_path: Path) -> None:
    """At the end the file is removed only if it still holds this server's id; a missing one is no error (C6)."""
    for content in ("12345\n", None):
        pid_file = tmp_path / "server.pid"
        server = workshop.launch("--pid-file", str(pid_file))
        pid_file.unlink()
        if content:
            pid_file.write_text(content)
        server.process.signal(signal.SIGTERM)
        assert server.process.wait() == 0
        assert (pid_file.read_text() if pid_file.exists() else None) == content
        pid_file.unlink(missing_ok=True)


def test_4_3_without_state_file(workshop: Workshop, tmp_path: Path) -> None:
    """The PID file needs no state file, and from the environment it works the same."""
    pid_file = tmp_path / "server.pid"
    server = workshop.launch(env={"AGENTAPI_PID_FILE": str(pid_file)})
    assert pid_file.read_text() == f"{server.process.pid}\n"
    os.kill(server.process.pid, signal.SIGTERM)
    assert server.process.wait() == 0


def test_4_4_port_in_use(workshop: Workshop, server: Server) -> None:
    """A taken port: exit code 1 and the port on stderr."""
    done = workshop.run("--port", str(server.address[1]))
    assert done.code == 1
    assert "address already in use" in done.stderr
    assert str(server.address[1]) in done.stderr


@pytest.mark.parametrize("code", [0, 3], ids=["4.4-agent-exits-0", "4.4-agent-exits-3"])
def test_4_4_agent_ends(workshop: Workshop, code: int) -> None:
    """AgentAPI ends with its agent; the bridge's turn fails with a cause, and the next prompt works."""
    server = workshop.launch()
    server.wait_stable()
    dies = server.pick("agent-death", agentapi=True, bridge=False)
    reply = server.exchange(
        "POST",
        "/message",
        headers=[("Content-Type", "application/json")],
        body=b'{"content":"%s","type":"user"}' % server.target.prompt_exit(code).encode(),
    )
    if dies:
        assert server.process.wait() == (1 if code else 0)
        assert ("agent exited with error" in server.process.output()) == bool(code)
        return
    assert reply is not None
    assert reply.status == 200
    server.wait_stable()
    roles = [role for role, _ in server.texts()]
    assert roles == ["user", "agent"]
    assert server.texts()[-1][1].strip()
    tag = unique("next")
    assert server.turn(server.target.prompt_say(tag)) == tag


def test_4_4_agent_missing(workshop: Workshop, tmp_path: Path) -> None:
    """No agent program: AgentAPI exits 1; the bridge runs and says so in /status and in the failed turn."""
    nowhere = str(tmp_path / "no-such-program")
    server = workshop.launch(agent=nowhere, wait=False)
    if server.pick("agent-missing", agentapi=True, bridge=False):
        assert server.process.wait() == 1
        assert "Error starting process" in server.process.output()
        return
    wait_until(server.listens, "answer of a server without an agent")
    server.wait_stable()
    found = server.get("/status").json()
    assert found["ready"] is False
    assert {"code", "cause", "remedy"} <= set(found["problem"])
    assert server.turn("hello").strip()
    assert [role for role, _ in server.texts()] == ["user", "agent"]
