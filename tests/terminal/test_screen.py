"""The chat in a real terminal, with a real bridge: what a person sees and what their keys do."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from tests.terminal.conftest import Attach
from tests.terminal.pseudo_terminal import PseudoTerminal
from tests.whole.conftest import Bridge, until

SIGN = "\u276f "
PASTE = "\x1b[200~{}\x1b[201~"


def say(terminal: PseudoTerminal, *lines: str) -> None:
    """Paste a prompt and send it."""
    terminal.type(PASTE.format("\r".join(lines)))
    terminal.type("\r")


def gate_of(bridge: Bridge) -> tuple[Path, str]:
    """Return a file, and a shell command that waits until it exists."""
    gate = bridge.work / "gate"
    return gate, f"while [ ! -e {gate} ]; do sleep 0.05; done; echo gate-is-open"


def port_of(bridge: Bridge) -> str:
    return bridge.url.rpartition(":")[2]


def test_history_then_a_turn_as_it_happens(bridge: Bridge, attach: Attach) -> None:
    bridge.start()
    bridge.ask("!standin text An **old** answer.")
    gate, wait = gate_of(bridge)
    with attach() as terminal:
        terminal.shows("● ready")
        assert "▌ !standin text An **old** answer." in terminal.text()
        assert "\nAn old answer.\n" in terminal.text()
        end = "!standin text # Found\\n\\nDone."
        say(terminal, "!standin text I look at `it`.", f"!standin tool shell {wait}", end)
        terminal.until(lambda text: re.search(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] shell  while", text), "the tool runs")
        terminal.shows("I look at it.")
        assert "working" in terminal.visible() and "Found" not in terminal.visible().splitlines()
        gate.touch()
        text = terminal.until(lambda text: "\nDone.\n" in text and "● ready" in text, "the end")
        assert re.search(r"✓ shell  while .*\n  │ gate-is-open", text)
        for once in ("An old answer.", "I look at it.", "│ gate-is-open", "\nDone.\n", "\nFound\n"):
            assert text.count(once) == 1, once
        terminal.type("\x04")
        assert terminal.ends() == 0
    assert not re.search(rb"\x1b\][^\x07\x1b]*|\x1b\[6n", terminal.raw)


def test_words_stream(bridge: Bridge, attach: Attach) -> None:
    gate, wait = gate_of(bridge)
    bridge.start()
    with attach() as terminal:
        terminal.shows("● ready")
        slowly = ("!standin chunks 50", "!standin delay 0.02")
        say(terminal, *slowly, "!standin numbered 300 line", f"!standin tool shell {wait}")
        terminal.shows("\nline 2\n")
        terminal.until(lambda text: re.search(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] shell", text), "the tool runs")
        gate.touch()
        text = terminal.until(lambda text: "✓ shell" in text and "● ready" in text, "the end")
    lines = re.findall(r"^line (\d+)$", text, re.MULTILINE)
    assert lines == [str(number) for number in range(1, 301)]


def test_ctrl_c_stops_the_turn_and_a_second_one_leaves(bridge: Bridge, attach: Attach) -> None:
    bridge.start()
    with attach() as terminal:
        terminal.shows("● ready")
        say(terminal, "!standin text Working.", "!standin sleep 600")
        terminal.shows("\nWorking.\n")
        terminal.type("\x03")
        terminal.until(lambda text: "■ Stopped." in text and "● ready" in text, "it stops")
        assert [turn["state"] for turn in bridge.turns()] == ["cancelled"]
        terminal.type("\x03")
        terminal.shows("Ctrl-C again leaves")
        terminal.type("\x03")
        assert terminal.ends() == 0


def test_ctrl_c_right_behind_a_prompt_stops_it(bridge: Bridge, attach: Attach) -> None:
    bridge.start()
    with attach() as terminal:
        terminal.shows("● ready")
        terminal.type("!standin sleep 600\r\x03")
        terminal.until(lambda text: "■ Stopped." in text and "● ready" in text, "it stops")
    assert [turn["state"] for turn in bridge.turns()] == ["cancelled"]


def test_ctrl_d_leaves_and_the_turn_goes_on(bridge: Bridge, attach: Attach) -> None:
    gate, wait = gate_of(bridge)
    bridge.start()
    with attach() as terminal:
        terminal.shows("● ready")
        say(terminal, "!standin text Begun.", f"!standin tool shell {wait}", "!standin text Ended.")
        terminal.shows("\nBegun.\n")
        terminal.type("half a thought\x04")
        terminal.shows("Ctrl-D leaves when the input is empty")
        terminal.type("\x15\x04")
        assert terminal.ends() == 0
        assert "Kiro goes on" in terminal.text()
    assert bridge.get("/status")["status"] == "running"
    gate.touch()
    bridge.settled()
    assert bridge.answer().endswith("Ended.")
    with attach() as again:
        again.until(lambda text: "\nBegun.\n" in text and "\nEnded.\n" in text, "all of it is there again")


def test_a_prompt_for_a_busy_kiro_stays_in_the_input(bridge: Bridge, attach: Attach) -> None:
    gate, wait = gate_of(bridge)
    bridge.start()
    with attach() as terminal:
        terminal.shows("● ready")
        say(terminal, f"!standin tool shell {wait}", "!standin text first")
        terminal.shows("working")
        say(terminal, "!standin text second")
        terminal.shows("your text stays here")
        assert SIGN + "!standin text second" in terminal.visible()
        gate.touch()
        terminal.until(lambda text: "\nfirst\n" in text and "● ready" in text, "the first is done")
        terminal.type("\r")
        terminal.shows("\nsecond\n")
    assert [turn["prompt"].splitlines()[-1] for turn in bridge.turns()] == [
        "!standin text first",
        "!standin text second",
    ]


def test_a_prompt_of_several_lines_and_the_one_before(bridge: Bridge, attach: Attach) -> None:
    bridge.start()
    with attach() as terminal:
        terminal.shows("● ready")
        terminal.type("!standin text one\n!standin text two\x1b\r!standin text three")
        terminal.shows("  !standin text three")
        assert not bridge.turns()
        terminal.type("\r")
        terminal.shows("\nonetwothree\n")
        terminal.shows("● ready")
        terminal.type("\x1b[A")
        terminal.shows(SIGN + "!standin text one\n  !standin text two\n  !standin text three")
    assert [turn["prompt"].count("\n") for turn in bridge.turns()] == [2]


def test_resize(bridge: Bridge, attach: Attach) -> None:
    bridge.start()
    words = " ".join(f"word{number}" for number in range(60))
    bridge.ask(f"!standin text {words}")
    with attach(columns=100) as terminal:
        terminal.shows("● ready")
        terminal.type("typed before")
        terminal.shows(SIGN + "typed before")
        for columns, rows in ((50, 20), (120, 30), (24, 10), (80, 24)):
            terminal.resize(columns, rows)
            terminal.until(
                lambda _, room=columns: fits(terminal.visible(), words, room),  # type: ignore[misc]
                f"it is laid out for {columns} columns",
            )
            assert SIGN + "typed before" in terminal.visible()


def fits(text: str, words: str, columns: int) -> bool:
    """Return whether the end of the words stands there, in lines that use the room and no more."""
    lines = [line for line in text.splitlines() if line.startswith("word")]
    longest = max(map(len, lines), default=0)
    return columns - 8 < longest < columns and words.endswith(" ".join(lines)) and "● ready" in text


def test_killed_and_restarted_while_attached(bridge: Bridge, attach: Attach) -> None:
    bridge.start()
    port = port_of(bridge)
    with attach() as terminal:
        terminal.shows("● ready")
        say(terminal, "!standin text before", "!standin tool shell echo tool-one")
        terminal.until(lambda text: "│ tool-one" in text and "● ready" in text, "the first turn")
        say(terminal, "!standin text Some words.", "!standin sleep 600")
        terminal.shows("\nSome words.\n")
        bridge.kill()
        terminal.shows("reconnecting")
        terminal.type("typed meanwhile\r")
        terminal.shows("Not connected")
        bridge.start("--port", port)
        text = terminal.until(lambda text: "● ready" in text and "✗ Interrupted" in text, "it goes on")
        assert SIGN + "typed meanwhile" in terminal.visible()
        terminal.type("\x15")
        say(terminal, "!standin text afterwards")
        text = terminal.shows("\nafterwards\n")
    for once in ("\nbefore\n", "│ tool-one", "\nSome words.\n", "✗ Interrupted", "\nafterwards\n"):
        assert text.count(once) == 1, f"{once!r} in {text}"


def test_what_others_ask_is_shown_too(bridge: Bridge, attach: Attach) -> None:
    bridge.start()
    with attach() as terminal:
        terminal.shows("● ready")
        bridge.ask("!standin text from elsewhere")
        terminal.until(lambda text: "▌ !standin text from elsewhere" in text and "\nfrom elsewhere\n" in text, "both")


def test_hostile_words_are_only_words(bridge: Bridge, attach: Attach) -> None:
    bridge.start()
    tricks = (
        r"\e]52;c;aGFja2Vk\x07", r"\e]0;owned\x07", r"\e[2J\e[H", r"\x9b31m", r"\u202Egnp.exe", r"\eP+q544e\e\\",
        "<http://x/%1b]0;owned%07>", "&#x202e;", r"\e]8;;http://evil\x07shown\e]8;;\x07",
    )  # fmt: skip
    with attach() as terminal:
        terminal.shows("● ready")
        tool = r"!standin tool shell printf '\033]0;owned\007ok'"
        say(terminal, *(f"!standin text A{trick}B" for trick in tricks), tool)
        terminal.until(lambda text: "✓ shell" in text and "● ready" in text, "the end")
        assert "AshownB" in terminal.text() and "│ ok" in terminal.text()
        terminal.type("\x04")
        assert terminal.ends() == 0
    output = terminal.raw.decode()
    assert not re.search("\x1b[\\]P_^X]|[\x80-\x9f\u202a-\u202e\u2066-\u2069]|\x07", output)
    assert not terminal.screen.title


def test_sigint_from_outside_is_ctrl_c(bridge: Bridge, attach: Attach) -> None:
    bridge.start()
    with attach() as terminal:
        terminal.shows("● ready")
        terminal.signal(signal.SIGINT)
        terminal.shows("Ctrl-C again leaves")
        terminal.type("x")
        terminal.shows(SIGN + "x")
        terminal.signal(signal.SIGINT)
        terminal.until(lambda text: text.count("Ctrl-C again leaves"), "the first again")
        terminal.signal(signal.SIGINT)
        assert terminal.ends() == 0
        assert "Not sent:\nx" in terminal.text()


def test_a_problem_is_told_at_once(bridge: Bridge, attach: Attach) -> None:
    bridge.env["KIRO_CLI_PATH"] = os.fspath(bridge.work / "nothing-here")
    bridge.start()
    until(lambda: not bridge.get("/status")["ready"], "the bridge knows")
    with attach() as terminal:
        terminal.shows("✗ not ready")
        assert "nothing-here" in re.sub(r"\s+", "", terminal.text())
