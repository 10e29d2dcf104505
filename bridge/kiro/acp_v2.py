"""The engine v2's own part of ACP: `_kiro.dev/*` (facts/kiro-wire.md 2 to 8, kiro-cli.md 6.4).

Invariant: shapes that no recording shows are read without relying on any field of them.
"""

from __future__ import annotations

from bridge.core.feed import Engine, FeedEvent, MessageBreak, Notice
from bridge.kiro import loose
from bridge.kiro.acp_talk import Talk
from bridge.kiro.capabilities import version_number
from bridge.kiro.loose import JsonDict

_FIRST_WITH_STEER = (2, 7, 0)
"""The oldest version in which steering was recorded."""


class V2Talk(Talk):
    """Translates v2's notifications. `logged_out` tells that v2 offers a way to log in: only then is there none."""

    engine: Engine = "v2"

    def __init__(self) -> None:
        super().__init__(("commands",))
        self.logged_out = False

    def initialized(self, result: JsonDict) -> None:
        """Take what `initialize` answered: v2 lists a way to log in only while nobody is (facts/kiro-wire.md 1)."""
        agent = loose.table(result.get("agentInfo"))
        of_kiro = "kiro" in (loose.name(agent.get("name")) or "").casefold()
        self.logged_out = of_kiro and bool(loose.rows(result.get("authMethods")))
        if of_kiro and version_number(loose.name(agent.get("version")) or "") >= _FIRST_WITH_STEER:
            self.book.offer("steer")

    def extension(self, method: str, params: JsonDict) -> list[FeedEvent]:
        """Return what a `_kiro.dev/` notification tells."""
        agent, kind = self.agent_of(params), method.removeprefix("_kiro.dev/")
        if kind == "metadata":
            return self._updates.metadata(params, agent)
        if kind == "session/update":
            return self._stream_note(loose.table(params.get("update")), agent)
        if kind == "commands/available" and agent is None:
            self.book.v2_commands(params)
        elif kind == "agent/switched" and agent is None:
            self.book.now_agent(loose.name(params.get("agentName")))
            self.book.now_model(loose.name(params.get("model")))
        elif kind.startswith("mcp/"):
            return [*self._mcp(kind, params)]
        return self._note(kind, params)

    def _mcp(self, kind: str, params: JsonDict) -> list[Notice]:
        name = params.get("serverName", params.get("name"))
        if kind == "mcp/server_initialized":
            return self.book.server(name, "connected")
        if kind == "mcp/server_init_failure":
            detail = loose.name(params.get("error")) or loose.name(params.get("message")) or ""
            return self.book.server(name, "failed", detail=detail)
        if kind == "mcp/oauth_request":
            urls = (loose.name(params.get(key)) for key in ("oauthUrl", "url", "authorizationUrl", "oauth_url"))
            return self.book.server(name, "needs_login", url=next((url for url in urls if url), None))
        if kind == "mcp/governance_disabled":
            text = "MCP is switched off for this Kiro account, by its administration or by the use of an API key."
            return [Notice("mcp_disabled", text, "warning")]
        return []

    def _note(self, kind: str, params: JsonDict) -> list[FeedEvent]:
        said = loose.name(params.get("message")) or ""
        if kind == "error/rate_limit":
            return [self.notice("rate_limit", f"Kiro says: {said}" if said else "Kiro's service limits us.", "warning")]
        if kind == "agent/not_found":
            name = loose.name(params.get("requestedAgent")) or loose.name(params.get("agentName")) or "asked for"
            return [Notice("agent_not_found", f"Kiro has no agent {name}; its default agent is used.", "warning")]
        if kind == "compaction/status":
            status = params.get("status")
            state = loose.name(status) or loose.name(loose.table(status).get("type")) or said
            return [self.notice("compaction", f"Kiro shortens the conversation to make room ({state or 'running'}).")]
        if kind == "goal/status" and loose.name(params.get("state")):
            return [self.notice("goal", f"Kiro's goal: {loose.name(params.get('state'))}.")]
        return []

    def _stream_note(self, update: JsonDict, agent: str | None) -> list[FeedEvent]:
        """Return what v2's own kinds of updates tell (facts/kiro-wire.md 4, 7, 8)."""
        kind = loose.name(update.get("sessionUpdate")) or ""
        said = loose.name(update.get("message")) or loose.name(update.get("content")) or ""
        if kind == "tool_call_chunk":
            key, name = loose.name(update.get("toolCallId")), loose.name(update.get("title"))
            if key is not None and name is not None:
                self._names[key] = name
            return self._updates.announce(update, agent)
        if kind == "stream_discarded":
            return [MessageBreak(agent)]
        if kind == "retry_warning":
            return [self.notice("retry", f"Kiro says: {said or 'Retrying.'}", "warning")]
        if kind == "stream_stall_notice" and said:
            return [Notice(f"stall:{said[:80]}", f"Kiro says: {said}")]
        if kind == "model_fallback":
            return [self.notice("model_fallback", f"Kiro took another model. {said}".strip(), "warning")]
        if kind == "steering_consumed":
            return [self.notice("steered", f"Kiro has read what was added: {said}" if said else "Kiro read it.")]
        return []
