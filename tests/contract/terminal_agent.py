"""A small scripted terminal program for a server that hosts terminal agents (the real AgentAPI).

It shows a prompt line ``> ``, takes bracketed pastes, and answers after Enter. Only the standard library, so that any
interpreter runs it. A prompt is a directive or anything else:

``!say BASE64``        answers with the decoded text
``!lines N TAG``       answers with N numbered lines, each holding TAG
``!slow SECONDS TAG``  answers line by line for that long
``!exit CODE``         ends the program
``!mute``              does not react to Enter
"""

from __future__ import annotations

import base64
import os
import sys
import termios
import time
import tty

PASTE_START = b"\x1b[200~"
PASTE_END = b"\x1b[201~"
HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
STEPS_PER_SECOND = 5


def show(text: str) -> None:
    """Write to the terminal; the terminal is in raw mode, so line ends need their carriage return."""
    sys.stdout.write(text.replace("\n", "\r\n"))
    sys.stdout.flush()


def show_screen(text: str) -> None:
    """Replace the whole screen, line over line: an empty one in between could be sampled and taken for an answer."""
    lines = text.split("\n")
    show(HOME + "\n".join(f"{line}{REST_OF_LINE}" for line in lines) + REST_OF_SCREEN)


def answer(prompt: str, turn: int) -> None:
    """Replace the screen by the answer to ``prompt`` and a new prompt line."""
    word, _, rest = prompt.partition(" ")
    if word == "!exit":
        show_screen("leaving\n")
        raise SystemExit(int(rest))
    if word == "!slow":
        seconds, _, tag = rest.partition(" ")
        show_screen(f"{tag} begins\n")
        for step in range(max(1, int(float(seconds) * STEPS_PER_SECOND))):
            time.sleep(1 / STEPS_PER_SECOND)
            show(f"{tag} step {step}\n")
        show(f"{tag} done\n> ")
        return
    if word == "!say":
        text = base64.b64decode(rest).decode()
    elif word == "!lines":
        count, _, tag = rest.partition(" ")
        text = "\n".join(f"{tag} line {number}" for number in range(1, int(count) + 1))
    else:
        text = f"answer number {turn}"
    show_screen(f"{text}\n> ")


class Terminal:
    """What was typed so far: the bytes of the input line and of a paste that is still open."""

    def __init__(self) -> None:
        self.line = b""
        self.pending = b""
        self.pasted = False
        self.turn = 0

    def feed(self, data: bytes) -> None:
        """Take bytes from the terminal, redraw the input line, answer at Enter."""
        self.pending += data
        while self.pending:
            if self.pending.startswith(PASTE_START):
                content, mark, rest = self.pending[len(PASTE_START) :].partition(PASTE_END)
                if not mark:
                    return
                self.line, self.pending, self.pasted = content, rest, True
            elif self.pending.startswith(PASTE_END):
                self.pending = self.pending[len(PASTE_END) :]
            else:
                self.key(self.pending[:1])
                self.pending = self.pending[1:]
        show(f"\r\x1b[K> {self.echo()}")

    def key(self, key: bytes) -> None:
        """One key outside a paste."""
        if key == b"\r":
            self.enter()
        elif key == b"\x08":
            self.line = self.line[:-1]
        elif key == b"\x1b":
            self.line = b""
        else:
            self.line += key

    def enter(self) -> None:
        """Send the input line, unless nothing was typed or it asks for no reaction."""
        if not (self.line or self.pasted) or self.line.startswith(b"!mute"):
            return
        self.turn += 1
        self.pasted = False
        prompt, self.line = self.line.decode(errors="replace"), b""
        answer(prompt, self.turn)

    def echo(self) -> str:
        """What the input line shows: short typed keys as they are, anything longer by its size."""
        plain = self.line.decode(errors="replace")
        return plain if len(plain) <= 12 and plain.isprintable() else f"({len(self.line)} bytes)"


def main() -> None:
    """Run until the terminal goes away."""
    tty.setraw(sys.stdin.fileno(), termios.TCSANOW)
    terminal = Terminal()
    show_screen("scripted agent\n> ")
    while data := os.read(sys.stdin.fileno(), 65536):
        if data == b"\x03":
            return
        terminal.feed(data)


if __name__ == "__main__":
    main()
