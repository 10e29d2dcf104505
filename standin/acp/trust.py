"""Who may run without being asked over ACP, and what was answered for good.

Invariant: what was allowed or refused for good holds for the session's life in this process and for it alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from standin import tools
from standin.model import Call, Json
from standin.tool_shapes import NAMES, NEUTRAL

#: What v3's permissions are about (facts/kiro-wire.md 13).
CAPABILITIES = {"shell": "shell", "write": "fs_write", "subagent": "subagent", "read": "fs_read"}


@dataclass
class Trust:
    """The flags, the agent file's `allowedTools`, and the answers given for good.

    Reading inside the working folder is never asked about; on v3 sub-agents are not either (facts/kiro-wire.md 10,
    16)."""

    engine: str
    cwd: str
    trust_all: bool = False
    trusted: tuple[str, ...] | None = None
    allowed: tuple[str, ...] = ()
    always: set[str] = field(default_factory=set)
    never: set[str] = field(default_factory=set)
    patterns: list[str] = field(default_factory=list)
    interactive: bool = True

    def asks(self, call: Call) -> bool:
        """Whether the user is asked before this call."""
        if call.asked:
            return True
        if self.trust_all or self._named(call) or call.tool in self.always:
            return False
        if call.tool == "shell" and any(re.fullmatch(one, str(call.args["command"])) for one in self.patterns):
            return False
        if call.tool == "read":
            return not tools.inside(self.cwd, str(call.args["path"]))
        return call.tool != "subagent" or self.engine == "v2"

    def refuses(self, call: Call) -> bool:
        """Whether an earlier answer forbids it (v3's `always-reject`, [L])."""
        return call.tool in self.never

    def allows(self, call: Call) -> bool:
        """Whether the demo may use the tool: it may, the user can be asked."""
        return not self.refuses(call)

    def _named(self, call: Call) -> bool:
        """Named by `--trust-tools` or the agent file (over ACP v2 matches the names too: [L])."""
        names = (*(self.trusted or ()), *self.allowed)
        return any(NEUTRAL.get(name.lower()) == call.tool or name in ("*", "@builtin") for name in names)

    def remember(self, call: Call, option: Json, chosen: Json) -> None:
        """Keep an answer that is meant for good: of v2 with a trust option its patterns (facts/kiro-wire.md 5)."""
        if option["kind"] == "reject_always":
            self.never.add(call.tool)
        if option["kind"] != "allow_always":
            return
        trust = (chosen.get("_meta") or {}).get("trustOption") or {}
        if trust.get("setting_key") == "allowedCommands":
            self.patterns += [str(pattern) for pattern in trust.get("patterns", ())]
        else:
            self.always.add(call.tool)


def trust_options(call: Call) -> list[Json]:
    """v2's offers for a shell command: all of it, its beginning, its program (facts/kiro-wire.md 5)."""
    if call.tool != "shell" or call.args.get("dangerous"):
        return []
    words = str(call.args["command"]).split()
    if not words or any(sign in str(call.args["command"]) for sign in ";|&`$<>"):
        return []
    command, partial = " ".join(words), " ".join(words[:2])
    offers = [("Full command", command, re.escape(command)), ("Base command", f"{words[0]} *", f"{words[0]}( .*)?")]
    if len(words) > 1:
        offers.insert(1, ("Partial command", f"{partial} *", f"{re.escape(partial)}( .*)?"))
    return [
        {"label": label, "display": display, "setting_key": "allowedCommands", "patterns": [pattern]}
        for label, display, pattern in offers
    ]


def tool_name(engine: str, call: Call) -> str:
    """The engine's name of the tool."""
    return NAMES[engine][call.tool]
