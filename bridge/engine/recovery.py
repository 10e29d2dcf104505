"""After a crash: every unfinished turn is closed as interrupted, with what Kiro recorded of it since."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bridge.core.feed import Ended, PromptRecorded
from bridge.core.ports import PromptRequest, Transport
from bridge.core.records import Session, Turn
from bridge.core.turn import TurnMachine
from bridge.engine.forking import as_asked
from bridge.engine.journal import Journal
from bridge.errors import Problem
from bridge.ledger import Ledger

log = logging.getLogger(__name__)

_RESTARTED = Problem(
    "bridge_restarted",
    "The bridge was ended from outside while Kiro was working on this.",
    "What Kiro had recorded is shown above; send the prompt again if it should go on.",
)
_NEVER_STARTED = Problem(
    "never_started",
    "The bridge was ended from outside before Kiro got this prompt.",
    "Send it again.",
)


def close_unfinished(
    ledger: Ledger,
    journal: Journal,
    transport_of: Callable[[Session], Transport],
    session_of: Callable[[str], Session],
) -> None:
    """Close the turns that an earlier run left open. Raises LedgerError when that cannot be written."""
    for turn in ledger.unfinished():
        session = session_of(turn.session_id)
        _close(ledger, journal, turn, session, transport_of(session))


def _close(ledger: Ledger, journal: Journal, turn: Turn, session: Session, transport: Transport) -> None:
    machine = TurnMachine(str(turn.id), [stored.item for stored in ledger.turn_items(turn.id)])
    changes = []
    if turn.mark:
        sent = turn.sent or turn.prompt
        request = PromptRequest(sent, session.cwd, session.kiro_id, session.engine, turn.accepted_at, session.options)
        try:
            for event in transport.recover(request, turn.mark):
                if isinstance(event, PromptRecorded):
                    event = as_asked(event, turn.prompt, turn.sent)
                changes += machine.apply(event)
        except Exception:
            log.exception("turn %d: what Kiro recorded of it could not be read", turn.id)
    changes += machine.apply(Ended("interrupted", _RESTARTED if turn.mark else _NEVER_STARTED))
    journal.apply(turn.id, changes)
    log.info("turn %d was left unfinished and is closed as interrupted", turn.id)
