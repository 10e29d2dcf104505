"""One headless run, from its start to its last event.

Invariant: a store is polled when the process has said something and every `POLL` seconds besides, slower
only if the polls themselves are slow.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

from bridge.core.feed import Ended, FeedEvent, Notice, SessionKnown, UsageSeen
from bridge.core.ports import PromptRequest, TurnControl
from bridge.errors import Problem
from bridge.kiro.batches import PACE, POLL, POLL_SHARE, Batches
from bridge.kiro.command import Launch
from bridge.kiro.failures import RunFacts, classify, not_logged_in, warnings_in
from bridge.kiro.login import device_login_shown
from bridge.kiro.process import Activity, ChildProcess, Excerpt, Stopper
from bridge.kiro.stores import TurnEvidence, TurnReader
from bridge.kiro.stream_json import StreamJson, Terminal
from bridge.kiro.survivors import session_members
from bridge.kiro.terminal_text import ClassicOutput, TextOutput, plain

_POLL_AFTER_OUTPUT = 0.004
_SLOWEST_POLL = 0.25
_LINGER = 2.0
"""Seconds a process may go on after its terminal line (facts/kiro-stores.md A.9 rows 6 and 7)."""

_STORE_PATIENCE = 1.0
_STREAMED_PATIENCE = 0.25
"""Seconds to wait for the store's proof after the end: the stream has its own, text output has none."""

_LOGIN_WINDOW = 8192
_LONGEST_WARNING = 4096
_CREDITS = re.compile(r"Credits: (\d+(?:\.\d+)?)")


class Run:
    """Drives a child and a store reader. `problem` is why the run failed, once it has ended."""

    def __init__(
        self,
        child: ChildProcess,
        reader: TurnReader,
        launch: Launch,
        request: PromptRequest,
        control: TurnControl,
        stop_grace: float,
    ) -> None:
        self.problem: Problem | None = None
        self._child = child
        self._reader = reader
        self._launch = launch
        self._asked_id = request.kiro_id if launch.resume else None
        self._got_id: str | None = None
        self._control = control
        self._stopper: Stopper | None = None
        self._stop_grace = stop_grace
        self._output = _parser(launch)
        self._stdout = Excerpt()
        self._stderr = Excerpt()
        self._stdout_size = 0
        self._error_line = b""
        self._batches = Batches()
        self._next_poll = 0.0
        self._said_last: float | None = None
        self._login_asked = False
        self._metered = False
        self._engine_told = False
        self._finished = False

    def events(self) -> Iterator[Sequence[FeedEvent]]:
        """Yield the batches of the run; the last one ends with `Ended`."""
        while not self._over():
            self._take(self._child.wait(self._timeout()))
            self._poll_when_due()
            if self._batches.ready:
                yield self._batches.take()
        self._let_store_settle()
        self._finish()
        self._await_proof()
        self._conclude()
        yield self._batches.take()

    def close(self) -> None:
        """End the child if the run was left before its end."""
        if not self._finished:
            self._finished = True
            self._child.finish(everything=True)

    def _over(self) -> bool:
        if self._child.exited() or self._login_asked:
            return True
        if self._control.cancelled():
            self._stopper = self._stopper or Stopper(self._child, self._stop_grace)
            return self._stopper.step()
        return self._lingers()

    def _lingers(self) -> bool:
        """Return whether the process still runs long after it has said its last word."""
        if self._terminal() is None:
            return False
        if self._said_last is None:
            self._said_last = time.monotonic()
        return time.monotonic() > self._said_last + _LINGER

    def _terminal(self) -> Terminal | None:
        return self._output.terminal if isinstance(self._output, StreamJson) else None

    def _timeout(self) -> float:
        return min(self._next_poll, self._batches.due) - time.monotonic()

    def _take(self, seen: Activity) -> None:
        if seen.stderr:
            self._stderr.add(seen.stderr)
            self._warn(seen.stderr)
        if seen.stdout:
            self._stdout.add(seen.stdout)
            self._stdout_size += len(seen.stdout)
            self._push(self._output.feed(seen.stdout))
            self._compare_engine()
            self._next_poll = min(self._next_poll, time.monotonic() + _POLL_AFTER_OUTPUT)
            if self._stdout_size <= _LOGIN_WINDOW and device_login_shown(self._output.opening):
                self._login_asked = True

    def _compare_engine(self) -> None:
        """Say so if a CLI whose engine could not be pinned runs another one, whose store is not looked at."""
        running = self._output.engine if isinstance(self._output, StreamJson) else self._launch.engine
        if running != self._launch.engine and not self._engine_told:
            self._engine_told = True
            text = (
                f"kiro-cli runs the engine {running}, not {self._launch.engine} as expected; only its stream is read."
            )
            self._push([Notice("engine_differs", text, "warning")])

    def _warn(self, data: bytes) -> None:
        """Look at whole lines of stderr for what a person should know while the run goes on."""
        *lines, rest = (self._error_line + data).split(b"\n")
        self._error_line = rest[:_LONGEST_WARNING]
        for line in lines:
            text = line[:_LONGEST_WARNING].decode("utf-8", "replace")
            self._push(warnings_in(text))

    def _push(self, events: Iterator[FeedEvent] | Sequence[FeedEvent]) -> None:
        events = list(events)
        for event in events:
            if isinstance(event, SessionKnown):
                self._got_id = self._got_id or event.kiro_id
        self._batches.push(events)

    def _poll_when_due(self) -> None:
        if time.monotonic() >= self._next_poll:
            self._poll()

    def _poll(self, *, final: bool = False) -> None:
        began = time.monotonic()
        known = self._output.session_id if isinstance(self._output, StreamJson) else None
        if known is not None:
            self._reader.follow(known)
        events = self._reader.poll(final=final)
        self._metered = self._metered or any(isinstance(one, UsageSeen) and one.credits for one in events)
        self._push(events)
        ended = time.monotonic()
        self._next_poll = ended + min(_SLOWEST_POLL, max(POLL, POLL_SHARE * (ended - began)))

    def _let_store_settle(self) -> None:
        """Give a worker that outlives the first process the time to write down the end it has announced."""
        deadline = time.monotonic() + _STREAMED_PATIENCE
        terminal = None if self._stopped() else self._terminal()
        while terminal is not None and terminal.success and session_members(self._child.pid):
            self._poll()
            if self._evidence().finished or time.monotonic() > deadline:
                return
            self._take(self._child.wait(POLL))

    def _finish(self) -> None:
        self._finished = True
        self._take(self._child.finish(everything=self._stopper is not None or self._login_asked))
        self._push(self._output.close())
        self._warn(b"\n")

    def _await_proof(self) -> None:
        """Read the store to its end; look again for a while if a run that seems good left no proof yet."""
        self._poll(final=True)
        terminal = self._terminal()
        hopeful = terminal.success if terminal else self._child.status()[0] == 0
        patience = _STREAMED_PATIENCE if terminal else _STORE_PATIENCE
        deadline = time.monotonic() + patience
        while hopeful and not self._stopped() and not self._evidence().finished and time.monotonic() < deadline:
            time.sleep(PACE)
            self._poll(final=True)

    def _stopped(self) -> bool:
        return self._stopper is not None or self._login_asked

    def _evidence(self) -> TurnEvidence:
        return self._reader.evidence()

    def _conclude(self) -> None:
        evidence = self._evidence()
        self._add_bill()
        exit_code, number = self._child.status()
        succeeded = self._succeeded(evidence, exit_code)
        if self._login_asked:
            self.problem = not_logged_in()
        elif self._stopper is not None and not (succeeded and exit_code == 0):
            self._push([Ended("cancelled", recorded=evidence.finished)])
            return
        else:
            self.problem = classify(self._facts(evidence, succeeded, exit_code, number))
        self._push([Ended("failed" if self.problem else "completed", self.problem, evidence.finished)])

    def _bill(self) -> float | None:
        """Return the credits that v1 printed at the end of the turn, rounded (facts/kiro-cli.md 5.3)."""
        found = _CREDITS.search(plain(self._stderr.text())) if self._launch.engine == "v1" else None
        return float(found[1]) if found else None

    def _add_bill(self) -> None:
        """Tell what v1 printed if its store does not say it better."""
        spent = None if self._metered else self._bill()
        if spent is not None:
            self._push([UsageSeen(credits=spent)])

    def _succeeded(self, evidence: TurnEvidence, exit_code: int | None) -> bool:
        """Return whether there is proof: the stream's own word, the store's, or v1's bill for a recorded
        answer.
        """
        terminal = self._terminal()
        if terminal is not None:
            return terminal.success
        billed = exit_code == 0 and self._bill() is not None
        return evidence.finished or (billed and evidence.prompt_seen and not evidence.last_tool_open)

    def _facts(self, evidence: TurnEvidence, succeeded: bool, exit_code: int | None, number: int | None) -> RunFacts:
        terminal = self._terminal()
        return RunFacts(
            exit_code,
            number,
            stdout=self._stdout.text(),
            stderr=self._stderr.text(),
            run_error=terminal.message if terminal and terminal.kind == "error" else None,
            succeeded=succeeded,
            prompt_seen=evidence.prompt_seen,
            answered=self._output.answered,
            end_reason=(terminal.stop_reason if terminal else "") or evidence.end_reason,
            asked_id=self._asked_id,
            got_id=self._got_id,
        )


def _parser(launch: Launch) -> StreamJson | ClassicOutput | TextOutput:
    if launch.feed == "stream-json":
        return StreamJson(launch.engine)
    return ClassicOutput() if launch.engine == "v1" else TextOutput()
