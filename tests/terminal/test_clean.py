"""What reaches a terminal, whatever the agent says."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.items import Item
from bridge.terminal.clean import clean, clean_line
from bridge.terminal.lines import item_lines
from bridge.terminal.model import Said
from bridge.terminal.render import block_lines, live_lines

REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
PIECES = (
    *("\x1b", "\x1b[", "\x1b]52;c;", "\x1b]8;;", "\x1bP", "\x1b_", "\x1b\\", "\x07", "\x9b", "\x9d", "\x9c"),
    *("\r", "\x00", "~~", "\u4e16", "e\u0301"),
    *("\u202e", "\u2066", "\ud800", "\n", "\t", ";1m", "2J", "&#27;", "&#x202e;", "%1b", "%C2%9B", "<http://x/", ">"),
    *("# ", "- ", "> ", "```", "`", "**", "[a](b)", "![a](b)", "|a|b|\n|-|-|\n", "<b>", "---", "\\"),
)
HOSTILE = st.one_of(
    st.text(st.characters(codec=None)), st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.text("ab \n\t")
)


def harmful(text: str) -> list[str]:
    """Return the characters that must not be there."""
    return [
        char
        for char in text
        if (unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t") or char in REORDERING
    ]


@given(HOSTILE)
def test_nothing_harmful_survives(text: str) -> None:
    assert not harmful(clean(text))
    assert clean(clean(text)) == clean(text)
    clean(text).encode("utf-8")


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"), include_characters="\n\t")))
def test_ordinary_text_is_untouched(text: str) -> None:
    assert clean(text) == text


@given(HOSTILE, st.integers(1, 40))
def test_a_line_is_one_line(text: str, limit: int) -> None:
    line = clean_line(text, limit)
    assert not harmful(line) and len(line) <= limit and not {"\n", "\t"} & set(line)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]52;c;aGFja2Vk\x07after", "after"),
        ("\x1b]0;title\x1b\\after", "after"),
        ("\x1b]8;;http://evil\x07shown\x1b]8;;\x07", "shown"),
        ("\x1bPq#0\x1b\\after", "after"),
        ("\x9b31mred\x9d0;t\x9c", "red"),
        ("never \x1b]0;ended", "never 0;ended"),
        ("\x1b", "\u241b"),
        ("a\x1b\x1b[31m[31mb", "a\u241b[31mb"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("bell\x07null\x00del\x7f", "bell\u2407null\u2400del\u2421"),
        ("photo_\u202egpj.exe", "photo_<U+202E>gpj.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("family \U0001f468\u200d\U0001f469", "family \U0001f468\u200d\U0001f469"),
        ("lone \ud83d", "lone \ufffd"),
    ],
)
def test_what_is_seen_of_it(text: str, seen: str) -> None:
    assert clean(text) == seen


def items(text: str) -> list[Item]:
    """Return an item of each kind that says the text wherever it can."""
    tool = {"name": text, "title": text, "status": text, "input": {"command": text}, "exit_code": 1}
    return [
        Item("k", "text", 0, text),
        Item("k", "thought", 0, text, {"agent": "sub"}),
        Item("k", "tool", 0, text, tool),
        Item("k", "notice", 0, text, {"level": text}),
        Item("k", "prompt", 0, text),
    ]


@given(HOSTILE, st.integers(20, 60))
def test_whatever_is_said_is_laid_out_harmlessly(text: str, width: int) -> None:
    for item in items(text):
        lines = block_lines(Said(item), width) + live_lines([item], width, 10, 3)
        for line in lines:
            said = "".join(piece for _, piece in line)
            assert not harmful(said) and not {"\n", "\t"} & set(said)
        assert not harmful("\n".join(item_lines(item)))


def test_deep_markdown_is_shown_all_the_same() -> None:
    for text in ("> " * 5000 + "end", "- " * 3000 + "end", "[" * 5000 + "end", "*" * 5000 + "end"):
        lines = block_lines(Said(Item("k", "text", 0, text)), 80)
        assert "end" in "".join(piece for line in lines for _, piece in line).replace(" ", "")
