"""Where the rooms meet: settings become a ledger, an engine, transports and the web application.

Invariant: built once, in the process that serves; `stop` releases what the constructor took.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bridge import __version__
from bridge.coder import make_reporter
from bridge.core.agentapi import turn_messages
from bridge.core.records import Session, Turn
from bridge.engine import Engine, Hub, SessionFacts
from bridge.engine.approvals import Approvals
from bridge.engine.state_file import StateFile, StateUnreadable
from bridge.errors import LedgerError
from bridge.ledger import Ledger
from bridge.web import session_parts
from bridge.web.agent_feed import AgentFeed
from bridge.web.app import create_app
from bridge.web.broadcaster import Broadcaster
from bridge.web.overview import OverviewStream
from bridge.web.service import ChatMessage, ItemPage, ServiceStatus, WebConfig
from bridge.web.session_feed import SessionFeed
from bridge.web.session_parts import SessionParts
from bridge.web.streams import Streams
from bridge.web.things import Things
from bridge.web.transports import Transports
from bridge.web.wire import event_json

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from bridge.settings import Settings

log = logging.getLogger(__name__)

AGENT_TYPE = "custom"
"""The agent type we report: AgentAPI's chat page knows no other that fits (facts/agentapi-contract.md 7.2)."""

STOP_SECONDS = 12.0
_PAGE = 200


class EngineService:
    """The engine and the ledger as the HTTP surface sees them (`bridge.web.service.ChatService`)."""

    def __init__(self, engine: Engine, ledger: Ledger, approvals: Approvals) -> None:
        self._engine = engine
        self._ledger = ledger
        self._approvals = approvals

    def status(self) -> ServiceStatus:
        """Return the status of the primary session.

        A turn that waits for an approval is `running` for AgentAPI: a prompt is in flight, so none can be sent
        (facts/agentapi-contract.md 3.6); that it waits stands in the phase.
        """
        status = self._engine.status()
        return ServiceStatus(status.phase, "running" if self._engine.busy() else "stable", status.ready, status.problem)

    def answer_key(self, key: str) -> None:
        """Answer what the primary session waits for by one of AgentAPI's raw keys."""
        self._approvals.answer_key(self._engine.primary, key)

    def facts(self, session: Session) -> SessionFacts:
        """Return what is true of a session just now."""
        return self._engine.facts(session)

    def messages(self) -> list[ChatMessage]:
        """Return the primary session as AgentAPI messages, oldest first."""
        return list(self._messages())

    def submit(self, text: str, *, session_id: str | None = None) -> Turn:
        """Accept a prompt and return its turn once it is durable."""
        return self._engine.submit(text, session_id)

    def cancel(self, *, session_id: str | None = None) -> bool:
        """Ask the running turn to stop; False when none runs."""
        if session_id is not None:
            self._engine.session(session_id)
        return self._engine.cancel(session_id)

    def sessions(self, *, archived: bool | None = None) -> list[Session]:
        """Return every session, or those that are archived or not, pinned ones first, then the last changed."""
        return self._ledger.sessions(archived=archived)

    def session(self, session_id: str) -> Session:
        """Return one session."""
        return self._engine.session(session_id)

    def primary(self) -> str | None:
        """Return the id of the primary session."""
        return self._engine.primary

    def items(self, session_id: str, *, before: int | None, limit: int) -> ItemPage:
        """Return the last `limit` items, or those right before item id `before`."""
        self._engine.session(session_id)
        last_seq = self._ledger.last_seq()
        items = self._ledger.items(session_id, before=before, limit=limit + 1)
        more, items = len(items) > limit, items[-limit:]
        turns = (self._ledger.turn(number) for number in sorted({item.turn_id for item in items}))
        return ItemPage(items, [turn for turn in turns if turn is not None], last_seq, more)

    def _messages(self) -> Iterator[ChatMessage]:
        after = 0
        while page := self._ledger.conversation(self._engine.primary, after=after, limit=_PAGE):
            for turn, items in page:
                yield from turn_messages(turn, (stored.item for stored in items))
            after = page[-1][0].id


class BridgeApplication:
    """The WSGI application with everything behind it."""

    def __init__(self, settings: Settings) -> None:
        with contextlib.ExitStack() as undo:
            self._ledger = Ledger.open(settings.ledger)
            undo.callback(self._ledger.close)
            self._transports = Transports(settings)
            undo.callback(self._transports.close)
            self._hub = Hub(self._ledger.last_seq())
            self._engine = Engine(
                self._ledger,
                self._hub,
                self._transports.make,
                workdir=str(settings.workdir),
                defaults=session_parts.wishes_of(settings),
                at_once=settings.sessions_at_once,
            )
            undo.callback(self._engine.stop)
            self._sessions = SessionParts(settings, self._engine, self._ledger)
            self._agent_feed = AgentFeed(self._ledger, self._engine.primary, self._engine.busy, AGENT_TYPE)
            self._broadcaster = self._make_broadcaster(settings)
            undo.callback(self._things.close)
            self._initial_prompt = settings.initial_prompt
            self._state: StateFile | None = None
            initial = self._restore(settings)
            self._stopping = False
            self._reporter = make_reporter(
                os.environ, settings, self._hub, self._ledger, self._engine.primary, self._takes_prompts
            )
            undo.pop_all()
        self._broadcaster.start()
        if self._reporter is not None:
            self._reporter.start()
        self._engine.start(initial)
        self._sessions.upkeep.start()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self._wsgi(environ, start_response)

    def save_state(self) -> None:
        """Write the state file if there is one and the conversation has changed."""
        if self._state is None:
            return
        try:
            if self._state.save(self._initial_prompt, bool(self._initial_prompt)):
                log.info("state saved")
        except OSError as error:
            log.error("the state file could not be written: %s", error)

    def stop(self) -> None:
        """End turns and streams, save the state, release everything."""
        self._stopping = True
        self._sessions.upkeep.stop()
        self._engine.stop(STOP_SECONDS)
        self._transports.close()
        self._things.close()
        self.save_state()
        if self._reporter is not None:
            self._reporter.stop()
        self._broadcaster.stop()
        self._ledger.close()

    def _takes_prompts(self) -> bool:
        return not self._stopping and self._engine.status().ready

    def _make_broadcaster(self, settings: Settings) -> Broadcaster:
        as_json = functools.partial(event_json, facts=self._engine.facts)
        session_feed = SessionFeed(self._ledger, self._hub.last_seq, as_json)
        broadcaster = Broadcaster(self._hub, self._agent_feed, session_feed, settings.heartbeat)
        overview = functools.partial(OverviewStream, self._hub, self._ledger, as_json)
        streams = Streams(broadcaster, self._agent_feed, session_feed, settings.max_clients, overview)
        service = EngineService(self._engine, self._ledger, self._sessions.approvals)
        app = create_app(service, _web_config(settings))
        app.extensions["streams"] = streams
        app.extensions["session_service"] = self._sessions.service
        self._things = Things(settings, self._engine, self._ledger, service, broadcaster.wake)
        app.extensions["things"] = self._things
        self._wsgi = streams.wrap(app)
        return broadcaster

    def _restore(self, settings: Settings) -> str:
        """Take the state file in, if there is one, and return the initial prompt that is still to be sent."""
        prompt = settings.initial_prompt
        if settings.state_file is None:
            return prompt
        state_file = StateFile(settings.state_file, self._ledger, self._engine.primary)
        if settings.load_state:
            prompt = self._load(state_file, prompt)
        if settings.save_state:
            self._state = state_file
        return prompt

    def _load(self, state_file: StateFile, prompt: str) -> str:
        try:
            saved = state_file.load()
            if saved.messages and not self._ledger.turns(self._engine.primary, limit=1):
                self._ledger.import_messages(self._engine.primary, saved.messages)
        except (StateUnreadable, LedgerError) as error:
            state_file.set_aside()
            log.warning("Failed to restore previous session: %s", error)
            self._agent_feed.warn(f"Failed to restore previous session: {error}", "warning", time.time())
            return prompt
        if not prompt:
            self._initial_prompt = saved.initial_prompt
            prompt = "" if saved.initial_prompt_sent else saved.initial_prompt
        elif prompt == saved.initial_prompt and saved.initial_prompt_sent:
            prompt = ""
        state_file.settle(self._initial_prompt, bool(self._initial_prompt))
        return prompt


def _web_config(settings: Settings) -> WebConfig:
    return WebConfig(
        allowed_hosts=settings.allowed_hosts,
        allowed_origins=settings.allowed_origins,
        chat_base_path=settings.chat_base_path,
        upload_root=settings.state_dir / "uploads",
        version=__version__,
        agent_type=AGENT_TYPE,
        bodies_at_once=settings.threads,
    )
