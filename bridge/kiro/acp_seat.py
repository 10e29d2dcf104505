"""The one warm ACP process of a session.

Invariant: whoever holds the seat is alone with the process; between two holders an `IdleWatch` has it. A process that
is left in doubt is ended: the next prompt starts another, which continues the conversation by `session/load`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bridge.core.feed import FeedEvent
from bridge.core.ports import Cancellation, Surface
from bridge.kiro.acp_agent import Agent, AgentGone, Stopped
from bridge.kiro.acp_idle import IdleWatch
from bridge.kiro.acp_launch import AcpLaunch
from bridge.kiro.acp_opening import Opening, OpeningFailed, Patience
from bridge.kiro.acp_places import Places
from bridge.kiro.acp_v2 import V2Talk
from bridge.kiro.acp_v3 import V3Talk
from bridge.kiro.command import LaunchOptions
from bridge.kiro.installation import Found
from bridge.kiro.process import ChildProcess, new_run_id
from bridge.kiro.recovery import not_startable

TOKEN_ASKED = (
    "kiro-cli asked the bridge for the access token of your login. The bridge never reads or hands out tokens, so the "
    "engine {engine} now runs without ACP: tools that are not trusted are refused."
)


_NO_PLACE = "Kiro is at work in as many sessions at once as the setting acp_processes allows, which is {limit}."
_STEP = 0.1


class NeedsHeadless(Exception):
    """The engine cannot be driven over ACP here; the text says why."""


class SeatTaken(Exception):
    """Somebody else uses the process now."""


class NoPlace(Exception):
    """As many processes as there may be are at work now; the text says so."""


@dataclass(frozen=True)
class Start:
    """What a process is started with: the program, its arguments, the folder, the conversation to be continued."""

    found: Found
    launch: AcpLaunch
    cwd: str
    kiro_id: str | None
    options: LaunchOptions

    @property
    def wishes(self) -> LaunchOptions:
        """Return what the session is to use, and nothing else."""
        return LaunchOptions(agent=self.options.agent, model=self.options.model, effort=self.options.effort)


class Seat:
    """Keeps the process of one session. `surface` and `close` may be used from any thread."""

    def __init__(self, places: Places, *, idle: float, stop_grace: float, patience: Patience | None = None) -> None:
        self.agent: Agent | None = None
        self._places = places
        self._idle = idle
        self._stop_grace = stop_grace
        self._patience = patience or Patience()
        self._busy = threading.Lock()
        self._watch: IdleWatch | None = None
        self._backlog: list[FeedEvent] = []
        self._start: Start | None = None
        self._surface = Surface()
        self._closed = False

    @property
    def patience(self) -> Patience:
        """Return how long calls may take."""
        return self._patience

    def surface(self) -> Surface:
        """Return what Kiro offers, as it said last; also after its process was left for being idle."""
        agent = self.agent
        if agent is not None and agent.talk.own is not None:
            self._surface = agent.talk.book.surface
        return self._surface

    @contextlib.contextmanager
    def held(self, *, wait: bool, control: Cancellation | None = None) -> Iterator[None]:
        """Have the process for oneself. Raises SeatTaken if another has it and we do not wait, and Stopped when
        `control` says so while we do."""
        while not self._busy.acquire(timeout=_STEP if wait else 0):
            if not wait:
                raise SeatTaken
            if control is not None and control.cancelled():
                raise Stopped
        try:
            self._end_watch()
            yield
        finally:
            self._rest()
            self._busy.release()

    def backlog(self) -> list[FeedEvent]:
        """Return what was told since the last turn, once."""
        told, self._backlog = self._backlog, []
        return told

    def keep(self, told: list[FeedEvent]) -> None:
        """Have `told` told with the next turn."""
        self._backlog += told

    def warm(self, start: Start, control: Cancellation | None, *, wait: bool = True) -> tuple[Agent, list[FeedEvent]]:
        """Return a process with the session open, and what is to be told before the turn. Only for the holder.

        Raises OpeningFailed, NeedsHeadless, Stopped when `control` says so meanwhile, and NoPlace when another process
        must end first and we do not wait for that.
        """
        agent = self.agent
        if agent is not None and self._serves(agent, start):
            with contextlib.suppress(AgentGone):
                told = self._follow(agent, start, control)
                if told is not None:
                    return agent, told
        self.drop()
        return self._open(start, control, wait)

    def drop(self) -> None:
        """End the process; the next turn starts another. Only for the holder."""
        if self.agent is not None:
            self.surface()
            self.agent.end(self._stop_grace)
            self._places.give(self.agent.child.run_id)
            self.agent = None

    def suspend(self) -> bool:
        """End the process if nobody uses it and nobody is asked anything; return whether it did."""
        try:
            with self.held(wait=False):
                if self.agent is None or self.agent.asked:
                    return False
                self.drop()
                return True
        except SeatTaken:
            return False

    def close(self) -> None:
        """End the process for good, once its holder has let it go."""
        self._closed = True
        with self.held(wait=True):
            self.drop()

    def _serves(self, agent: Agent, start: Start) -> bool:
        """Return whether the running process holds the conversation that is to be continued."""
        known = self._start
        if agent.gone or known is None or start.launch.engine != known.launch.engine or start.cwd != known.cwd:
            return False
        same_program = start.found.binary == known.found.binary and start.found.capabilities == known.found.capabilities
        return same_program and (start.kiro_id == agent.talk.own or (start.kiro_id is None and not agent.told))

    def _follow(self, agent: Agent, start: Start, control: Cancellation | None) -> list[FeedEvent] | None:
        """Have the process follow wishes that changed; None when it must be started anew for them."""
        known = self._start
        changed = {
            name: value
            for name in ("agent", "model", "effort")
            if known is not None and (value := getattr(start.wishes, name)) != getattr(known.wishes, name)
        }
        self._start = start
        if not any(changed.values()):
            return []
        opening = self._opening(agent, start, control)
        opening.renew(replace(LaunchOptions(), **changed))
        return None if opening.silent and start.launch.set_at_start else list(opening.notices)

    def _opening(self, agent: Agent, start: Start, control: Cancellation | None) -> Opening:
        return Opening(agent, start.launch, start.cwd, self._patience, control)

    def _open(self, start: Start, control: Cancellation | None, wait: bool) -> tuple[Agent, list[FeedEvent]]:
        run_id = new_run_id()
        if not self._places.take(run_id, self.suspend, control, wait=wait):
            raise Stopped if wait else NoPlace(_NO_PLACE.format(limit=self._places.limit))
        try:
            child = ChildProcess(
                [str(start.found.binary), *start.launch.arguments],
                cwd=start.cwd,
                env=start.found.env,
                run_id=run_id,
                talks=True,
            )
        except OSError as error:
            self._places.give(run_id)
            raise OpeningFailed(not_startable(start.found.binary, error)) from None
        agent = Agent(child, V3Talk() if start.launch.engine == "v3" else V2Talk())
        opening = self._opening(agent, start, control)
        try:
            opening.open(start.kiro_id, start.options)
            self._refuse_tokens(agent)
        except BaseException:
            agent.end(self._stop_grace)
            self._places.give(run_id)
            self._refuse_tokens(agent)
            raise
        self.agent, self._start = agent, start
        return agent, list(opening.notices)

    def _refuse_tokens(self, agent: Agent) -> None:
        if agent.token_asked:
            why = TOKEN_ASKED.format(engine=agent.talk.engine)
            self._places.refuse(agent.talk.engine, why)
            raise NeedsHeadless(why)

    def _end_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            self._backlog += watch.stop()
        if self.agent is not None and self.agent.finished:
            self.agent = None

    def _rest(self) -> None:
        """Leave the process alone until somebody needs it; one that is gone or no longer wanted is ended."""
        if self.agent is None:
            return
        if self.agent.gone or self._closed:
            self.drop()
            return
        self._places.used(self.agent.child.run_id)
        self._watch = IdleWatch(self.agent, self._idle, self._left)
        self._watch.start()

    def _left(self) -> None:
        """End a process that nobody used for long, or that ended by itself; called by its watch."""
        agent = self.agent
        if agent is not None:
            self.surface()
            agent.end(self._stop_grace)
            self._places.give(agent.child.run_id)
