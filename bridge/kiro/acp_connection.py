"""A conversation in JSON-RPC with one child process.

Invariant: everything is read and written on the thread that pumps, one at a time, and never waits for the child but in
`pump`; what the child says is handed on in the order of the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.kiro import acp_wire as wire
from bridge.kiro import loose
from bridge.kiro.loose import JsonDict
from bridge.kiro.process import Activity, ChildProcess, Excerpt

_LONGEST_WARNING = 4096


class Call:
    """A call that was made. Once `done`, either `result` or `error` says how it ended."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.done = False
        self.result: Any = None
        self.error: JsonDict | None = None

    @property
    def complaint(self) -> str:
        """Return what the agent said against the call: its message and what it adds (facts/kiro-wire.md 8, 15)."""
        if self.error is None:
            return ""
        data = self.error.get("data")
        more = loose.name(data) or loose.name(loose.table(data).get("details")) or loose.prose(loose.table(data))
        message = loose.text(self.error.get("message")) or ""
        return ": ".join(part for part in (message, more) if part)

    @property
    def code(self) -> int | None:
        """Return the code of the error, if it is one."""
        return loose.whole(self.error.get("code")) if self.error is not None else None


class Connection:
    """Speaks with `child`, whose end is its owner's business.

    `stderr` is what the child wrote there, `noise` what it printed that is no JSON-RPC.
    """

    def __init__(self, child: ChildProcess) -> None:
        self.child = child
        self.stderr = Excerpt()
        self.noise = Excerpt(8192)
        self._lines = wire.Lines()
        self._calls: dict[int, Call] = {}
        self._last = 0
        self._error_line = b""
        self._warnings: list[str] = []

    @property
    def gone(self) -> bool:
        """Return whether nothing can come from the child any more."""
        return self.child.silent or self.child.exited()

    @property
    def dropped(self) -> int:
        """Return how many lines were too long to be taken."""
        return self._lines.dropped

    def begin(self, method: str, params: JsonDict) -> Call:
        """Make a call and return at once."""
        self._last += 1
        call = self._calls[self._last] = Call(method)
        self.child.send(wire.request(self._last, method, params))
        return call

    def forget(self, call: Call) -> None:
        """Wait for the answer to a call no longer; it is passed over if it comes."""
        self._calls = {number: one for number, one in self._calls.items() if one is not call}

    def tell(self, method: str, params: JsonDict) -> None:
        """Send a notification."""
        self.child.send(wire.notification(method, params))

    def answer(self, number: wire.RpcId, result: JsonDict) -> None:
        """Answer a request of the agent's."""
        self.child.send(wire.answer(number, result))

    def refuse(self, number: wire.RpcId, code: int, message: str) -> None:
        """Refuse a request of the agent's."""
        self.child.send(wire.refusal(number, code, message))

    def pump(self, timeout: float | None) -> Sequence[wire.Request | wire.Notification | Call]:
        """Wait at most `timeout` seconds (None: for ever), and return what came: also the calls that are done now."""
        return self.take(self.child.wait(timeout))

    def take(self, seen: Activity) -> Sequence[wire.Request | wire.Notification | Call]:
        """Return what the bytes of `seen` say."""
        self._take_errors(seen.stderr)
        found: list[wire.Request | wire.Notification | Call] = []
        for line in self._lines.feed(seen.stdout):
            told = wire.messages(line)
            if told is None and line.strip():
                self.noise.add(line[:1024] + b"\n")
            for message in told or ():
                one = self._settled(message) if isinstance(message, wire.Response) else message
                if one is not None:
                    found.append(one)
        return found

    def warnings(self) -> list[str]:
        """Return the whole lines of stderr since the last call."""
        lines, self._warnings = self._warnings, []
        return lines

    def _settled(self, response: wire.Response) -> Call | None:
        number = response.id
        call = self._calls.pop(number, None) if isinstance(number, int) else None
        if call is not None:
            call.result, call.error, call.done = response.result, response.error, True
        return call

    def _take_errors(self, data: bytes) -> None:
        if not data:
            return
        self.stderr.add(data)
        *lines, rest = (self._error_line + data).split(b"\n")
        self._error_line = rest[:_LONGEST_WARNING]
        self._warnings += [line[:_LONGEST_WARNING].decode("utf-8", "replace") for line in lines[-100:]]
        del self._warnings[:-100]
