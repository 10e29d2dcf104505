"""What Kiro asks leave for, and when no person needs to be asked.

Invariant: pure. Options are chosen by what they do (`kind`), never by their name or place, and a question is never
answered by a setting (facts/kiro-wire.md 5, 13; kiro-stores.md B.7).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bridge.core.feed import ApprovalAsked, ApprovalOption, OptionKind
from bridge.core.records import SessionOptions
from bridge.kiro import loose
from bridge.kiro.acp_tools import change
from bridge.kiro.acp_updates import kiro_part
from bridge.kiro.acp_wire import RpcId
from bridge.kiro.command import LaunchOptions
from bridge.kiro.loose import JsonDict

CANCELLED: JsonDict = {"outcome": {"outcome": "cancelled"}}
_LONGEST_TEXT = 16_000
_ANSWER_ID = re.compile(r".*-option-\d+", re.S)
_KINDS: Mapping[str, OptionKind] = {
    "allow_once": "allow_once",
    "allow_always": "allow_always",
    "reject_once": "reject_once",
    "reject_always": "reject_always",
}
_SAME_TOOL: Mapping[str, str] = {
    **dict.fromkeys(("fs_read", "read_file", "read_files"), "read"),
    **dict.fromkeys(("fs_write", "fs_append", "str_replace"), "write"),
    **dict.fromkeys(("execute_bash", "execute_cmd", "execute_pwsh", "run_command"), "shell"),
}
"""Names of one tool in the engines (facts/kiro-cli.md 4.1, kiro-wire.md 12, 13): a list of trusted tools takes any."""


@dataclass(frozen=True)
class Trusting:
    """Which tools run without asking: all, those in `tools`, or none."""

    mode: Literal["all", "listed", "ask"]
    tools: frozenset[str] = frozenset()

    def covers(self, tool: str | None) -> bool:
        """Return whether a tool runs without asking; `@server` in the list stands for all tools of that server."""
        if self.mode != "listed" or tool is None:
            return self.mode == "all"
        name = _canonical(tool)
        return name in self.tools or name.partition("/")[0] in self.tools


def trusting(session: SessionOptions, settings: LaunchOptions) -> Trusting:
    """Return what runs without asking: as the session wants it, else as the settings say."""
    if session.trust:
        return Trusting(session.trust, frozenset(map(_canonical, session.trust_tools)))
    if settings.trust_all_tools:
        return Trusting("all")
    listed = frozenset(map(_canonical, settings.trust_tools or ()))
    return Trusting("listed" if listed else "ask", listed)


def _canonical(tool: str) -> str:
    name = tool.strip().casefold()
    return _SAME_TOOL.get(name, name)


@dataclass
class Asked:
    """A request that waits for an answer. `session` is the one it is of; `since` when it came and `expired` when its
    time was over, monotonic seconds."""

    number: RpcId
    session: str
    event: ApprovalAsked
    tool: str | None
    since: float
    expired: float | None = None

    def answer(self, trust: Trusting) -> str | None:
        """Return the option that `trust` takes by itself; None when a person is to be asked.

        An offer that begins with a refusal is a warning of Kiro's own ("Keep blocked"): no setting overrules it.
        """
        options = self.event.options
        if self.event.question or not trust.covers(self.tool) or options[0].kind.startswith("reject"):
            return None
        return next((option.id for option in options if option.kind == "allow_once"), None)

    def refusal(self) -> str | None:
        """Return the option that says no, None where there is none."""
        kinds: tuple[OptionKind, ...] = ("reject_once", "reject_always")
        found = (option.id for kind in kinds for option in self.event.options if option.kind == kind)
        return next(found, None)


def read_request(
    number: RpcId, params: JsonDict, *, key: str, tool: JsonDict, name: str | None, agent: str | None, since: float
) -> Asked | None:
    """Return what a `session/request_permission` asks for; None when it offers nothing to choose from.

    `tool` is what was told of the call before: v2 says here no more than its title. `name` is the tool's own.
    """
    call = loose.table(params.get("toolCall"))
    options = _options(params.get("options"))
    if not options:
        return None
    question = _is_question(options)
    title = loose.name(call.get("title")) or loose.name(tool.get("title")) or "A tool"
    if question:
        options = tuple(ApprovalOption(option.id, option.label, "answer") for option in options)
    event = ApprovalAsked(
        key,
        title="Kiro asks a question" if question else title,
        options=options,
        tool_key=loose.name(call.get("toolCallId")),
        text=(title if question else _what_runs(call, tool, kiro_part(params), title))[:_LONGEST_TEXT],
        question=question,
        agent=agent,
    )
    of_kind = loose.name(kiro_part(params).get("toolId")) or name
    return Asked(number, loose.name(params.get("sessionId")) or "", event, of_kind, since)


def selected(option: str) -> JsonDict:
    """Return the answer that takes an option."""
    return {"outcome": {"outcome": "selected", "optionId": option}}


def _options(value: object) -> tuple[ApprovalOption, ...]:
    found: list[ApprovalOption] = []
    for one in loose.rows(value):
        option = loose.table(one)
        # some clients and versions say `id` and `label` (facts/peers-and-style.md 3.2)
        known = loose.name(option.get("optionId")) or loose.name(option.get("id"))
        label = loose.name(option.get("name")) or loose.name(option.get("label"))
        kind = _KINDS.get(loose.name(option.get("kind")) or "", "answer")
        if known is not None:
            found.append(ApprovalOption(known, label or known, kind))
    return tuple(found)


def _is_question(options: Sequence[ApprovalOption]) -> bool:
    """Tell a question from an approval: its options are named so, of a kind nobody knows, or all allow once."""
    if any(option.kind == "answer" or _ANSWER_ID.fullmatch(option.id) for option in options):
        return True
    return len(options) > 1 and all(option.kind == "allow_once" for option in options)


def _what_runs(call: JsonDict, tool: JsonDict, kiro: JsonDict, title: str) -> str:
    """Return what is asked for in words: the command, the change, the file, or the tool's arguments."""
    given = loose.table(call.get("rawInput")) or loose.table(tool.get("rawInput"))
    command = loose.name(kiro.get("command")) or loose.name(given.get("command"))
    if command is not None and not loose.name(given.get("path")):
        return command
    resource = loose.name(loose.table(kiro.get("consent")).get("resource"))
    told = change(call) or change(tool) or loose.name(given.get("path")) or resource
    if told:
        return told
    arguments = {name: value for name, value in given.items() if not name.startswith("__")}
    return loose.compact(arguments) if arguments else title
