"""The initial prompt on standard input: taken when it ends, never waited for when it does not."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.piped_prompt import MOST_BYTES, Piped, read_piped_prompt

AGES = 3600.0
"""Longer than any test may take: a wait that must not happen."""


def piped(content: bytes) -> Piped:
    """Return what is made of a pipe with this content that was closed."""
    reading, writing = os.pipe()
    try:
        os.write(writing, content)
        os.close(writing)
        return read_piped_prompt(reading, AGES, silence=AGES)
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        (b"hello\n", "hello\n"),
        ("zwei\nZeilen ü".encode(), "zwei\nZeilen ü"),
        (b"\xff", "\ufffd"),
        (b"", None),
        (b" \n\t", None),
    ],
)
def test_pipe_that_ends_is_read(content: bytes, prompt: str | None) -> None:
    assert piped(content) == Piped(prompt=prompt)


def test_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "prompt").write_text("from a file")
    with (tmp_path / "prompt").open() as file:
        assert read_piped_prompt(file.fileno(), AGES) == Piped(prompt="from a file")


def test_slow_writer_is_waited_for_until_it_ends() -> None:
    program = "import os, time\nfor _ in range(3):\n os.write(1, b'x' * 100000)\n time.sleep(0.05)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert read_piped_prompt(writer.stdout.fileno(), AGES, silence=AGES) == Piped(prompt="x" * 300000)


@pytest.mark.parametrize("content", [b"", b"half a prompt"])
def test_open_pipe_does_not_hold_up_the_start(content: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, content)
    found = read_piped_prompt(reading, AGES, silence=0.05)
    os.close(reading)
    os.close(writing)
    assert found.prompt is None
    assert found.ignored and "does not end" in found.ignored


def test_input_that_never_stops_talking_is_given_up(tmp_path: Path) -> None:
    times = iter([0.0, 0.0, 5.0, 10.0])
    (tmp_path / "long").write_bytes(b"x" * 500_000)
    with (tmp_path / "long").open() as file:
        found = read_piped_prompt(file.fileno(), 10.0, silence=AGES, clock=lambda: next(times))
    assert found.prompt is None
    assert found.ignored and "does not end" in found.ignored


def test_flood_is_given_up() -> None:
    program = "import os\nwhile True: os.write(1, b'x' * 65536)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as flood:
        assert flood.stdout
        found = read_piped_prompt(flood.stdout.fileno(), AGES, silence=AGES)
    assert found.ignored and str(MOST_BYTES) in found.ignored


def test_terminal_socket_device_and_closed_input_are_not_read() -> None:
    primary, secondary = pty.openpty()
    ours, theirs = socket.socketpair()
    theirs.send(b"not a prompt")
    with open(os.devnull) as device:
        for descriptor in (secondary, ours.fileno(), device.fileno(), 9999):
            assert read_piped_prompt(descriptor, AGES, silence=AGES) == Piped()
    ours.close()
    theirs.close()
    os.close(primary)
    os.close(secondary)
