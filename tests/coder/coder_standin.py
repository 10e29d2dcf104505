"""A stand-in for the `coder` command: `exp mcp server`, with the `mcp` SDK's own server side.

The tool is that of facts/coder-platform.md 2.4. Reports go on to `CODER_AGENT_URL` as an app status, marked as having
come this way. `CODER_STANDIN_LOG` is where it writes what it was started with; the file `CODER_STANDIN_MODE` says how
it misbehaves, read at each start: absent, die-at-start, die-in-call, hang-at-start, hang-in-call, deaf (never ends by
itself).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.coder.merging import Merging, Status

TOOL = types.Tool(
    name="coder_report_task",
    description="Report progress on your work.",
    input_schema={
        "type": "object",
        "properties": {
            "summary": {"type": "string"},
            "link": {"type": "string"},
            "state": {"type": "string", "enum": ["working", "complete", "idle", "failure"]},
        },
        "required": ["summary", "link", "state"],
    },
)


def note(event: str, **more: Any) -> None:
    """Write a line to the log."""
    with open(os.environ["CODER_STANDIN_LOG"], "a", encoding="utf-8") as log:
        log.write(json.dumps({"event": event, "pid": os.getpid(), **more}) + "\n")


def mode() -> str:
    """Return how to misbehave."""
    path = Path(os.environ["CODER_STANDIN_MODE"])
    return path.read_text().strip() if path.exists() else ""


def pass_on(status: Status) -> None:
    """Set the app status in Coder."""
    body = {"app_slug": os.environ["CODER_MCP_APP_STATUS_SLUG"], "state": status.state, "message": status.summary}
    request = urllib.request.Request(
        os.environ["CODER_AGENT_URL"] + "/api/v2/workspaceagents/me/app-status",
        json.dumps({**body, "uri": status.link}).encode(),
        {"Coder-Session-Token": os.environ["CODER_AGENT_TOKEN"], "X-Through": "mcp"},
        method="PATCH",
    )
    with urllib.request.urlopen(request, timeout=20):
        pass


def server(misbehaviour: str) -> Server[Any]:
    """Return the server."""
    merging = Merging()

    async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
        note("list")
        offered = os.environ.get("CODER_MCP_APP_STATUS_SLUG") and misbehaviour != "absent"
        return types.ListToolsResult(tools=[TOOL] if offered else [])

    async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        given = params.arguments or {}
        note("call", name=params.name, arguments=given)
        if misbehaviour == "die-in-call":
            os._exit(1)
        if misbehaviour == "hang-in-call":
            await asyncio.sleep(3600)
        if error := fault(params.name, given):
            return types.CallToolResult(content=[types.TextContent(text=error)], is_error=True)
        status = merging.self_report(given["state"], given["summary"], given["link"])
        if status is not None:
            await asyncio.to_thread(pass_on, status)
        return types.CallToolResult(content=[types.TextContent(text='{"message":"Thanks for reporting!"}')])

    return Server("Coder Agent", on_list_tools=list_tools, on_call_tool=call_tool)


def fault(name: str, given: dict[str, Any]) -> str:
    """Return what is wrong with a call."""
    schema = TOOL.input_schema
    if name != TOOL.name:
        return f"unknown tool {name}"
    if set(given) != set(schema["required"]) or not all(isinstance(value, str) for value in given.values()):
        return f"arguments do not fit: {sorted(given)}"
    if given["state"] not in schema["properties"]["state"]["enum"]:
        return f"invalid state {given['state']}"
    return "summary must be less than 160 characters" if len(given["summary"].encode()) > 160 else ""


async def serve(misbehaviour: str) -> None:
    """Serve until the input ends."""
    async with stdio_server() as (read, write):
        made = server(misbehaviour)
        await made.run(read, write, made.create_initialization_options())


def main() -> None:
    """Behave like `coder exp mcp server`, or as told."""
    names = sorted(name for name in os.environ if not name.startswith("CODER_STANDIN_"))
    note("start", argv=sys.argv[1:], names=names)
    if sys.argv[1:] != ["exp", "mcp", "server"]:
        sys.exit(f"unknown command {sys.argv[1:]}")
    misbehaviour = mode()
    if misbehaviour == "die-at-start":
        sys.exit(1)
    if misbehaviour == "hang-at-start":
        time.sleep(3600)
    if misbehaviour == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.run(serve(misbehaviour))
    if misbehaviour == "deaf":
        time.sleep(3600)


if __name__ == "__main__":
    main()
