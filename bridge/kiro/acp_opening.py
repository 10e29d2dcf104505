"""From a fresh process to a session in which a prompt can be sent.

Invariant: every step has a time-out and can be stopped; a conversation that Kiro cannot continue is said to be lost,
never silently begun anew. Kiro's lock files are never touched: whoever holds a session is told of, or waited for.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass

from bridge import __version__
from bridge.core.feed import Notice
from bridge.core.ports import Cancellation
from bridge.errors import Problem
from bridge.kiro import loose
from bridge.kiro.acp_agent import Agent, AgentGone, CallRefused, CallSilent
from bridge.kiro.acp_launch import AcpLaunch
from bridge.kiro.command import LaunchOptions
from bridge.kiro.failures import classify, not_logged_in, quoted
from bridge.kiro.loose import JsonDict
from bridge.kiro.presence import CONVERSATION_LOST

_LOCKED = re.compile(r"active in another process\D*(\d+)?", re.I)
_LOCK_STEP = 0.25


@dataclass(frozen=True)
class Patience:
    """Seconds each call may take. Start-up of MCP servers can hold back a session (facts/kiro-cli.md 6.5)."""

    initialize: float = 60.0
    session: float = 300.0
    load: float = 120.0
    setting: float = 5.0
    command: float = 120.0
    lock: float = 5.0


class OpeningFailed(Exception):
    """No session could be had; `problem` says why. `lost` tells that a new conversation is to be begun next time."""

    def __init__(self, problem: Problem, *, lost: bool = False) -> None:
        self.problem, self.lost = problem, lost
        super().__init__(problem.cause)


class Opening:
    """Opens a session on `agent`, which was started by `launch`, in the folder `cwd`. `notices` gathers what is to be
    told before the turn; `silent` tells that the agent did not do what was wished."""

    def __init__(
        self, agent: Agent, launch: AcpLaunch, cwd: str, patience: Patience, control: Cancellation | None
    ) -> None:
        self.notices: list[Notice] = []
        self.silent = False
        self._agent = agent
        self._launch = launch
        self._cwd = cwd
        self._patience = patience
        self._control = control

    def open(self, kiro_id: str | None, options: LaunchOptions) -> None:
        """Shake hands and continue the conversation `kiro_id`, or begin one.

        Raises OpeningFailed, and Stopped when the turn is to be stopped meanwhile.
        """
        try:
            self._initialize()
            if kiro_id is None or not self._load(kiro_id):
                self._begin()
            self._wish(options, started=True)
        except AgentGone:
            self._agent.end(1.0)
            raise OpeningFailed(classify(self._agent.ending()) or _ended_early()) from None
        except CallSilent as silent:
            raise OpeningFailed(silence(silent)) from None
        except CallRefused as refused:
            facts = self._agent.ending(run_error=refused.complaint or refused.method)
            raise OpeningFailed(classify(facts) or _ended_early()) from None

    def renew(self, options: LaunchOptions) -> None:
        """Have a session that is open already follow wishes that changed. Raises AgentGone and Stopped."""
        self._wish(options, started=False)

    def _initialize(self) -> None:
        capabilities: JsonDict = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
        if self._launch.engine == "v3":
            capabilities["_meta"] = {"kiro": {"streamingShellContent": True}}
        params = {
            "protocolVersion": 1,
            "clientInfo": {"name": "kiro-bridge", "title": "Kiro bridge", "version": __version__},
            "clientCapabilities": capabilities,
        }
        result = loose.table(self._agent.call("initialize", params, self._patience.initialize, self._control))
        self._agent.loads = loose.table(result.get("agentCapabilities")).get("loadSession") is True
        self._agent.talk.initialized(result)
        if getattr(self._agent.talk, "logged_out", False):
            raise OpeningFailed(not_logged_in())

    def _begin(self) -> None:
        params = {"cwd": self._cwd, "mcpServers": []}
        result = loose.table(self._agent.call("session/new", params, self._patience.session, self._control))
        session = loose.name(result.get("sessionId"))
        if session is None:
            raise OpeningFailed(_ended_early())
        self._agent.talk.book.session(result)
        self._agent.belongs_to(session)

    def _load(self, kiro_id: str) -> bool:
        """Continue a conversation; return False where a new one is to be begun, which is then said.

        The history that is replayed before the answer is not news (facts/kiro-wire.md 7, 16).
        """
        if not self._agent.loads:
            self._lose("It cannot load conversations.")
            return False
        deadline = time.monotonic() + self._patience.lock
        self._agent.belongs_to(kiro_id)
        self._agent.talk.replaying = True
        try:
            while True:
                try:
                    return self._loaded(kiro_id)
                except CallRefused as refused:
                    locked = _LOCKED.search(refused.complaint)
                    if locked is None or time.monotonic() > deadline:
                        self._refused(refused, locked)
                        return False
                self._agent.pump(_LOCK_STEP)
        except CallSilent as silent:
            raise OpeningFailed(_load_hangs(silent), lost=True) from None
        finally:
            self._agent.talk.replaying = False

    def _loaded(self, kiro_id: str) -> bool:
        params = {"sessionId": kiro_id, "cwd": self._cwd, "mcpServers": []}
        result = self._agent.call("session/load", params, self._patience.load, self._control)
        self._agent.talk.book.session(loose.table(result))
        return True

    def _refused(self, refused: CallRefused, locked: re.Match[str] | None) -> None:
        """Say that the conversation is lost, unless somebody who lives holds it: then nothing is begun.

        The lock of a process that was killed stays for ever in some versions (facts/peers-and-style.md 3.2).
        """
        owner = int(locked[1]) if locked is not None and locked[1] else None
        if owner is not None and _lives(owner):
            raise OpeningFailed(_in_use(owner))
        self._agent.talk.own = None
        self._lose(f"Kiro says: {quoted(refused.complaint)}")

    def _lose(self, why: str) -> None:
        self.notices.append(Notice("conversation_lost", f"{CONVERSATION_LOST} {why}", "warning"))

    def _wish(self, options: LaunchOptions, *, started: bool) -> None:
        """Have the session use the agent, model and effort that are wished for, where it does not yet."""
        book = self._agent.talk.book
        done = self._launch.set_at_start if started else frozenset()
        if options.agent and book.agent != options.agent:
            offered = {choice.id for choice in book.surface.agents}
            self._set("agent", options.agent, offered, "mode", "session/set_mode", "modeId")
        if options.model and book.model != options.model and "model" not in done:
            offered = {choice.id for choice in book.surface.models}
            self._set("model", options.model, offered, "model", "session/set_model", "modelId")
        if options.effort and "effort" not in done:
            self._effort(options.effort)

    def _set(self, what: str, value: str, offered: set[str], config: str, method: str, field: str) -> None:
        """Choose an agent or a model: v3 by a config option, v2 by the standard's method (facts/kiro-cli.md 6.2)."""
        if offered and value not in offered:
            self._unset(what, value, "It does not offer it.")
            return
        session = self._agent.talk.own
        try:
            if self._launch.engine == "v3":
                params: JsonDict = {"sessionId": session, "configId": config, "value": value}
                result = self._agent.call("session/set_config_option", params, self._patience.setting, self._control)
                self._agent.talk.book.config(loose.table(result).get("configOptions"))
            else:
                params = {"sessionId": session, field: value}
                self._agent.call(method, params, self._patience.setting, self._control)
        except (CallRefused, CallSilent) as error:
            self.silent = True
            self._unset(what, value, quoted(getattr(error, "complaint", "")) or "It gave no answer.")
            return
        book = self._agent.talk.book
        (book.now_agent if what == "agent" else book.now_model)(value)

    def _effort(self, value: str) -> None:
        """Set how much the model thinks: v2 has a command for it (facts/kiro-wire.md 6), v3 nothing that is known."""
        if self._launch.engine != "v2":
            self._unset("effort", value, "The engine v3 takes none over ACP.")
            return
        params = {"sessionId": self._agent.talk.own, "command": {"command": "effort", "args": {"value": value}}}
        try:
            result = self._agent.call("_kiro.dev/commands/execute", params, self._patience.setting, self._control)
        except (CallRefused, CallSilent):
            self._unset("effort", value, "")
            return
        if loose.table(result).get("success") is False:
            self._unset("effort", value, quoted(loose.text(loose.table(result).get("message")) or ""))

    def _unset(self, what: str, value: str, why: str) -> None:
        text = f"Kiro did not take the {what} {value} and goes on with its own. {why}".strip()
        self.notices.append(Notice(f"{what}_not_set:{value}", text, "warning"))


def silence(silent: CallSilent) -> Problem:
    """Return the problem of a call that got no answer."""
    cause = f"kiro-cli gave no answer to {silent.method} within {silent.seconds:g} s."
    remedy = "Send the prompt again. If it stays so, look at Kiro's MCP servers, or set transport to headless."
    return Problem("kiro_silent", cause, remedy)


def _load_hangs(silent: CallSilent) -> Problem:
    cause = f"Kiro did not load the earlier conversation within {silent.seconds:g} s."
    remedy = "Send the prompt again: it will start a new conversation, without what was said before."
    return Problem("resume_lost", cause, remedy)


def _in_use(owner: int) -> Problem:
    cause = f"Another program uses this conversation of Kiro's now: the process {owner}."
    return Problem("session_in_use", cause, "Close it there, in a terminal or an IDE, then send the prompt again.")


def _ended_early() -> Problem:
    cause = "kiro-cli began to speak ACP, but gave no session in which a prompt could be sent."
    return Problem("kiro_broken", cause, "Run `kiro-cli doctor`, or set transport to headless.")


def _lives(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}") if os.path.isdir("/proc/self") else True
