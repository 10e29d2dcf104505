"""v2's commands: `_kiro.dev/commands/options` and `_kiro.dev/commands/execute`.

Invariant: facts/kiro-wire.md 6; what was not recorded is marked [L].
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from standin import settings_file, store_v2
from standin.acp import surface
from standin.acp.session import Session
from standin.acp.wire import RpcError
from standin.model import Json, new_id

if TYPE_CHECKING:
    from standin.acp.v2_agent import V2Agent

EFFORTS = ("low", "medium", "high", "xhigh", "max")


def options(agent: V2Agent, session: Session, command: str) -> Json:
    """The choices of a command; the active one is marked in its label."""
    found: list[Json] = []
    if command == "model":
        for name in surface.model_ids(agent.personality, agent.logged_in):
            mark = " [active]" if name == session.model else ""
            entry = {"value": name, "label": name + mark, "description": surface.describe(name)}
            found.append({**entry, "group": "1.00x credits"})
    elif command == "agent":
        scopes = {one.name: one.scope for one in surface.agent_files(session.cwd)}
        for mode in surface.modes(session.cwd, session.agent)["availableModes"]:
            mark = " [active]" if mode["id"] == session.agent else ""
            entry = {"value": mode["id"], "label": mode["id"] + mark, "description": mode["description"]}
            found.append({**entry, "group": scopes.get(mode["id"], "Built-in")})
    elif command == "effort" and session.model not in ("auto", "standin-small"):
        found = [{"value": name, "label": name, "description": "", "group": ""} for name in EFFORTS]
    return {"options": found, "hasMore": False}


class Commands:
    """The commands of one agent."""

    def __init__(self, agent: V2Agent) -> None:
        self.agent = agent
        self.known: dict[str, Callable[[Session, Json], Json]] = {
            "model": self._model,
            "agent": self._agent,
            "guide": lambda session, args: self._agent(session, {"value": "kiro_guide"}),
            "plan": lambda session, args: self._agent(session, {"value": "kiro_planner"}),
            "effort": self._effort,
            "clear": self._clear,
            "compact": self._compact,
            "rewind": self._rewind,
            "goal": self._goal,
            "tools": self._tools,
            "context": self._context,
            "usage": self._usage,
            "stats": self._stats,
            "mcp": lambda session, args: _good("0 MCP servers", {"servers": []}),
            "hooks": lambda session, args: _good("0 hooks", {"hooks": []}),
        }

    def execute(self, request: Any, session: Session, command: object) -> None:
        """Run one, answer, and send the metadata that follows every one; agent commands also send the commands again.

        A plain text as the command gets no answer (facts/kiro-cli.md 6.4); an unknown command's result is [L]."""
        if not isinstance(command, dict):
            return
        name, args = str(command.get("command")), command.get("args")
        run = self.known.get(name)
        given = args if isinstance(args, dict) else {}
        result = run(session, given) if run else {"success": False, "message": f"Unknown command: /{name}"}
        self.agent.wire.answer(request, result)
        frames = self.agent.frames(session)
        frames.metadata()
        if name in ("agent", "guide", "plan"):
            self.agent.commands_available(session, [])
        elif name == "clear":
            session.context = 0.4
            frames.metadata()
            self.agent.wire.notify("_kiro.dev/clear/status", {"sessionId": session.id})

    def _model(self, session: Session, args: Json) -> Json:
        name = str(args.get("value", ""))
        if name not in surface.model_ids(self.agent.personality, self.agent.logged_in):
            return {"success": False, "message": f"Unknown model: {name}"}
        session.model, session.wrong_model = name, False
        saved = self.agent.personality.saves_model
        if saved:
            settings_file.put("chat.defaultModel", name)
        percent = {"contextUsagePercentage": session.context} if self.agent.personality.loop_fields else {}
        text = f"Model changed to {name}{' (saved as default)' if saved else ''}"
        return _good(text, {"model": {"id": name, "name": name}, **percent})

    def _agent(self, session: Session, args: Json) -> Json:
        name = str(args.get("value", "")).removeprefix("swap ")
        try:
            index = self.agent.switch_agent(session, name)
        except RpcError:
            text = f"Unknown agent: {name}. Run /agent to browse available agents."
            return {"success": False, "message": text}
        return _good(f"Agent changed to {name}", {"agent": {"name": name, "index": index}})

    def _effort(self, session: Session, args: Json) -> Json:
        level = str(args.get("value", ""))
        if level not in EFFORTS:
            return {"success": False, "message": f"Unknown effort: {level}"}  # [L]
        session.effort = level
        return {"success": True, "message": f"Effort set to {level}"}

    def _clear(self, session: Session, args: Json) -> Json:
        session.store.damage("clear", "")
        return {"success": True, "message": "Conversation cleared"}

    def _compact(self, session: Session, args: Json) -> Json:
        """Leaves no line in the file (facts/kiro-wire.md 18); the result is [L]."""
        self.agent.frames(session).compacted("")
        session.context = 0.8
        return {"success": True, "message": "Conversation compacted"}

    def _rewind(self, session: Session, args: Json) -> Json:
        """Without a value the turns, with one a new session that the client loads (facts/kiro-wire.md 6, 18)."""
        assert isinstance(session.store, store_v2.V2Store)
        lines = [json.loads(line) for line in session.store.lines.read_text("utf-8").splitlines()]
        if not args.get("value"):
            return {"success": True, "message": "", "data": {"turns": _turns(lines)}}
        keep = int(args["value"])
        kept = lines[: next((n for n in range(keep + 1, len(lines)) if lines[n]["kind"] == "Prompt"), len(lines))]
        fresh = new_id()
        store_v2.copy(session.store, fresh, kept)
        data = {"sessionId": fresh, "switchSession": True}
        return _good(f"Rewound to earlier turn (new session {fresh})", data)

    def _goal(self, session: Session, args: Json) -> Json:
        """A goal's text is only repeated; `clear` sends a status without a session id (facts/kiro-wire.md 6)."""
        if args.get("subcommand") == "clear":
            counts = {"iteration": 0, "maxIterations": 0, "elapsedSecs": 0}
            self.agent.wire.notify("_kiro.dev/goal/status", {"state": "cleared", **counts})
            return _good("Goal cleared", {"goal_action": "clear"})
        text = str(args.get("value") or args.get("subcommand") or "")
        goal = {
            "goal_action": "set",
            "definition": {"description": text, "max_iterations": 5},
            "label": f"/goal {text}",
        }
        return _good(f'goal set: "{text}" (max 5)', goal)

    def _tools(self, session: Session, args: Json) -> Json:
        message = f"{len(surface.TOOLS)} tools available"
        status = "allowed" if session.trust.trust_all else "requires-approval"
        tools = [
            {"name": name, "source": "built-in", "description": f"The tool {name}", "status": status}
            for name in surface.TOOLS
        ]
        return _good(message, {"tools": tools, "message": message})

    def _context(self, session: Session, args: Json) -> Json:
        part = {"tokens": 0, "percent": 0.0}
        breakdown: Json = {"contextFiles": {**part, "items": []}, "tools": part, "kiroResponses": part}
        breakdown["sessionFiles"] = part
        breakdown["yourPrompts"] = {"tokens": 100, "percent": session.context}
        head = {"model": session.model, "contextUsagePercentage": session.context, "verbose": False}
        data = {**head, "initialExpanded": False, "breakdown": breakdown}
        return _good(f"Context breakdown - {session.context:.0f}% used", data)

    def _usage(self, session: Session, args: Json) -> Json:
        credit = {"resourceType": "CREDIT", "displayName": "Credits", "used": 1.5, "limit": 50.0, "percentage": 3}
        over = {"currentOverages": 0.0, "overageRate": 0.04, "overageCharges": 0.0, "currency": "USD"}
        plan = {"planName": "STAND-IN", "billingCycleReset": "2030-01-01", "overagesEnabled": False}
        data = {**plan, "isEnterprise": False, "usageBreakdowns": [{**credit, **over}], "bonusCredits": []}
        return _good("Plan: STAND-IN | 1 usage breakdowns", data)

    def _stats(self, session: Session, args: Json) -> Json:
        summary = {"avg_ms": 0.0, "p90_ms": 0.0, "max_ms": 0.0, "errors": 0}
        return _good("0 requests recorded", {"stats": [], "summary": summary})


def _good(message: str, data: Json) -> Json:
    return {"success": True, "message": message, "data": data}


def _turns(lines: list[Json]) -> list[Json]:
    """The turns `/rewind` offers, newest first."""
    found = []
    for index, line in enumerate(lines):
        if line["kind"] == "Prompt":
            answer = next((one for one in lines[index:] if one["kind"] == "AssistantMessage"), None)
            snippet = answer["data"]["content"][0]["data"] if answer else ""
            label = str(line["data"]["content"][0]["data"])[:80]
            found.append({"logIndex": index, "label": label, "group": "", "responseSnippet": str(snippet)[:80]})
    return found[::-1]
