"""`/api/v1/diagnostics`: the checks, and what is used, as a stream."""

from __future__ import annotations

from typing import Any, Protocol, cast

from flask import Request, Response, current_app, request

from bridge.web.replies import reply
from bridge.web.service import streams
from bridge.web.sse import frame
from bridge.web.wire import utc_time


class Finding(Protocol):
    """One check."""

    def as_dict(self) -> dict[str, str]:
        """Return name, state, found and remedy."""


class Report(Protocol):
    """All checks of a moment."""

    @property
    def checks(self) -> tuple[Finding, ...]:
        """Return the checks, in order."""

    @property
    def made_at(self) -> float:
        """Return when they were made, in seconds since the epoch."""


class Doctor(Protocol):
    """Who makes the checks; see `bridge.diagnostics.doctor`."""

    def report(self) -> Report:
        """Return the findings."""


class Sample(Protocol):
    """One measurement."""

    @property
    def at(self) -> float:
        """Return when it was made, in seconds since the epoch."""

    def as_dict(self) -> dict[str, Any]:
        """Return what was measured."""


class Meter(Protocol):
    """Who measures while somebody asks; see `bridge.diagnostics.meter`."""

    def latest(self) -> tuple[int, Sample | None]:
        """Return the last measurement and its number."""


class Follower(Protocol):
    """A subscriber of the broadcaster; see `bridge.web.subscriptions`."""

    def take(self) -> bytes:
        """Return what is new."""


class Followers(Protocol):
    """Who hands connections to the broadcaster; see `bridge.web.streams`."""

    def follow(self, request: Request, stream: Follower) -> Response:
        """Answer with what the stream gives."""


class UsageStream:
    """A listener to the measurements: each once, from the next one on."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._seen = meter.latest()[0]

    def take(self) -> bytes:
        """Return the frame of a measurement that is new."""
        number, sample = self._meter.latest()
        if sample is None or number == self._seen:
            return b""
        self._seen = number
        return frame("usage", {"at": utc_time(sample.at), **sample.as_dict()})


def get_diagnostics() -> Response:
    """Answer `GET /api/v1/diagnostics`."""
    report = cast(Doctor, current_app.extensions["things"].doctor).report()
    checks = [check.as_dict() for check in report.checks]
    return reply("DiagnosticsBody", {"checks": checks, "made_at": utc_time(report.made_at)})


def usage() -> Response:
    """Answer `GET /api/v1/diagnostics/usage`."""
    followers = cast(Followers, streams())
    return followers.follow(request, UsageStream(cast(Meter, current_app.extensions["things"].meter)))
