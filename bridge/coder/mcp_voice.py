"""The way to Coder that it means for agents: the tool of `coder exp mcp server` (facts/coder-platform.md 2).

Invariants: the SDK is imported, and its event loop lives and dies, in one thread of this voice, which starts with the
first report; one child at a time, which does not outlive it; whoever tells never waits for a child that is slow to
start or to answer, beyond the time-out that was given.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge.coder.rules import Report
from bridge.coder.voice import Untold
from bridge.core.tools import STATUS_REPORT

if TYPE_CHECKING:
    import anyio

log = logging.getLogger(__name__)

_SLACK = 2.0
"""Seconds that a call may take beyond its time-out, on a machine that is busy."""

_CLOSE_SECONDS = 8.0
"""The SDK closes the child's input, waits, then ends its process group step by step: about 6.5 s at the very worst."""

Call = Callable[[dict[str, Any], float], Awaitable[None]]


@dataclass(frozen=True)
class Pauses:
    """Seconds: `connect` that a report waits for a child, `answer` for each answer of one that starts, `first` and
    `most` between two attempts to have one."""

    connect: float = 1.0
    answer: float = 10.0
    first: float = 1.0
    most: float = 300.0


@dataclass
class _Job:
    """A report to tell. `taken` is set once the child is being told or the job has ended; `over` says that nothing is
    done about it any more, not even putting its child away."""

    report: Report
    timeout: float
    done: Future[None] = field(default_factory=Future)
    taken: threading.Event = field(default_factory=threading.Event)
    over: bool = False


class McpVoice:
    """Calls `coder_report_task` of the child `command`, which is started when it is needed and kept.

    `env` is what the child gets beside the SDK's own choice (`HOME`, `PATH` and the like).
    """

    name = "coder exp mcp server"

    def __init__(self, command: Sequence[str], env: Mapping[str, str], pauses: Pauses | None = None) -> None:
        self._command = list(command)
        self._env = dict(env)
        self._pauses = pauses or Pauses()
        self._pause = self._pauses.first
        self._retry_at = float("-inf")
        self._why = ""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jobs: asyncio.Queue[_Job] | None = None
        self._scope: anyio.CancelScope | None = None
        self._last: _Job | None = None
        self._closed = False

    def tell(self, report: Report, timeout: float) -> None:
        """Tell Coder. Raises `Untold`: at once while the child is being waited for, or the next one is not due.

        What the child has been given is waited for, so that it cannot arrive after a later report that went another
        way.
        """
        if self._last is not None and not self._last.over:
            raise Untold(self._why or "it has not answered yet")
        if self._closed or time.monotonic() < self._retry_at:
            raise Untold(self._why)
        self._last = job = _Job(report, timeout)
        self._give(job)
        if not job.taken.wait(min(timeout, self._pauses.connect)) and job.done.cancel():
            raise Untold("it has not started yet")
        try:
            job.done.result(timeout + _SLACK)
        except FutureTimeout:
            raise Untold(f"no answer within {timeout:g} s") from None

    def close(self) -> None:
        """End the child and the thread."""
        with self._lock:
            self._closed = True
            thread, loop, scope = self._thread, self._loop, self._scope
            if loop is not None and scope is not None:
                loop.call_soon_threadsafe(scope.cancel)
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def _give(self, job: _Job) -> None:
        """Give the job to the thread; with the first one it begins."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, args=(job,), name="coder-mcp", daemon=True)
            self._thread.start()
            return
        with self._lock:
            if self._loop is not None and self._jobs is not None:
                self._loop.call_soon_threadsafe(self._jobs.put_nowait, job)
                return
        self._end(job, Untold(self._why))

    def _main(self, first: _Job) -> None:
        try:
            import mcp  # noqa: F401  # loaded here, off every other thread

            asyncio.run(self._live(first))
        except Exception as error:
            self._why = f"the Python package mcp cannot be used ({error})"
            self._retry_at = float("inf")
            log.debug("the MCP client failed", exc_info=True)
            self._end(first, Untold(self._why))

    async def _live(self, first: _Job) -> None:
        import anyio

        scope = anyio.CancelScope()
        jobs: asyncio.Queue[_Job] = asyncio.Queue()
        jobs.put_nowait(first)
        with self._lock:
            self._loop, self._jobs, self._scope = asyncio.get_running_loop(), jobs, scope
            if self._closed:
                scope.cancel()
        try:
            with scope:
                while True:
                    await self._serve(jobs, await jobs.get())
        finally:
            with self._lock:
                self._loop = self._jobs = None
        while not jobs.empty():
            self._end(jobs.get_nowait(), Untold("the bridge is stopping"))

    async def _serve(self, jobs: asyncio.Queue[_Job], job: _Job) -> None:
        """Have a child for this job and those that follow, until it fails."""
        reason = ""
        try:
            async with self._child() as call:
                while not (reason := await self._do(call, job)):
                    job = await jobs.get()
        except Exception as error:
            reason = reason or _innermost(error)
        self._why = reason
        self._retry_at = time.monotonic() + self._pause
        self._pause = min(self._pauses.most, self._pause * 2)
        self._end(job, Untold(reason))

    async def _do(self, call: Call, job: _Job) -> str:
        """Run the job and return why the child cannot be used any more, empty when it can."""
        if not job.done.set_running_or_notify_cancel():
            job.over = True
            return ""
        job.taken.set()
        report = job.report
        try:
            await call({"state": report.state, "summary": report.summary, "link": ""}, job.timeout)
        except Untold as refused:
            self._end(job, refused)
        except Exception as error:
            reason = _innermost(error)
            job.done.set_exception(Untold(reason))
            return reason
        else:
            self._pause = self._pauses.first
            self._end(job, None)
        return ""

    @staticmethod
    def _end(job: _Job, error: Untold | None) -> None:
        job.over = True
        if not job.done.done() and (job.done.running() or job.done.set_running_or_notify_cancel()):
            if error is None:
                job.done.set_result(None)
            else:
                job.done.set_exception(error)
        job.taken.set()

    @asynccontextmanager
    async def _child(self) -> AsyncIterator[Call]:
        """Start a child, see that it has the tool, and give the function that calls it."""
        from mcp import Client, StdioServerParameters, stdio_client

        parameters = StdioServerParameters(command=self._command[0], args=self._command[1:], env=self._env)
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            transport = stdio_client(parameters, errlog=nowhere)
            client = Client(transport, mode="legacy", read_timeout_seconds=self._pauses.answer, cache=None)
            async with client:
                if STATUS_REPORT not in [tool.name for tool in (await client.list_tools()).tools]:
                    raise Untold(f"it has no {STATUS_REPORT}: its reporter is off, or the agent's socket is not there")

                async def call(arguments: dict[str, Any], timeout: float) -> None:
                    result = await client.call_tool(STATUS_REPORT, arguments, read_timeout_seconds=timeout)
                    if result.is_error:
                        said = " ".join(getattr(block, "text", "") for block in result.content)
                        raise Untold(f"{STATUS_REPORT} failed: {said[:200]}")

                yield call


def _innermost(error: BaseException) -> str:
    """Return what went wrong in words, out of the groups that task groups wrap errors in."""
    while inner := getattr(error, "exceptions", ()):
        error = inner[0]
    return str(error) or type(error).__name__
