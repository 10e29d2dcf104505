"""The last messages, within what Coder takes."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.coder.agent_api import CoderError, CoderUnreachable
from bridge.coder.snapshot import BODY_BYTES, MOST_MESSAGES, body, send
from tests.coder.coderd import TOKEN, Coderd

TASK = str(uuid.UUID(int=7))
TIME = "2026-01-02T03:04:05Z"


def message(number: int, content: str = "text") -> dict[str, Any]:
    return {"id": number, "content": content, "role": "user" if number % 2 == 0 else "agent", "time": TIME}


def sent(coderd: Coderd, messages: list[dict[str, Any]], **other: Any) -> bool:
    return send(messages, **{"agent_url": coderd.url, "token": TOKEN, "task_id": TASK, "timeout": 60.0, **other})


def test_coder_keeps_the_last_messages(coderd: Coderd) -> None:
    coderd.tasks.add(TASK)
    messages = [message(number) for number in range(MOST_MESSAGES + 3)]
    assert sent(coderd, messages)
    assert coderd.snapshots[TASK] == messages[3:]
    assert sent(coderd, [])
    assert coderd.snapshots[TASK] == []


def test_more_than_a_message_holds_is_left_out(coderd: Coderd) -> None:
    coderd.tasks.add(TASK)
    assert sent(coderd, [{**message(0), "$schema": "x", "type": "user"}])
    assert coderd.snapshots[TASK] == [message(0)]


def test_a_coder_without_tasks_is_fine(coderd: Coderd) -> None:
    assert not sent(coderd, [message(0)])


def test_the_oldest_go_first_and_the_last_is_cut(coderd: Coderd) -> None:
    coderd.tasks.add(TASK)
    assert sent(coderd, [message(0, "a" * 40_000), message(1, "b" * 40_000)])
    assert [kept["id"] for kept in coderd.snapshots[TASK]] == [1]
    assert sent(coderd, [message(0), message(1, "é" * 500_000)])
    (kept,) = coderd.snapshots[TASK]
    assert kept["content"].startswith("é" * 20_000) and kept["content"].endswith("[The rest is in the workspace.]")


@given(st.lists(st.text(max_size=300).map(lambda text: text * 300), max_size=40))
def test_the_body_always_fits(texts: list[str]) -> None:
    data = body([message(number, text) for number, text in enumerate(texts)])
    assert len(data) <= BODY_BYTES
    kept = json.loads(data)["messages"]
    assert [one["id"] for one in kept] == list(range(len(texts)))[len(texts) - len(kept) :]
    assert bool(kept) == bool(texts)


@pytest.mark.parametrize("text", ["\x00" * 100_000, '"' * 100_000, "\N{GRINNING FACE}" * 50_000, "\ud800" * 70_000])
def test_a_message_that_grows_on_the_wire_fits(text: str) -> None:
    data = body([message(0, text)])
    assert BODY_BYTES / 2 < len(data) <= BODY_BYTES
    json.loads(data)


def test_a_refusal_is_told_with_its_number(coderd: Coderd) -> None:
    with pytest.raises(CoderError, match="HTTP 401"):
        sent(coderd, [], token="wrong")
    coderd.mode = "302"
    with pytest.raises(CoderError, match="HTTP 302"):
        sent(coderd, [])


def test_a_coder_that_hangs_is_not_waited_for(coderd: Coderd) -> None:
    coderd.mode = "hang"
    with pytest.raises(CoderUnreachable, match="CODER_AGENT_URL") as caught:
        sent(coderd, [], timeout=0.3)
    assert TOKEN not in str(caught.value)


def test_a_task_id_that_is_none(coderd: Coderd) -> None:
    with pytest.raises(CoderError, match="CODER_TASK_ID"):
        sent(coderd, [], task_id="../../x")
