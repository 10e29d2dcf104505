"""Whether kiro-cli is logged in, asked before a prompt.

Invariant: nothing here ever begins a login. A logged-out `chat` opens a device login and waits for ever
(facts/kiro-cli.md 10), so `whoami` is asked first; where it gives no answer the run goes on, guarded by
`device_login_shown`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.core.ports import Cancellation
from bridge.errors import Problem
from bridge.kiro.environment import API_KEY
from bridge.kiro.failures import not_logged_in, quoted
from bridge.kiro.process import run_briefly
from bridge.kiro.single_flight import SingleFlight

WHOAMI_TIMEOUT = 10.0
REMEMBER_FOR = 30.0
"""Seconds a good answer is believed, so that not every prompt waits for another process."""

_LOGGED_OUT = re.compile(r"not logged in|\"account\"\s*:\s*null", re.I)
_DEVICE_LOGIN = re.compile(
    r"^\s*(?:Confirm the following code in the browser\s+Code:|Code: [A-Z0-9]{4}-[A-Z0-9]{4}\s+Open this URL:)",
    re.M,
)


@dataclass(frozen=True)
class Login:
    """What is known of the login. `problem` with `certain` false says that the question found no answer."""

    logged_in: bool
    certain: bool
    account: str = ""
    problem: Problem | None = None


def device_login_shown(text: str) -> bool:
    """Return whether output that is not part of an answer asks for a device login (facts/kiro-stores.md
    A.8).
    """
    return _DEVICE_LOGIN.search(text) is not None


class LoginCheck:
    """Asks `whoami` and remembers a good answer for `REMEMBER_FOR` seconds. Safe for several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, timeout: float = WHOAMI_TIMEOUT) -> None:
        self._clock = clock
        self._timeout = timeout
        self._lock = threading.Lock()
        self._asking = SingleFlight()
        self._good: tuple[float, str, Login] | None = None

    def check(self, binary: Path, env: Mapping[str, str], cwd: str, control: Cancellation | None = None) -> Login:
        """Return the state of the login. Takes no time when it was good a moment ago, else one `whoami`."""
        if env.get(API_KEY):
            return Login(True, certain=False, account=f"{API_KEY} is set")
        with self._lock:
            if self._good is not None and self._good[1] == str(binary) and self._clock() < self._good[0]:
                return self._good[2]
        return self._asking.ask(str(binary), lambda: self._renew(binary, env, cwd, control), control)

    def _renew(self, binary: Path, env: Mapping[str, str], cwd: str, control: Cancellation | None) -> Login:
        login = self._ask(binary, env, cwd, control)
        if login.logged_in and login.certain:
            with self._lock:
                self._good = (self._clock() + REMEMBER_FOR, str(binary), login)
        return login

    def forget(self) -> None:
        """Ask again next time: a run has shown that the login does not work."""
        with self._lock:
            self._good = None

    def _ask(self, binary: Path, env: Mapping[str, str], cwd: str, control: Cancellation | None) -> Login:
        try:
            result = run_briefly([str(binary), "whoami"], env=env, cwd=cwd, timeout=self._timeout, control=control)
        except OSError as error:
            return _unknown("login_check_failed", f"{binary} whoami could not be started: {error.strerror or error}.")
        said = result.stdout + result.stderr
        if result.timed_out:
            return _unknown("login_check_timeout", f"{binary} whoami gave no answer within {self._timeout:g} s.")
        if _LOGGED_OUT.search(said):
            return Login(False, certain=True, problem=not_logged_in(said))
        if result.exit_code != 0:
            return _unknown("login_check_failed", f"{binary} whoami failed and said: {quoted(said) or 'nothing'}")
        return Login(True, certain=True, account=quoted(result.stdout.strip().partition("\n")[0]))


def _unknown(code: str, cause: str) -> Login:
    remedy = "Prompts are sent nevertheless. If they fail, run `kiro-cli whoami` in a terminal of this machine."
    return Login(True, certain=False, problem=Problem(code, cause, remedy))
