"""What Kiro asks a person: how it is shown, which keys answer it, and what is sent."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.core.items import Item
from bridge.core.records import StoredItem
from bridge.terminal.answering import UNSEEN_SECONDS, Answering
from bridge.terminal.approvals import Way, details, outcome, title, ways
from bridge.terminal.layout import SIGN
from bridge.terminal.lines import item_lines
from bridge.terminal.model import Conversation, Said, Transcript
from bridge.terminal.render import ASKED_ROWS, block_lines, is_long, live_lines
from tests.terminal.asking_bridge import OPTIONS, AskingBridge
from tests.terminal.pseudo_terminal import PseudoTerminal
from tests.terminal.test_model import conversation, item, put, turn, words
from tests.whole.conftest import ROOT, WAIT

QUESTION = [{"id": f"q-{number}", "label": label, "kind": "answer"} for number, label in enumerate(("Red", "Blue"))]


def asked(text: str = "rm -rf build", options: list[dict[str, str]] = OPTIONS, **data: Any) -> Item:
    base = {"status": "pending", "title": "Running: rm", "options": options, "answer": None, "reason": ""}
    return Item("k", "approval", 1, text=text, data={**base, **data})


def shown(lines: list[list[tuple[str, str]]]) -> str:
    return "\n".join("".join(text for _, text in line) for line in lines)


def test_letters_go_by_what_an_option_does_and_numbers_to_the_rest() -> None:
    options = [
        {"id": "d", "label": "Allow everything", "kind": "reject_once"},
        {"id": "a", "label": "No", "kind": "allow_once"},
        {"id": "b", "label": "Yes", "kind": "allow_always"},
        {"id": "c", "label": "All of this session", "kind": "allow_always"},
        {"id": "e", "label": "Never", "kind": "reject_always"},
    ]
    assert [(way.key, way.option, way.why) for way in ways(asked(options=options))] == [
        ("y", "a", False), ("t", "b", False), ("n", "d", False), ("r", "d", True), ("1", "c", False), ("2", "e", False),
    ]  # fmt: skip
    assert ways(asked(options=options))[4].words == "All of this session"


def test_answers_to_a_question_are_numbered_whatever_their_kind() -> None:
    kinds = [{**option, "kind": "allow_once"} for option in QUESTION]
    assert ways(asked(options=kinds, question=True)) == [Way("1", "q-0", "Red"), Way("2", "q-1", "Blue")]


@pytest.mark.parametrize("options", [None, "x", [], [3], [{"kind": "allow_once"}]])
def test_odd_options_do_no_harm(options: Any) -> None:
    assert len(ways(asked(options=options))) <= 1


def test_what_is_over_has_no_keys() -> None:
    assert not any(ways(asked(status=status)) for status in ("answered", "expired", "interrupted"))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"status": "answered", "answer": "yes"}, "allowed once: Running: rm"),
        ({"status": "answered", "answer": "always"}, "always allowed: Running: rm"),
        ({"status": "answered", "answer": "no", "reason": "too\nmuch"}, "rejected: Running: rm (too)"),
        ({"status": "answered", "answer": None}, "answered: Running: rm"),
        (
            {"status": "answered", "answer": "q-1", "options": QUESTION, "question": True},
            "answered 'Blue': Running: rm",
        ),
        ({"status": "expired"}, "nobody answered in time: Running: rm"),
        ({"status": "interrupted"}, "no longer asked: Running: rm"),
    ],
)
def test_what_became_of_it(data: dict[str, Any], told: str) -> None:
    over = asked(**data)
    assert outcome(over) == told
    assert told in shown(block_lines(Said(over), 79))
    assert item_lines(over) == [f"[approval] {told}"]


def test_nothing_of_what_will_run_is_hidden() -> None:
    long = "echo " + "x" * 300
    assert details(asked(text="", title=long)) == long and title(asked(text="", title=long)) != long
    assert details(asked(text="Running: rm")) == ""
    many = asked(text="\n".join(f"line {number}" for number in range(40)))
    assert is_long(many, 80) and is_long(asked(text="x" * 2000), 80) and not is_long(asked(), 80)
    short = shown(live_lines([many], 79, 20, 0))
    assert f"line {ASKED_ROWS - 1}\n" in short and "32 more rows; it stands above" in short
    assert "line 39" in shown(block_lines(Said(many), 79))
    assert "\x1b" not in shown(live_lines([asked(text="a\x1b[2Kb")], 79, 20, 0))


def test_keys_count_once_the_question_was_seen_and_only_once() -> None:
    answering = Answering()
    first = StoredItem(7, "s", 1, asked(), 0.0, 0.0, 1)
    assert answering.look(first, 10.0) and not answering.look(first, 10.1)
    assert answering.ways(10.0 + UNSEEN_SECONDS / 2) == []
    allow, *_, why = answering.ways(11.0)
    assert (allow.key, why.why) == ("y", True)
    answering.why = why
    assert answering.ways(11.0) == []
    answering.sent(7)
    assert answering.why is None and answering.ways(12.0) == []
    answering.failed(7)
    assert answering.ways(12.0)
    answering.why = why
    assert answering.look(StoredItem(8, "s", 1, asked(), 0.0, 0.0, 2), 20.0)
    assert answering.why is None and answering.ways(20.0) == []
    assert not answering.look(None, 30.0) and answering.ways(40.0) == []


def test_the_first_that_waits_is_asked_and_stands_last() -> None:
    pending = {"status": "pending", "title": "t", "options": OPTIONS}
    found, transcript = (
        conversation(item(1, "a", "approval", data=pending), item(2, "b", "approval", data=pending)),
        Transcript(),
    )
    put(found, item(3, "said", final=True))
    assert transcript.take(found) == []
    assert [live.text for live in transcript.live(found)] == ["said", "a"]
    over = {**pending, "status": "answered", "answer": "yes"}
    put(found, item(1, "a", "approval", data=over, final=True))
    assert words(transcript.take(found)) == ["a"]
    waiting = found.pending()
    assert waiting is not None and waiting.id == 2


def test_a_turn_that_is_over_asks_nothing() -> None:
    assert conversation(item(1, "a", "approval", data={"status": "pending"}), state="failed").pending() is None
    assert Conversation().pending() is None


def test_a_plan_is_shown_as_it_stands_and_holds_nothing_up() -> None:
    steps = [
        {"text": "look", "status": "completed"},
        {"text": "do", "status": "running"},
        {"text": "tell", "status": "pending"},
    ]
    plan, text = item(1, "", "plan", data={"steps": steps}), item(2, "x", final=True)
    found, transcript = conversation(plan, text), Transcript()
    assert words(transcript.take(found)) == ["x"]
    (live,) = transcript.live(found)
    assert shown(live_lines([live], 79, 20, 0)) == "✓ look\n▸ do\n· tell"
    assert item_lines(live) == ["[plan]", "    completed: look", "    running: do", "    pending: tell"]
    put(found, {**plan, "final": True})
    found.apply("turn", {"turn": turn(state="completed")})
    assert words(transcript.take(found)) == ["", "completed"]


@pytest.fixture
def asking() -> Iterator[AskingBridge]:
    with AskingBridge().running() as server:
        server.put(1, "prompt", "go")
        yield server


def attached(server: AskingBridge, term: str = "xterm-256color") -> PseudoTerminal:
    env = {**os.environ, "TERM": term, "LC_ALL": "C.UTF-8"}
    return PseudoTerminal("attach", "--url", server.url, env=env)


def test_what_will_run_is_shown_and_a_key_allows_it(asking: AskingBridge) -> None:
    with attached(asking) as terminal:
        terminal.shows("working")
        asking.ask(2, "Running: rm", "rm -rf build")
        text = terminal.shows("y allow once")
        assert (
            "? Running: rm\n  │ rm -rf build\n  y allow once\n  t always allow\n  n reject\n  r reject and say why"
            in text
        )
        assert "? waiting for your answer · a-model · v2" in text
        terminal.type("y")
        assert asking.answers.get(timeout=WAIT) == (2, {"option": "yes", "reason": ""})
        asking.answered(2, "yes")
        asking.end()
        terminal.until(lambda text: "✓ allowed once: Running: rm" in text and "● ready" in text, "the end")
        assert "y allow once" not in terminal.visible()
        terminal.type("y")
        terminal.shows(SIGN + "y")
    assert asking.answers.empty()


def test_reject_and_say_why(asking: AskingBridge) -> None:
    asking.ask(2, "Running: rm", "rm -rf build")
    with attached(asking) as terminal:
        terminal.shows("r reject and say why")
        terminal.type("r")
        terminal.shows("? say why")
        terminal.type("\x03")
        terminal.shows("r reject and say why")
        terminal.type("r")
        terminal.shows("? say why")
        terminal.type("yes, but not now\r")
        assert asking.answers.get(timeout=WAIT) == (2, {"option": "no", "reason": "yes, but not now"})
        asking.answered(2, "no", "yes, but not now")
        asking.end()
        terminal.shows("✗ rejected: Running: rm (yes, but not now)")


def test_an_answer_that_came_too_late_is_told(asking: AskingBridge) -> None:
    asking.refuse = True
    asking.ask(2, "Which?", "Which colour?", QUESTION, question=True)
    with attached(asking) as terminal:
        text = terminal.shows("2 Blue")
        assert "? Which?\n  │ Which colour?\n  1 Red\n  2 Blue" in text
        terminal.type("2")
        terminal.shows("It was answered already.")
    assert asking.answers.empty()


def test_letters_are_text_while_something_is_typed(asking: AskingBridge) -> None:
    with attached(asking) as terminal:
        terminal.shows("working")
        terminal.type("Say ")
        terminal.shows(SIGN + "Say")
        asking.ask(2, "Running: rm", "\n".join(f"line {number}" for number in range(30)))
        terminal.shows("? waiting for your answer")
        terminal.until(lambda text: "│ line 29" in text, "all of it stands above")
        terminal.type("yes\r")
        terminal.shows(SIGN + "Say yes")
        terminal.shows("your text stays here")
        assert "y allow once" not in terminal.visible()
        terminal.type("\x15")
        terminal.shows("y allow once")
    assert asking.answers.empty()


def enter_once_connected(terminal: PseudoTerminal, words: str) -> str:
    """Enter words that are kept, again while the connection is not there yet; return what the terminal shows."""
    kept = re.compile("your prompt is kept")
    shown, entered = "", f"{words}\n"
    while "Kiro waits" not in shown:
        more = len(kept.findall(shown)) + 1
        terminal.type(entered)
        shown = terminal.until(re.compile(f"(?s)(.*{kept.pattern}){{{more}}}").search, kept.pattern)
        entered = "\n"
    return shown


def test_lines_answer_too(asking: AskingBridge) -> None:
    asking.ask(2, "Running: rm", "rm -rf build")
    with attached(asking, term="dumb") as terminal:
        terminal.shows("Kiro asks: Running: rm\n    rm -rf build\n  y: allow once\n")
        terminal.shows("  r and a reason: reject and say why\n>")
        assert "Kiro waits for your answer first; your prompt is kept" in enter_once_connected(terminal, "do it")
        terminal.type("r too much\n")
        assert asking.answers.get(timeout=WAIT) == (2, {"option": "no", "reason": "too much"})
        asking.answered(2, "no", "too much")
        terminal.shows("[approval] rejected: Running: rm (too much)")


@pytest.mark.parametrize("words", [[], ["--once", "go"]])
def test_a_script_is_told_who_has_to_answer(asking: AskingBridge, words: list[str]) -> None:
    """What Kiro wants and where to answer is said, as there is no key that could."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", "attach", "--url", asking.url, *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        asking.ask(2, "Running: rm", "rm -rf build")
        said = ""
        while "`kiro-bridge attach`" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT)
    told = rf"Kiro asks: Running: rm\n *rm -rf build\n\W?[aA]nswer it on the page {re.escape(asking.url)}/ or with"
    assert re.search(told, said), said
