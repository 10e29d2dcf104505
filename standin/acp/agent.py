"""The agent's side common to both engines: dispatch, sessions, prompts, and the end of the process.

Invariant: every request is answered once, unless a misbehaviour was asked for; a method nobody knows is answered as
its engine does.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from standin import chat, faults, login, script
from standin.acp import misbehaviour, surface
from standin.acp.session import Session
from standin.acp.trust import Trust
from standin.acp.turns import AcpTurn, prompt_text
from standin.acp.wire import INVALID_PARAMS, RpcError, Wire
from standin.arguments import Arguments
from standin.failures import BY_NAME, stream_text
from standin.model import Failure, Json, TurnInfo
from standin.personality import Personality

#: What a handler returns when it has answered already, or never will.
ANSWERED = object()


class Agent(ABC):
    """One process's agent. `sessions` by id; handlers by method, each given the request's id and parameters."""

    engine = ""

    def __init__(self, wire: Wire, personality: Personality, arguments: Arguments) -> None:
        self.wire = wire
        self.personality = personality
        self.arguments = arguments
        self.sessions: dict[str, Session] = {}
        self.at = misbehaviour.AtMethod.from_environment()
        self.logged_in = login.stored() or bool(os.environ.get("KIRO_API_KEY"))
        self.handlers: dict[str, Callable[[Any, Json], Any]] = {
            "initialize": self.initialize,
            "session/new": self.new,
            "session/load": self.load,
            "session/prompt": self.prompt,
            "session/cancel": self.cancel,
            "session/set_mode": self.set_mode,
        }

    @abstractmethod
    def initialize(self, request: Any, params: Json) -> Any:
        """`initialize`."""

    @abstractmethod
    def new(self, request: Any, params: Json) -> Any:
        """`session/new`."""

    @abstractmethod
    def load(self, request: Any, params: Json) -> Any:
        """`session/load`."""

    @abstractmethod
    def set_mode(self, request: Any, params: Json) -> Any:
        """`session/set_mode`."""

    @abstractmethod
    def frames(self, session: Session) -> Any:
        """The frames of a session: V2Frames or V3Frames."""

    @abstractmethod
    def unknown(self, method: str) -> RpcError:
        """What a method nobody knows is answered with."""

    @abstractmethod
    def answer_failed_prompt(self, request: Any, failure: Failure) -> None:
        """Answer a prompt whose turn failed."""

    @abstractmethod
    def frames_after(self, session: Session, info: TurnInfo, stop_reason: str) -> None:
        """What follows the answer to a prompt."""

    def spawn(self, parent: Session, name: str, task: str) -> Session:
        """A session beside `parent`'s: v2 only."""
        raise NotImplementedError(name, task, parent.id)

    @abstractmethod
    def mcp_trouble(self, session: Session) -> None:
        """Tell of a server that failed and one that wants a login."""

    def ready_to_prompt(self, session: Session) -> Failure | None:
        """Why a prompt cannot reach the model, if so."""
        return BY_NAME["not-logged-in"] if not self.logged_in else None

    def serve(self) -> int:
        """Take requests until stdin ends, then stop the turns and close the stores."""
        for frame in self.wire.read():
            self._take(frame)
        for session in list(self.sessions.values()):
            session.end()
        return 0

    def _take(self, frame: Json) -> None:
        method, request = str(frame["method"]), frame.get("id")
        params = frame.get("params")
        handler = self.handlers.get(method)
        try:
            if self.at.strikes(method):
                return
            if handler is None:
                raise self.unknown(method)
            result = handler(request, params if isinstance(params, dict) else {})
        except RpcError as error:
            if request is not None or self.answers_notification(method):
                self.wire.refuse(request, error)
            return
        if result is not ANSWERED and request is not None:
            self.wire.answer(request, result)

    def answers_notification(self, method: str) -> bool:
        """Whether a wrong notification is answered all the same (facts/kiro-wire.md 6)."""
        return method.startswith("_kiro.dev/commands/")

    def session(self, params: Json) -> Session:
        """The session a request names. Raises RpcError."""
        found = self.sessions.get(str(params.get("sessionId")))
        if found is None:
            raise RpcError(INVALID_PARAMS, "Invalid params", f"Session not found: {params.get('sessionId')}")
        return found

    def cwd(self, params: Json) -> str:
        """The working folder of a new or loaded session. Raises RpcError."""
        cwd = str(params.get("cwd") or "")
        if not os.path.isabs(cwd) or not os.path.isdir(cwd):
            raise RpcError(INVALID_PARAMS, "Invalid params", f"cwd must be an absolute path of a folder: {cwd!r}")
        return os.path.realpath(cwd)

    def agent_named(self, cwd: str, name: str = "") -> tuple[str, Json]:
        """Name and file of the agent: as asked, as started with, or the default one."""
        wanted = name or self.arguments.values.get("agent", "")
        for one in surface.agent_files(cwd):
            if one.name == wanted:
                return wanted, one.body
        return (wanted if surface.is_built_in(wanted) else surface.DEFAULT_AGENT), {}

    def model_named(self, agent: Json) -> str:
        """The model a session begins with."""
        return (
            self.arguments.values.get("model", "")
            or str(agent.get("model") or "")
            or chat.setting("chat.defaultModel")
            or "auto"
        )

    def trust(self, cwd: str, agent: Json) -> Trust:
        """Who is trusted in a session."""
        named = self.arguments.values.get("trust-tools")
        trusted = None if named is None else tuple(name.strip() for name in named.split(",") if name.strip())
        allowed = tuple(str(name) for name in agent.get("allowedTools") or ())
        return Trust(self.engine, cwd, self.arguments.has("trust-all-tools"), trusted, allowed)

    def prompt(self, request: Any, params: Json) -> Any:
        """`session/prompt`: the turn runs in a thread of its own and answers by itself. A second one waits for the
        first (v3 takes it before the first is answered, facts/kiro-wire.md 11; v2 [L])."""
        session = self.session(params)
        text = prompt_text(params.get("prompt"))
        self.run_turn(session, text, request, True)
        return ANSWERED

    def run_turn(self, session: Session, text: str, request: Any, prompted: bool) -> None:
        """Start a turn in its thread."""
        info = TurnInfo(text, session.cwd, session.agent, session.model)
        turn = AcpTurn(
            self.engine,
            session.store,
            self.frames(session),
            session.trust,
            True,
            info,
            agent=self,
            session=session,
            request=request,
            prompted=prompted,
        )
        session.start(lambda: self._play(turn))

    def _play(self, turn: AcpTurn) -> None:
        """The turn, whose script may be wrong; a failure that is known beforehand comes before the model's words."""
        failure = self.ready_to_prompt(turn.session)
        steps: script.Turn
        try:
            about = chat.facts(turn.info.prompt, self.personality, turn.store, turn.info, turn.session.trust)
            steps = chat.plan(turn.info.prompt, about, turn.session.trust)
        except script.ScriptError as error:
            failure = Failure("script", f"stand-in: {error}", stage="standin")
        if failure is not None:
            steps = script.Turn(_failing(failure))
        turn.play(steps)

    def after_turn(self, turn: AcpTurn) -> None:
        """What a misbehaving turn does after its end."""
        misbehaviour.afterwards(turn)

    def cancel(self, request: Any, params: Json) -> Any:
        """`session/cancel`, a notification; without a running turn it means nothing."""
        self.session(params).cancel()
        return {}

    @staticmethod
    def error_data(failure: Failure) -> str:
        """The `data` of a failed prompt's error (facts/kiro-wire.md 8)."""
        return stream_text(failure).removeprefix("Internal error (code -32603): ")


def _failing(failure: Failure) -> Any:
    """Messages of a turn that fails before the model says anything."""
    raise_it = faults.RunFailed(failure)

    def messages() -> Any:
        raise raise_it
        yield []

    return messages()
