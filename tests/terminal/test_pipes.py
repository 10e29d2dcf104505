"""One prompt for scripts, and the chat in lines, with a real bridge."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from bridge.cli import main
from tests.terminal.conftest import Attach, Run
from tests.whole.conftest import ROOT, WAIT, Bridge, until


def control_characters(text: str) -> list[str]:
    return re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_once_prints_the_answer_and_nothing_else(bridge: Bridge, run: Run) -> None:
    bridge.start()
    bridge.ask("!standin text earlier")
    done = run("--once", "!standin text I **look**.\n!standin tool shell echo hidden\n!standin text The end: \\u00e4.")
    assert (done.returncode, done.stdout, done.stderr) == (0, "I **look**.\n\nThe end: ä.\n", "")


def test_once_reads_a_long_prompt(bridge: Bridge, run: Run) -> None:
    bridge.start()
    done = run("--once", "-", text="!standin echo\n" + "0123456789\n" * 200_000)
    assert re.fullmatch(r"bytes=2200013 .*\n", done.stdout), (done.stdout, done.stderr)
    assert done.returncode == 0


def test_once_of_a_failed_turn(bridge: Bridge, run: Run) -> None:
    bridge.start()
    done = run("--once", "!standin fault no-such-fault")
    assert done.returncode == 1
    assert done.stderr.startswith("Failed: ")


def test_once_while_kiro_works_and_with_nothing(bridge: Bridge, run: Run) -> None:
    bridge.start()
    assert (empty := run("--once", " \n")).returncode == 1
    assert empty.stderr.startswith("error: The prompt is empty")
    bridge.post("!standin sleep 600")
    busy = run("--once", "!standin text no")
    assert (busy.returncode, busy.stdout) == (1, "")
    assert busy.stderr.startswith("error: ") and "still working" in busy.stderr
    bridge.post("\x1b", "raw")
    bridge.settled()


def test_once_goes_on_after_a_restart(bridge: Bridge) -> None:
    bridge.start()
    prompt = "!standin text before\n!standin tool shell touch begun; sleep 600"
    with begin_once(bridge, prompt) as process:
        until(lambda: (bridge.work / "begun").exists(), "the turn runs")
        bridge.kill()
        bridge.start("--port", bridge.url.rpartition(":")[2])
        out, err = process.communicate(timeout=WAIT)
    assert (process.returncode, out) == (1, "before\n")
    assert err.startswith("Interrupted: ")


def test_ctrl_c_stops_once(bridge: Bridge) -> None:
    bridge.start()
    with begin_once(bridge, "!standin text before\n!standin tool shell touch begun; sleep 600") as process:
        until(lambda: (bridge.work / "begun").exists(), "the turn runs")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT)
    assert (process.returncode, out) == (1, "before\n")
    assert err == "stopping (Ctrl-C again leaves)\nStopped.\n"


def begin_once(bridge: Bridge, prompt: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bridge", "attach", "--url", bridge.url, "--once", prompt],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=bridge.env,
    )  # fmt: skip


def test_a_pipe_gets_the_conversation_as_text(bridge: Bridge, run: Run) -> None:
    bridge.start()
    bridge.ask(r"!standin text An old \e[31mred\e[0m answer.\e]52;c;aGFja2Vk\x07\x9b2J")
    done = run(text="!standin text I look.\n!standin tool shell echo here\n!standin text The end.")
    assert done.returncode == 0
    assert not control_characters(done.stdout)
    assert "An old red answer." in done.stdout
    assert "\nI look.\n\n[shell] echo here: completed\n    here\n\nThe end.\n" in done.stdout
    shown = run("--history", "2").stdout
    assert "The end." in shown and "An old" not in shown


def asks(text: str) -> bool:
    """Return whether the last line asks for a prompt."""
    return text.rstrip().endswith("\n>")


def test_line_mode_in_a_dumb_terminal(bridge: Bridge, attach: Attach) -> None:
    bridge.start()
    bridge.ask("!standin text old")
    with attach(term="dumb") as terminal:
        terminal.shows("\nold\n")
        terminal.until(asks, "it asks")
        terminal.type("!standin text one\\\n!standin tool shell echo here\\\n!standin text two\n")
        text = terminal.until(lambda text: "\ntwo\n" in text and asks(text), "the turn")
        assert "\none\n\n[shell] echo here: completed\n    here\n\ntwo\n" in text
        terminal.type("!standin text Working.\\\n!standin sleep 600\n")
        until(lambda: bridge.get("/status")["status"] == "running", "the turn runs")
        terminal.type("!standin text kept\n")
        terminal.shows("your prompt is kept")
        terminal.type("\x03")
        terminal.until(lambda text: "\nStopped.\n" in text and asks(text), "it stops")
        terminal.type("\n")
        terminal.shows("\nkept\n")
        terminal.type("\x04")
        assert terminal.ends() == 0
    echoed = terminal.raw.decode().replace("^D\b\b", "")
    assert not control_characters(echoed.replace("\r\n", "\n"))


def test_no_color_means_text_only(bridge: Bridge, attach: Attach) -> None:
    bridge.env["NO_COLOR"] = "1"
    bridge.start()
    with attach() as terminal:
        terminal.shows(">")
        terminal.type("!standin text said\n")
        terminal.until(lambda text: "\nsaid\n" in text and asks(text), "the turn")
        terminal.type("\x03")
        assert terminal.ends() == 0
    assert b"\x1b" not in terminal.raw


def test_line_mode_over_a_restart(bridge: Bridge, attach: Attach) -> None:
    bridge.start()
    with attach(term="dumb") as terminal:
        terminal.shows(">")
        terminal.type("!standin text before\\\n!standin tool shell touch begun; sleep 600\n")
        terminal.shows("\nbefore\n")
        until(lambda: (bridge.work / "begun").exists(), "the turn runs")
        bridge.kill()
        terminal.shows("reconnecting")
        terminal.type("!standin text afterwards\n")
        terminal.shows("your prompt is kept")
        bridge.start("--port", bridge.url.rpartition(":")[2])
        terminal.shows("Interrupted: ")
        terminal.type("\n")
        text = terminal.shows("\nafterwards\n")
    assert text.count("\nbefore\n") == 1 and text.count("Interrupted: ") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "No bridge answers at http://127.0.0.1:{port} (connection refused). Start it with `kiro-bridge serve`"),
        (("--url", "ftp://x"), "--url cannot be 'ftp://x'"),
        (("--url", "http://127.0.0.1:99999"), "--url cannot be"),
        (("--history", "0"), "'0' is no whole number from 1 to 500"),
        (("--history", "x"), "'x' is no whole number"),
        (("word",), "'word' mean nothing"),
    ],
)
def test_what_cannot_be_is_told(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setitem(os.environ, "KIRO_BRIDGE_PORT", str(port))
    assert main(["attach", *words]) == (1 if not words else 2)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ") and told.format(port=port) in printed.err


def test_an_unknown_session(bridge: Bridge, run: Run) -> None:
    bridge.start()
    done = run("--session", "../nothing", "--once", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: There is no session")


def test_what_is_not_a_bridge(bridge: Bridge, run: Run) -> None:
    bridge.start()
    done = run("--url", f"{bridge.url}/elsewhere", "--once", "x")
    assert done.returncode == 1
    assert "is not the bridge (it answers 404" in done.stderr
