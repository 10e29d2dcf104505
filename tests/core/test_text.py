"""Rules for text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.text import cut_bytes, first_line, squeezed, strip_prompt


def test_a_prompt_is_stripped_as_agentapi_does() -> None:
    assert strip_prompt(" \t\r\n\f\v a\r\n b \n") == "a\r\n b"
    assert strip_prompt("\u00a0a\u00a0") == "\u00a0a\u00a0"


def test_the_first_line_that_says_something() -> None:
    assert first_line("\n  Fix the tests \nnow", 80) == "Fix the tests"
    assert first_line("abcdefghij", 5) == "abcd…"
    assert first_line("", 5) == ""


def test_squeezed_ignores_white_space() -> None:
    assert squeezed(" a\n b ") == "ab"


@given(st.text(max_size=50), st.integers(10, 60))
def test_a_cut_text_is_valid_and_short_enough(text: str, limit: int) -> None:
    cut = cut_bytes(text, limit, "…")
    assert len(cut.encode()) <= limit
    assert cut == text or cut.endswith("…")
