"""Misbehaviours that only ACP can show: `!standin fault NAME [ARGUMENT]`, or KIRO_STANDIN_FAULT for those at a method.

Invariant: `TABLE` names every one of them; like chat's faults, which work here too, they act at their place in the
turn. What they play is in no recording unless a section says so.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from standin import console
from standin.acp.wire import INTERNAL, RpcError
from standin.faults import RunFailed
from standin.model import Call, Failure, Said, new_tool_id
from standin.processes import die
from standin.script import Step

if TYPE_CHECKING:
    from standin.acp.turns import AcpTurn

#: Only in KIRO_STANDIN_FAULT, each followed by a method.
AT = {
    "hang-at": ("the method ARG is never answered", "kiro-cli 6.2, 6.5 (Kiro#6753)"),
    "die-at": ("SIGKILL to the whole program when the method ARG is called", "kiro-cli 14 no. 8"),
    "error-at": ("the method ARG is answered with an error", "kiro-wire 15"),
}
TABLE: dict[str, tuple[str, str]] = {
    "deaf-to-cancel": ("a cancel has no effect on this turn", "kiro-wire 15 (a cancel can lose the race)"),
    "permission-lost": ("nothing follows the answer to the turn's next permission request", "kiro-wire 7, 15"),
    "burst": ("the turn's frames leave in one write, at its end or before a request", "kiro-wire 17"),
    "split": ("from now on frames are cut into writes of ARG bytes (7); 0 ends it", "-"),
    "die-asking": ("asks for a permission and dies before the answer", "kiro-cli 14 no. 8"),
    "unknown-request": ("asks the client something unheard of and says how it answered", "kiro-wire 14"),
    "unknown-update": ("updates and notifications of unknown kinds", "kiro-wire 19 rule 1"),
    "garbage": ("lines on stdout that are no JSON, no object, no UTF-8", "kiro-cli 5.4"),
    "mute": ("not one more frame, no answer, deaf to a cancel", "kiro-wire 15 (stall)"),
    "close-stdout": ("stdout is closed, the process lives on", "-"),
    "answer-twice": ("the prompt is answered twice", "-"),
    "late-frames": ("text and a tool update after the prompt's answer", "kiro-wire 19 rule 2"),
    "unprompted": ("after this turn another one, which nobody prompted, says ARG", "kiro-wire 7 (_message/send)"),
    "retry": ("v2: a retry warning", "kiro-wire 8"),
    "stall": ("v2: stall notices, then the turn goes on", "kiro-wire 8"),
    "stall-error": ("v2: stall notices, then the turn fails", "kiro-wire 8"),
    "rate-limit": ("v2: a rate limit notice, then the turn fails", "kiro-wire 8"),
    "mcp-trouble": ("a server fails and another wants a login, in mid-turn", "kiro-wire 16; kiro-cli 6.4"),
}
_SOFT = "Still working, model is thinking..."
_HARD = "Response timed out - retrying"
_TIMEOUT = "The stream timed out receiving the response after 2000ms"


@dataclass
class AtMethod:
    """What KIRO_STANDIN_FAULT="hang-at METHOD" and the like do when the method is called."""

    name: str = ""
    method: str = ""

    @classmethod
    def from_environment(cls) -> AtMethod:
        """The one named, or one that never strikes."""
        name, _, method = os.environ.get("KIRO_STANDIN_FAULT", "").partition(" ")
        return cls(name, method.strip()) if name in AT else cls()

    def strikes(self, method: str) -> bool:
        """Whether the request is left without an answer. Raises RpcError when it is answered with an error."""
        if not self.name or method != self.method:
            return False
        if self.name == "die-at":
            die()
        if self.name == "error-at":
            raise RpcError(INTERNAL, "Internal error", f"stand-in: {method} fails as asked")
        return True


def _permission_lost(turn: AcpTurn, said: Said, argument: str) -> None:
    turn.lost = True


def _deaf(turn: AcpTurn, said: Said, argument: str) -> None:
    turn.session.deaf = True


def _burst(turn: AcpTurn, said: Said, argument: str) -> None:
    turn.agent.wire.hold()


def _split(turn: AcpTurn, said: Said, argument: str) -> None:
    turn.agent.wire.piece = int(argument or 7)


def _die_asking(turn: AcpTurn, said: Said, argument: str) -> None:
    _, params = turn.frames.permission(Call("shell", {"command": "true"}))
    turn.agent.wire.request("session/request_permission", params)
    die()


def _unknown_request(turn: AcpTurn, said: Said, argument: str) -> None:
    reply = turn.agent.wire.request("_kiro/fromTheFuture/ask", {"sessionId": turn.session.id, "question": "?"})
    turn.session.wait_for(reply)
    how = f"error {reply.error.get('code')}" if reply.error else "a result"
    turn.say(said, f"The client answered with {how}.")


def _unknown_update(turn: AcpTurn, said: Said, argument: str) -> None:
    own = {"sessionId": turn.session.id}
    wire = turn.agent.wire
    wire.notify("session/update", {**own, "update": {"sessionUpdate": "from_the_future", "deep": [{"a": None}]}})
    wire.notify("session/update", {**own, "update": {"sessionUpdate": 7}})
    wire.notify("session/update", {**own, "update": "no object"})
    chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "hologram", "data": "x"}}
    wire.notify("session/update", {**own, "update": chunk})
    wire.notify("_kiro/from/the/future", {"sessionId": "nobody"})
    wire.send({"method": "_kiro.dev/metadata"})
    wire.send({"result": {}, "id": "an id nobody gave"})


def _garbage(turn: AcpTurn, said: Said, argument: str) -> None:
    console.raw(b'2026-01-01T00:00:00Z INFO mcp: connected\n\n{"jsonrpc":"2.0","meth\n\xff\xfe\x00\n[]\n42\n"text"\n')


def _mute(turn: AcpTurn, said: Said, argument: str) -> None:
    turn.session.deaf = True
    turn.agent.wire.flush()
    turn.agent.wire.mute = True
    threading.Event().wait()


def _close_stdout(turn: AcpTurn, said: Said, argument: str) -> None:
    turn.session.deaf = True
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    threading.Event().wait()


def _retry(turn: AcpTurn, said: Said, argument: str) -> None:
    counts = {"attempt": 2, "maxAttempts": 3, "delaySecs": 8}
    _own(turn, {"sessionUpdate": "retry_warning", **counts, "message": "Retrying in 8s (attempt 2/3)"})


def _stall(turn: AcpTurn, said: Said, argument: str) -> None:
    for message in (_SOFT, _HARD, _SOFT):
        _own(turn, {"sessionUpdate": "stream_stall_notice", "message": message})


def _stall_error(turn: AcpTurn, said: Said, argument: str) -> None:
    _stall(turn, said, argument)
    raise RunFailed(Failure("stall", _TIMEOUT))


def _rate_limit(turn: AcpTurn, said: Said, argument: str) -> None:
    text = "Too many requests, please wait before trying again"
    turn.agent.wire.notify("_kiro.dev/error/rate_limit", {"sessionId": turn.session.id, "message": text})
    raise RunFailed(Failure("throttled", f"ThrottlingException: {text}"))


def _mcp_trouble(turn: AcpTurn, said: Said, argument: str) -> None:
    turn.agent.mcp_trouble(turn.session)


def _afterwards(turn: AcpTurn, said: Said, argument: str) -> None:
    """Nothing now: `afterwards` does it."""


ACTS: dict[str, Callable[[AcpTurn, Said, str], None]] = {
    "deaf-to-cancel": _deaf,
    "permission-lost": _permission_lost,
    "burst": _burst,
    "split": _split,
    "die-asking": _die_asking,
    "unknown-request": _unknown_request,
    "unknown-update": _unknown_update,
    "garbage": _garbage,
    "mute": _mute,
    "close-stdout": _close_stdout,
    "retry": _retry,
    "stall": _stall,
    "stall-error": _stall_error,
    "rate-limit": _rate_limit,
    "mcp-trouble": _mcp_trouble,
    "answer-twice": _afterwards,
    "late-frames": _afterwards,
    "unprompted": _afterwards,
}


def _own(turn: AcpTurn, update: dict[str, object]) -> None:
    """One of v2's own updates; v3 knows none of them."""
    if turn.engine == "v2":
        params = {"sessionId": turn.session.id, "update": update}
        turn.agent.wire.notify("_kiro.dev/session/update", params)


def act(turn: AcpTurn, said: Said, step: Step) -> bool:
    """Do a fault; False when it is not ACP's. Raises RunFailed."""
    fault = ACTS.get(step.text)
    if step.text == "compact":  # chat's fault of that name does the rest
        turn.frames.compacted("Summary by the stand-in.")
    if fault is None:
        return False
    turn.faults.append(step)
    fault(turn, said, step.argument)
    return True


def afterwards(turn: AcpTurn) -> None:
    """What comes after the turn's answer."""
    for step in turn.faults:
        if step.text == "answer-twice":
            turn.agent.wire.answer(turn.request, {"stopReason": turn.stop_reason})
        elif step.text == "late-frames":
            turn.frames.chunk(Said(), "late text")
            update = {"sessionUpdate": "tool_call_update", "toolCallId": new_tool_id(), "status": "completed"}
            params = {"sessionId": turn.session.id, "update": {**update, "title": "Late tool"}}
            turn.agent.wire.notify("session/update", params)
        elif step.text == "unprompted":
            words = step.argument or "Nobody asked."
            turn.agent.run_turn(turn.session, f"!standin text {words}", None, False)
