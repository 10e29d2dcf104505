"""Whether a prompt had arrived when its connection broke.

Invariant: a prompt counts as not arrived only when the bridge does not know it some time after it could have.
"""

from __future__ import annotations

import time

from bridge.core.records import Turn
from bridge.terminal.client import Client, JsonObject
from bridge.terminal.model import Conversation

LOOKS = 5
PAUSE = 0.5
"""Seconds between two looks: the bridge may be about to take in a request whose sender is gone."""

_ITEMS = 100


def turn_of_prompt(client: Client, session: JsonObject, prompt: str, before: int) -> Turn | None:
    """Return the turn newer than `before` that was asked this prompt, or None when there is none.

    Waits for up to two seconds. Raises `BridgeError` while the bridge does not answer.
    """
    for look in range(LOOKS):
        if look:
            time.sleep(PAUSE)
        latest = Conversation()
        latest.load(session, client.page(str(session["id"]), _ITEMS))
        found = latest.accepted(prompt, before)
        if found is not None:
            return found
    return None
