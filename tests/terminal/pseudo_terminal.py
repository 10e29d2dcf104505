"""`kiro-bridge attach` in a terminal of its own, and what a person would see there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[2]
WAIT = 60.0

_IN_CONTROL = (
    "import faulthandler, fcntl, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " faulthandler.register(signal.SIGUSR1);"
    " from bridge.cli import main; sys.exit(main(sys.argv[1:]))"
)
"""The program takes the terminal as its own first, so that key strokes and changes of size become signals."""


class PseudoTerminal:
    """A terminal with a program in it. `raw` is every byte the program wrote."""

    def __init__(self, *words: str, env: Mapping[str, str], columns: int = 80, rows: int = 24) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=0.001)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._ours, theirs = pty.openpty()
        self._set_size(columns, rows)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _IN_CONTROL, *words], cwd=ROOT, env={**env, "PYTHONPATH": str(ROOT)},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self) -> PseudoTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(WAIT)
        os.close(self._ours)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Change the size, as dragging the window does."""
        self.screen.resize(rows, columns)
        self._set_size(columns, rows)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def visible(self) -> str:
        """Return what is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def text(self) -> str:
        """Return what was scrolled away, and then what is on the screen."""
        above = ["".join(line[x].data for x in range(self.screen.columns)) for line in self.screen.history.top]
        return "\n".join(line.rstrip() for line in above) + "\n" + self.visible()

    def until(self, holds: Callable[[str], object], what: str) -> str:
        """Wait until it holds for all the text, and return that."""
        limit = time.monotonic() + WAIT
        while not holds(self.text()):
            assert time.monotonic() < limit, f"never happened: {what}\n{self.text()}"
            assert self._read(0.1), f"ended before: {what}\n{self.text()}"
        return self.text()

    def shows(self, words: str) -> str:
        """Wait until the words are there."""
        return self.until(lambda text: words in text, repr(words))

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self._process.send_signal(number)

    def ends(self) -> int:
        """Wait until the program has ended by itself; return its exit code."""
        limit = time.monotonic() + WAIT
        while self._read(0.1):
            assert time.monotonic() < limit, f"does not end\n{self._where()}"
        return self._process.wait(WAIT)

    def _where(self) -> str:
        """Return what is to be seen, with the place where each thread of the program is."""
        self.signal(signal.SIGUSR1)
        while select.select([self._ours], [], [], 1)[0] and self._read(0):
            pass
        return self.text()

    def _read(self, seconds: float) -> bool:
        """Take what is there; False at the end."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # Linux says so when nobody holds the other side any more
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)
