"""What v3 offers: modes, models and the other options, and the pushes that tell of them.

Invariant: shapes of facts/kiro-wire.md 10; lists are short where the real ones are Kiro's own.
"""

from __future__ import annotations

from collections.abc import Iterator

from standin.acp import surface
from standin.model import Json
from standin.personality import Personality

_SOURCE = {"resourceType": "agent", "source": {"origin": "bundled"}}
_MODES = (
    ("vibe", "Default", "General coding assistance"),
    ("spec", "Spec", "Structured feature development"),
    ("quick-spec", "Quick Spec", "A short way to a specification"),
    ("bug-fix", "Bug Fix", "Find and mend a fault"),
    ("plan", "Plan", "Plan before work"),
    ("autonomous", "Autonomous", "Work alone"),
    ("semantic_reviewer", "Semantic Reviewer", "Review changes"),
)
_SWITCHES = (
    (
        "autopilot",
        "Autopilot",
        (("on", "Autopilot", "Tools run alone"), ("off", "Supervised", "Changes are asked for")),
    ),
    ("contentCollection", "Content collection", (("on", "On", "Allowed"), ("off", "Off", "Not allowed"))),
)
FEATURES = (
    ("mcpEnabled", True),
    ("webToolsEnabled", True),
    ("usageAnalytics", False),
    ("contentCollection", True),
    ("promptLogging", False),
    ("codeReferenceTracker", False),
    ("autonomousAgents", True),
)
EXTENSIONS = ("_kiro/session/compact", "_kiro/session/rename", "_kiro/session/delete", "_session/steer")


def _mode_meta(personality: Personality) -> Json:
    more = {"resource": _SOURCE} if personality.names_resources else {}
    return {"_meta": {"kiro": {"source": "bundled", **more}}}


def _model_meta(name: str) -> Json:
    """A model's rate; one of them takes an effort."""
    rate: Json = {"rateMultiplier": 1, "rateUnit": "Credit", "hasEffort": name == "standin-large"}
    if rate["hasEffort"]:
        levels = ["low", "medium", "high"]
        rate |= {"effortSchemaPath": "output_config", "effortLevels": levels, "defaultEffortLevel": "high"}
    return {"_meta": {"kiro": rate}}


def mode_names(cwd: str) -> list[tuple[str, str, str]]:
    """Id, name and description of every mode: the program's own and the user's agents."""
    return [*_MODES, *((one.name, one.name, one.description) for one in surface.agent_files(cwd))]


def modes(cwd: str, current: str, personality: Personality) -> Json:
    """`modes` of a result."""
    listed = [
        {"id": key, "name": name, "description": text, **_mode_meta(personality)} for key, name, text in mode_names(cwd)
    ]
    return {"availableModes": listed, "currentModeId": current}


def options(cwd: str, chosen: dict[str, str], personality: Personality, with_model: bool = True) -> list[Json]:
    """`configOptions` (facts/kiro-wire.md 10): the model can be missing in a result."""

    def one(key: str, name: str, category: bool, values: list[Json]) -> Json:
        more = {"category": key} if category else {}
        return {"type": "select", "id": key, "name": name, **more, "currentValue": chosen[key], "options": values}

    agents = [
        {"value": key, "name": name, "description": text, **_mode_meta(personality)}
        for key, name, text in mode_names(cwd)
    ]
    models = [
        {"value": name, "name": name, "description": surface.describe(name), **_model_meta(name)}
        for name in dict.fromkeys([*surface.model_ids(personality), chosen["model"]])
    ]
    found = [one("mode", "Mode", True, agents)]
    if with_model:
        found.append(one("model", "Model", True, models))
    for key, name, values in _SWITCHES:
        listed = [{"value": value, "name": label, "description": text} for value, label, text in values]
        found.append(one(key, name, False, listed))
    return found


def mcp_states(servers: list[surface.Server], started: bool) -> list[Json]:
    """`servers` of `_kiro/mcp/status`: the whole list, before and after the start (facts/kiro-wire.md 16)."""
    return [_mcp_state(server, started) for server in servers]


def _mcp_state(server: surface.Server, started: bool) -> Json:
    login = {"authType": "oauth"} if server.state == "login" else {}
    if not started:
        return {"name": server.name, **login, "status": "connecting"}
    if server.state == "connected":
        tool = {"name": "look", "description": "Looks", "disabled": False, "inputSchema": {"type": "object"}}
        lists: Json = {"tools": [tool], "prompts": [], "resources": [], "resourceTemplates": []}
        return {"name": server.name, "status": "connected", **lists}
    if server.state == "login":
        address = {"failedAuthorization": True, "authorizationUrl": server.address}
        return {"name": server.name, "status": "failed", **login, **address, "errorMessage": "Unauthorized"}
    return {"name": server.name, "status": "failed", "errorMessage": server.error}


def pushes(session: str, servers: list[surface.Server]) -> Iterator[tuple[str, Json]]:
    """What comes before the result of a new session, in this order (facts/kiro-wire.md 10)."""
    own = {"sessionId": session}
    yield "_kiro/governance/state", {**own, "isEnterprise": False, "features": dict(FEATURES)}
    yield "_kiro/mcp/status", {**own, "servers": mcp_states(servers, started=False)}
    yield "_kiro/powers/items_changed", {**own, "status": "success", "powers": []}
    yield "_kiro/steering/documents_changed", documents(session)
    yield "_kiro/progressive_context/items_changed", {**own, "status": "success", "items": []}
    yield "_kiro/tools/didChange", tools_changed(session)


def tools_changed(session: str) -> Json:
    """Parameters of `_kiro/tools/didChange`."""
    tags = [
        {"source": "builtin", "tag": "read", "description": "read tools"},
        {"source": "builtin", "tag": "write", "description": "write tools"},
    ]
    return {"sessionId": session, "tags": tags}


def documents(session: str) -> Json:
    """Parameters of `_kiro/steering/documents_changed`."""
    resource = {"resourceType": "steering", "source": {"origin": "bundled"}}
    head = {"name": "standin", "type": "steering", "scope": "global", "uri": "builtin:standin", "inclusion": "manual"}
    document = {**head, "content": "This is a stand-in.", "_meta": {"kiro": {"resource": resource}}}
    return {"sessionId": session, "status": "success", "documents": [document]}
