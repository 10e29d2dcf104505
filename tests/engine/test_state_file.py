"""AgentAPI's state file, read and written."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from bridge.core.feed import Ended, MessageRecorded
from bridge.engine.state_file import StateFile, StateUnreadable
from tests.engine.conftest import Bench

SAVED = (
    '{"version":1,"messages":[{"id":0,"message":"banner \\u003c\\u0026","role":"agent",'
    '"time":"2026-11-20T05:49:18.530552241Z"},'
    '{"id":1,"message":"hi","role":"user","time":"2026-11-20T05:49:20-05:00"},'
    '{"id":2,"message":"hello","role":"agent","time":"2026-11-20T05:49:21.5Z"}],"initial_prompt":"hi","initial_prompt_sent":true}\n'
)


def state_file(bench: Bench, text: str | None = None) -> StateFile:
    path = bench.folder / "deep" / "state.json"
    if text is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return StateFile(path, bench.ledger, bench.engine.primary)


def test_a_conversation_is_written_and_read_again(bench: Bench) -> None:
    engine = bench.start()
    engine.submit("a <b> & c")
    bench.puppet.say(MessageRecorded("m", "Yes."), Ended("completed", recorded=True))
    bench.settled()
    file, path = state_file(bench), bench.folder / "deep" / "state.json"
    assert file.save("p", True) is True
    assert file.save("p", True) is False
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.read_text()
    assert text.endswith("}\n") and text.count("\n") == 1 and "<" not in text
    state = json.loads(text)
    assert [(m["id"], m["role"], m["message"]) for m in state["messages"]] == [
        (0, "user", "a <b> & c"),
        (1, "agent", "Yes."),
    ]
    assert (state["version"], state["initial_prompt"], state["initial_prompt_sent"]) == (1, "p", True)
    assert [message.text for message in file.load().messages] == ["a <b> & c", "Yes."]


def test_what_agentapi_wrote_is_taken_in_with_its_ids(bench: Bench) -> None:
    file = state_file(bench, SAVED)
    saved = file.load()
    assert (saved.initial_prompt, saved.initial_prompt_sent) == ("hi", True)
    assert [(m.id, m.role, m.text) for m in saved.messages] == [
        (0, "agent", "banner <&"), (1, "user", "hi"), (2, "agent", "hello")
    ]  # fmt: skip
    bench.ledger.import_messages(bench.engine.primary, saved.messages)
    file.settle("hi", True)
    assert file.save("hi", True) is False
    engine = bench.start()
    turn = engine.submit("more")
    bench.puppet.say(Ended("completed", recorded=True))
    bench.settled()
    assert turn.message_id > 2
    assert file.save("hi", True) is True
    assert [m.id for m in file.load().messages][:3] == [0, 1, 2]


def test_a_conversation_that_did_not_change_is_not_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start with a state file does not take longer because the conversation is long."""
    file = state_file(bench)
    monkeypatch.setattr(bench.ledger, "conversation", lambda *_args, **_more: pytest.fail("it was read"))
    file.settle("hi", True)
    assert file.save("hi", True) is False


def test_a_file_that_was_not_taken_in_is_put_aside_too(bench: Bench) -> None:
    file, path = state_file(bench, SAVED), bench.folder / "deep" / "state.json"
    file.load()
    file.set_aside()
    assert file.save("", False) is True
    assert Path(f"{path}.unreadable").read_text() == SAVED


def test_a_missing_file_is_an_empty_state(bench: Bench) -> None:
    assert state_file(bench).load().messages == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "corrupted or invalid JSON): EOF"),
        ('{"version":1,', "corrupted or invalid JSON): "),
        ('{"version":2,"messages":[]}', "unsupported state file version 2 (expected 1)"),
        ("[]", "expected an object"),
        ('{"version":1,"messages":[{"id":"x"}]}', "a message is not usable"),
        ('{"version":1,"messages":[{"id":1,"role":"user","message":"a","time":"soon"}]}', "a message is not usable"),
        ('{"version":1,"messages":[{"id":1e999,"role":"user","message":"a","time":"x"}]}', "a message is not usable"),
        (
            '{"version":1,"messages":[{"id":9007199254740992,"role":"user","message":"a","time":"2026-11-20T05:49:18Z"}]}',
            "message 9007199254740992 has a wrong id or role",
        ),
        (
            '{"version":1,"messages":[{"id":1,"role":"user","message":"a","time":"9999-12-31T23:59:59-14:00"}]}',
            "a message is not usable",
        ),
        ('{"version":"\\ud800"}', "unsupported state file version '\\ud800' (expected 1)"),
    ],
)
def test_an_unreadable_file_is_put_aside_and_never_overwritten(bench: Bench, text: str, reason: str) -> None:
    file, path = state_file(bench, text), bench.folder / "deep" / "state.json"
    with pytest.raises(StateUnreadable) as caught:
        file.load()
    assert reason in str(caught.value)
    assert file.save("", False) is True
    assert Path(f"{path}.unreadable").read_text() == text
    assert json.loads(path.read_text())["messages"] == []
