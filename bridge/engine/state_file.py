"""AgentAPI's state file, version 1, read and written (facts/agentapi-contract.md 4.1).

Invariants: the ledger is what the bridge itself lives on; this file only carries a conversation from and to another
AgentAPI server. A file that could not be read is put aside, never overwritten.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bridge.core.agentapi import Message, turn_messages
from bridge.files import replace_file
from bridge.ledger import ImportedMessage, Ledger
from bridge.ledger.imports import HIGHEST_ID
from bridge.ledger.rows import clean

log = logging.getLogger(__name__)

VERSION = 1
UNREADABLE = ".unreadable"
_PAGE = 200
_GO_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


class StateUnreadable(Exception):
    """The file is there but cannot be used; the text is what AgentAPI's clients are told."""


@dataclass(frozen=True)
class SavedState:
    """What a state file holds."""

    messages: tuple[ImportedMessage, ...] = ()
    initial_prompt: str = ""
    initial_prompt_sent: bool = False


class StateFile:
    """The state file of one session. Not for use by two threads at a time."""

    def __init__(self, path: Path, ledger: Ledger, session_id: str) -> None:
        self._path = path
        self._ledger = ledger
        self._session_id = session_id
        self._written: tuple[int, str, bool] | None = None
        self._unreadable = False

    def load(self) -> SavedState:
        """Read the file; a missing one is an empty state. Raises StateUnreadable."""
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return SavedState()
        except (OSError, UnicodeDecodeError) as error:
            self._unreadable = True
            raise StateUnreadable(f"failed to read state file: {error}") from error
        try:
            return _parse(text)
        except StateUnreadable:
            self._unreadable = True
            raise

    def set_aside(self) -> None:
        """Have the next `save` keep what stands there beside the file, because it was not taken in."""
        self._unreadable = self._path.exists()

    def save(self, initial_prompt: str, sent: bool) -> bool:
        """Write the conversation if the ledger has changed since the last call; return whether it was written.

        Raises OSError when that is not possible; the old file is untouched then.
        """
        state = (self._ledger.last_seq(), initial_prompt, sent)
        if state == self._written:
            return False
        text = "".join(self._lines(initial_prompt, sent))
        if self._unreadable:
            self._path.replace(self._path.with_name(self._path.name + UNREADABLE))
            self._unreadable = False
        replace_file(self._path, text.encode("utf-8", "replace"), durable=True)
        self._written = state
        return True

    def settle(self, initial_prompt: str, sent: bool) -> None:
        """Take the conversation as it is now for what the file holds. Costs the same whatever its length."""
        self._written = (self._ledger.last_seq(), initial_prompt, sent)

    def _lines(self, initial_prompt: str, sent: bool) -> Iterator[str]:
        yield f'{{"version":{VERSION},"messages":['
        for number, message in enumerate(self._messages()):
            yield ("," if number else "") + _dumps(_message_json(message))
        rest = _dumps({"initial_prompt": initial_prompt, "initial_prompt_sent": sent})
        yield f"],{rest[1:]}\n"

    def _messages(self) -> Iterator[Message]:
        after = 0
        while page := self._ledger.conversation(self._session_id, after=after, limit=_PAGE):
            for turn, items in page:
                yield from turn_messages(turn, (stored.item for stored in items))
            after = page[-1][0].id


def _message_json(message: Message) -> dict[str, Any]:
    time = datetime.fromtimestamp(message.at).astimezone().isoformat(timespec="microseconds")
    return {"id": message.id, "message": message.text, "role": message.role, "time": time.replace("+00:00", "Z")}


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_GO_ESCAPES)


def _parse(text: str) -> SavedState:
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "EOF" if not text.strip() else str(error)
        raise StateUnreadable(f"failed to unmarshal state (corrupted or invalid JSON): {reason}") from error
    if not isinstance(state, dict):
        raise StateUnreadable("failed to unmarshal state (corrupted or invalid JSON): expected an object")
    if state.get("version") != VERSION:
        raise StateUnreadable(f"unsupported state file version {state.get('version')!r} (expected {VERSION})")
    prompt = state.get("initial_prompt")
    return SavedState(
        tuple(_parse_messages(state.get("messages"))),
        clean(prompt) if isinstance(prompt, str) else "",
        state.get("initial_prompt_sent") is True,
    )


def _parse_messages(messages: object) -> Iterator[ImportedMessage]:
    last = -1
    for message in messages if isinstance(messages, list) else []:
        try:
            number, text, role = int(message["id"]), str(message["message"]), str(message["role"])
            at = _seconds(str(message["time"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StateUnreadable(f"failed to unmarshal state: a message is not usable: {error!r}") from error
        if not last < number < HIGHEST_ID or role not in ("user", "agent"):
            raise StateUnreadable(f"failed to unmarshal state: message {number} has a wrong id or role")
        last = number
        yield ImportedMessage(number, role, text, at)


def _seconds(time: str) -> float:
    """Return RFC 3339 time as seconds since the epoch; Go writes up to nine fractional digits."""
    stem, zone = (time[:-1], "+00:00") if time.endswith("Z") else (time[:-6], time[-6:])
    whole, _, fraction = stem.partition(".")
    moment = datetime.fromisoformat(f"{whole}.{(fraction + '000000')[:6]}{zone}")
    if not 1 < moment.year < 9999:
        raise ValueError(f"{time!r} is a time that cannot be told in every time zone")
    return moment.timestamp()
