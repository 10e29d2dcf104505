"""Kiro's own things: what it offers in a session, its commands, its MCP servers, and its library."""

from __future__ import annotations

from bridge.web.operation import Operation
from bridge.web.shapes import JsonObject, choice, document, flag, listing, ref, shape, text, whole

NAME_MOST = 200
ARGUMENT_MOST = 16 * 1024

_SESSION = "/api/v1/sessions/{session_id}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get-kiro",
        "GET",
        f"{_SESSION}/kiro",
        "Get what Kiro offers",
        "Returns the agents, models and slash commands that Kiro itself names in a session. What it has not told yet "
        "is missing: ask again after the first prompt.",
        gives="KiroOffers",
    ),
    Operation(
        "run-command",
        "POST",
        f"{_SESSION}/commands",
        "Run a slash command",
        "Runs one of Kiro's own slash commands between two turns and returns what it says. One that Kiro does not "
        "offer is refused.",
        takes="CommandRequest",
        gives="CommandResult",
    ),
    Operation(
        "list-mcp-servers",
        "GET",
        f"{_SESSION}/mcp-servers",
        "List MCP servers",
        "Returns the MCP servers in the files of the agent, the folder and the user, with their state where Kiro has "
        "told it. Arguments, variables and headers are never shown.",
        gives="McpServerList",
    ),
    Operation(
        "change-mcp-server",
        "PATCH",
        f"{_SESSION}/mcp-servers/{{scope}}/{{name}}",
        "Switch an MCP server on or off",
        "Changes `disabled` in the server's file and nothing else; the state before is kept beside it. Kiro reads the "
        "file at its next start.",
        takes="McpServerChange",
        gives="McpServerBody",
    ),
    Operation(
        "get-library",
        "GET",
        f"{_SESSION}/library",
        "List skills, prompts and steering",
        "Returns the skills, prompts and steering files that a session finds in its folder and in Kiro's own.",
        gives="LibraryBody",
    ),
)

_SCOPE = "Whose it is: the folder's or the user's."

SCHEMAS: dict[str, JsonObject] = {
    "KiroOffers": document(
        {
            "transport": text("How Kiro is driven.", enum=["acp", "headless", None], nullable=True),
            "engine": text("The engine that holds the conversation.", enum=["v1", "v2", "v3", None], nullable=True),
            "agents": listing(ref("KiroChoice"), "Agents."),
            "models": listing(ref("KiroChoice"), "Models."),
            "efforts": listing(
                text("A value of `effort`."), "How much a model may be asked to think; nothing where Kiro takes none."
            ),
            "commands": listing(ref("KiroCommand"), "Slash commands."),
            "features": listing(
                {"type": "string", "enum": ["agent", "approvals", "commands", "model", "steer"]},
                "What can be done while it runs.",
            ),
        }
    ),
    "KiroChoice": shape(
        {
            "id": text("What to ask for."),
            "name": text("What to show."),
            "description": text("What it is, empty where Kiro does not say."),
            "current": flag("It is the one in use."),
        }
    ),
    "KiroCommand": shape(
        {
            "name": text("Its name with the slash.", example="/context"),
            "description": text("What it does."),
            "hint": text("What its argument is, empty where it takes none."),
            "choices": flag("Kiro has a list of its arguments."),
        }
    ),
    "CommandRequest": document(
        {
            "name": text("The command with the slash.", example="/context", minLength=1, maxLength=NAME_MOST),
            "argument": text("What follows it.", maxLength=ARGUMENT_MOST),
        },
        optional=("argument",),
    ),
    "CommandResult": document({"text": text("What the command said.")}),
    "McpScope": choice("McpScope", "agent", "workspace", "global"),
    "McpServer": shape(
        {
            "name": text("Its name."),
            "scope": ref("McpScope", "Whose file it stands in; the first of one name wins in this order."),
            "file": text("That file."),
            "enabled": flag("The file does not say that it is disabled."),
            "status": text(
                "How it is, as Kiro told it.",
                enum=["starting", "connected", "failed", "needs_login", "unknown"],
            ),
            "tools": whole("How many tools it has, once that is known.", nullable=True),
            "detail": text("Why it is so, empty where there is nothing to say."),
            "url": text("Where its login waits for the user.", nullable=True),
            "transport": text("How it is reached.", enum=["stdio", "http"]),
            "command": text("The program, or scheme and host of the address."),
        }
    ),
    "McpServerList": document({"servers": listing(ref("McpServer"), "All servers, those that win first.")}),
    "McpServerChange": document({"enabled": flag("Whether Kiro is to start it.")}),
    "McpServerBody": document({"server": ref("McpServer", "The server as it is now.")}),
    "LibraryEntry": shape(
        {
            "name": text("Its name."),
            "description": text("What it is for, empty where it does not say."),
            "path": text("Its file; relative to the session's folder for the scope `workspace`."),
            "scope": ref("LibraryScope", _SCOPE),
        }
    ),
    "LibraryScope": choice("LibraryScope", "workspace", "global"),
    "SteeringFile": shape(
        {
            "name": text("Its name."),
            "path": text("Its file; relative to the session's folder for the scope `workspace`."),
            "scope": ref("LibraryScope", _SCOPE),
            "inclusion": text("When Kiro reads it.", example="always"),
        }
    ),
    "LibraryBody": document(
        {
            "skills": listing(ref("LibraryEntry"), "Skills."),
            "prompts": listing(ref("LibraryEntry"), "Prompts."),
            "steering": listing(ref("SteeringFile"), "Steering files."),
        }
    ),
}
