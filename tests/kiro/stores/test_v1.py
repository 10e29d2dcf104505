"""What the v1 reader tells of rows written by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.core.feed import (
    FeedEvent,
    MessageRecorded,
    MessagesRemoved,
    Notice,
    PromptRecorded,
    SessionKnown,
    ToolSeen,
    UsageSeen,
)
from bridge.kiro.history import TurnEvidence
from bridge.kiro.v1_store import V1Reader
from tests.kiro.stores.writing import CWD, START, KiroDatabase, fixture, shell_result, v1_entry, v1_value

RUN = [("t1", "execute_bash", {"command": "ls"})]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START + 60

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["delete", "wal"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KiroDatabase]:
    """Kiro's database in both journal modes (facts/kiro-cli.md 1)."""
    database = KiroDatabase(tmp_path / "data.sqlite3", request.param)
    yield database
    database.close()


@pytest.fixture
def opened() -> Iterator[list[V1Reader]]:
    """Readers to be closed after the test."""
    readers: list[V1Reader] = []
    yield readers
    for reader in readers:
        reader.close()


@pytest.fixture
def clock() -> Clock:
    """The readers' clock: long after the turn began, so that a row's time is past."""
    return Clock()


class Make:
    """Makes readers of the test's database."""

    def __init__(self, path: Path, opened: list[V1Reader], clock: Clock) -> None:
        self.path, self.opened, self.clock = path, opened, clock

    def __call__(self, kiro_id: str | None = None, prompt: str = "ask", cwd: str = CWD) -> V1Reader:
        reader = V1Reader(self.path, cwd, START, kiro_id, prompt, self.clock)
        self.opened.append(reader)
        return reader


@pytest.fixture
def make(tmp_path: Path, opened: list[V1Reader], clock: Clock) -> Make:
    """Make a reader of the test's database."""
    return Make(tmp_path / "data.sqlite3", opened, clock)


def texts(events: Any) -> list[str]:
    """Return the texts of prompts and messages."""
    return [event.text for event in events if isinstance(event, (PromptRecorded, MessageRecorded))]


def notices(events: Any) -> list[str]:
    """Return the keys of the notices."""
    return [event.key for event in events if isinstance(event, Notice)]


def test_every_variant_of_an_entry(database: KiroDatabase, make: Make) -> None:
    reader = make("c1", "look and run")
    reader.baseline()
    reader.follow("c1")
    database.put(fixture("v1/every-variant.json"))
    assert reader.poll() == [
        SessionKnown("c1", "v1"),
        PromptRecorded("m1:prompt", "an old pair"),
        MessageRecorded("m1", "From before entries were objects."),
        PromptRecorded("m2:prompt", "look and run", 1790000001.123456),
        MessageRecorded("m2", "I will look.", at=1790000002.0),
        ToolSeen(
            "tooluse_a",
            name="execute_bash",
            kind="execute",
            status="running",
            input={"command": "cat x; exit 3", "summary": "Show x"},
            purpose="Show x",
            recorded=True,
            at=1790000002.0,
        ),
        ToolSeen("tooluse_b", name="made_up", status="running", input={}, recorded=True, at=1790000002.0),
        ToolSeen(
            "tooluse_c",
            name="fs_write",
            kind="edit",
            status="running",
            input={"command": "create", "path": "/home/me/project/n.txt", "file_text": "n"},
            locations=("/home/me/project/n.txt",),
            recorded=True,
            at=1790000002.0,
        ),
        ToolSeen("tooluse_a", status="completed", output="x\noh", exit_code=3, recorded=True),
        ToolSeen("tooluse_b", status="failed", output='No tool with "made_up" is found', recorded=True),
        ToolSeen("tooluse_c", status="completed", output="", recorded=True),
        Notice(
            "m2~1",
            "The model took too long to write its message; Kiro gave that message up and may ask again by itself.",
            "warning",
        ),
        MessageRecorded("m2~2", "", at=1790000100.0),
        ToolSeen("tooluse_d", name="use_aws", status="running", input={"service": "s3"}, recorded=True),
        ToolSeen("tooluse_d", status="cancelled", output="Tool use was cancelled by the user", recorded=True),
        Notice("m2~3", "The running tools were interrupted."),
        PromptRecorded("m6:prompt", "go on", 1790000160.0),
        MessageRecorded("m6", "", at=1790000160.0),
        UsageSeen(credits=0.75, context_percent=2.5),
    ]
    assert reader.poll() == []


def test_nothing_is_told_twice_and_nothing_of_before(database: KiroDatabase, make: Make) -> None:
    old = v1_entry("a", "old answer", prompt="ask", at=-100)
    database.put(v1_value(old), START - 100)
    reader = make("c1")
    reader.baseline()
    assert reader.poll() == []
    asked = v1_entry("b", "", prompt="ask", tools=RUN, at=1)
    database.put(v1_value(old, asked), START + 1)
    assert texts(reader.poll()) == ["ask", ""]
    assert reader.evidence() == TurnEvidence(True, False, None, True)
    answered = v1_entry("c", "the answer", results=[shell_result("t1", "x\n")], at=2)
    database.put(v1_value(old, asked, answered), START + 2)
    assert reader.poll() == [
        ToolSeen("t1", status="completed", output="x\n", exit_code=0, recorded=True),
        MessageRecorded("c", "the answer", at=START + 2.005),
    ]
    assert reader.evidence() == TurnEvidence(True, True, None, False)
    assert reader.finished()
    assert reader.poll(final=True) == []


def test_two_conversations_in_one_folder_do_not_mix(database: KiroDatabase, make: Make) -> None:
    ours, other = make(prompt="our question"), make(prompt="their question")
    ours.baseline()
    other.baseline()
    database.put(v1_value(v1_entry("x", "for them", prompt="their question", at=1), cid="theirs"), START + 1)
    assert ours.poll() == []
    database.put(v1_value(v1_entry("y", "for us", prompt="our\n question", at=2), cid="ours"), START + 2)
    assert texts(ours.poll()) == ["our\n question", "for us"]
    assert texts(other.poll()) == ["their question", "for them"]
    database.put(
        v1_value(
            v1_entry("x", "for them", prompt="their question", at=1),
            v1_entry("z", "2", prompt="more"),
            cid="theirs",
        ),
        START + 3,
    )
    assert ours.poll() == []
    assert texts(ours.poll(final=True)) == []
    assert texts(other.poll()) == ["more", "2"]
    assert other.evidence() == TurnEvidence(True, True, None, False), "the next turn changes nothing"


def test_a_stranger_is_never_taken_even_at_the_end(database: KiroDatabase, make: Make) -> None:
    reader = make(prompt="ours was refused and left no row")
    reader.baseline()
    database.put(v1_value(v1_entry("x", "for them", prompt="theirs", at=1), cid="theirs"), START + 1)
    assert reader.poll(final=True) == []
    assert reader.evidence() == TurnEvidence(False, False, None, False)


def test_a_command_that_kiro_rewrites_is_found_at_the_end(database: KiroDatabase, make: Make) -> None:
    reader = make(prompt="@greet me")
    reader.baseline()
    database.put(v1_value(v1_entry("x", "Hello", prompt="Please greet me", at=1), cid="new"), START + 1)
    assert reader.poll() == []
    assert texts(reader.poll(final=True)) == ["Please greet me", "Hello"]
    assert reader.finished()


def test_the_new_conversation_wins_when_kiro_does_not_resume(database: KiroDatabase, make: Make) -> None:
    database.put(v1_value(v1_entry("a", "old", prompt="ask", at=-50), cid="old"), START - 50)
    reader = make("old")
    reader.baseline()
    database.put(v1_value(v1_entry("b", "new", prompt="ask", at=1), cid="new"), START + 1)
    events = reader.poll()
    assert events[0] == SessionKnown("new", "v1")
    assert texts(events) == ["ask", "new"]


def test_a_followed_id_is_certain(database: KiroDatabase, make: Make) -> None:
    reader = make()
    reader.baseline()
    reader.follow("new")
    database.put(v1_value(v1_entry("a", "other", prompt="ask", at=1), cid="other"), START + 1)
    assert reader.poll(final=True) == []
    database.put(v1_value(v1_entry("b", "mine", prompt="as Kiro put it", at=1), cid="new"), START + 2)
    assert texts(reader.poll()) == ["as Kiro put it", "mine"]
    assert reader.finished()


def test_an_id_that_comes_after_its_rows(database: KiroDatabase, make: Make) -> None:
    reader = make(prompt="something else")
    reader.baseline()
    database.put(v1_value(v1_entry("b", "mine", prompt="as Kiro put it", at=1), cid="new"), START + 2)
    assert reader.poll() == []
    reader.follow("new")
    assert texts(reader.poll()) == ["as Kiro put it", "mine"]


def test_a_resumed_row_of_which_only_the_end_is_ours(database: KiroDatabase, make: Make) -> None:
    """The pending tool of a killed turn and the new prompt are one entry (facts/kiro-cli.md 14 no. 9)."""
    killed = v1_entry("a", "Sleeping.", prompt="sleep", tools=RUN, at=-50)
    database.put(v1_value(killed), START - 50)
    reader = make("c1", "what now")
    reader.baseline()
    cancelled = {"tool_use_id": "t1", "content": [{"Text": "Tool use was cancelled by the user"}], "status": "Error"}
    resumed = v1_entry("b", "Here again.", prompt="what now", cancelled=True, results=[cancelled], at=1)
    database.put(v1_value(killed, resumed), START + 1)
    events = reader.poll()
    assert texts(events) == ["what now", "Here again."]
    assert not [event for event in events if isinstance(event, ToolSeen)], "the tool is of the earlier turn"
    assert reader.finished()


def test_a_shortened_history(database: KiroDatabase, make: Make) -> None:
    first, second = v1_entry("a", "one", prompt="ask", tools=RUN, at=1), v1_entry("b", "two", at=2)
    reader = make()
    reader.baseline()
    database.put(v1_value(first, second), START + 1)
    assert texts(reader.poll()) == ["ask", "one", "two"]
    third = v1_entry("c", "three", prompt="more", at=3)
    database.put(v1_value(third, latest_summary=["In short.", {}]), START + 2)
    events = reader.poll()
    assert texts(events) == ["more", "three"]
    assert MessagesRemoved(("a:prompt", "a", "b"), "Kiro shortened its history.") in events
    assert notices(events) == ["v1:compacted:1", "v1:shrunk:1"]
    database.put(v1_value(first, second, third), START + 3)
    assert reader.poll() == [], "a side branch that ended brings back what was told"


def test_the_oldest_of_ten_thousand_are_dropped(database: KiroDatabase, make: Make) -> None:
    old = [v1_entry(None if n % 7 == 0 else f"o{n}", str(n), prompt="p", at=-100) for n in range(60)]
    database.put(v1_value(*old), START - 50)
    reader = make("c1")
    reader.baseline()
    new = v1_entry("n", "new", prompt="ask", at=1)
    database.put(v1_value(*old[1:], new), START + 1)
    assert texts(reader.poll()) == ["ask", "new"]


def test_a_mark_taken_up_by_another_process(database: KiroDatabase, make: Make) -> None:
    old = [v1_entry(f"o{n}", str(n), prompt="p", at=-100 + n) for n in range(50)]
    database.put(v1_value(*old), START - 50)
    mark = make("c1").baseline()
    assert len(repr(mark)) < 400
    database.put(v1_value(*old, v1_entry("n", "new", prompt="ask", at=1)), START + 1)
    successor = make("c1")
    successor.resume_from(mark)
    assert texts(successor.poll(final=True)) == ["ask", "new"]
    assert successor.finished()


def test_a_mark_of_a_conversation_that_was_then_cleared(database: KiroDatabase, make: Make) -> None:
    old = v1_entry("o", "old", prompt="p", at=-100)
    database.put(v1_value(old), START - 50)
    mark = make("c1").baseline()
    kept = v1_entry("k", "kept", prompt="p", at=-90)
    database.put(v1_value(kept, v1_entry("n", "new", prompt="ask", at=1)), START + 1)
    successor = make("c1")
    successor.resume_from(mark)
    assert texts(successor.poll(final=True)) == ["ask", "new"]


def test_a_mark_of_a_new_conversation(database: KiroDatabase, make: Make) -> None:
    database.put(v1_value(v1_entry("o", "old", prompt="ask", at=-1), cid="old"), START - 1)
    mark = make().baseline()
    database.put(v1_value(v1_entry("n", "new", prompt="ask", at=1), cid="new"), START + 1)
    successor = make("new")
    successor.resume_from(mark)
    assert texts(successor.poll(final=True)) == ["ask", "new"]
    unknown = make()
    unknown.resume_from(mark)
    assert texts(unknown.poll(final=True)) == ["ask", "new"]


def test_before_kiro_was_ever_started(tmp_path: Path, make: Make) -> None:
    reader = make()
    mark = reader.baseline()
    assert reader.poll() == []
    assert reader.poll(final=True) == []
    bare = KiroDatabase(tmp_path / "data.sqlite3", schema="")
    assert reader.poll() == []
    bare.close()
    database = KiroDatabase(tmp_path / "data.sqlite3")
    database.put(v1_value(v1_entry("a", "hello", prompt="ask", at=1)), START + 1)
    assert texts(reader.poll()) == ["ask", "hello"]
    successor = make()
    successor.resume_from(mark)
    assert texts(successor.poll(final=True)) == ["ask", "hello"]
    database.close()


def test_the_older_table(database: KiroDatabase, make: Make) -> None:
    database.put_legacy(v1_value(v1_entry("a", "same", prompt="ask", at=-9), cid="c-old"))
    reader = make()
    reader.baseline()
    database.touch()
    assert reader.poll() == []
    database.put_legacy(v1_value(v1_entry("b", "same", prompt="ask", at=1), cid="c-new"))
    events = reader.poll()
    assert events[0] == SessionKnown("c-new", "v1")
    assert texts(events) == ["ask", "same"]


def test_a_second_write_in_the_same_millisecond(database: KiroDatabase, make: Make, clock: Clock) -> None:
    reader = make()
    reader.baseline()
    clock.now = START + 1
    one = v1_entry("a", "one", prompt="ask", tools=RUN, at=1)
    database.put(v1_value(one), START + 1)
    assert texts(reader.poll()) == ["ask", "one"]
    database.put(v1_value(one, v1_entry("b", "two", at=1)), START + 1)
    assert texts(reader.poll()) == ["two"]


def test_a_clock_that_went_back_hides_nothing_at_the_end(database: KiroDatabase, make: Make) -> None:
    reader = make()
    reader.baseline()
    one = v1_entry("a", "one", prompt="ask", tools=RUN, at=1)
    database.put(v1_value(one), START + 1)
    assert texts(reader.poll()) == ["ask", "one"]
    database.put(v1_value(one, v1_entry("b", "two", at=1)), START + 1)
    assert texts(reader.poll(final=True)) == ["two"]


def test_a_locked_database_is_tried_again(database: KiroDatabase, make: Make, clock: Clock) -> None:
    reader = make()
    reader.baseline()
    database.put(v1_value(v1_entry("a", "one", prompt="ask", at=1)), START + 1)
    database.connection.execute("BEGIN EXCLUSIVE")
    database.connection.execute("INSERT OR REPLACE INTO state VALUES ('x', 'y')")
    told = list(reader.poll())
    clock.now += 10
    told += reader.poll()
    database.connection.execute("COMMIT")
    told += reader.poll()
    assert texts(told) == ["ask", "one"]
    assert set(notices(told)) <= {"v1:locked"}


def test_a_long_lock_is_told_once(tmp_path: Path, make: Make, clock: Clock) -> None:
    database = KiroDatabase(tmp_path / "data.sqlite3")
    reader = make()
    reader.baseline()
    database.connection.execute("BEGIN EXCLUSIVE")
    assert reader.poll() == []
    clock.now += 10
    assert notices(reader.poll()) == ["v1:locked"]
    assert reader.poll() == []
    database.connection.execute("COMMIT")
    database.close()


def test_a_replaced_database(tmp_path: Path, make: Make) -> None:
    database = KiroDatabase(tmp_path / "data.sqlite3")
    reader = make()
    reader.baseline()
    first = v1_entry("a", "one", prompt="ask", tools=RUN, at=1)
    database.put(v1_value(first), START + 1)
    assert texts(reader.poll()) == ["ask", "one"]
    database.close()
    fresh = KiroDatabase(tmp_path / "fresh.sqlite3")
    fresh.put(v1_value(first, v1_entry("b", "two", at=2)), START + 2)
    fresh.close()
    os.replace(tmp_path / "fresh.sqlite3", tmp_path / "data.sqlite3")
    events = reader.poll()
    assert notices(events) == ["v1:replaced"]
    assert texts(events) == ["two"]


def test_a_vanished_database_and_a_vanished_row(tmp_path: Path, make: Make) -> None:
    database = KiroDatabase(tmp_path / "data.sqlite3")
    reader = make()
    reader.baseline()
    database.put(v1_value(v1_entry("a", "one", prompt="ask", at=1)), START + 1)
    reader.poll()
    database.connection.execute("DELETE FROM conversations_v2")
    assert notices(reader.poll()) == ["v1:vanished"]
    database.close()
    (tmp_path / "data.sqlite3").unlink()
    assert notices(reader.poll()) == ["v1:missing"]
    assert reader.poll(final=True) == []
    assert reader.finished(), "what was proved stays proved"


@pytest.mark.parametrize("content", [b"this is no database, far from it" * 99, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_database(content: bytes, tmp_path: Path, make: Make) -> None:
    (tmp_path / "data.sqlite3").write_bytes(content)
    reader = make()
    reader.baseline()
    assert notices(reader.poll()) == ["v1:damaged"]
    assert reader.poll(final=True) == []


def test_a_folder_in_place_of_the_database(tmp_path: Path, make: Make) -> None:
    (tmp_path / "data.sqlite3").mkdir()
    reader = make()
    reader.baseline()
    assert notices(reader.poll()) == ["v1:unreadable"]


def test_a_value_that_cannot_be_read_is_read_when_it_is_whole_again(database: KiroDatabase, make: Make) -> None:
    reader = make("c1")
    reader.baseline()
    database.put('{"history": [{"user"', START + 1, cid="c1")
    assert notices(reader.poll()) == ["v1:not_json"]
    database.put("[" * 100_000, START + 2, cid="c1")
    assert reader.poll() == []
    database.put(b'{"history":[], "x": "\xff\xfe"}', START + 3, cid="c1")
    assert reader.poll() == []
    database.put(v1_value(v1_entry("a", "one", prompt="ask", at=1)), START + 4)
    assert texts(reader.poll()) == ["ask", "one"]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (v1_entry("b", "", at=2), TurnEvidence(True, True, None, False)),
        (v1_entry(None, "Response timed out - message took too long to generate", at=2), (False, "timed_out")),
        (
            v1_entry(None, "Tool uses were interrupted, waiting for the next user prompt", cancelled=True, at=2),
            (False, "interrupted"),
        ),
        (v1_entry(None, "from an MCP prompt", at=2), (False, None)),
        (v1_entry("b", "", tools=[("t2", "fs_read", {})], at=2), (False, None)),
    ],
)
def test_what_counts_as_finished(database: KiroDatabase, make: Make, last: Any, expected: Any) -> None:
    reader = make()
    reader.baseline()
    database.put(v1_value(v1_entry("a", "", prompt="ask", tools=RUN, at=1), last), START + 1)
    reader.poll()
    if isinstance(expected, TurnEvidence):
        assert reader.evidence().finished == expected.finished
    else:
        assert (reader.evidence().finished, reader.evidence().end_reason) == expected


def test_the_model_goes_on_after_a_time_out(database: KiroDatabase, make: Make) -> None:
    reader = make()
    reader.baseline()
    timed_out = "Response timed out - message took too long to generate"
    again = "You took too long to respond - try to split up the work into smaller steps."
    entries = [v1_entry(None, timed_out, prompt="ask", at=1), v1_entry("b", "Now quick.", prompt=again, at=2)]
    database.put(v1_value(entries[0]), START + 1)
    assert texts(reader.poll()) == ["ask"]
    assert not reader.finished()
    database.put(v1_value(*entries), START + 2)
    events: list[FeedEvent] = list(reader.poll())
    assert texts(events) == ["Now quick."]
    assert reader.finished()


def test_a_cwd_reached_through_a_link(database: KiroDatabase, make: Make, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    reader = make(cwd=str(tmp_path / "link"))
    reader.baseline()
    database.put(v1_value(v1_entry("a", "one", prompt="ask", at=1)), START + 1, key=str(real))
    assert texts(reader.poll()) == ["ask", "one"]


def test_lone_surrogates_leave_as_text_that_can_be_sent(database: KiroDatabase, make: Make) -> None:
    reader = make()
    reader.baseline()
    broken = '{"conversation_id":"c1","history":[{"user":{"content":{"Prompt":{"prompt":"ask"}}},"assistant":%s}]}'
    tool = '{"id":"t","name":"n","args":{"\\udc00":["\\ud83d"]}}'
    use = '{"ToolUse":{"message_id":"a","content":"x\\ud800y","tool_uses":[' + tool + "]}}"
    database.put(broken % use, START + 1, cid="c1")
    events = reader.poll()
    assert texts(events)[1] == "x\ufffdy"
    repr(events).encode()


def test_a_conversation_that_someone_else_goes_on_with_is_not_ours(database: KiroDatabase, make: Make) -> None:
    old = v1_entry("a", "old", prompt="ask", at=-50)
    database.put(v1_value(old), START - 50)
    reader = make()
    reader.baseline()
    database.put(v1_value(old, v1_entry("b", "for them", prompt="theirs", at=1)), START + 1)
    assert reader.poll() == []
    assert reader.poll(final=True) == []


def test_the_same_prompt_a_moment_ago_is_not_ours(database: KiroDatabase, make: Make) -> None:
    database.put(v1_value(v1_entry("a", "old", prompt="ask", at=-1), cid="old"), START - 1)
    reader = make()
    reader.baseline()
    database.touch()
    assert reader.poll() == []
    assert reader.poll(final=True) == []
