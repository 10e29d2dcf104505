"""Reading versions of a large object: always as if it were read afresh, and only what is new of it is parsed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.kiro import growing, loose
from bridge.kiro.growing import GrowingObject

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab\"\\✓😀\n]},", max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.dictionaries(st.sampled_from(["id", "history", "transcript", "✓"]), VALUES | st.lists(VALUES), max_size=4)


def dumped(value: Any, spaced: bool = False) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(" ,\n", " : ") if spaced else (",", ":")).encode()


def outcome(read: Any, data: bytes) -> Any:
    try:
        return read(data)
    except loose.NotJson:
        return "not JSON"


@st.composite
def versions(draw: st.DrawFn) -> list[bytes]:
    """Return versions of a row: arrays grow, shrink and change, and sometimes the text is damaged."""
    row = draw(ROWS)
    found = [dumped(row)]
    for _ in range(draw(st.integers(1, 4))):
        key = draw(st.sampled_from([*row, "history"]))
        value = row.get(key)
        if isinstance(value, list) and draw(st.booleans()):
            row = {**row, key: value + draw(st.lists(VALUES, max_size=3))}
        else:
            row = {**row, key: draw(VALUES | st.lists(VALUES))}
        data = dumped(row, draw(st.booleans()))
        if draw(st.integers(0, 4)) == 0:
            place = draw(st.integers(0, len(data)))
            data = data[:place] + draw(st.sampled_from([b"", b"\xff", b"]", b",", b"}x"])) + data[place:][1:]
        found.append(data)
    return found


@given(versions(), st.sampled_from([1, 3, 20]))
def test_every_version_is_read_as_if_it_were_the_first(row: list[bytes], small: int) -> None:
    reader = GrowingObject(small)
    for data in row:
        assert outcome(reader.parsed, data) == outcome(loose.parsed, data)


def big(count: int, **more: Any) -> bytes:
    entries = [{"n": n, "text": "✓ some text\n" * 1000} for n in range(count)]
    return dumped({"id": "c", "next": None, "range": [0, count], "history": entries, "said": ["x" * 999] * 999, **more})


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that takes the size of each text that is looked at."""
    sizes: list[int] = []
    plain = growing._utf8

    class Counting:
        def decode(self, piece: bytes, final: bool) -> str:
            sizes.append(len(piece))
            return plain().decode(piece, final)

    monkeypatch.setattr(growing, "_utf8", Counting)
    return sizes


def test_a_known_beginning_is_not_looked_at_again(decoded: list[int]) -> None:
    reader = GrowingObject()
    reader.parsed(big(300))
    assert sum(decoded) == len(big(300)) > 4_000_000
    decoded.clear()
    assert reader.parsed(big(301, new=1)) == json.loads(big(301, new=1))
    assert sum(decoded) < 1_500_000, "the head, the new entry, and what stands behind it"


def test_a_last_entry_may_change_and_a_history_may_shrink() -> None:
    reader = GrowingObject()
    for data in (big(300), big(300).replace(b'"n":299', b'"n":-1'), big(290), big(301), dumped({"history": []})):
        assert reader.parsed(data) == json.loads(data)


def test_what_stands_before_an_array_may_change_its_length(decoded: list[int]) -> None:
    reader = GrowingObject()
    reader.parsed(big(300))
    decoded.clear()
    assert reader.parsed(big(300, next="a longer prompt ✓"))["next"] == "a longer prompt ✓"
    assert sum(decoded) < 1_500_000
