"""The kiro-cli of this machine as it is now: found, asked what it can do, and whether it is logged in.

Invariant: `health` never waits for a process. What it says is refreshed by a thread of this object, which
runs only while somebody asks; one installation serves all sessions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.core.ports import Cancellation, Readiness
from bridge.errors import Problem
from bridge.kiro.acp_launch import Wish, acp_unavailable, plan_acp
from bridge.kiro.capabilities import Capabilities, Flags, Prober
from bridge.kiro.command import Launch, LaunchOptions, plan
from bridge.kiro.ending import Ending
from bridge.kiro.environment import child_environment, home_of
from bridge.kiro.finder import find_binary
from bridge.kiro.login import Login, LoginCheck

FRESH_READY = 60.0
FRESH_NOT_READY = 5.0
"""Seconds a health answer is kept: a good one changes rarely, a bad one is being repaired by somebody."""


@dataclass(frozen=True)
class Found:
    """A kiro-cli that can be run: its path, what it can do, and the environment for it."""

    binary: Path
    capabilities: Capabilities
    env: Mapping[str, str]


class Installation:
    """Finds and examines kiro-cli. Safe for several threads.

    `wish` is how Kiro is to be driven. `explicit` is the setting that names the binary. `cache_file` keeps
    what its help texts said over restarts. `monotonic` is a clock in seconds.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        options: LaunchOptions,
        *,
        explicit: str | None = None,
        cache_file: Path | None = None,
        wish: Wish = "headless",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = dict(environ)
        self._options = options
        self._explicit = explicit
        self._wish = wish
        self._prober = Prober(cache_file)
        self._login = LoginCheck(monotonic)
        self._clock = monotonic
        self._changed = threading.Condition()
        self._health = Readiness(False, None, {"checking": True})
        self._due = float("-inf")
        self._wanted = False
        self._closed = False
        self._closing = Ending()
        self._thread: threading.Thread | None = None

    def find(self, control: Cancellation | None = None) -> Found | Problem:
        """Return the kiro-cli to run. Cheap unless the binary is new: then it is asked what it can do."""
        binary = find_binary(self._explicit, self._environ)
        if isinstance(binary, Problem):
            return binary
        env = child_environment(self._environ)
        capabilities = self._prober.probe(binary, env, control)
        return capabilities if isinstance(capabilities, Problem) else Found(binary, capabilities, env)

    def acp(self, found: Found, control: Cancellation | None = None) -> Flags | None:
        """Return the flags of its `acp`, None where it has none. Cheap unless the binary is new."""
        return self._prober.probe_acp(found.binary, found.env, control)

    def login(self, found: Found, control: Cancellation | None = None) -> Login:
        """Return the state of the login: at once if it was good a moment ago, else by one `whoami`."""
        home = home_of(found.env)
        return self._login.check(found.binary, found.env, str(home if home.is_dir() else Path("/")), control)

    def login_failed(self) -> None:
        """Take note that a run showed the login to be bad, so that the next prompt asks again."""
        self._login.forget()
        with self._changed:
            self._due = float("-inf")

    def health(self) -> Readiness:
        """Return what is known now, at once, and have it refreshed when it is old."""
        with self._changed:
            if not self._closed and self._clock() >= self._due:
                self._wanted = True
                if self._thread is None:
                    self._thread = threading.Thread(target=self._serve, name="kiro-health", daemon=True)
                    self._thread.start()
                self._changed.notify_all()
            return self._health

    def refresh_health(self) -> Readiness:
        """Examine kiro-cli now, on the caller's thread, and return the answer. Takes as long as kiro-cli
        takes.
        """
        return self._note(self._examine())

    def close(self) -> None:
        """Stop refreshing and wait until nothing runs any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread, self._thread = self._thread, None
        self._closing.begin()
        if thread is not None:
            thread.join()
        self._closing.release()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closed)
                if self._closed:
                    return
                self._wanted = False
            self._note(self._examine(self._closing))

    def _note(self, health: Readiness) -> Readiness:
        with self._changed:
            self._health = health
            self._due = self._clock() + (FRESH_READY if health.ready else FRESH_NOT_READY)
            self._wanted = False
        return health

    def _examine(self, control: Cancellation | None = None) -> Readiness:
        found = self.find(control)
        if isinstance(found, Problem):
            return Readiness(False, found)
        launch = plan(found.capabilities, self._options)
        login = self.login(found, control)
        facts: dict[str, Any] = {
            "path": str(found.binary),
            "version": found.capabilities.version,
            "engines": list(found.capabilities.engines),
            "engine": launch.engine if isinstance(launch, Launch) else None,
            "feed": launch.feed if isinstance(launch, Launch) else None,
            "login": login.account,
            "login_certain": login.certain,
        }
        refused = self._choose_transport(found, control, facts)
        if refused is not None:
            return Readiness(False, refused, facts)
        if login.logged_in and login.problem is not None:
            facts["login_note"] = login.problem.as_text()
        if isinstance(launch, Problem):
            return Readiness(False, launch, facts)
        return Readiness(login.logged_in, None if login.logged_in else login.problem, facts)

    def _choose_transport(self, found: Found, control: Cancellation | None, facts: dict[str, Any]) -> Problem | None:
        """Note how a new session is driven and why; return a problem when that is not what was asked for."""
        facts["transport"] = "headless"
        if self._wish == "headless":
            return None
        launch = plan_acp(found.capabilities, self.acp(found, control), self._options)
        if isinstance(launch, str):
            facts["transport_note"] = f"Without ACP, as {launch}: tools that are not trusted are refused."
            return acp_unavailable(launch) if self._wish == "acp" else None
        facts["transport"], facts["engine"], facts["feed"] = "acp", launch.engine, "acp"
        return None
