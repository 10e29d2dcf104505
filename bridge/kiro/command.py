"""The command line of one run, made from what was asked for and what this kiro-cli offers.

Invariant: pure; the engine is always named where it can be, a flag that the help text does not list is
never passed, and the prompt is never an argument (it would stand in `ps`, and 128 KiB is the kernel's
limit: facts/kiro-cli.md 5.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from bridge.core.feed import Engine, Notice
from bridge.core.records import SessionOptions
from bridge.errors import Problem
from bridge.kiro.capabilities import Capabilities

Feed = Literal["stream-json", "text"]
Resume = Literal["id", "latest"]


@dataclass(frozen=True)
class LaunchOptions:
    """What the settings ask of a run. Empty texts mean Kiro's own choice.

    `trust_tools` names the tools that need no approval: None leaves it to the agent, an empty tuple trusts
    none.
    """

    engine: Literal["auto", "v1", "v2", "v3"] = "auto"
    agent: str = ""
    model: str = ""
    effort: str = ""
    trust_all_tools: bool = False
    trust_tools: tuple[str, ...] | None = None
    require_mcp_startup: bool = False


def for_session(settings: LaunchOptions, session: SessionOptions) -> LaunchOptions:
    """Return what a run of a session is to be: the session's own wishes before the settings'."""
    wished = {name: value for name in ("agent", "model", "effort") if (value := getattr(session, name))}
    options = replace(settings, **wished)
    if session.trust == "all":
        return replace(options, trust_all_tools=True)
    if session.trust:
        listed = session.trust_tools if session.trust == "listed" else None
        return replace(options, trust_all_tools=False, trust_tools=listed)
    return options


@dataclass(frozen=True)
class Launch:
    """A planned run: `arguments` follow the binary. `resume` says how the earlier conversation is
    continued, if it is; `notices` what a person should know before it starts.
    """

    arguments: tuple[str, ...]
    engine: Engine
    feed: Feed
    resume: Resume | None
    notices: tuple[Notice, ...]


def plan(
    capabilities: Capabilities,
    options: LaunchOptions,
    *,
    kiro_id: str | None = None,
    conversation_engine: Engine | None = None,
    is_latest: Callable[[Engine, str], bool] = lambda engine, kiro_id: False,
) -> Launch | Problem:
    """Return how to run one prompt, or why it cannot be run.

    `kiro_id` is the conversation to continue and `conversation_engine` the engine that holds it, which then
    wins over the settings. `is_latest(engine, kiro_id)` tells whether the store shows that conversation as
    the latest of its folder; it is asked only where the CLI cannot continue a conversation by its id.
    """
    planner = _Planner(capabilities, options)
    if kiro_id is not None and conversation_engine is not None and conversation_engine not in capabilities.engines:
        planner.tell(
            "engine_gone",
            f"This kiro-cli ({capabilities.version}) no longer has the engine {conversation_engine} of the earlier "
            "conversation, so a new one was started.",
        )
        kiro_id = conversation_engine = None
    engine = conversation_engine if kiro_id is not None and conversation_engine else _choose(capabilities, options)
    if isinstance(engine, Problem):
        return engine
    resume = planner.resume(engine, kiro_id, is_latest)
    return planner.launch(engine, kiro_id, resume)


def _choose(capabilities: Capabilities, options: LaunchOptions) -> Engine | Problem:
    """Return the engine of a new conversation: what was asked for, else v2 where it streams, else v1."""
    offered = capabilities.engines
    if options.engine == "auto":
        order: tuple[Engine, ...] = ("v2", "v3") if capabilities.stream_json else ("v1", "v2", "v3")
        return next((engine for engine in order if engine in offered), offered[0])
    if options.engine in offered:
        return options.engine
    cause = (
        f"The setting engine asks for {options.engine}, but kiro-cli {capabilities.version} "
        f"offers {', '.join(offered)}."
    )
    return Problem("engine_unavailable", cause, "Set engine to one of those or to auto, or install another version.")


class _Planner:
    def __init__(self, capabilities: Capabilities, options: LaunchOptions) -> None:
        self._can = capabilities
        self._options = options
        self._arguments: list[str] = ["chat"]
        self._notices: list[Notice] = []

    def tell(self, key: str, text: str) -> None:
        """Add something a person should know before the run."""
        self._notices.append(Notice(key, text, "warning"))

    def resume(self, engine: Engine, kiro_id: str | None, is_latest: Callable[[Engine, str], bool]) -> Resume | None:
        """Return how the conversation can be continued; say so if it cannot."""
        if kiro_id is None:
            return None
        if self._can.has("resume-id"):
            return "id"
        if self._can.has("resume") and is_latest(engine, kiro_id):
            return "latest"
        self.tell(
            "conversation_not_continued",
            f"This kiro-cli ({self._can.version}) can only continue the latest conversation of a folder, and that is "
            "another one now. A new conversation was started, without what was said before.",
        )
        return None

    def launch(self, engine: Engine, kiro_id: str | None, resume: Resume | None) -> Launch:
        """Return the run with every argument in its place."""
        streams = self._can.stream_json and engine != "v1"
        if self._can.has("no-interactive"):
            self._add("--no-interactive")
        if streams:
            self._add("--output-format", "stream-json")
        self._add(*self._can.engine_flags.get(engine, ()))
        if self._can.has("wrap"):
            self._add("--wrap", "never")
        self._ask_for("agent", self._options.agent)
        self._ask_for("model", self._options.model)
        self._ask_for("effort", self._options.effort)
        self._trust(engine)
        if self._options.require_mcp_startup and self._can.has("require-mcp-startup"):
            self._add("--require-mcp-startup")
        if resume == "id" and kiro_id is not None:
            self._add(f"--resume-id={kiro_id}")
        elif resume == "latest":
            self._add("--resume")
        feed: Feed = "stream-json" if streams else "text"
        return Launch(tuple(self._arguments), engine, feed, resume, tuple(self._notices))

    def _add(self, *arguments: str) -> None:
        self._arguments += arguments

    def _ask_for(self, flag: str, value: str) -> None:
        """Pass a setting on; as one argument, so that a value that begins with `-` stays a value."""
        if value and self._can.has(flag):
            self._add(f"--{flag}={value}")
        elif value:
            self.tell(
                f"{flag}_not_offered",
                f"The setting {flag} ({value}) has no effect: kiro-cli {self._can.version} has no --{flag}.",
            )

    def _trust(self, engine: Engine) -> None:
        flag = "trust-all-tools" if self._options.trust_all_tools else "trust-tools"
        if not self._options.trust_all_tools and self._options.trust_tools is None:
            return
        if engine == "v3" and not self._can.takes_v3_trust:
            self.tell(
                "trust_not_taken",
                f"kiro-cli {self._can.version} takes no --{flag} with the engine v3: tools that need an approval "
                "will be refused. Allow them in ~/.kiro/settings/permissions.yaml, or use the engine v2.",
            )
        elif not self._can.has(flag):
            self.tell("trust_not_taken", f"kiro-cli {self._can.version} has no --{flag}: tools may be refused.")
        elif self._options.trust_all_tools:
            self._add("--trust-all-tools")
        else:
            self._add(f"--trust-tools={','.join(self._options.trust_tools or ())}")
