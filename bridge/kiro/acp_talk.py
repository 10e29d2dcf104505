"""What an agent tells over ACP, whatever its engine: the standard's part.

Invariant: the history that `session/load` replays is never news; what is of another session than our own is a
sub-agent's, and never part of the main answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from bridge.core.feed import Engine, FeedEvent, Notice
from bridge.core.ports import Feature
from bridge.kiro import loose
from bridge.kiro.acp_surface import SurfaceBook
from bridge.kiro.acp_updates import Updates, kiro_part
from bridge.kiro.loose import JsonDict

_REMEMBERED_CALLS = 500
_TRANSCRIPT = frozenset(
    {"user_message_chunk", "agent_message_chunk", "agent_thought_chunk", "tool_call", "tool_call_update", "plan"}
)
_FEATURES: frozenset[Feature] = frozenset({"approvals", "agent", "model"})


class Talk:
    """Translates the notifications of one agent process.

    `own` is the id of our session once it is known, `book` what is offered in it. While `replaying`, what is told of
    the conversation is passed over. `failure` is what the agent showed as an error last, `ended` the stop reason that
    it told without being asked (v3). Subclasses add what is Kiro's own.
    """

    engine: Engine

    def __init__(self, features: Iterable[Feature] = ()) -> None:
        self.own: str | None = None
        self.replaying = False
        self.failure = ""
        self.ended: str | None = None
        self.book = SurfaceBook(_FEATURES | frozenset(features))
        self._updates = Updates(asks=True)
        self._calls: OrderedDict[str, JsonDict] = OrderedDict()
        self._names: dict[str, str] = {}
        self._notices = 0

    @property
    def answered(self) -> bool:
        """Return whether text of the main agent was seen in this turn."""
        return self._updates.answered

    def begin_turn(self) -> None:
        """Forget what belongs to the turn before."""
        self._updates.begin_turn()
        self.failure, self.ended = "", None

    def call(self, key: str | None) -> JsonDict:
        """Return what was told of a tool call, all updates merged; empty for an unknown one."""
        return self._calls.get(key or "", {})

    def tool_name(self, key: str | None) -> str | None:
        """Return the name of the tool that a call is of, if it was told."""
        named = loose.name(kiro_part(self.call(key)).get("toolName"))
        return named or self._names.get(key or "") or loose.name(kiro_part(self.call(key)).get("toolId"))

    def agent_of_call(self, key: str | None) -> str | None:
        """Return the sub-agent that a tool call is of: v3's work in the session of the main one."""
        return loose.name(kiro_part(self.call(key)).get("agentSubtaskId"))

    def initialized(self, result: JsonDict) -> None:
        """Take what `initialize` answered."""

    def notification(self, method: str, params: JsonDict) -> list[FeedEvent]:
        """Return what a notification tells; an unknown one tells nothing."""
        if method == "session/update":
            return self._update(loose.table(params.get("update")), self.agent_of(params))
        return self.extension(method, params)

    def extension(self, method: str, params: JsonDict) -> list[FeedEvent]:
        """Return what a notification of Kiro's own tells."""
        return []

    def info(self, note: JsonDict, agent: str | None) -> list[FeedEvent]:
        """Return what a `session_info_update` tells beyond titles and usage."""
        return []

    def flush(self) -> list[FeedEvent]:
        """Return what running tools have printed since the last call."""
        return self._updates.flush()

    def agent_of(self, params: JsonDict) -> str | None:
        """Return the sub-agent that a notification is of: any other session than our own."""
        session = loose.name(params.get("sessionId"))
        return session if session != self.own else None

    def notice(self, name: str, text: str, level: str = "info") -> Notice:
        """Return a notice that may come several times in a turn."""
        self._notices += 1
        return Notice(f"{name}:{self._notices}", text, "warning" if level == "warning" else "info")

    def _update(self, update: JsonDict, agent: str | None) -> list[FeedEvent]:
        kind = loose.name(update.get("sessionUpdate")) or ""
        note = kiro_part(update)
        if note.get("replay") is True or (self.replaying and kind in _TRANSCRIPT and agent is None):
            return []
        if agent is None and self._about_session(kind, update):
            return []
        if kind in ("tool_call", "tool_call_update"):
            self._remember(update)
        events = self._updates.update(update, agent)
        return [*events, *self.info(note, agent)] if kind == "session_info_update" else events

    def _about_session(self, kind: str, update: JsonDict) -> bool:
        """Take what changes the session and not the conversation; return whether the update is of that sort."""
        if kind == "available_commands_update":
            self.book.commands(update.get("availableCommands"))
        elif kind == "current_mode_update":
            self.book.now_agent(loose.name(update.get("currentModeId")))
        elif kind == "config_option_update":
            self.book.config(update.get("configOptions"))
        else:
            return False
        return True

    def _remember(self, update: JsonDict) -> None:
        key = loose.name(update.get("toolCallId"))
        if key is None:
            return
        known = self._calls.pop(key, {})
        self._calls[key] = {**known, **{name: value for name, value in update.items() if value not in (None, [])}}
        if len(self._calls) > _REMEMBERED_CALLS:
            self._calls.popitem(last=False)
