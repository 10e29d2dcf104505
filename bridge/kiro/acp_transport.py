"""The ACP transport: one warm `kiro-cli acp` per session, and a process per prompt where that cannot be.

Invariant: what decides between the two is looked at before every prompt, for kiro-cli can change under us; a prompt is
never sent twice. `Ended` is the last event, and by then the store was read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bridge.core.feed import Ended, Engine, FeedEvent, Notice
from bridge.core.ports import Cancellation, PromptRequest, Readiness, Surface, TransportKind, TurnControl
from bridge.errors import Problem, RequestRefused
from bridge.kiro.acp_agent import Agent, Stopped
from bridge.kiro.acp_commands import run_command
from bridge.kiro.acp_launch import AcpLaunch, Wish, acp_unavailable, plan_acp
from bridge.kiro.acp_opening import OpeningFailed
from bridge.kiro.acp_places import Places
from bridge.kiro.acp_run import AcpRun, TurnRules
from bridge.kiro.acp_seat import NeedsHeadless, NoPlace, Seat, SeatTaken, Start
from bridge.kiro.command import LaunchOptions, for_session
from bridge.kiro.headless import HeadlessTransport
from bridge.kiro.installation import Installation
from bridge.kiro.presence import CONVERSATION_LOST, is_gone
from bridge.kiro.recovery import recover, workdir_problem
from bridge.kiro.stores import StoreLocations, open_reader

_LOGIN_CODES = frozenset({"not_logged_in", "login_expired"})
_WITHOUT_ACP = (
    "Kiro runs without ACP here ({why}): it cannot ask before it uses a tool, so tools that are not trusted are "
    "refused."
)


class AcpTransport:
    """Runs prompts for one session; see `bridge.core.ports.Transport`.

    `headless` runs what cannot be run over ACP, unless `wish` is `acp`: then that is a problem. `installation`,
    `places` and `headless` are closed by their owners. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        installation: Installation,
        locations: StoreLocations,
        options: LaunchOptions,
        seat: Seat,
        places: Places,
        headless: HeadlessTransport,
        *,
        wish: Wish = "auto",
        rules: TurnRules | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._installation = installation
        self._locations = locations
        self._options = options
        self._seat = seat
        self._places = places
        self._headless = headless
        self._wish = wish
        self._rules = rules or TurnRules()
        self._clock = clock
        self._lost: set[str] = set()
        self._stored: str | None = None
        self._kind: TransportKind | None = None
        self._told_why = ""

    @property
    def kind(self) -> TransportKind:
        """Return how Kiro was driven last, or will be as far as is known."""
        if self._kind is None:
            return "headless" if self.health().facts.get("transport") == "headless" else "acp"
        return self._kind

    def run(self, request: PromptRequest, control: TurnControl) -> Iterator[Sequence[FeedEvent]]:
        """Run one prompt; see `Transport.run`."""
        try:
            with self._seat.held(wait=True, control=control):
                start = self._plan(request, control)
                if isinstance(start, Problem):
                    ended = Ended("cancelled") if control.cancelled() else Ended("failed", start)
                    yield [ended]
                    return
                yield from self._turn(start, request, control)
        except Stopped:
            yield [Ended("cancelled")]
        except NeedsHeadless as why:
            yield from self._without_acp(str(why), request, control)

    def recover(self, request: PromptRequest, mark: Mapping[str, Any]) -> Sequence[FeedEvent]:
        """End what is left of a run the bridge did not survive, and return what Kiro recorded of it."""
        return recover(self._locations, request, mark, self._rules.stop_grace, self._clock)

    def surface(self) -> Surface:
        """Return what Kiro offers, as it said last."""
        return self._headless.surface() if self._kind == "headless" else self._seat.surface()

    def command(self, request: PromptRequest, name: str, argument: str) -> str:
        """Run one of Kiro's own slash commands; see `Transport.command`. Raises RequestRefused."""
        try:
            with self._seat.held(wait=False):
                start = self._plan(request, None)
                if isinstance(start, Problem):
                    raise RequestRefused(start.cause, start.remedy, code=start.code)
                agent, told = self._seat.warm(start, None, wait=False)
                self._seat.keep(told)
                return run_command(agent, name, argument, self._seat.patience.command)
        except NoPlace as full:
            raise RequestRefused(str(full), "Wait until one of them is done.", code="agent_busy") from None
        except SeatTaken:
            cause, remedy = "Kiro is at work in this session.", "Wait until it is done."
            raise RequestRefused(cause, remedy, code="agent_busy") from None
        except OpeningFailed as failed:
            raise RequestRefused(failed.problem.cause, failed.problem.remedy, code=failed.problem.code) from None
        except NeedsHeadless:
            return self._headless.command(request, name, argument)

    def health(self) -> Readiness:
        """Return whether a prompt would work now; takes no time, from any thread."""
        return self._installation.health()

    def close(self) -> None:
        """End the process of this session."""
        self._seat.close()

    def _plan(self, request: PromptRequest, control: TurnControl | None) -> Start | Problem:
        """Find, probe and plan. Raises NeedsHeadless where ACP cannot be had."""
        missing = workdir_problem(request.cwd)
        if missing is not None:
            return missing
        found = self._installation.find(control)
        if isinstance(found, Problem):
            return found
        options = for_session(self._options, request.options if control is None else control.options())
        launch = plan_acp(found.capabilities, self._installation.acp(found, control), options, request.engine)
        why = launch if isinstance(launch, str) else self._places.refuses(launch.engine)
        if isinstance(launch, AcpLaunch) and why is None:
            kiro_id = None if self._is_lost(request) else request.kiro_id
            return Start(found, launch, request.cwd, kiro_id, options)
        if self._wish == "acp":
            return acp_unavailable(why or "")
        raise NeedsHeadless(why or "")

    def _turn(self, start: Start, request: PromptRequest, control: TurnControl) -> Iterator[Sequence[FeedEvent]]:
        self._kind = "acp"
        try:
            self._check_login(start, control)
            try:
                agent, told = self._seat.warm(start, control, wait=False)
            except NoPlace as full:
                yield [Notice("no_place", f"{full} This prompt waits until one of them is done.")]
                agent, told = self._seat.warm(start, control)
        except OpeningFailed as failed:
            self._learn(failed.problem, request, lost=failed.lost)
            yield [Ended("cancelled") if control.cancelled() else Ended("failed", failed.problem)]
            return
        if self._is_lost(request):
            told = [Notice("conversation_lost", CONVERSATION_LOST, "warning"), *told]
        yield from self._drive(agent, [*self._seat.backlog(), *told], request, control)

    def _drive(
        self, agent: Agent, first: list[FeedEvent], request: PromptRequest, control: TurnControl
    ) -> Iterator[Sequence[FeedEvent]]:
        session, engine = agent.talk.own or "", agent.talk.engine
        reader = open_reader(
            engine,
            self._locations,
            cwd=request.cwd,
            started_at=request.started_at,
            kiro_id=session,
            prompt=request.prompt,
            clock=self._clock,
        )
        usable = False
        self._is_deleted(engine, session, request.cwd)
        try:
            store = dict(reader.baseline())
            control.remember({"engine": engine, "run": agent.child.run_id, "store": store})
            reader.follow(session)
            run = AcpRun(agent, reader, request, control, self._options, self._rules)
            yield from run.events(first)
            deleted = self._is_deleted(engine, session, request.cwd)
            usable = run.usable and not (deleted and run.problem is not None)
            self._seat.keep(run.afterwards)
            self._learn(run.problem, request)
            if agent.token_asked:
                self._places.refuse(engine, run.problem.cause if run.problem else "it asked for an access token")
                usable = False
        finally:
            reader.close()
            if not usable:
                self._seat.drop()

    def _is_deleted(self, engine: Engine, session: str, cwd: str) -> bool:
        """Return whether the store held the conversation and holds it no more: an agent may never get over that, and
        one that is started anew begins another conversation."""
        gone = is_gone(engine, self._locations, session, cwd)
        if not gone:
            self._stored = session
        return gone and self._stored == session

    def _check_login(self, start: Start, control: Cancellation) -> None:
        """Ask for the login before a process is started: kiro-cli could open a browser without one."""
        if self._seat.agent is not None:
            return
        login = self._installation.login(start.found, control)
        if not login.logged_in and login.problem is not None:
            raise OpeningFailed(login.problem)

    def _without_acp(self, why: str, request: PromptRequest, control: TurnControl) -> Iterator[Sequence[FeedEvent]]:
        """Run the prompt in a process of its own, and say once what that means."""
        self._kind = "headless"
        if why != self._told_why:
            self._told_why = why
            text = why if why.endswith(".") else _WITHOUT_ACP.format(why=why)
            yield [Notice("without_acp", text, "warning")]
        yield from self._headless.run(request, control)

    def _is_lost(self, request: PromptRequest) -> bool:
        """Return whether the conversation that was to be continued is no longer there; once lost, it stays so."""
        kiro_id, engine = request.kiro_id, request.engine
        if kiro_id is None or engine is None:
            return False
        if self._seat.agent is not None and self._seat.agent.talk.own == kiro_id:
            return False
        if kiro_id not in self._lost and is_gone(engine, self._locations, kiro_id, request.cwd):
            self._lost.add(kiro_id)
        return kiro_id in self._lost

    def _learn(self, problem: Problem | None, request: PromptRequest, *, lost: bool = False) -> None:
        """Draw what the next prompt needs from how this one ended."""
        if problem is not None and problem.code in _LOGIN_CODES:
            self._installation.login_failed()
        if request.kiro_id is not None and (lost or (problem is not None and problem.code == "resume_lost")):
            self._lost.add(request.kiro_id)
