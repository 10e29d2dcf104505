"""An agent made with the server side of the public package `agent-client-protocol`: nothing in it is Kiro's."""

from __future__ import annotations

import asyncio
from typing import Any

import acp
from acp import schema


class PublicAgent:
    """Says what it got in 100 pieces, asks before it uses its tool, and can be stopped."""

    def __init__(self) -> None:
        self.client: Any = None
        self.stopped = asyncio.Event()
        self.prompts = 0

    def on_connect(self, conn: Any) -> None:
        self.client = conn

    async def initialize(self, protocol_version: int, **rest: Any) -> Any:
        able = schema.AgentCapabilities(load_session=True)
        return schema.InitializeResponse(protocol_version=protocol_version, agent_capabilities=able, auth_methods=[])

    async def new_session(self, cwd: str, **rest: Any) -> Any:
        modes = schema.SessionModeState(
            current_mode_id="plain", available_modes=[schema.SessionMode(id="plain", name="Plain")]
        )
        return schema.NewSessionResponse(session_id="22222222-2222-2222-2222-222222222222", modes=modes)

    async def load_session(self, cwd: str, session_id: str, **rest: Any) -> Any:
        await self.client.session_update(session_id, acp.update_user_message_text("an old prompt"))
        await self.client.session_update(session_id, acp.update_agent_message_text("an old answer"))
        return schema.LoadSessionResponse()

    async def prompt(self, session_id: str, prompt: list[Any], **rest: Any) -> Any:
        self.prompts += 1
        self.stopped.clear()
        text = prompt[0].text
        if text == "wait":
            await self.client.session_update(session_id, acp.update_agent_message_text("waiting"))
            await self.stopped.wait()
            return schema.PromptResponse(stop_reason="cancelled")
        await self.client.session_update(session_id, acp.update_agent_thought_text("let me see"))
        await self.client.session_update(session_id, acp.update_plan([acp.plan_entry("look", status="in_progress")]))
        start = acp.start_tool_call("call-1", "Look around", kind="execute", raw_input={"command": "ls"})
        await self.client.session_update(session_id, start)
        options = [
            schema.PermissionOption(option_id="yes", name="Yes", kind="allow_once"),
            schema.PermissionOption(option_id="no", name="No", kind="reject_once"),
        ]
        call = schema.ToolCallUpdate(tool_call_id="call-1")
        answered = await self.client.request_permission(session_id=session_id, tool_call=call, options=options)
        allowed = getattr(answered.outcome, "option_id", "") == "yes"
        shown = [acp.tool_content(acp.text_block("a file" if allowed else "not allowed"))]
        end = acp.update_tool_call("call-1", status="completed" if allowed else "failed", content=shown)
        await self.client.session_update(session_id, end)
        for piece in range(100):
            await self.client.session_update(session_id, acp.update_agent_message_text(f"{piece} "))
        await self.client.session_update(session_id, acp.update_agent_message_text(f"prompt {self.prompts}: {text}"))
        return schema.PromptResponse(stop_reason="end_turn")

    async def cancel(self, session_id: str, **rest: Any) -> None:
        self.stopped.set()


if __name__ == "__main__":
    asyncio.run(acp.run_agent(PublicAgent()))  # type: ignore[arg-type]
