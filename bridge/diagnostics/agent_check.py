"""Whether Kiro takes the agent that sessions are to run with, or silently uses another.

Facts: an unknown agent is replaced by the default one with exit code 0 (facts/kiro-cli.md 14 no. 20); a file that
kiro-cli does not accept is left out of `agent list`; hooks in Claude's nested shape make the whole file be rejected
while `agent validate` says nothing; an absent or empty `tools` means no tools (facts/kiro-cli.md 8.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.diagnostics.check import Check
from bridge.kiro.configuration import DEFAULT_AGENT, AgentFile
from bridge.kiro.offers import ListedAgent

NAME = "agent"
_BOTH = ("includeMcpJson", "useLegacyMcpJson")


def check_agent(name: str, file: AgentFile | None, listed: Sequence[ListedAgent]) -> Check:
    """Return how it is with the agent `name`; `listed` is what kiro-cli lists, empty where it cannot be asked."""
    if file is None:
        return _without_file(name, listed)
    if file.content is None:
        return Check(NAME, "failed", f"{file.path} is no JSON object, so Kiro ignores it.", "Correct the file.")
    if fault := rejected(file.content):
        return Check(NAME, "failed", f"Kiro ignores {file.path}: {fault[0]}.", fault[1])
    known = next((agent for agent in listed if agent.name == name), None)
    if listed and known is None:
        remedy = f"Run `kiro-cli agent validate --path {file.path}`, and see that the file's name and its `name` agree."
        return Check(NAME, "failed", f"Kiro does not list {name!r}, so it ignores {file.path}.", remedy)
    if known is not None and known.scope == "built-in":
        cause = f"{name!r} is also the name of an agent of Kiro's own, which is used instead of {file.path}."
        return Check(NAME, "failed", cause, "Give the agent another name.")
    if not file.content.get("tools"):
        cause = f"{name} ({file.path}) names no tools, so it has none."
        return Check(NAME, "warning", cause, 'Add `"tools": ["*"]`, or those it is to have.')
    if known is None:
        return Check(NAME, "unknown", f"{name} ({file.path}) looks right; this kiro-cli does not list its agents.")
    return Check(NAME, "ok", f"{name} ({file.path}), and Kiro lists it")


def rejected(content: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return why Kiro rejects an agent's file and what to do, None where nothing is known to be wrong."""
    if all(name in content for name in _BOTH):
        return "includeMcpJson and useLegacyMcpJson are two names of one field", "Remove one of them."
    hooks = content.get("hooks")
    for entries in hooks.values() if isinstance(hooks, dict) else ():
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and "hooks" in entry:
                return "its hooks are nested", "Write each hook as a flat object with `command`."
    return None


def _without_file(name: str, listed: Sequence[ListedAgent]) -> Check:
    if any(agent.name == name for agent in listed):
        return Check(NAME, "ok", f"{name}, which Kiro lists")
    if name == DEFAULT_AGENT:
        return Check(NAME, "ok", "Kiro's own default")
    cause = f"There is no agent {name!r}: Kiro silently uses its default one."
    remedy = f"Make ~/.kiro/agents/{name}.json, or name another with the setting agent."
    return Check(NAME, "failed" if listed else "warning", cause, remedy)
