"""`chat --output-format stream-json`: bytes in, feed events out.

Invariant: pure and incremental; any cutting of the same bytes gives the same events, in time proportional
to their number. A line or field that is not understood is left out, never an error (facts/kiro-stores.md
A.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bridge.core.feed import Engine, FeedEvent, Notice, SessionKnown
from bridge.kiro import loose
from bridge.kiro.acp_updates import Updates
from bridge.kiro.loose import JsonDict

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes; single lines of hundreds of KB are usual (facts/kiro-stores.md A.5)."""

_OPENING = 2048
_WHERE_KINDS_STAND = 400
_DROPPED_KINDS = (b'"sessionUpdate":"available_commands_update"', b'"sessionUpdate":"config_option_update"')
"""Big lines that nothing is done with; told by their beginning, so that they are not parsed."""

_ENGINES: Mapping[str, Engine] = {"v1": "v1", "v2": "v2", "v3": "v3"}
NO_ANSWER = ("cancelled", "refusal")
"""Stop reasons of a run that exits with 1 (facts/kiro-stores.md A.8)."""

EARLY_STOPS = {
    "max_tokens": "The model stopped at the length limit of an answer.",
    "max_turn_requests": "Kiro stopped at its limit of model calls for one prompt.",
}


@dataclass(frozen=True)
class Terminal:
    """The last line of a run: `runFinished`, or `runError` with `message` and `stage`."""

    kind: Literal["finished", "error"]
    session_id: str | None = None
    status: str = ""
    stop_reason: str = ""
    stage: str = ""
    message: str = ""

    @property
    def success(self) -> bool:
        """Return whether the run says that the model finished its answer."""
        return self.kind == "finished" and self.status == "success" and self.stop_reason not in NO_ANSWER


class StreamJson:
    """The parser of one run.

    `terminal` is the last line once it has come. `session_id` is the run's own id: that of its first event
    (facts/kiro-stores.md A.7). `engine` is what runs, as the run itself says. `skipped` counts lines that
    are not JSON events, and `opening` holds the first of them.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.terminal: Terminal | None = None
        self.session_id: str | None = None
        self.skipped = 0
        self.opening = ""
        self._updates = Updates(asks=False)
        self._parts: list[bytes] = []
        self._size = 0
        self._too_long = False

    @property
    def answered(self) -> bool:
        """Return whether text of the main agent was seen."""
        return self._updates.answered

    def feed(self, data: bytes) -> list[FeedEvent]:
        """Return the events of the next bytes of stdout."""
        events: list[FeedEvent] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._keep(line, events)
            self._end_line(events)
        self._keep(rest, events)
        return events

    def close(self) -> list[FeedEvent]:
        """Return the events of a last line without a line break."""
        events: list[FeedEvent] = []
        self._end_line(events)
        return events

    def _keep(self, data: bytes, events: list[FeedEvent]) -> None:
        if self._too_long or not data:
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > LONGEST_LINE:
            self._parts, self._too_long = [], True
            text = f"Kiro sent a line of more than {LONGEST_LINE // 2**20} MiB, which was left out of the live view."
            events.append(Notice("stream_line_too_long", text, "warning"))

    def _end_line(self, events: list[FeedEvent]) -> None:
        line = b"".join(self._parts)
        self._parts, self._size, self._too_long = [], 0, False
        if not line.strip() or any(kind in line[:_WHERE_KINDS_STAND] for kind in _DROPPED_KINDS):
            return
        try:
            record = loose.parsed(line)
        except loose.NotJson:
            record = None
        if not isinstance(record, dict) or not isinstance(record.get("data"), dict):
            self.skipped += 1
            text = line[:_OPENING].decode("utf-8", "replace")
            self.opening = f"{self.opening}{text}\n"[:_OPENING]
            return
        self._record(record.get("type"), record["data"], events)

    def _record(self, kind: object, data: JsonDict, events: list[FeedEvent]) -> None:
        if kind == "runStarted":
            self.engine = _ENGINES.get(loose.name(data.get("engine")) or "", self.engine)
        elif kind == "metadata":
            events += self._updates.metadata(data, self._agent(data, events))
        elif kind == "sessionUpdate":
            events += self._updates.update(loose.table(data.get("update")), self._agent(data, events))
            events += self._updates.flush()
        elif kind == "runFinished":
            self._finished(data, events)
        elif kind == "runError":
            self.terminal = Terminal(
                "error",
                loose.name(data.get("sessionId")),
                stage=loose.name(data.get("stage")) or "",
                message=loose.name(data.get("message")) or "",
            )

    def _agent(self, data: JsonDict, events: list[FeedEvent]) -> str | None:
        """Return the sub-agent an event is of, if another session has its own id."""
        session = loose.name(data.get("sessionId"))
        if session is not None and self.session_id is None:
            self.session_id = session
            events.append(SessionKnown(session, self.engine))
        return session if session != self.session_id else None

    def _finished(self, data: JsonDict, events: list[FeedEvent]) -> None:
        session = loose.name(data.get("sessionId"))
        stop_reason = loose.name(data.get("stopReason")) or ""
        self.terminal = Terminal("finished", session, loose.name(data.get("status")) or "", stop_reason)
        if session is not None and session != self.session_id:
            self.session_id = session
            events.append(SessionKnown(session, self.engine))
        if stop_reason in EARLY_STOPS:
            events.append(Notice(stop_reason, EARLY_STOPS[stop_reason], "warning"))
