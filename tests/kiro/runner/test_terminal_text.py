"""Terminal text: escape sequences out, v1's answer told from its tool chatter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.feed import FeedEvent, MessageBreak, TextDelta
from bridge.kiro.login import device_login_shown
from bridge.kiro.terminal_text import ClassicOutput, Stripper, TextOutput, plain

from .events import joined, messages

SAY = "\x1b[38;5;10m> \x1b[0m"
TOOL = (
    "\x1b[38;5;13m🛠️  Using tool: execute_bash\x1b[38;5;2m (trusted)\x1b[39m\x1b[0m\n ⋮ \n"
    " ● I will run the following shell command: \x1b[38;5;10mecho a\n\x1b[0m ⋮ \n"
    " ↳ \x1b[38;5;12mPurpose: \x1b[0mRun\n\n"
    "a\n> not a message\n ⋮ \n\x1b[38;5;10m\x1b[1m ● Completed in 0.4s\x1b[0m\n\n"
)


def classic(text: str) -> tuple[list[FeedEvent], ClassicOutput]:
    parser = ClassicOutput()
    events = parser.feed(text.encode()) + parser.close()
    return joined(events), parser


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("\x1b[1mbold\x1b[22m", "bold"),
        ("\x1b[?25h\x1b[2K\x1b[1Gx", "x"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bx\x1b=y\x1b7z", "xyz"),
        ("\x1bPdata\x1b\\x", "x"),
        ("a\x00b\x08c\rd\x85e\x9bf", "abcdef"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[201~x\x1b", "x"),
        ("é👩‍💻", "é👩‍💻"),
    ],
)
def test_control_sequences_are_taken_out(given: str, seen: str) -> None:
    assert plain(given) == seen
    assert Stripper().feed(given.encode(), final=True) == seen


def test_messages_and_tool_chatter_are_told_apart() -> None:
    events, parser = classic(f"{SAY}Two at \x1b[1monce\x1b[22m.\x1b[0m\n\x1b[0m\n\n{TOOL}{SAY}Both done.\x1b[0m\n\n")
    assert events == [TextDelta("Two at once."), MessageBreak(), TextDelta("Both done.")]
    assert parser.answered


def test_a_message_that_follows_another_without_a_tool_between() -> None:
    events, _ = classic(f"{SAY}Reading.\x1b[0m\n\n{SAY}It is not there.\n\n")
    assert messages(events) == ["Reading.", "It is not there."]


def test_what_looks_like_chatter_stays_text_where_it_is_text() -> None:
    text = "I will run the following steps:\n  - one\n> quoted\nReading is fun.\n\n - Complete\nend"
    events, _ = classic(f"{SAY}First.\n{text}\n")
    assert messages(events) == [f"First.\n{text}"]


def test_the_newer_tool_lines_end_a_message() -> None:
    events, _ = classic(
        f"{SAY}Look.\nI will run the following command: ls (using tool: shell)\nfile\n"
        f" - Completed in 0.1s\n\n{SAY}Done.\n"
    )
    assert messages(events) == ["Look.", "Done."]


def test_without_any_styles_the_marker_alone_begins_a_message() -> None:
    events, _ = classic("> One.\n> still one\n ● tool\nout\n> Two.\n")
    assert messages(events) == ["One.\n> still one", "Two."]


def test_the_first_words_are_not_held_back() -> None:
    parser = ClassicOutput()
    assert parser.feed(f"{SAY}Hel".encode()) == [TextDelta("Hel")]
    assert parser.feed(b"lo") == [TextDelta("lo")]


def test_a_device_login_is_seen_before_any_message_only() -> None:
    prompt = "\nConfirm the following code in the browser\nCode: ABCD-EFGH\n\nOpen this URL: https://example.invalid/\n"
    _, parser = classic(prompt)
    assert device_login_shown(parser.opening)
    _, parser = classic(f"{SAY}x\n{prompt}")
    assert not device_login_shown(parser.opening)
    raw = TextOutput()
    raw.feed(prompt.encode())
    assert device_login_shown(raw.opening)
    assert not device_login_shown("Open this URL: http://localhost:3000 in your browser")


def test_plain_text_output_is_handed_on_without_the_last_line_break() -> None:
    parser = TextOutput()
    events = [event for piece in (b"\n one", b"\n", b"\n", b"two\n", b"\n") for event in parser.feed(piece)]
    assert joined(events + parser.close()) == [TextDelta("one\n\ntwo")]


PIECES = st.lists(
    st.sampled_from(
        [SAY, TOOL, "> ", ">", "\n", " ", " ⋮", "\x1b[0m", "\x1b[", "\x1b]0;t", "\x07", "\x1b", "é👩", "\0"]
    )
    | st.sampled_from(
        ["I will run the following ", "Reading ", "(using tool: x)", " - Completed", " in 1s", "y" * 1999]
    ),
    max_size=30,
)


@given(PIECES, st.lists(st.integers(0, 400), max_size=30), st.sampled_from([ClassicOutput, TextOutput]))
def test_any_cutting_gives_the_same_events(
    pieces: list[str], sizes: list[int], kind: type[ClassicOutput] | type[TextOutput]
) -> None:
    data = "".join(pieces).encode()
    whole = kind()
    expected = joined(whole.feed(data) + whole.close())
    parser, events, rest = kind(), list[FeedEvent](), data
    for size in sizes:
        events += parser.feed(rest[:size])
        rest = rest[size:]
    events += parser.feed(rest) + parser.close()
    assert joined(events) == expected
    assert parser.opening == whole.opening


@given(st.binary(max_size=300))
def test_no_control_character_gets_through(data: bytes) -> None:
    for parser in (ClassicOutput(), TextOutput()):
        for event in parser.feed(data) + parser.close():
            assert isinstance(event, MessageBreak) or not any(
                ord(c) < 32 and c not in "\n\t" for c in getattr(event, "text", "")
            )
