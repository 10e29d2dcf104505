"""Processes: input, output, exit, and an end that leaves nobody behind. Real processes, no kiro-cli."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.kiro import survivors
from bridge.kiro.environment import RUN_ID
from bridge.kiro.process import ChildProcess, Excerpt, Stopper, run_briefly

from .scripts import PATIENCE, Control, alive, pid_in, program, until


def env() -> dict[str, str]:
    """The tests' own environment, with the mark by which leaks are found."""
    return dict(os.environ)


def run(child: ChildProcess, stopper: Stopper | None = None, *, everything: bool = False) -> tuple[bytes, bytes]:
    """Drive a child to its end and return its output."""
    out, err = [], []
    deadline = time.monotonic() + PATIENCE
    while not child.exited():
        assert time.monotonic() < deadline, "the child did not end"
        if stopper is not None:
            stopper.step()
        seen = child.wait(0.01 if stopper else 1.0)
        out.append(seen.stdout)
        err.append(seen.stderr)
    last = child.finish(everything=everything)
    return b"".join([*out, last.stdout]), b"".join([*err, last.stderr])


@pytest.fixture
def control() -> Iterator[Control]:
    made = Control()
    yield made
    made.close()


@pytest.mark.parametrize(
    "prompt",
    [
        b"--help",
        b"-v\nx",
        b"nul \0 esc \x1b[201~ cr \r end",
        "👩‍💻 é".encode(),
        b"x" * (5 * 1024 * 1024),
        b"\xff\xfe not utf-8",
    ],
    ids=["dashes", "dash", "controls", "unicode", "5 MB", "bytes"],
)
def test_input_arrives_unchanged(tmp_path: Path, prompt: bytes) -> None:
    source = "import sys,hashlib\nprint(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
    child = ChildProcess([str(program(tmp_path / "p", source))], cwd=str(tmp_path), env=env(), stdin=prompt)
    assert run(child)[0].decode().strip() == hashlib.sha256(prompt).hexdigest()
    assert child.status() == (0, None)


def test_without_input_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    child = ChildProcess([sys.executable, "-c", "print(repr(input('')))"], cwd=str(tmp_path), env=env())
    assert b"EOFError" in run(child)[1]


def test_a_child_that_does_not_read_its_input_does_not_block(tmp_path: Path) -> None:
    child = ChildProcess(
        [sys.executable, "-c", "import os; os.close(0); print('done')"],
        cwd=str(tmp_path),
        env=env(),
        stdin=b"x" * 5_000_000,
    )
    assert run(child)[0] == b"done\n"


def test_output_and_errors_are_kept_apart_and_complete(tmp_path: Path) -> None:
    source = "import sys\nfor n in range(20000): print('o', n); print('e', n, file=sys.stderr)"
    child = ChildProcess([str(program(tmp_path / "p", source))], cwd=str(tmp_path), env=env())
    out, err = run(child)
    assert out == b"".join(b"o %d\n" % n for n in range(20000))
    assert err == b"".join(b"e %d\n" % n for n in range(20000))


def test_the_end_by_a_signal_is_told(tmp_path: Path) -> None:
    child = ChildProcess(["/bin/sh", "-c", "kill -SEGV $$"], cwd=str(tmp_path), env=env())
    run(child)
    assert child.status() == (None, signal.SIGSEGV)


def test_a_program_that_cannot_be_started_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        ChildProcess([str(tmp_path / "absent")], cwd=str(tmp_path), env=env(), stdin=b"x")


@pytest.mark.parametrize("ignored", [(), ("SIGINT",), ("SIGINT", "SIGTERM")])
def test_a_stop_goes_as_far_as_it_must(tmp_path: Path, ignored: tuple[str, ...]) -> None:
    source = "import signal,time\n" + "".join(f"signal.signal(signal.{n}, signal.SIG_IGN)\n" for n in ignored)
    ready = tmp_path / "ready"
    source += f"open({str(ready)!r},'w').close()\nwhile True: time.sleep(1)"
    if not ignored:
        source = source.replace(
            "import signal", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nimport signal", 1
        )
    child = ChildProcess([str(program(tmp_path / "p", source))], cwd=str(tmp_path), env=env())
    until(ready.exists)
    run(child, Stopper(child, 0.1), everything=True)
    assert child.status() == (None, (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[len(ignored)])


GRANDCHILD = """
import os, sys, time
if os.fork() == 0:
    {leave}
    for fd in {close}: os.close(fd)
    open({pid!r} + '.tmp', 'w').write(str(os.getpid()) + '\\n')
    os.rename({pid!r} + '.tmp', {pid!r})
    import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True: time.sleep(1)
while not os.path.exists({pid!r}): time.sleep(0.005)
print('ready', flush=True)
{then}
"""


def family(tmp_path: Path, *, leave: str, close: tuple[int, ...], then: str) -> tuple[ChildProcess, int]:
    """Start a program with a stubborn child of its own, and return it with that child's id."""
    pid = str(tmp_path / "pid")
    source = GRANDCHILD.format(leave=leave, close=close, pid=pid, then=then)
    child = ChildProcess([str(program(tmp_path / "p", source))], cwd=str(tmp_path), env=env())
    return child, pid_in(Path(pid))


@pytest.mark.parametrize("leave", ["pass", "os.setpgid(0, 0)", "os.setsid()"], ids=["group", "session", "own session"])
def test_a_stop_spares_no_descendant(tmp_path: Path, leave: str) -> None:
    child, grandchild = family(tmp_path, leave=leave, close=(), then="while True: time.sleep(1)")
    run(child, Stopper(child, 0.1), everything=True)
    assert not alive(grandchild)


def test_a_descendant_that_lost_its_parent_is_found_too(tmp_path: Path) -> None:
    leave = "os.setsid()\n    if os.fork(): os._exit(0)"
    child, grandchild = family(tmp_path, leave=leave, close=(), then="while True: time.sleep(1)")
    run(child, Stopper(child, 0.1), everything=True)
    assert not alive(grandchild)


@pytest.mark.parametrize("leave", ["pass", "os.setsid()"], ids=["group", "own session"])
def test_a_grandchild_that_holds_our_pipes_ends_with_the_run(tmp_path: Path, leave: str) -> None:
    child, grandchild = family(tmp_path, leave=leave, close=(), then="sys.exit(0)")
    assert run(child)[0] == b"ready\n"
    assert child.status() == (0, None) and not alive(grandchild)


def test_what_an_agent_detached_on_purpose_lives_on_after_a_normal_end(tmp_path: Path) -> None:
    child, grandchild = family(tmp_path, leave="os.setsid()", close=(1, 2), then="sys.exit(0)")
    run(child)
    try:
        assert alive(grandchild)
    finally:
        assert survivors.end_run(child.run_id, 0.1)
    assert not alive(grandchild)


def test_a_process_of_another_run_is_never_signalled(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "1000"], env={**env(), RUN_ID: "other"}, start_new_session=True)
    try:
        child = ChildProcess(["sleep", "1000"], cwd=str(tmp_path), env=env())
        until(lambda: survivors.run_members(child.run_id) == [child.pid])
        run(child, Stopper(child, 0.1), everything=True)
        assert other.poll() is None
        assert survivors.end_run("no such run", 0.1)
    finally:
        other.kill()
        other.wait()


def test_the_first_process_keeps_its_id_until_all_is_over(tmp_path: Path) -> None:
    child = ChildProcess(["true"], cwd=str(tmp_path), env=env())
    until(child.exited)
    assert Path(f"/proc/{child.pid}").exists()
    child.finish(everything=False)
    assert not Path(f"/proc/{child.pid}").exists()


def test_a_flood_is_read_with_bounded_memory(tmp_path: Path) -> None:
    source = "import sys\nfor _ in range(800): sys.stdout.write('x' * 65536)"
    child = ChildProcess([str(program(tmp_path / "p", source))], cwd=str(tmp_path), env=env())
    kept, size, largest = Excerpt(100_000), 0, 0
    while not child.exited():
        seen = child.wait(1.0)
        kept.add(seen.stdout)
        size, largest = size + len(seen.stdout), max(largest, len(seen.stdout))
    last = child.finish(everything=False)
    assert size + len(last.stdout) == 800 * 65536
    assert largest <= 1_000_000
    assert len(kept._head) + len(kept._tail) <= 150_000 + 2 * largest
    assert len(kept.text()) <= 100_010


@pytest.mark.parametrize("sizes", [[], [5], [10], [11], [4, 4, 4], [30], [1] * 30])
def test_an_excerpt_keeps_both_ends(sizes: list[int]) -> None:
    data = bytes(range(65, 95))[: sum(sizes)]
    excerpt, place = Excerpt(10), 0
    for size in sizes:
        excerpt.add(data[place : place + size])
        place += size
    text = data.decode()
    assert excerpt.text() == (text if len(text) <= 10 else f"{text[:5]}\n[...]\n{text[-5:]}")


def test_a_brief_command(tmp_path: Path) -> None:
    result = run_briefly(
        ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], env=env(), cwd=str(tmp_path), timeout=PATIENCE
    )
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert not result.timed_out


def test_a_brief_command_that_hangs_is_given_up_with_its_children(tmp_path: Path) -> None:
    script = program(tmp_path / "p", f"setsid sleep 1000 & echo $! > {tmp_path}/pid; wait", "/bin/sh")
    result = run_briefly([str(script)], env=env(), cwd=str(tmp_path), timeout=0.5)
    assert result.timed_out and result.exit_code is None
    assert not alive(pid_in(tmp_path / "pid"))


def test_a_brief_command_is_given_up_when_the_turn_is_stopped(tmp_path: Path, control: Control) -> None:
    ready = tmp_path / "ready"
    script = program(tmp_path / "p", f"touch {ready}; sleep 1000", "/bin/sh")

    def stop() -> None:
        until(ready.exists)
        control.cancel()

    stopper = threading.Thread(target=stop)
    stopper.start()
    result = run_briefly([str(script)], env=env(), cwd=str(tmp_path), timeout=1000, control=control)
    stopper.join()
    assert result.cancelled and not result.timed_out


def test_many_runs_leave_no_descriptor(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        run_briefly(["true"], env=env(), cwd=str(tmp_path), timeout=PATIENCE)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_child_that_is_spoken_with() -> None:
    """Its input stays open, however much is sent at once, until it is closed."""
    child = ChildProcess(["cat"], cwd="/", env=env(), talks=True)
    sent = b"".join(b"%07d\n" % number for number in range(100_000))
    heard = b""
    deadline = time.monotonic() + PATIENCE
    for part in (sent[:7], sent[7:500_000], sent[500_000:]):
        child.send(part)
    while len(heard) < len(sent):
        assert time.monotonic() < deadline
        heard += child.wait(1.0).stdout
    assert heard == sent and not child.exited() and not child.silent
    child.close_input()
    child.send(b"too late")
    assert run(child) == (b"", b"") and child.silent


def test_a_wait_is_ended_by_what_is_listened_to() -> None:
    reading, writing = os.pipe()
    child = ChildProcess(["cat"], cwd="/", env=env(), talks=True)
    try:
        for _ in range(2):
            child.listen(reading)
            child.listen(reading)
            os.write(writing, b"x")
            assert child.wait(None).woken
            os.read(reading, 1)
        child.listen(reading)
        child.unlisten(reading)
        os.write(writing, b"x")
        assert not child.wait(0.05).woken
    finally:
        child.finish(everything=True)
        os.close(reading)
        os.close(writing)
