"""A child process in its own session: its streams, its exit, and its end.

Invariant: everything is non-blocking and goes through one select loop; the first process is reaped last, so
its id (which is also its group's and session's) cannot be reused while anything is signalled.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.core.ports import Cancellation
from bridge.kiro.environment import RUN_ID
from bridge.kiro.survivors import end_run, end_session, signal_run

_READ = 65_536
_READS_PER_TURN = 8
_READS_IN_DRAIN = 4
_WITHOUT_PIDFD = 0.05
"""Seconds between looks at the exit status where the kernel cannot tell of it."""

_MEMBER_PATIENCE = 0.5
"""Seconds the rest of a run has between SIGTERM and SIGKILL after the first process ended."""

_STUCK_AFTER_KILL = 5.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


def new_run_id() -> str:
    """Return a random name for a run."""
    return uuid.uuid4().hex


class Excerpt:
    """Keeps the beginning and the end of a byte stream within `limit` bytes."""

    def __init__(self, limit: int = 262_144) -> None:
        self._room = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._cut = False

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        room = self._room - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self._room:
            del self._tail[: -self._room]
            self._cut = True

    def text(self) -> str:
        """Return what was kept; a gap is marked."""
        cut = self._cut or len(self._tail) > self._room
        gap = b"\n[...]\n" if cut else b""
        return (bytes(self._head) + gap + bytes(self._tail[-self._room :])).decode("utf-8", "replace")


@dataclass(frozen=True)
class Activity:
    """What one wait saw: new bytes, the exit of the first process, a word from the wake-up descriptor."""

    stdout: bytes = b""
    stderr: bytes = b""
    exited: bool = False
    woken: bool = False


class ChildProcess:
    """A running child. `stdin` is written while waiting; without it the child reads `/dev/null`.

    With `talks` its input stays open for `send` until `close_input`. Raises OSError when the program cannot be
    started. Must be ended with `finish`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        stdin: bytes = b"",
        run_id: str | None = None,
        wake_fd: int | None = None,
        talks: bool = False,
    ) -> None:
        self.run_id = run_id or new_run_id()
        self._talks = talks
        self._pending: deque[memoryview] = deque([memoryview(stdin)] if stdin else [])
        self._open: dict[str, int] = {}
        self._exited = False
        self._selector = selectors.DefaultSelector()
        try:
            if wake_fd is not None:
                self.listen(wake_fd)
            self._popen = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env={**env, RUN_ID: self.run_id},
                stdin=subprocess.PIPE if stdin or talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except BaseException:
            self._selector.close()
            raise
        self.pid = self._popen.pid
        self._pidfd = _pidfd(self.pid)
        self._watch()

    def _watch(self) -> None:
        if self._pidfd is not None:
            self._selector.register(self._pidfd, selectors.EVENT_READ, "exit")
        for name in ("stdout", "stderr", "stdin"):
            pipe = getattr(self._popen, name)
            if pipe is not None:
                self._open[name] = pipe.fileno()
                os.set_blocking(pipe.fileno(), False)
                if name != "stdin":
                    self._selector.register(pipe.fileno(), selectors.EVENT_READ, name)
                elif self._pending:
                    self._selector.register(pipe.fileno(), selectors.EVENT_WRITE, name)

    def listen(self, fd: int) -> None:
        """Have `wait` return early, once, when `fd` is readable; call it again to be woken again."""
        with contextlib.suppress(KeyError):
            self._selector.register(fd, selectors.EVENT_READ, "wake")

    def unlisten(self, fd: int) -> None:
        """Wait for `fd` no longer."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)

    def send(self, data: bytes) -> None:
        """Write `data` to the child's input while waiting, after what was sent before; nothing once it is closed."""
        if "stdin" not in self._open:
            return
        if not self._pending:
            self._selector.register(self._open["stdin"], selectors.EVENT_WRITE, "stdin")
        self._pending.append(memoryview(data))

    def close_input(self) -> None:
        """Close the child's input, which tells a polite program to end; what was not written yet is dropped."""
        if "stdin" in self._open:
            self._close("stdin")

    @property
    def silent(self) -> bool:
        """Return whether the child's output is closed: nothing more will come of it."""
        return "stdout" not in self._open

    def wait(self, timeout: float | None) -> Activity:
        """Wait at most `timeout` seconds (None: for ever) for anything to happen, write pending input, and
        return what was seen.
        """
        if self._pidfd is None:
            timeout = _WITHOUT_PIDFD if timeout is None else min(timeout, _WITHOUT_PIDFD)
        out, err, woken = b"", b"", False
        for key, _ in self._selector.select(None if timeout is None else max(0.0, timeout)):
            if key.data == "stdout":
                out = self._read("stdout")
            elif key.data == "stderr":
                err = self._read("stderr")
            elif key.data == "stdin":
                self._write()
            else:
                self._selector.unregister(key.fd)
                woken = woken or key.data == "wake"
        return Activity(out, err, self.exited(), woken)

    def exited(self) -> bool:
        """Return whether the first process has ended. It stays unreaped, so that its id stays its own."""
        if not self._exited:
            self._exited = _ended(self._popen)
        return self._exited

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the group, and to what left it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        signal_run(self.run_id, number)

    def finish(self, *, everything: bool) -> Activity:
        """End what is left of the run, reap it, and return its last output. To be called once, as the last
        thing.

        Normally the session ends: what an agent detached on purpose (a server in a session of its own)
        lives on, unless it holds our pipes, as v3's Node server does (facts/kiro-stores.md A.9 row 6).
        `everything` spares nothing.
        """
        last = [self._drain()]
        if not self.exited():
            self.signal(signal.SIGTERM)
        end_session(self.pid, _MEMBER_PATIENCE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if everything:
            end_run(self.run_id, _MEMBER_PATIENCE)
        last.append(self._drain())
        if "stdout" in self._open or "stderr" in self._open:
            end_run(self.run_id, _MEMBER_PATIENCE)
            last.append(self._drain())
        self._release()
        return Activity(b"".join(a.stdout for a in last), b"".join(a.stderr for a in last), True)

    def status(self) -> tuple[int | None, int | None]:
        """Return (exit code, signal number) after `finish`; exactly one is set, none if it could not be
        ended.
        """
        code = self._popen.returncode
        if code is None:
            return None, None
        return (code, None) if code >= 0 else (None, -code)

    def _read(self, name: str) -> bytes:
        """Return what a pipe holds, bounded; its end closes it."""
        fd, parts = self._open[name], []
        for _ in range(_READS_PER_TURN):
            try:
                data = os.read(fd, _READ)
            except BlockingIOError:
                break
            if not data:
                self._close(name)
                break
            parts.append(data)
        return b"".join(parts)

    def _drain(self) -> Activity:
        """Return what the pipes still hold, without waiting; bounded, as a writer may still be at it."""
        found: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        for name, parts in found.items():
            for _ in range(_READS_IN_DRAIN):
                if name in self._open and (data := self._read(name)):
                    parts.append(data)
        return Activity(b"".join(found["stdout"]), b"".join(found["stderr"]))

    def _write(self) -> None:
        try:
            written = os.write(self._open["stdin"], self._pending[0][:_READ])
        except BlockingIOError:
            return
        except OSError:
            self._close("stdin")
            return
        self._pending[0] = self._pending[0][written:]
        if not self._pending[0]:
            self._pending.popleft()
        if not self._pending and self._talks:
            self._selector.unregister(self._open["stdin"])
        elif not self._pending:
            self._close("stdin")

    def _close(self, name: str) -> None:
        self.unlisten(self._open.pop(name))
        if name == "stdin":
            self._pending.clear()
        pipe = getattr(self._popen, name)
        with contextlib.suppress(OSError):
            pipe.close()

    def _release(self) -> None:
        for name in list(self._open):
            self._close(name)
        self._selector.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(_STUCK_AFTER_KILL)


class Stopper:
    """The way a run is stopped: SIGINT, then SIGTERM, then SIGKILL, `grace` seconds apart
    (facts/kiro-cli.md 5.6).
    """

    def __init__(self, child: ChildProcess, grace: float) -> None:
        self._child = child
        self._grace = grace
        self._left = list(_STOP_SIGNALS)
        self._due = 0.0

    def step(self) -> bool:
        """Send the next signal if it is due. Return whether all were sent and nothing more can be hoped
        for.
        """
        now = time.monotonic()
        if now < self._due:
            return False
        if not self._left:
            return True
        self._child.signal(self._left.pop(0))
        self._due = now + (self._grace if self._left else _STUCK_AFTER_KILL)
        return False


@dataclass(frozen=True)
class BriefResult:
    """What a short command did. `exit_code` is None when it was ended by a signal or by us."""

    exit_code: int | None
    stdout: str
    stderr: str
    timed_out: bool = False
    cancelled: bool = False


def run_briefly(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    timeout: float,
    control: Cancellation | None = None,
) -> BriefResult:
    """Run a short command with `/dev/null` as input and bounded output, and end it and its children.

    It is given up after `timeout` seconds, or when `control` says that the turn is to be stopped. Raises
    OSError when it cannot be started.
    """
    child = ChildProcess(argv, cwd=cwd, env=env, wake_fd=control.wake_fd() if control else None)
    out, err = Excerpt(), Excerpt()
    deadline = time.monotonic() + timeout
    timed_out = cancelled = False
    try:
        while not (child.exited() or timed_out or cancelled):
            seen = child.wait(deadline - time.monotonic())
            out.add(seen.stdout)
            err.add(seen.stderr)
            timed_out = not seen.exited and time.monotonic() >= deadline
            cancelled = control is not None and control.cancelled()
    finally:
        last = child.finish(everything=timed_out or cancelled)
    out.add(last.stdout)
    err.add(last.stderr)
    code = None if timed_out or cancelled else child.status()[0]
    return BriefResult(code, out.text(), err.text(), timed_out, cancelled)


def _pidfd(pid: int) -> int | None:
    """Return a descriptor that is readable once the process has ended, None where the system has none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _ended(popen: subprocess.Popen[bytes]) -> bool:
    if not hasattr(os, "waitid"):
        return popen.poll() is not None
    try:
        return os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
