"""The turn state machine: feed events in, item changes out.

Invariants: one `TurnEnded` per turn and nothing after it; every message and tool Kiro recorded stands once, in its
order; a preview is shown at once and is confirmed, corrected or taken back by the record.

Deterministic and without IO: the same events always give the same changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from bridge.core.approvals import approval_data, closed, interrupted, plan_data
from bridge.core.entry import Entry, Stage
from bridge.core.feed import (
    TOOL_ENDED,
    ApprovalAsked,
    ApprovalClosed,
    Ended,
    FeedEvent,
    MessageBreak,
    MessageRecorded,
    MessagesRemoved,
    Notice,
    Outcome,
    PlanSeen,
    PromptRecorded,
    SessionKnown,
    TextDelta,
    TitleSeen,
    ToolSeen,
    UsageSeen,
)
from bridge.core.items import (
    Change,
    Item,
    ItemKind,
    ItemPut,
    ItemRemoved,
    SessionLearned,
    TextAppended,
    TurnEnded,
)
from bridge.core.prompts import PromptMatch
from bridge.core.text import TITLE_LENGTH, first_line, squeezed

_OPEN_TOOL_BECOMES: Mapping[Outcome, str] = {
    "completed": "completed",
    "cancelled": "cancelled",
    "failed": "failed",
    "interrupted": "failed",
}


class TurnMachine:
    """Merges the feeds of one turn into items.

    `name` is unique among the turns of the session; it is part of the keys made here. `items` are those the turn
    already has: its prompt, and after a crash what had been seen before.
    """

    def __init__(self, name: str, items: Iterable[Item] = ()) -> None:
        self._name = name
        self._entries: dict[str, Entry] = {}
        self._previews: dict[str, Entry] = {}
        self._live: dict[str | None, Entry] = {}
        self._recorded: set[str] = set()
        self._ahead: dict[tuple[str | None, str], list[str]] = {}
        self._made = 0
        self._position = 0
        self._prompt: Entry | None = None
        self._session = SessionLearned()
        self.ended: TurnEnded | None = None
        for item in items:
            self._restore(item)

    def apply(self, event: FeedEvent) -> list[Change]:
        """Take one event and return the changes it makes, in order. After the end nothing changes any more."""
        if self.ended is not None:
            return []
        match event:
            case TextDelta():
                return self._text_delta(event)
            case MessageRecorded():
                return self._message_recorded(event)
            case ToolSeen():
                return self._tool_seen(event)
            case MessageBreak():
                self._close_live(event.agent)
                return []
            case PromptRecorded():
                return self._prompt_recorded(event)
            case UsageSeen():
                return self._usage_seen(event)
            case Notice():
                return self._notice(event)
            case ApprovalAsked():
                return self._approval_asked(event)
            case ApprovalClosed():
                return self._approval_closed(event)
            case PlanSeen():
                return self._plan_seen(event)
            case SessionKnown():
                return self._learn(SessionLearned(event.kiro_id, event.engine, self._session.title))
            case TitleSeen():
                title = first_line(event.title, TITLE_LENGTH)
                return self._learn(
                    SessionLearned(self._session.kiro_id, self._session.engine, title or self._session.title)
                )
            case MessagesRemoved():
                return []
            case Ended():
                return self._end(event)

    def _restore(self, item: Item) -> None:
        stage: Stage = "recorded" if item.recorded or item.kind not in ("text", "thought") else "closed"
        entry = Entry(item.key, item.kind, item.position, stage, data=dict(item.data), final=item.final)
        entry.replace(item.text)
        entry.agent = item.data.get("agent")
        self._entries[entry.key] = entry
        self._position = max(self._position, item.position + 1)
        self._made += 1
        if entry.preview:
            self._previews[entry.key] = entry
        elif entry.kind in ("text", "thought"):
            self._recorded.add(entry.key)
        if item.kind == "prompt" and self._prompt is None:
            self._prompt = entry

    def _add(self, key: str, kind: ItemKind, stage: Stage, text: str, agent: str | None) -> Entry:
        entry = Entry(key, kind, self._position, stage, agent=agent)
        entry.replace(text)
        if agent is not None:
            entry.data["agent"] = agent
        if stage != "recorded" and kind in ("text", "tool"):
            entry.streamed_at = self._position
        self._position += 1
        self._entries[key] = entry
        if entry.preview:
            self._previews[key] = entry
        return entry

    def _new_key(self) -> str:
        self._made += 1
        return f"live:{self._name}:{self._made}"

    def _add_recorded(self, key: str, kind: ItemKind, text: str, agent: str | None) -> tuple[Entry, list[Change]]:
        """Add what a store brought first, before the previews: they are of later things."""
        entry = self._add(key, kind, "recorded", text, agent)
        return entry, self._move_before_previews(entry)

    def _move_before_previews(self, entry: Entry) -> list[Change]:
        """Records come in Kiro's order, so text that waits for its record belongs after one that is confirmed."""
        later = [e for e in self._previews.values() if e.kind == "text" and e.agent == entry.agent]
        later = sorted((e for e in later if e.position < entry.position), key=lambda e: e.position)
        places = [*(preview.position for preview in later), entry.position]
        for one, place in zip((entry, *later), places, strict=True):
            one.position = place
        return [ItemPut(preview.item()) for preview in later]

    def _text_delta(self, event: TextDelta) -> list[Change]:
        name = None if event.stream_id is None else _own_key(event.stream_id, event.agent)
        if name is None:
            event = replace(event, text=self._beyond_records(event))
        if not event.text or name in self._recorded:
            return []
        live = self._live.get(event.agent)
        if live is not None and (live.kind != event.speaker or live.stream_id != event.stream_id):
            self._close_live(event.agent)
            live = None
        if live is None:
            key = self._new_key() if name is None or name in self._entries else name
            entry = self._add(key, event.speaker, "live", event.text, event.agent)
            entry.stream_id = event.stream_id
            self._live[event.agent] = entry
            return [ItemPut(entry.item())]
        offset = live.length
        live.parts.append(event.text)
        live.length += len(event.text)
        return [TextAppended(live.key, offset, event.text)]

    def _beyond_records(self, event: TextDelta) -> str:
        """Return what `event` says beyond what records have said already: a store can be ahead of the stream."""
        waiting = self._ahead.get((event.agent, event.speaker), [])
        text = event.text
        while waiting and text:
            told = waiting.pop(0)
            if told.startswith(text):
                waiting.insert(0, told[len(text) :])
                return ""
            if text.startswith(told):
                text = text[len(told) :]
        return text

    def _close_live(self, agent: str | None) -> None:
        entry = self._live.pop(agent, None)
        if entry is not None and entry.stage == "live":
            entry.stage = "closed"

    def _message_recorded(self, event: MessageRecorded) -> list[Change]:
        if event.agent is not None:
            event = replace(event, key=_own_key(event.key, event.agent))
        if event.key in self._recorded:
            return self._corrected(event)
        self._recorded.add(event.key)
        if not event.text:
            return self._remove_preview(event.key)
        preview = self._adoptable(event)
        if preview is None:
            return self._first_record(event)
        return self._adopt(preview, event)

    def _corrected(self, event: MessageRecorded) -> list[Change]:
        """Take a second record of a message; an empty one takes nothing back of what was shown."""
        if not event.text:
            return []
        entry = self._entries.get(event.key)
        if entry is None:
            return self._first_record(event)
        if entry.text() == event.text:
            return []
        entry.replace(event.text)
        return [ItemPut(entry.item())]

    def _first_record(self, event: MessageRecorded) -> list[Change]:
        self._ahead.setdefault((event.agent, event.speaker), []).append(event.text)
        entry, moved = self._add_recorded(event.key, event.speaker, event.text, event.agent)
        entry.final = True
        return [ItemPut(entry.item()), *moved]

    def _remove_preview(self, key: str) -> list[Change]:
        entry = self._previews.pop(key, None)
        if entry is None:
            return []
        del self._entries[key]
        if self._live.get(entry.agent) is entry:
            del self._live[entry.agent]
        return [ItemRemoved(key)]

    def _adoptable(self, event: MessageRecorded) -> Entry | None:
        """Return the preview that `event` confirms: the one with its id, else one that reads alike, else the oldest."""
        named = self._previews.get(event.key)
        if named is not None:
            return named
        rivals = [e for e in self._previews.values() if e.agent == event.agent and e.kind == event.speaker]
        rivals.sort(key=lambda entry: entry.position)
        text = squeezed(event.text)
        for entry in rivals:
            seen = squeezed(entry.text())
            if seen.startswith(text) or text.startswith(seen):
                return entry
        return next((entry for entry in rivals if entry.stream_id is None), None)

    def _adopt(self, preview: Entry, event: MessageRecorded) -> list[Change]:
        old_key, seen, was_live = preview.key, preview.text(), preview.stage == "live"
        del self._entries[old_key], self._previews[old_key]
        if self._live.get(preview.agent) is preview:
            del self._live[preview.agent]
        if was_live and event.text.startswith(seen):
            self._ahead.setdefault((event.agent, event.speaker), []).append(event.text[len(seen) :])
        preview.key, preview.stage, preview.final = event.key, "recorded", True
        preview.replace(event.text)
        self._entries[event.key] = preview
        moved = self._move_before_previews(preview) if preview.kind == "text" else []
        changes = [ItemPut(preview.item(), old_key if old_key != event.key else None), *moved]
        rest = seen[len(event.text) :] if seen.startswith(event.text) else ""
        if rest.strip():
            changes.append(self._split_off(preview, rest.lstrip(), was_live))
        return changes

    def _split_off(self, before: Entry, text: str, live: bool) -> ItemPut:
        """Keep what a preview held beyond the message it was confirmed as: the beginning of the next one."""
        rest = self._add(self._new_key(), before.kind, "live" if live else "closed", text, before.agent)
        rest.stream_id = before.stream_id
        if live:
            self._live[before.agent] = rest
        return ItemPut(rest.item())

    def _tool_seen(self, event: ToolSeen) -> list[Change]:
        entry = self._entries.get(event.key)
        moved: list[Change] = []
        if entry is None:
            self._close_live(event.agent)
            if event.recorded:
                entry, moved = self._add_recorded(event.key, "tool", "", event.agent)
            else:
                entry = self._add(event.key, "tool", "closed", "", event.agent)
            entry.data["status"] = "running"
            changed = True
        else:
            changed = False
        changed |= self._merge_tool(entry, event)
        return [ItemPut(entry.item()), *moved] if changed else []

    def _merge_tool(self, entry: Entry, event: ToolSeen) -> bool:
        fields: dict[str, Any] = {
            "name": event.name,
            "title": event.title,
            "kind": event.kind,
            "input": dict(event.input) if event.input is not None else None,
            "exit_code": event.exit_code,
            "locations": list(event.locations) if event.locations is not None else None,
            "purpose": event.purpose,
        }
        if event.status is not None and not (entry.data.get("status") in TOOL_ENDED and not _ends(event)):
            fields["status"] = event.status
        news = {name: value for name, value in fields.items() if value is not None and entry.data.get(name) != value}
        entry.data.update(news)
        changed = bool(news)
        if event.output is not None and event.output != entry.text():
            entry.replace(event.output)
            changed = True
        if event.recorded and entry.stage != "recorded":
            entry.stage = "recorded"
            changed = True
        final = entry.data.get("status") in TOOL_ENDED
        if final != entry.final:
            entry.final = final
            changed = True
        return changed

    def _prompt_recorded(self, event: PromptRecorded) -> list[Change]:
        prompt = self._prompt
        if prompt is not None and prompt.stage == "recorded" and event.key == prompt.data.get("kiro_key"):
            return []
        if prompt is not None and "kiro_key" not in prompt.data and PromptMatch(prompt.text()).matches(event.text):
            prompt.data["kiro_key"] = event.key
            prompt.stage = "recorded"
            return [ItemPut(prompt.item())]
        if event.key in self._entries:
            return []
        entry, moved = self._add_recorded(event.key, "prompt", event.text, None)
        entry.final = True
        entry.data["origin"] = "kiro"
        return [ItemPut(entry.item()), *moved]

    def _usage_seen(self, event: UsageSeen) -> list[Change]:
        key = f"usage:{self._name}" + (f":{event.agent}" if event.agent else "")
        fields = {
            "credits": event.credits,
            "context_percent": event.context_percent,
            "duration_ms": event.duration_ms,
        }
        entry = self._entries.get(key) or self._add(key, "usage", "closed", "", event.agent)
        news = {name: value for name, value in fields.items() if value is not None and entry.data.get(name) != value}
        if not news:
            return []
        entry.data.update(news)
        return [ItemPut(entry.item())]

    def _notice(self, event: Notice) -> list[Change]:
        key = f"notice:{self._name}:{event.key}"
        if key in self._entries:
            return []
        entry = self._add(key, "notice", "closed", event.text, None)
        entry.final = True
        entry.data["level"] = event.level
        return [ItemPut(entry.item())]

    def _approval_asked(self, event: ApprovalAsked) -> list[Change]:
        if event.key in self._entries:
            return []
        self._close_live(event.agent)
        entry = self._add(event.key, "approval", "closed", event.text, event.agent)
        entry.data.update(approval_data(event))
        return [ItemPut(entry.item())]

    def _approval_closed(self, event: ApprovalClosed) -> list[Change]:
        entry = self._entries.get(event.key)
        if entry is None or entry.final:
            return []
        entry.data.update(closed(event))
        entry.final = True
        return [ItemPut(entry.item())]

    def _plan_seen(self, event: PlanSeen) -> list[Change]:
        key = f"plan:{self._name}" + (f":{event.agent}" if event.agent else "")
        data = plan_data(event)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._add(key, "plan", "closed", "", event.agent)
        elif entry.data.get("steps") == data["steps"]:
            return []
        entry.data.update(data)
        return [ItemPut(entry.item())]

    def _learn(self, learned: SessionLearned) -> list[Change]:
        if learned == self._session:
            return []
        self._session = learned
        return [learned]

    def _end(self, event: Ended) -> list[Change]:
        changes = self._settle_previews(event.recorded)
        changes += self._order_of_stream()
        for entry in self._entries.values():
            if entry.kind == "tool" and entry.data.get("status") not in TOOL_ENDED:
                entry.data["status"] = _OPEN_TOOL_BECOMES[event.outcome]
                entry.final = False
            if entry.kind == "approval" and not entry.final:
                entry.data.update(interrupted())
            if not entry.final:
                entry.final = True
                changes.append(ItemPut(entry.item()))
        self.ended = TurnEnded(event.outcome, event.problem)
        changes.append(self.ended)
        return changes

    def _order_of_stream(self) -> list[Change]:
        """Put texts whose record never came back where the stream had them: a later record has gone before them.

        Nothing moves where that would put two records out of Kiro's order.
        """
        if not any(entry.preview for entry in self._entries.values()):
            return []
        shown = [(e.streamed_at, e) for e in self._entries.values() if e.streamed_at is not None and e.agent is None]
        stands = sorted((entry for _, entry in shown), key=lambda entry: entry.position)
        wanted = [entry for _, entry in sorted(shown, key=lambda pair: pair[0])]
        if _recorded_texts(stands) != _recorded_texts(wanted):
            return []
        places = [entry.position for entry in stands]
        moved = [(entry, place) for entry, place in zip(wanted, places, strict=True) if entry.position != place]
        for entry, place in moved:
            entry.position = place
        return [ItemPut(entry.item()) for entry, _ in moved]

    def _settle_previews(self, recorded: bool) -> list[Change]:
        """Take back previews that the record makes void; keep those that are all there is of what was said."""
        told = squeezed("".join(e.text() for e in self._entries.values() if e.kind == "text" and not e.preview))
        changes: list[Change] = []
        for entry in list(self._previews.values()):
            void = entry.agent is None and entry.kind == "text" and (recorded or squeezed(entry.text()) in told)
            if void:
                changes += self._remove_preview(entry.key)
        return changes


def _recorded_texts(entries: Iterable[Entry]) -> list[str]:
    return [entry.key for entry in entries if entry.kind == "text" and entry.stage == "recorded"]


def _own_key(key: str, agent: str | None) -> str:
    """Return the key of a message; a sub-agent's never meets the main agent's."""
    return key if agent is None else f"{agent}:{key}"


def _ends(event: ToolSeen) -> bool:
    return event.status in TOOL_ENDED
