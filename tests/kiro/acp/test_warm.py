"""What a process that is kept is worth: the first word of the second prompt, without a start-up before it."""

from __future__ import annotations

import time
from collections.abc import Callable

from bridge.core.feed import FeedEvent, TextDelta
from bridge.engine.control import Control

from .conftest import Conversation, Making

STARTUP = "2"


def first_word(talk: Conversation) -> float:
    """Seconds from handing over a prompt to the first word of its answer."""
    heard: list[float] = []

    def hear(event: FeedEvent, control: Control) -> None:
        if isinstance(event, TextDelta) and not heard:
            heard.append(time.monotonic())

    began = time.monotonic()
    assert talk.outcome("!standin text word", when=hear).outcome == "completed"
    return heard[0] - began


def test_the_second_prompt_waits_for_no_start(conversation: Making, record_property: Callable[..., None]) -> None:
    """With a start-up of 2 s, headless pays it for each prompt, ACP once."""
    times: dict[str, float] = {}
    for wish in ("acp", "headless"):
        talk = conversation("v2", wish="acp", folder=f"work-{wish}", KIRO_STANDIN_START_DELAY=STARTUP)
        if wish == "headless":
            talk.transport = talk.transport._headless  # type: ignore[attr-defined]
        first_word(talk)
        times[wish] = first_word(talk)
        record_property(wish, round(times[wish], 3))
    assert times["headless"] > float(STARTUP) > times["acp"]
