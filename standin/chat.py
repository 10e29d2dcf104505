"""`kiro-cli chat --no-interactive`: from the arguments to the exit code.

Invariant: the order of the checks is the real program's as far as the facts show it: refusals of the command line,
login, input, engine, session, and only then the turn.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from standin import (
    console,
    demo,
    failures,
    faults,
    invocations,
    login,
    places,
    processes,
    script,
    store_v1,
    store_v2,
    store_v3,
)
from standin.acp import misbehaviour
from standin.arguments import Arguments
from standin.model import Failure, Json, Listener, Store, TurnInfo
from standin.personality import Personality
from standin.stream_v2 import V2Stream, run_error
from standin.stream_v3 import V3Stream
from standin.terminal_output import RawText, V1Text
from standin.tools import Permission, Policy
from standin.turn import Runner

ENGINES = {"v1": "v1", "v2": "v2", "v3": "v3", "rust": "v1", "kas": "v3"}  # facts/kiro-cli.md 0.1
DEFAULT_AGENT = "kiro_default"


class Refused(Exception):
    """The run ends before the turn; the text goes to stderr, the exit code is 1 unless given."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def setting(name: str) -> str:
    """A text of the settings file, empty without it."""
    with contextlib.suppress(OSError, ValueError):
        return str(json.loads(places.settings_file().read_text("utf-8")).get(name, ""))
    return ""


def choose_engine(arguments: Arguments, personality: Personality) -> str:
    """Engine of a headless run: flags, then KIRO_AGENT_ENGINE, then `chat.agentEngine`, then the release's default
    (facts/kiro-cli.md 4.3). Releases without the flag are v1 only."""
    if not personality.engine_values:
        return "v1"
    named = arguments.values.get("agent-engine", "")
    if not named:
        named = (
            "v1" if arguments.has("legacy-ui") else "v3" if arguments.has("v3") else "v2" if arguments.has("v2") else ""
        )
    named = named or os.environ.get("KIRO_AGENT_ENGINE", "") or setting("chat.agentEngine")
    return ENGINES.get(named, personality.headless_engine)


def _refuse_flags(arguments: Arguments, personality: Personality, engine: str) -> None:
    """v3 without trust flags in older releases (facts/kiro-stores.md A.9 row 2)."""
    given = [f"--{name}" for name in ("trust-all-tools", "trust-tools") if arguments.has(name)]
    if engine == "v3" and given and personality.v3_refuses_trust:
        shown = ", ".join(given)
        raise Refused(
            f"error: the following arguments are not supported with --agent-engine=v3: {shown}\nACP initialize failed\n"
        )


def read_prompt(arguments: Arguments) -> tuple[str | None, int | None]:
    """The prompt and how many bytes of stdin were read: the argument wins and stdin is then left alone; the line end
    at the end of stdin is cut (facts/kiro-cli.md 5.2, 14 no. 13, recording `stdin`)."""
    if arguments.prompt is not None:
        return arguments.prompt, None
    data = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    return data.decode("utf-8", "replace").rstrip("\r\n") or None, len(data)


def _agent(name: str | None, engine: str, personality: Personality) -> tuple[str, Json]:
    """Name and file of the agent. An unknown one is passed over in silence on v1 (facts/kiro-cli.md 14 no. 20), with a
    warning on v2 and v3 (facts/kiro-stores.md A.8), and ends 3.x with exit 4 (facts/kiro-cli.md 5.3)."""
    wanted = name or setting("chat.defaultAgent")
    if not wanted or wanted == DEFAULT_AGENT:
        return DEFAULT_AGENT, {}
    for path in places.agent_files(wanted):
        with contextlib.suppress(OSError, ValueError):
            return wanted, dict(json.loads(path.read_text("utf-8")))
    if engine != "v1":
        if personality.unknown_agent_fails:
            raise Refused(f'error: agent "{wanted}" not found\n', 4)
        console.err(f'[warn] agent "{wanted}" not found, using "default"\n')
    return DEFAULT_AGENT, {}


def _check_mcp(agent: Json, engine: str) -> None:
    """`--require-mcp-startup`: exit 3 when the command of an enabled server is missing (facts/kiro-cli.md 5.3; the
    text is [L]); no effect on v3 (facts/kiro-stores.md A.9 row 8)."""
    servers = dict(agent.get("mcpServers") or {})
    for path in places.mcp_files():
        with contextlib.suppress(OSError, ValueError):
            servers = {**json.loads(path.read_text("utf-8")).get("mcpServers", {}), **servers}
    for name, server in servers.items():
        command = server.get("command")
        if engine != "v3" and command and not server.get("disabled") and shutil.which(command) is None:
            raise Refused(f"error: MCP server '{name}' failed to start: {command}: command not found\n", 3)


def _no_conversation(session_id: str) -> Refused:
    return Refused(f"error: No conversation found with id {session_id}\n")  # v1's text is not known [L]


def open_store(engine: str, arguments: Arguments, personality: Personality, cwd: str, agent: str, model: str) -> Store:
    """The conversation to write: new, the folder's newest, or the one asked for (facts/kiro-cli.md 5.1,
    kiro-stores.md A.8).

    Raises Refused, store_v2.SessionBusy."""
    wanted = arguments.values.get("resume-id")
    resume = arguments.has("resume")
    if engine == "v1":
        value = store_v1.find(wanted) if wanted else store_v1.latest(cwd) if resume else None
        if wanted and value is None:
            raise _no_conversation(wanted)
        return store_v1.V1Store(personality, cwd, model, value)
    if engine == "v2":
        side = store_v2.find(wanted) if wanted else store_v2.latest(cwd) if resume else None
        if wanted and side is None and personality.unknown_resume_fails:
            raise store_v2.SessionBusy(f"Failed to load session {wanted}: session not found")
        return store_v2.V2Store(cwd, agent, model, side)
    folder = store_v3.find(wanted) if wanted else store_v3.latest(cwd) if resume else None
    return store_v3.V3Store(cwd, model, folder)


def plan(prompt: str, answers: dict[str, str], policy: Permission) -> script.Turn:
    """The turn: of the script file, of the prompt's directives, or the demo's."""
    named = os.environ.get("KIRO_STANDIN_SCRIPT")
    turn = script.from_file(Path(named), places.position_file()) if named else script.from_prompt(prompt, answers)
    if turn is None:
        return demo.demo_turn(prompt, policy.cwd, policy.allows)
    _check(turn, policy)
    return turn


def _check(turn: script.Turn, policy: Permission) -> None:
    """Whether this engine can play the turn here. Raises script.ScriptError."""
    known = {**faults.TABLE, **(misbehaviour.TABLE if policy.interactive else {})}
    for step in turn.steps():
        tool = step.call.tool if step.call else ""
        if step.kind == "fault" and step.text not in known:
            raise script.ScriptError(f"unknown fault {step.text!r}: `kiro-cli standin --help` lists them")
        if policy.engine == "v1" and tool == "subagent":
            raise script.ScriptError("a sub-agent needs engine v2 or v3")
        acp_only = step.kind in ("plan", "spawn") or tool == "question" or (step.call is not None and step.call.asked)
        if acp_only and not policy.interactive:
            raise script.ScriptError("questions, plans, spawned sessions and `ask` need `kiro-cli acp`")
        if tool == "question" and policy.engine != "v3":
            raise script.ScriptError("a question needs engine v3")
        if step.kind == "spawn" and policy.engine != "v2":
            raise script.ScriptError("a spawned session needs engine v2")
        if step.kind == "fault" and step.text == "rewind" and policy.interactive:
            raise script.ScriptError("over ACP a rewind is a command: /rewind")
        if step.kind == "fault" and step.text in faults.EARLY and policy.interactive:
            raise script.ScriptError(f"over ACP {step.text} holds from the start on: KIRO_STANDIN_FAULT={step.text}")


def facts(prompt: str, personality: Personality, store: Store, info: TurnInfo, policy: Permission) -> dict[str, str]:
    """Answers of the directives `echo` and `about`."""
    data = prompt.encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(data).hexdigest()
    trust = "all" if policy.trust_all else ",".join(policy.trusted or ()) or "none"
    lines = prompt.count("\n") + 1
    return {
        "echo": f"bytes={len(data)} chars={len(prompt)} lines={lines} sha256={digest}",
        "about": f"version={personality.label} engine={policy.engine} session={store.session_id} "
        f"turns={store.turns_before} agent={info.agent} model={info.model} trust={trust} cwd={info.cwd}",
    }


def _output(engine: str, stream: bool, personality: Personality, store: Store) -> Listener:
    if stream:
        return V2Stream(personality, store) if engine == "v2" else V3Stream(personality, store)
    return V1Text(personality) if engine == "v1" else RawText(engine)


def _trust(arguments: Arguments, agent: Json, engine: str, cwd: str) -> Policy:
    named = arguments.values.get("trust-tools")
    trusted = None if named is None else tuple(name.strip() for name in named.split(",") if name.strip())
    allowed = tuple(str(name) for name in agent.get("allowedTools") or ())
    return Policy(engine, arguments.has("trust-all-tools"), trusted, allowed, cwd)


def _model(arguments: Arguments, agent: Json, personality: Personality, engine: str) -> str:
    """The model's name; what v2 could not set is said on stderr and the run goes on (facts/kiro-cli.md 5.8,
    facts/kiro-stores.md A.8)."""
    asked = arguments.values.get("model", "")
    if asked and engine == "v2" and personality.v2_ignores_model:
        console.err(f"[warn] failed to set model '{asked}': Method not found\n")
        asked = ""
    effort = arguments.values.get("effort")
    if effort and engine == "v2":
        console.err(f"[warn] failed to set effort '{effort}': model does not support additional fields\n")
    return asked or str(agent.get("model") or "") or setting("chat.defaultModel") or "auto"


def _prepared(
    arguments: Arguments, personality: Personality, engine: str, prompt: str, stream: bool
) -> Callable[[], int]:
    """Everything up to the turn; the turn itself as a function, for the launcher to run in its worker."""
    cwd = os.getcwd()
    agent_name, agent = _agent(arguments.values.get("agent"), engine, personality)
    if arguments.has("require-mcp-startup"):
        _check_mcp(agent, engine)
    model = _model(arguments, agent, personality, engine)

    def work() -> int:
        try:
            store = open_store(engine, arguments, personality, cwd, agent_name, model)
        except store_v2.SessionBusy as busy:  # the stage is [L]: facts/kiro-stores.md F
            return _failed(Failure("session", str(busy), stage="session"), stream)
        except Refused as refused:
            return _refusal(refused)
        os.environ["KIRO_SESSION_ID"] = store.session_id  # for tools (facts/kiro-cli.md 5.10)
        policy = _trust(arguments, agent, engine, cwd)
        info = TurnInfo(prompt, cwd, agent_name, model)
        try:
            turn = plan(prompt, facts(prompt, personality, store, info, policy), policy)
        except script.ScriptError as error:
            store.close()
            return _failed(Failure("script", f"stand-in: {error}", stage="standin"), stream)
        return Runner(engine, store, _output(engine, stream, personality, store), policy, stream, info).run(turn)

    return work


def _failed(failure: Failure, stream: bool) -> int:
    """Say a failure from before the turn; its exit code."""
    if stream:
        run_error(None, failure)
    else:
        console.err(failures.terminal_text(failure))
    return failure.exit_code


def _refusal(refused: Refused) -> int:
    console.err(str(refused))
    return refused.code


def _early_signals(prompt: str) -> None:
    """Signal faults act before the worker exists, so that the launcher keeps them too."""
    for name in faults.EARLY:
        if f"{script.PREFIX}fault {name}" in prompt:
            faults.ignore_signals(name)


def run(arguments: Arguments, personality: Personality) -> int:
    """A headless run; its exit code."""
    stream = arguments.values.get("output-format") == "stream-json"
    engine = choose_engine(arguments, personality)
    try:
        prompt, work = _checked(arguments, personality, engine, stream)
    except Refused as refused:
        return _refusal(refused)
    except faults.RunFailed as failed:
        return _failed(failed.failure, stream)
    except faults.RunEnds as ended:
        return ended.code
    _early_signals(prompt)
    if engine != "v1":
        return processes.launch(work, ends_with_launcher=engine == "v2")
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return work()


def _checked(
    arguments: Arguments, personality: Personality, engine: str, stream: bool
) -> tuple[str, Callable[[], int]]:
    """The prompt and the run behind all checks. Raises Refused, faults.RunFailed, faults.RunEnds."""
    if not stream and not arguments.has("no-interactive"):
        raise Refused("error: this stand-in has no terminal UI: use --no-interactive, or the bridge's own chat\n")
    faults.fire_at_start()
    _refuse_flags(arguments, personality, engine)
    login.require(personality)
    prompt, size = read_prompt(arguments)
    invocations.record(size)
    if prompt is None:
        raise Refused(failures.NO_INPUT)
    if engine == "v1" and stream:
        raise faults.RunFailed(Failure("engine", failures.V1_STREAM, stage="engine"))
    return prompt, _prepared(arguments, personality, engine, prompt, stream)
