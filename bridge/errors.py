"""Every error the bridge raises on purpose, and the `Problem` a person reads.

BridgeError
 +-- SettingsError        a setting has a value that cannot be used (exit code 1)
 +-- UsageError           the command line itself is wrong (exit code 2)
 +-- StartError           the server cannot start: port taken, PID file of a live process, unreadable state
 +-- RequestRefused       a request that is understood but cannot be done now
 |    +-- EmptyPrompt     nothing but white space was sent
 |    +-- AgentBusy       a turn is running in that session
 |    +-- UnknownSession  no session has that id
 |    +-- RawRefused      raw text that means nothing to this bridge
 +-- LedgerError          our own database cannot be used
 |    +-- LedgerLocked    another bridge owns it
 |    +-- LedgerTooNew    a newer version of the bridge wrote it
 |    +-- LedgerCorrupt   it is not a database any more
 |    +-- LedgerFull      the disk has no room for it
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something that went wrong, told so that a person can act on it.

    `code` is a stable machine-readable name such as `not_logged_in`; `cause` says what was found and why it is
    wrong; `remedy` says what to do.
    """

    code: str
    cause: str
    remedy: str

    def as_text(self) -> str:
        """Return the problem as one paragraph for a chat message or a log line."""
        return f"{self.cause} {self.remedy}".strip()

    def as_dict(self) -> dict[str, str]:
        """Return the problem as JSON-ready fields `code`, `cause`, `remedy`."""
        return {"code": self.code, "cause": self.cause, "remedy": self.remedy}


class BridgeError(Exception):
    """The root of all errors raised on purpose; `problem` explains it."""

    code = "error"

    def __init__(self, cause: str, remedy: str = "", *, code: str | None = None) -> None:
        self.problem = Problem(code or self.code, cause, remedy)
        super().__init__(self.problem.as_text())


class SettingsError(BridgeError):
    """A setting has a value that cannot be used; the text names setting, value, what is allowed and its origin."""

    code = "bad_setting"


class UsageError(BridgeError):
    """The command line itself is wrong."""

    code = "usage"


class StartError(BridgeError):
    """The server cannot start."""

    code = "cannot_start"


class RequestRefused(BridgeError):
    """A request that is understood but cannot be done now."""

    code = "refused"


class EmptyPrompt(RequestRefused):
    """A prompt held nothing but white space."""

    code = "empty_prompt"


class AgentBusy(RequestRefused):
    """A turn is already running in the session."""

    code = "agent_busy"


class UnknownSession(RequestRefused):
    """No session has the id that was asked for."""

    code = "unknown_session"


class RawRefused(RequestRefused):
    """Raw text was sent that has no meaning without a terminal."""

    code = "raw_refused"


class LedgerError(BridgeError):
    """Our own database cannot be used."""

    code = "ledger_error"


class LedgerLocked(LedgerError):
    """Another bridge process owns the ledger."""

    code = "ledger_locked"


class LedgerTooNew(LedgerError):
    """A newer version of the bridge wrote the ledger."""

    code = "ledger_too_new"


class LedgerCorrupt(LedgerError):
    """The ledger file is not a usable database any more."""

    code = "ledger_corrupt"


class LedgerFull(LedgerError):
    """The disk has no room for the ledger to grow."""

    code = "ledger_full"
