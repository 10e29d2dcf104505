"""The engine v3's own part of ACP: `_kiro/*` and the notes in `_meta.kiro` (facts/kiro-wire.md 9 to 16).

Invariant: of fields that stand twice the flat one is read (facts/kiro-wire.md 11).
"""

from __future__ import annotations

from bridge.core.feed import Engine, FeedEvent, Notice, TitleSeen
from bridge.core.ports import Command
from bridge.kiro import loose
from bridge.kiro.acp_talk import Talk
from bridge.kiro.loose import JsonDict

TOKEN_REQUEST = "_kiro/auth/getAccessToken"
COMPACT = "_kiro/session/compact"
_SUMMARISED = "Kiro has summarised the earlier part of this conversation to make room."
_DEFAULT_TITLE = "New Session"


class V3Talk(Talk):
    """Translates v3's notifications."""

    engine: Engine = "v3"

    def __init__(self) -> None:
        super().__init__(("steer",))

    def initialized(self, result: JsonDict) -> None:
        """Take what `initialize` answered: its own methods are listed (facts/kiro-wire.md 9)."""
        offered = loose.table(loose.table(result.get("agentCapabilities")).get("_meta"))
        if COMPACT in loose.rows(loose.table(offered.get("kiro")).get("extensionMethods")):
            self.book.offer("commands")
            self.book.add_command(Command("/compact", "Shorten the conversation to make room"))

    def extension(self, method: str, params: JsonDict) -> list[FeedEvent]:
        """Return what a `_kiro/` notification tells."""
        if method == "_kiro/sessions/changed":
            return self._titles(params)
        agent = self.agent_of(params)
        if method == "_kiro/tools/content_chunk":
            key = loose.name(params.get("toolCallId"))
            text = loose.text(loose.table(loose.table(params.get("content")).get("content")).get("text"))
            if key is not None and text:
                self._updates.tool_output(key, text, agent)
        elif method == "_kiro/mcp/status" and agent is None:
            return [*self.book.v3_servers(params.get("servers"))]
        elif method == "_kiro/customAgent/config_error":
            path, error = loose.name(params.get("path")) or "?", loose.text(params.get("error")) or ""
            return [Notice(f"agent_file:{path}", f"Kiro cannot use its agent file {path}. {error[:400]}", "warning")]
        return []

    def info(self, note: JsonDict, agent: str | None) -> list[FeedEvent]:
        """Return what a note about the session tells beyond titles and usage."""
        kind, said = note.get("kind"), loose.name(note.get("message")) or ""
        if kind == "turn_end" and agent is None and not self.replaying:
            self.ended = loose.name(note.get("stopReason"))
        elif kind == "turn_completion" and note.get("status") == "failed" and agent is None:
            self.failure = self.failure or "the turn failed"
        elif kind == "display_error" and said:
            self.failure = said
            return [Notice(f"error:{said[:120]}", f"Kiro says: {said}", "warning")]
        elif kind == "summarization_completed":
            return [self.notice("compaction", _SUMMARISED)]
        elif kind == "steering_injected":
            return [self.notice("steered", "Kiro has read what was added.")]
        return []

    def _titles(self, params: JsonDict) -> list[FeedEvent]:
        for one in loose.rows(params.get("upserted")):
            entry = loose.table(one)
            title = loose.name(entry.get("title"))
            if entry.get("sessionId") == self.own and title and title != _DEFAULT_TITLE:
                return [TitleSeen(title)]
        return []
