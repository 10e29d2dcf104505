"""What Kiro and users write, damaged, to each parser that no other test does it to.

Kiro's stores are damaged in `tests/kiro/stores/test_fuzz.py`, the turn's state machine in `tests/core/test_turn.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from bridge.core.feed import FeedEvent
from bridge.engine.state_file import StateFile, StateUnreadable
from bridge.errors import LedgerError, SettingsError
from bridge.kiro.stream_json import StreamJson
from bridge.kiro.terminal_text import ClassicOutput, TextOutput
from bridge.ledger import Ledger
from bridge.settings import SETTINGS, load
from tests.fuzz.conftest import Fuzz
from tests.fuzz.damage import damaged, json_text

SEEDS = st.integers(0, 2**32)


def is_sound(events: list[FeedEvent]) -> None:
    """Check that the ledger and HTTP can carry the events: JSON of finite numbers, in UTF-8."""
    for event in events:
        json.dumps(dataclasses.asdict(event), allow_nan=False, ensure_ascii=False).encode()


def update(what: str, /, **fields: Any) -> dict[str, Any]:
    return {"type": "sessionUpdate", "data": {"sessionId": "s1", "update": {"sessionUpdate": what, **fields}}}


KIRO = {"kiro": {"replayId": "r1", "toolName": "shell", "agentSubtaskId": None}}
STREAM: tuple[dict[str, Any], ...] = (
    {"type": "runStarted", "data": {"engine": "v2", "version": "2.28.0", "sessionId": None}},
    update("agent_thought_chunk", content={"type": "text", "text": "Hm."}, _meta=KIRO),
    update("agent_message_chunk", content={"type": "text", "text": "Grüße 👩‍💻"}, _meta=KIRO),
    update(
        "tool_call", toolCallId="t1", title="Running: ls", kind="execute", status="pending", locations=[{"path": "a"}],
        rawInput={"command": "ls", "__tool_use_purpose": "look", "list": [1, {"x": None}]}, _meta=KIRO,
    ),
    update(
        "tool_call_update", toolCallId="t1", content=[{"type": "content", "content": {"type": "text", "text": "a"}}]
    ),
    update("tool_call_update", toolCallId="t1", content=[{"type": "diff", "path": "a", "newText": "b"}]),
    update(
        "tool_call_update", toolCallId="t1", status="completed",
        rawOutput={"items": [{"Json": {"stdout": "a", "stderr": "", "exit_status": "exit status: 0"}}, {"Text": "x"}]},
    ),
    update("tool_call_update", toolCallId="t1", status="failed", rawOutput={"message": "no"}),
    update("session_info_update", title="T", _meta={"kiro": {"kind": "context_usage", "usagePercentage": 4.5}}),
    update("session_info_update", _meta={"kiro": {
        "kind": "turn_completion", "elapsedTime": 12, "promptTurnSummaries": [{"usage": 0.5}, {"usage": 0.1}],
    }}),
    {"type": "metadata", "data": {"sessionId": "s1", "contextUsagePercentage": 3.5, "turnDurationMs": 4000,
                                  "meteringUsage": [{"value": 0.1, "unit": "credit"}, {"value": 0.2}]}},
    {"type": "runFinished", "data": {"sessionId": "s1", "status": "success", "stopReason": "end_turn"}},
    {"type": "runError", "data": {"sessionId": None, "stage": "engine", "message": "no"}},
)  # fmt: skip


def test_stream_json(fuzz: Fuzz) -> None:
    """Events dropped, doubled, swapped and damaged, cut anywhere: nothing raises, what comes out is sound."""

    def check(seed: int) -> None:
        dice = random.Random(seed)
        records = [record for record in STREAM for _ in range(dice.choice((0, 1, 1, 1, 2)))]
        if dice.random() < 0.4:
            dice.shuffle(records)
        times = dice.choice((0, 1, 3, 8))
        data = b"".join(json_text(damaged(record, dice, times), dice) + b"\n" for record in records)
        parser, events = StreamJson(dice.choice(("v2", "v3"))), list[FeedEvent]()
        while data:
            size = dice.randrange(1, 3000)
            events += parser.feed(data[:size])
            data = data[size:]
        is_sound(events + parser.close())
        if parser.terminal is not None:
            json.dumps(dataclasses.asdict(parser.terminal), ensure_ascii=False).encode()
        (parser.opening + (parser.session_id or "")).encode()

    fuzz(SEEDS, check, examples=400)


OUTPUT = (
    "\x1b[38;5;141m> \x1b[0m", "> ", "I will run the following command: ", "\x1b[38;5;9mls\x1b[0m",
    " (using tool: shell)", "\r\n", "\n", "\r", " - Completed in 0.1s", "⠋ Thinking...", "\x1b[?25l",
    "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\x1bP", "\x9b31m", "\x1b[", "\x1b", "\0", "\x07", "👩‍💻", "\u202e",
    "\ufeff", "Grüße", "```\n", "| a | b |\n", "x" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("kind", [ClassicOutput, TextOutput])
def test_terminal_output(fuzz: Fuzz, kind: type[ClassicOutput] | type[TextOutput]) -> None:
    """Any mixture of styles, markers and broken sequences, as text or cut within a character."""
    pieces = st.sampled_from([piece.encode() for piece in OUTPUT]) | st.binary(max_size=6)

    def check(data: list[bytes]) -> None:
        parser, events = kind(), list[FeedEvent]()
        for piece in data:
            events += parser.feed(piece)
        events += parser.close()
        is_sound(events)
        text = "".join(getattr(event, "text", "") for event in events)
        assert not any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in text), repr(text)

    fuzz(st.lists(pieces, max_size=40), check, examples=300)


STATE = {
    "version": 1,
    "messages": [
        {"id": 0, "message": "banner", "role": "agent", "time": "2026-11-20T05:49:18.530552241Z"},
        {"id": 1, "message": "hi", "role": "user", "time": "2026-11-20T05:49:20-05:00"},
        {"id": 2, "message": "Grüße", "role": "agent", "time": "2026-11-20T05:49:21.5Z"},
    ],
    "initial_prompt": "hi",
    "initial_prompt_sent": True,
}
ODD_TIMES = ("", "Z", "now", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "-" * 40)


def test_state_file(fuzz: Fuzz, tmp_path: Path) -> None:
    """A damaged state file is taken in or refused in words; it never stops the bridge, and it is never overwritten."""

    def check(seed: int) -> None:
        dice = random.Random(seed)
        state = damaged(STATE, dice, dice.choice((0, 1, 2, 6)))
        if dice.random() < 0.2:
            with contextlib.suppress(TypeError, KeyError, IndexError):
                odd = dice.choice((*ODD_TIMES, 2**53, 10**30, 1e300, 1.5))
                state["messages"][-1][dice.choice(("time", "id"))] = odd
        content = json_text(state, dice)
        path = tmp_path / f"{seed}.json"
        path.write_bytes(content)
        with contextlib.closing(Ledger.open(tmp_path / f"{seed}.sqlite3")) as ledger:
            session, _ = ledger.create_session("/work")
            file = StateFile(path, ledger, session.id)
            try:
                saved = file.load()
                saved.initial_prompt.encode()
                ledger.import_messages(session.id, saved.messages)
            except (StateUnreadable, LedgerError) as error:
                str(error).encode()
            file.save("", False)
        for made in tmp_path.glob(f"{seed}*"):
            made.unlink()

    fuzz(SEEDS, check, examples=80)


SCALARS = (
    "", "~", "yes", "0", "-1", "1e309", ".inf", ".nan", "0x" + "f" * 6000, "9" * 6000, "2026-13-45", "2026-11-20",
    "1:30", "'a'", "[a, b]", "[a, [b]]", "{a: b}", "!!binary x", "!!int ''", "!!float x", "!!timestamp x",
    "!!python/object:os.system x", "!unknown x", "&a [*a]", "*missing", "|\n  text\n  more", "\"\\ud800\"", "\"\\0\"",
    "\"\\e[0m\"", "/nowhere", "~//x", "http://[", "https://a:99999", "*", "::1", "[::1]", "a" * 5000, "[" * 3000,
    "{a: " * 2000, "<<: x", "? x", "!!set {a, b}", "%", "@", "`",
)  # fmt: skip
NAMES = tuple(setting.name for setting in SETTINGS)


def test_settings_file(fuzz: Fuzz, tmp_path: Path) -> None:
    """Whatever the file holds, it is read, or refused with an error that says what to do."""
    path = tmp_path / "settings.yaml"
    keys = st.sampled_from((*NAMES, "!!int port", "!!binary port", "? port\n", "[port]", "<<", "'port'", "&a port"))
    lines = st.builds("{}: {}\n".format, keys, st.sampled_from(SCALARS) | st.text(max_size=20))
    texts = st.lists(lines | st.text(max_size=10), max_size=4).map("".join)

    def check(text: str) -> None:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            load({}, {"HOME": str(tmp_path), "KIRO_BRIDGE_CONFIG": str(path)}, tmp_path)
        except SettingsError as error:
            assert error.problem.cause

    fuzz(texts, check, examples=200)


def test_settings_of_flags_and_environment(fuzz: Fuzz, tmp_path: Path) -> None:
    """Any text as the value of any setting is read or refused, and never ends in a surprise."""
    words = st.sampled_from(SCALARS) | st.text(max_size=30)
    given = st.dictionaries(st.sampled_from(NAMES), words, max_size=3)

    def check(values: tuple[dict[str, str], dict[str, str]]) -> None:
        flags, env = values
        flags.pop("config", None)
        variables = {f"KIRO_BRIDGE_{name.upper()}": text for name, text in env.items() if name != "config"}
        try:
            load({name: [text] for name, text in flags.items()}, {"HOME": str(tmp_path), **variables}, tmp_path)
        except SettingsError as error:
            assert error.problem.cause

    fuzz(st.tuples(given, given), check, examples=300)
