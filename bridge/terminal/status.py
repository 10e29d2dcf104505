"""The status line: how things are, what they cost, and the keys that matter now.

Invariant: pure; the line never fills the whole width.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.terminal.clean import clean_line
from bridge.terminal.model import Conversation
from bridge.terminal.render import SPINNER, Line
from bridge.terminal.wording import duration

_FACT_LENGTH = 40


@dataclass
class Situation:
    """How the chat is. `problem` says why a prompt would fail now; `stopping`: Ctrl-C was pressed for this turn;
    `why`: the reason of a refusal is being typed.
    """

    connected: bool = False
    was_connected: bool = False
    stopping: bool = False
    problem: str = ""
    why: bool = False


def status_line(situation: Situation, conversation: Conversation, now: float, frame: int, columns: int) -> Line:
    """Return the line for a terminal of so many columns; `now` in seconds since the epoch, `frame` is the spinner's."""
    style, state, hint = _state(situation, conversation, now, SPINNER[frame % len(SPINNER)])
    state = state[: columns - 1]
    facts = "".join(f" · {fact}" for fact in _facts(conversation))[: max(0, columns - 1 - len(state))]
    tail = f"   {hint}" if hint and len(state) + len(facts) + len(hint) + 3 < columns else ""
    return [(style, state), ("class:dim", f"{facts}{tail}")]


def _facts(conversation: Conversation) -> list[str]:
    usage = conversation.latest_usage()
    engine = conversation.session.get("engine")
    model = conversation.session.get("model")
    facts = [clean_line(str(fact), _FACT_LENGTH) for fact in (model, engine) if fact]
    facts += [f"context {usage.context_percent:.0f} %"] if usage.context_percent is not None else []
    facts += [f"{usage.credits:.2f} credits"] if usage.credits is not None else []
    return facts


def _state(situation: Situation, conversation: Conversation, now: float, spinner: str) -> tuple[str, str, str]:
    turn = conversation.running()
    if not situation.connected:
        words = "reconnecting" if situation.was_connected else "connecting"
        return "class:busy", f"{spinner} {words}", "Ctrl-C twice leaves"
    if turn is not None and situation.stopping:
        return "class:busy", f"{spinner} stopping", "Ctrl-C again leaves"
    if turn is not None and situation.why:
        return "class:busy", "? say why", "Enter rejects · Ctrl-C goes back"
    if turn is not None and conversation.pending() is not None:
        return "class:busy", "? waiting for your answer", "Ctrl-C stops · Ctrl-D leaves"
    if turn is not None:
        since = now - turn.accepted_at
        words = f"working {duration(since)}" if since >= 1 else "working"
        return "class:busy", f"{spinner} {words}", "Ctrl-C stops · Ctrl-D leaves"
    if situation.problem:
        return "class:bad", "✗ not ready", "Ctrl-D leaves"
    return "class:good", "● ready", "Alt-Enter new line · Ctrl-D leaves"
