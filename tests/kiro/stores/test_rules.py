"""The rules that all readers share: hostile JSON, results of tools, evidence, what is told once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.feed import Notice, ToolSeen, UsageSeen
from bridge.core.prompts import PromptMatch
from bridge.kiro import loose, tool_results
from bridge.kiro.history import Told, TurnEvidence, TurnWatch, credits_of

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-07-09T10:00:16.195641701+05:30", 1783571416.195641),
        ("2026-07-09T04:30:16Z", 1783571416.0),
        ("2026-07-08T23:30:16.5-0500", 1783571416.5),
        ("2026-07-09 04:30:16", 1783571416.0),
        ("2016-12-31T23:59:60Z", 1483228799.0),
        ("2026-13-09T04:30:16Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("٢٠٢٦-07-09T04:30:16Z", None),
        ("yesterday", None),
        (7, None),
        (None, None),
    ],
)
def test_times(text: object, seconds: float | None) -> None:
    assert loose.stamp(text) == pytest.approx(seconds) if seconds is not None else loose.stamp(text) is None


def test_numbers_that_no_one_can_use() -> None:
    huge = loose.parsed('{"a": ' + "9" * 5000 + ', "b": 1e999, "c": NaN, "d": ' + "9" * 400 + "}")
    assert [loose.number(value) for value in huge.values()] == [None] * 4
    assert loose.whole(2**63) is None
    assert loose.whole(True) is None
    assert loose.moment(-1) is None
    assert json.loads(loose.compact(huge)) == {"a": None, "b": None, "c": None, "d": "9" * 400}


@pytest.mark.parametrize("data", ["", "nope", "[" * 100_000, b"\xff\xfe\x00", '{"a":1', "1 2"])
def test_what_is_not_json(data: bytes | str) -> None:
    with pytest.raises(loose.NotJson):
        loose.parsed(data)


@given(ANY_JSON)
def test_nothing_of_any_shape_raises(value: Any) -> None:
    json.loads(loose.compact(value))
    loose.prose(value).encode()
    for read in (loose.text, loose.name, loose.table, loose.rows, loose.number, loose.whole, loose.moment, loose.stamp):
        read(value)
    result = tool_results.from_blocks([value, {"Json": value}, {"kind": "json", "data": value}], value)
    result.output.encode()
    tool_results.from_v3(value, value).output.encode()
    tool_results.paths_of({"path": value, "operations": value})


def test_costs() -> None:
    costs = [{"value": 1, "unit": "Credit"}, {"value": 9, "unit": "token"}, {"value": 0.5}, {"value": "x"}, 7]
    assert credits_of(costs, "value") == 1.5
    assert credits_of([{"value": 1e308}, {"value": 1e308}], "value") is None
    assert credits_of([], "value") is None
    assert credits_of(None, "value") is None


def test_deep_values_are_cut() -> None:
    value: Any = "x"
    for _ in range(300):
        value = [value]
    assert loose.compact(value).count("[") < 100


@pytest.mark.parametrize(
    ("status", "code", "output"),
    [
        ("0", 0, "out\nerr"),
        ("exit status: 2", 2, "out\nerr"),
        ("-1", -1, "out\nerr"),
        (5, 5, "out\nerr"),
        ("signal: 9 (SIGKILL)", None, "out\nerr\nsignal: 9 (SIGKILL)"),
        (None, None, "out\nerr"),
        ("", None, "out\nerr"),
        ([1], None, "out\nerr"),
    ],
)
def test_exit_codes(status: object, code: int | None, output: str) -> None:
    result = tool_results.from_blocks([{"Json": {"exit_status": status, "stdout": "out", "stderr": "err"}}], "Success")
    assert result == tool_results.ToolResult(output, "completed", code)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("Output:\nx\n\n\nExit Code: 0", 0),
        ("Output:\nExit Code: 7\n\n\nExit Code: 12\n", 12),
        ("Output:\nx\n\n\nExit Code: many", None),
        ("x\nExit Code: 3", None),
        ("Output:\nx", None),
    ],
)
def test_exit_codes_of_v3(content: str, code: int | None) -> None:
    assert tool_results.from_v3(content, True) == tool_results.ToolResult(content, "completed", code)


def test_our_prompt_among_others() -> None:
    long = "please explain every part of this program and say why " * 20
    assert PromptMatch("a b").matches(" a\n b ")
    assert not PromptMatch("hi").matches("oh, hi there")
    assert PromptMatch(long).matches(long[: len(long) // 2])
    assert PromptMatch(long).matches(f"<context>x</context>{long}")
    assert not PromptMatch(long).matches(long[:60])
    assert not PromptMatch("").matches("something")


def test_evidence_starts_over_with_our_prompt_and_ends_with_its_answer() -> None:
    watch = TurnWatch("ask")
    watch.answer(True)
    assert watch.evidence() == TurnEvidence(False, False, None, False)
    watch.prompt("something Kiro made of it")
    watch.answer(True)
    assert watch.evidence().finished
    watch.prompt("ask")
    assert watch.evidence() == TurnEvidence(True, False, None, False)
    watch.tool_started("t")
    watch.prompt("a generated one")
    assert watch.evidence().last_tool_open
    watch.tool_ended("t")
    watch.answer(True)
    watch.prompt("ask")
    watch.answer(False)
    watch.tool_started("u")
    watch.ended("Error", finished=False)
    assert watch.evidence() == TurnEvidence(True, True, None, False)


def test_a_thing_is_told_again_only_when_it_changed() -> None:
    told = Told()
    call = ToolSeen("t", name="shell", status="running", input={"a": 1}, at=1.0)
    done = ToolSeen("t", status="completed", output="x", at=2.0)
    assert told.fresh([call, call, done, call, done]) == [call, done]
    assert told.fresh([ToolSeen("t", status="running", output="y")]) == [ToolSeen("t", output="y")]
    usage = UsageSeen(credits=1.0)
    assert told.fresh([usage, usage, UsageSeen(), UsageSeen(credits=2.0)]) == [usage, UsageSeen(credits=2.0)]
    assert told.fresh([Notice("n", "one"), Notice("n", "two")]) == [Notice("n", "one")]
