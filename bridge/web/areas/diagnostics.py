"""How the bridge and Kiro are, and a session as a document."""

from __future__ import annotations

from bridge.web.operation import Operation
from bridge.web.shapes import JsonObject, choice, document, listing, number, query_text, ref, shape, text, time, whole

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get-diagnostics",
        "GET",
        "/api/v1/diagnostics",
        "Check everything",
        "Looks at kiro-cli, the login, the stores, the agent, MCP servers, Coder, disk and memory, and says what to do "
        "about each that is not well. Takes as long as kiro-cli takes; what was found a moment ago is said again.",
        gives="DiagnosticsBody",
    ),
    Operation(
        "subscribe-usage",
        "GET",
        "/api/v1/diagnostics/usage",
        "Subscribe to the usage",
        "Server-sent events, one every 2 seconds: what the bridge and Kiro use, and what the machine has left.",
        events=(("usage", "UsageEvent"),),
    ),
    Operation(
        "export-session",
        "GET",
        "/api/v1/sessions/{session_id}/export",
        "Export a session",
        "Returns a whole session as a document to be saved.",
        sends="*/*",
        parameters=(query_text("format", "What kind of document.", "markdown", "json"),),
    ),
)

SCHEMAS: dict[str, JsonObject] = {
    "CheckState": choice("CheckState", "ok", "warning", "failed", "unknown"),
    "Check": shape(
        {
            "name": text("What was looked at.", example="login"),
            "state": ref("CheckState", "How it is."),
            "found": text("What was found."),
            "remedy": text("What to do about it, empty where nothing is to be done."),
        }
    ),
    "DiagnosticsBody": document(
        {"checks": listing(ref("Check"), "The checks, in order."), "made_at": time("When they were made.")}
    ),
    "ProcessUsage": shape(
        {
            "cpu_percent": number("Processor time since the last event; 100 is one processor."),
            "rss_bytes": whole("Resident memory, pages that are shared counted in each process."),
            "processes": whole("How many processes."),
        }
    ),
    "Room": shape({"total_bytes": whole("How much there is."), "available_bytes": whole("How much is left.")}),
    "UsageEvent": shape(
        {
            "at": time("When it was measured."),
            "bridge": ref("ProcessUsage", "The bridge."),
            "kiro": ref("ProcessUsage", "Kiro, and all that it started."),
            "memory": ref("Room", "The memory of the machine or container."),
            "disk": ref("Room", "The disk that holds what the bridge keeps."),
        }
    ),
}
