"""The terminal program that the real AgentAPI hosts: the same commands as `bench/agents/kiro-cli`, on a screen.

It shows what is typed, says `begun` and a number at Enter (AgentAPI takes lines that stood there before for old ones),
and prints what the named pipe given as its argument says, at once. It lives as long as the server, so that the start of
its interpreter is not measured.
"""

from __future__ import annotations

import os
import selectors
import sys
import tty


def show(text: str) -> None:
    """Write to the terminal at once."""
    os.write(1, text.replace("\n", "\r\n").encode())


class Agent:
    """What was typed since the last Enter, and what the pipe said of a line that is not whole yet."""

    def __init__(self) -> None:
        self.typed = b""
        self.said = b""
        self.turns = 0

    def key(self, data: bytes) -> None:
        """Show what is typed; a carriage return outside a paste sends it."""
        self.typed += data
        if data.endswith(b"\r"):
            self.typed = b""
            self.turns += 1
            show(f"\x1b[2J\x1b[Hbegun {self.turns}\n")
        else:
            plain = self.typed.replace(b"\x1b[200~", b"").replace(b"\x1b[201~", b"").decode(errors="replace")
            show("\r\x1b[K> " + "".join(letter for letter in plain if letter.isprintable()))

    def command(self, data: bytes) -> None:
        """Print the text of every whole command; `finish` shows the prompt again."""
        *lines, self.said = (self.said + data).split(b"\n")
        for line in lines:
            word, _, text = line.decode().partition(" ")
            show(f"{text}\n" + ("> " if word == "finish" else ""))


def main() -> None:
    """Run until the terminal goes away."""
    tty.setraw(0)
    control = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
    agent = Agent()
    show("ready\n> ")
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ, agent.key)
    selector.register(control, selectors.EVENT_READ, agent.command)
    while True:
        for key, _ in selector.select():
            data = os.read(key.fd, 65536)
            if not data:
                return
            key.data(data)


if __name__ == "__main__":
    main()
