"""The headless transport: one `kiro-cli chat` process per prompt, read live and confirmed from Kiro's
store.

Invariant: one select loop on the caller's thread drives everything of a run; what the process says is
preview, what the store says is truth; `Ended` is the last event, and by then no process of the run is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bridge.core.feed import Ended, Engine, FeedEvent, Notice
from bridge.core.ports import PromptRequest, Readiness, Surface, TransportKind, TurnControl
from bridge.errors import Problem, RequestRefused
from bridge.kiro.command import Launch, LaunchOptions, for_session, plan
from bridge.kiro.headless_run import Run
from bridge.kiro.installation import Found, Installation
from bridge.kiro.latest import latest_v1_conversation
from bridge.kiro.presence import CONVERSATION_LOST, is_gone
from bridge.kiro.process import ChildProcess, new_run_id
from bridge.kiro.recovery import not_startable, recover, workdir_problem
from bridge.kiro.stores import StoreLocations, open_reader

LatestConversation = Callable[[Engine, str], "str | None"]
"""(engine, real path of a folder) -> Kiro's id of the folder's latest conversation, None when there is
none.
"""

_LOGIN_CODES = frozenset({"not_logged_in", "login_expired"})


class HeadlessTransport:
    """Runs prompts for one session; see `bridge.core.ports.Transport`.

    `installation` may serve several transports and is closed by its owner. `stop_grace` is the time in
    seconds between the signals of a stop. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        installation: Installation,
        locations: StoreLocations,
        options: LaunchOptions,
        *,
        stop_grace: float = 3.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._installation = installation
        self._locations = locations
        self._options = options
        self._stop_grace = stop_grace
        self._clock = clock
        self._lost: set[str] = set()

    def run(self, request: PromptRequest, control: TurnControl) -> Iterator[Sequence[FeedEvent]]:
        """Run one prompt; see `Transport.run`."""
        prepared = self._prepare(request, control)
        if control.cancelled():
            yield [Ended("cancelled")]
        elif isinstance(prepared, Problem):
            yield [Ended("failed", prepared)]
        else:
            yield from self._launch(*prepared, request, control)

    def recover(self, request: PromptRequest, mark: Mapping[str, Any]) -> Sequence[FeedEvent]:
        """End what is left of a run the bridge did not survive, and return what Kiro recorded of it."""
        return recover(self._locations, request, mark, self._stop_grace, self._clock)

    @property
    def kind(self) -> TransportKind:
        """Return how Kiro is driven."""
        return "headless"

    def surface(self) -> Surface:
        """Return what Kiro offers: a process for each prompt has nothing to offer between two of them."""
        return Surface()

    def command(self, request: PromptRequest, name: str, argument: str) -> str:
        """Refuse: slash commands need a process that lasts. Raises RequestRefused."""
        cause = f"{name} cannot be run: kiro-cli is started anew for each prompt here, and takes no commands."
        raise RequestRefused(cause, "Use a kiro-cli with ACP and the setting transport=auto.", code="no_commands")

    def health(self) -> Readiness:
        """Return whether a prompt would work now; takes no time, from any thread."""
        return self._installation.health()

    def close(self) -> None:
        """Release what this transport holds: nothing between two runs."""

    def _prepare(self, request: PromptRequest, control: TurnControl) -> tuple[Found, Launch] | Problem:
        """Find, probe, check the login and plan; every reason not to start is a problem."""
        missing = workdir_problem(request.cwd)
        if missing is not None:
            return missing
        found = self._installation.find(control)
        if isinstance(found, Problem):
            return found
        launch = plan(
            found.capabilities,
            for_session(self._options, control.options()),
            kiro_id=None if self._is_lost(request) else request.kiro_id,
            conversation_engine=request.engine,
            is_latest=lambda engine, kiro_id: (
                engine == "v1" and latest_v1_conversation(self._locations.database, request.cwd) == kiro_id
            ),
        )
        if isinstance(launch, Problem):
            return launch
        login = self._installation.login(found, control)
        if not login.logged_in and login.problem is not None:
            return login.problem
        return found, launch

    def _launch(
        self, found: Found, launch: Launch, request: PromptRequest, control: TurnControl
    ) -> Iterator[Sequence[FeedEvent]]:
        run_id = new_run_id()
        reader = open_reader(
            launch.engine,
            self._locations,
            cwd=request.cwd,
            started_at=request.started_at,
            kiro_id=request.kiro_id if launch.resume else None,
            prompt=request.prompt,
            clock=self._clock,
        )
        try:
            control.remember({"engine": launch.engine, "run": run_id, "store": dict(reader.baseline())})
            try:
                child = ChildProcess(
                    [str(found.binary), *launch.arguments],
                    cwd=request.cwd,
                    env=found.env,
                    stdin=request.prompt.encode("utf-8", "replace"),
                    run_id=run_id,
                    wake_fd=control.wake_fd(),
                )
            except OSError as error:
                yield [Ended("failed", not_startable(found.binary, error))]
                return
            run = Run(child, reader, launch, request, control, self._stop_grace)
            try:
                yield from self._opening(launch, request)
                yield from run.events()
            finally:
                run.close()
            self._learn(run, request)
        finally:
            reader.close()

    def _opening(self, launch: Launch, request: PromptRequest) -> Iterator[Sequence[FeedEvent]]:
        notices = list(launch.notices)
        if self._is_lost(request):
            notices.append(Notice("conversation_lost", CONVERSATION_LOST, "warning"))
        if notices:
            yield notices

    def _is_lost(self, request: PromptRequest) -> bool:
        """Return whether the conversation that was to be continued is no longer there; once lost, it stays so."""
        kiro_id, engine = request.kiro_id, request.engine
        if kiro_id is None or engine is None:
            return False
        if kiro_id not in self._lost and is_gone(engine, self._locations, kiro_id, request.cwd):
            self._lost.add(kiro_id)
        return kiro_id in self._lost

    def _learn(self, run: Run, request: PromptRequest) -> None:
        """Draw what the next prompt needs from how this one ended."""
        code = run.problem.code if run.problem is not None else ""
        if code in _LOGIN_CODES:
            self._installation.login_failed()
        if code == "resume_lost" and request.kiro_id is not None:
            self._lost.add(request.kiro_id)
