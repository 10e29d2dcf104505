"""Comparing feed events whatever reads their text came in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bridge.core.feed import FeedEvent, MessageBreak, TextDelta


def joined(events: Iterable[FeedEvent]) -> list[FeedEvent]:
    """Return the events with neighbouring text of one message made one."""
    result: list[FeedEvent] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, TextDelta) and isinstance(last, TextDelta) and replace(last, text=event.text) == event:
            result[-1] = replace(last, text=last.text + event.text)
        else:
            result.append(event)
    return result


def messages(events: Iterable[FeedEvent], agent: str | None = None) -> list[str]:
    """Return the texts of an agent's messages, cut at the breaks."""
    found = [""]
    for event in events:
        if isinstance(event, MessageBreak) and event.agent == agent:
            found.append("")
        elif isinstance(event, TextDelta) and event.agent == agent and event.speaker == "text":
            found[-1] += event.text
    return [text for text in found if text]
