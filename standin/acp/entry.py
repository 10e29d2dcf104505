"""`kiro-cli acp`: from the arguments to the agent.

Invariant: the launcher and its worker are as in chat: v2 ends when stdin ends or its launcher is gone, the engine of
v3 does neither (facts/kiro-wire.md 15).
"""

from __future__ import annotations

import os
import threading

from standin import chat, console, failures, faults, invocations, login, processes
from standin.acp import misbehaviour
from standin.acp.wire import Wire
from standin.arguments import Arguments
from standin.model import Failure
from standin.personality import Personality

#: How long the engine of v3 stays after stdin ended, in seconds: the real one has no end to it.
STAYS = 3600.0


def choose_engine(arguments: Arguments, personality: Personality) -> str:
    """v2 unless something else is named (facts/kiro-cli.md 6.1); v1 has no agent of its own there and is v2 [L]."""
    named = arguments.values.get("agent-engine") or os.environ.get("KIRO_AGENT_ENGINE", "")
    return "v3" if personality.acp_engine_values and chat.ENGINES.get(named) == "v3" else "v2"


def run(arguments: Arguments, personality: Personality) -> int:
    """The agent's whole life; the exit code."""
    engine = choose_engine(arguments, personality)
    try:
        if os.environ.get("KIRO_STANDIN_FAULT", "").partition(" ")[0] not in misbehaviour.AT:
            faults.fire_at_start()
        if os.environ.get("KIRO_STANDIN_LOGGED_OUT") != "methods":
            _require_login(personality)
    except faults.RunFailed as failed:
        console.err(failures.terminal_text(failed.failure))
        return failed.failure.exit_code
    except faults.RunEnds as ended:
        return ended.code
    invocations.record(None)
    return processes.launch(lambda: _serve(engine, arguments, personality), ends_with_launcher=engine == "v2")


def _require_login(personality: Personality) -> None:
    """The launcher dies before the handshake (facts/kiro-wire.md 1). Raises faults.RunFailed."""
    if not login.stored() and not os.environ.get("KIRO_API_KEY"):
        failure = failures.BY_NAME["not-logged-in"]
        raise faults.RunFailed(Failure(failure.name, f"error: {failure.message}", plain=True))


def _serve(engine: str, arguments: Arguments, personality: Personality) -> int:
    """The worker."""
    if engine == "v2":
        from standin.acp.v2_agent import V2Agent

        return V2Agent(Wire(uuid_ids=True, result_first=True), personality, arguments).serve()
    from standin.acp.v3_agent import V3Agent

    code = V3Agent(Wire(uuid_ids=False, result_first=False), personality, arguments).serve()
    threading.Event().wait(STAYS)
    return code
