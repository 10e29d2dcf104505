"""Write to a ledger for ever, saying on stdout as JSON lines what is stored. Run as a program, to be killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from bridge.core.items import Item, ItemPut, TextAppended, TurnEnded
from bridge.core.records import Event
from bridge.ledger import Ledger


def say(did: str, turn: int, events: Sequence[Event] = (), **more: Any) -> None:
    """Acknowledge one step."""
    print(json.dumps({"did": did, "turn": turn, "numbers": [event.seq for event in events], **more}), flush=True)


def run_turn(ledger: Ledger, session_id: str, prompt: str) -> None:
    """Take one prompt to its end, in small steps."""
    turn, events = ledger.accept(session_id, prompt)
    say("accept", turn.id, events, prompt=prompt, message_id=turn.message_id)
    ledger.remember(turn.id, {"turn": turn.id})
    say("remember", turn.id, mark={"turn": turn.id})
    key, text = f"m{turn.id}", "begin"
    say("apply", turn.id, ledger.apply(turn.id, [ItemPut(Item(key, "text", 1, text))]), key=key, text=text)
    for number in range(20):
        new = f" word {number}"
        events = ledger.apply(turn.id, [TextAppended(key, len(text), new)])
        text += new
        say("apply", turn.id, events, key=key, text=text)
    say("end", turn.id, ledger.apply(turn.id, [TurnEnded("completed")]))


def main(path: str) -> None:
    """Go on where the last one was killed."""
    ledger = Ledger.open(path)
    known = ledger.sessions()
    session_id = known[0].id if known else ledger.create_session("/a")[0].id
    while True:
        run_turn(ledger, session_id, f"prompt after {ledger.last_seq()}")


if __name__ == "__main__":
    main(sys.argv[1])
