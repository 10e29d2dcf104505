"""The turn state machine: what it makes of previews and records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.feed import (
    Ended,
    FeedEvent,
    MessageBreak,
    MessageRecorded,
    Notice,
    PromptRecorded,
    SessionKnown,
    TextDelta,
    TitleSeen,
    ToolSeen,
    UsageSeen,
)
from bridge.core.items import Change, Item, ItemPut, ItemRemoved, SessionLearned, TextAppended, TurnEnded
from bridge.core.turn import TurnMachine
from bridge.errors import Problem

PROMPT = Item(key="prompt:1", kind="prompt", position=0, text="list the files", final=True)


class Screen:
    """A client: applies changes to what it shows, as every client does."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {PROMPT.key: PROMPT}
        self.ends: list[TurnEnded] = []

    def show(self, changes: list[Change]) -> None:
        for change in changes:
            assert not self.ends, "nothing follows the terminal event"
            if isinstance(change, ItemPut):
                if change.old_key is not None:
                    del self.items[change.old_key]
                self.items[change.item.key] = change.item
            elif isinstance(change, TextAppended):
                item = self.items[change.key]
                assert change.offset == len(item.text)
                self.items[change.key] = Item(**{**vars(item), "text": item.text + change.text})
            elif isinstance(change, ItemRemoved):
                del self.items[change.key]
            elif isinstance(change, TurnEnded):
                self.ends.append(change)

    def ordered(self) -> list[Item]:
        items = sorted(self.items.values(), key=lambda item: item.position)
        places = [item.position for item in items]
        assert len(set(places)) == len(places)
        return items

    def texts(self) -> list[str]:
        return [item.text for item in self.ordered() if item.kind == "text"]

    def kinds(self) -> list[str]:
        return [item.kind for item in self.ordered()]


def play(*events: FeedEvent) -> Screen:
    machine, screen = TurnMachine("1", [PROMPT]), Screen()
    for event in events:
        screen.show(machine.apply(event))
    return screen


def test_deltas_grow_one_item_that_the_record_confirms() -> None:
    screen = play(TextDelta("Hel"), TextDelta("lo"), MessageRecorded("m1", "Hello"), Ended("completed", recorded=True))
    assert [(item.key, item.text, item.final, item.recorded) for item in screen.ordered()[1:]] == [
        ("m1", "Hello", True, True)
    ]
    assert screen.ends == [TurnEnded("completed")]


def test_a_record_that_is_ahead_of_the_stream_is_not_told_again() -> None:
    """Kiro has written the answer down while its last words are still on their way to us."""
    screen = play(TextDelta("Hel"), MessageRecorded("m1", "Hello you"), TextDelta("lo"), TextDelta(" you"))
    assert screen.texts() == ["Hello you"]
    screen = play(MessageRecorded("m1", "One."), ToolSeen("t", recorded=True), MessageRecorded("m2", "Two."),
                  TextDelta("On"), TextDelta("e."), MessageBreak(), ToolSeen("t"), TextDelta("Two."),
                  MessageBreak(), TextDelta("Three."))  # fmt: skip
    assert screen.texts() == ["One.", "Two.", "Three."]


def test_the_same_words_again_are_told_again() -> None:
    screen = play(TextDelta("Do"), MessageRecorded("m1", "Done."), TextDelta("ne."), MessageBreak(), TextDelta("Done."))
    assert screen.texts() == ["Done.", "Done."]
    screen = play(TextDelta("ok"), MessageRecorded("m1", "Other words"), TextDelta(" then"))
    assert screen.texts() == ["Other words", " then"]


def test_a_rendered_preview_is_replaced_by_the_faithful_text() -> None:
    screen = play(TextDelta("three lines"), MessageRecorded("m1", "**three** lines"), Ended("completed"))
    assert screen.texts() == ["**three** lines"]


def test_the_record_may_come_before_the_rest_of_the_stream() -> None:
    screen = play(
        TextDelta("one", stream_id="a-say"),
        MessageRecorded("a-say", "one two"),
        TextDelta(" two", stream_id="a-say"),
        Ended("completed", recorded=True),
    )
    assert screen.texts() == ["one two"]


def test_the_same_answer_twice_stands_twice() -> None:
    screen = play(
        TextDelta("ok"), ToolSeen("t1", status="completed"), TextDelta("ok"),
        MessageRecorded("m1", "ok"), MessageRecorded("m2", "ok"), Ended("completed", recorded=True),
    )  # fmt: skip
    assert screen.texts() == ["ok", "ok"]
    assert screen.kinds() == ["prompt", "text", "tool", "text"]


def test_what_a_preview_held_beyond_its_record_is_kept_as_the_next_message() -> None:
    screen = play(TextDelta("First. Second"), MessageRecorded("m1", "First."), TextDelta(" part"), Ended("cancelled"))
    assert screen.texts() == ["First.", "Second part"]


def test_records_without_previews_keep_their_order() -> None:
    screen = play(
        MessageRecorded("m1", "I will look."), ToolSeen("t1", name="fs_read", recorded=True),
        ToolSeen("t1", status="completed", output="one", recorded=True), MessageRecorded("m2", "Done."),
        Ended("completed", recorded=True),
    )  # fmt: skip
    assert screen.kinds() == ["prompt", "text", "tool", "text"]
    assert screen.items["t1"].text == "one"


def test_a_tool_that_the_store_tells_late_stands_before_the_text_that_followed_it() -> None:
    screen = play(
        TextDelta("I will look."), MessageBreak(), TextDelta("Done."),
        MessageRecorded("m1", "I will look."), ToolSeen("t1", name="fs_read", recorded=True),
        MessageRecorded("m2", "Done."), Ended("completed", recorded=True),
    )  # fmt: skip
    assert screen.kinds() == ["prompt", "text", "tool", "text"]
    assert screen.texts() == ["I will look.", "Done."]


def test_a_text_whose_record_never_came_stays_in_its_place() -> None:
    screen = play(
        TextDelta("I will look."), ToolSeen("t1", status="completed"),
        TextDelta("And again."), ToolSeen("t2", status="completed"), TextDelta("Done."),
        MessageRecorded("m1", "I will look."), MessageRecorded("m3", "Done."), Ended("completed"),
    )  # fmt: skip
    assert screen.texts() == ["I will look.", "And again.", "Done."]
    assert screen.kinds() == ["prompt", "text", "tool", "text", "tool", "text"]


def test_an_empty_message_shows_nothing_and_takes_back_its_own_preview() -> None:
    screen = play(TextDelta("…", stream_id="m1"), MessageRecorded("m1", ""), Ended("completed", recorded=True))
    assert screen.kinds() == ["prompt"]


def test_a_preview_that_no_record_confirms_is_kept_when_the_store_is_not_complete() -> None:
    assert play(TextDelta("half an ans"), Ended("failed", Problem("killed", "a", "b"))).texts() == ["half an ans"]
    assert play(
        TextDelta("chatter"), MessageRecorded("m", "x"), TextDelta("y"), Ended("completed", recorded=True)
    ).texts() == ["x"]


def test_a_tool_call_is_merged_by_id_and_never_goes_back() -> None:
    screen = play(
        ToolSeen("t1", name="shell", title="echo", status="running"), ToolSeen("t1", status="completed", output="hi"),
        ToolSeen("t1", status="running"), ToolSeen("t1", exit_code=3, recorded=True), Ended("completed"),
    )  # fmt: skip
    tool = screen.items["t1"]
    assert (tool.data["status"], tool.data["exit_code"], tool.text, tool.recorded) == ("completed", 3, "hi", True)


def test_open_tools_end_with_the_turn() -> None:
    assert play(ToolSeen("t"), Ended("cancelled")).items["t"].data["status"] == "cancelled"
    assert play(ToolSeen("t"), Ended("interrupted")).items["t"].data["status"] == "failed"


def test_sub_agents_are_kept_apart() -> None:
    screen = play(
        TextDelta("done", agent="child"), TextDelta("done"), MessageRecorded("m1", "done"),
        Ended("completed", recorded=True),
    )  # fmt: skip
    assert [(item.text, item.data.get("agent")) for item in screen.ordered()[1:]] == [("done", "child"), ("done", None)]


def test_a_sub_agent_may_use_the_same_ids() -> None:
    screen = play(
        TextDelta("before", stream_id="a-say"),
        TextDelta("after", stream_id="a-say", agent="child"),
        MessageRecorded("a-say", "child's", agent="child"),
        MessageRecorded("a-say", "before and after"),
        Ended("completed", recorded=True),
    )
    assert [(item.text, item.data.get("agent")) for item in screen.ordered()[1:]] == [
        ("before and after", None),
        ("child's", "child"),
    ]


def test_thoughts_are_no_text() -> None:
    screen = play(
        TextDelta("hm", "thought"), TextDelta("Yes."), MessageRecorded("m", "Yes."), Ended("completed", recorded=True)
    )
    assert screen.kinds() == ["prompt", "thought", "text"]


def test_our_prompt_is_recognised_and_others_are_shown() -> None:
    screen = play(
        PromptRecorded("p1", "list the\nfiles"), PromptRecorded("p1", "list the files"), PromptRecorded("p2", "go on")
    )
    assert [(item.key, item.recorded) for item in screen.ordered()] == [("prompt:1", True), ("p2", True)]


def test_usage_and_notices_stand_once() -> None:
    screen = play(
        UsageSeen(credits=0.1), UsageSeen(credits=0.3, context_percent=2.0), Notice("n", "a"), Notice("n", "a"),
    )  # fmt: skip
    assert screen.kinds() == ["prompt", "usage", "notice"]
    assert screen.items["usage:1"].data["credits"] == 0.3


def test_what_is_learned_of_the_session_is_told_once() -> None:
    machine = TurnMachine("1", [PROMPT])
    assert machine.apply(SessionKnown("id", "v2")) == [SessionLearned("id", "v2")]
    assert machine.apply(SessionKnown("id", "v2")) == []
    assert machine.apply(TitleSeen("T")) == [SessionLearned("id", "v2", "T")]


def test_a_title_is_one_line() -> None:
    machine = TurnMachine("1")
    assert machine.apply(TitleSeen("\n Fix it \nand more")) == [SessionLearned(title="Fix it")]
    assert machine.apply(TitleSeen(" \n")) == []
    [learned] = machine.apply(TitleSeen("x" * 500))
    assert isinstance(learned, SessionLearned) and len(learned.title or "") == 80


def test_a_machine_made_again_after_a_crash_goes_on_without_doubling() -> None:
    before = play(TextDelta("I will look."), ToolSeen("t1"), TextDelta("Do"))
    machine, screen = TurnMachine("1", before.ordered()), before
    for event in (
        MessageRecorded("m1", "I will look."), ToolSeen("t1", status="completed", recorded=True),
        MessageRecorded("m2", "Done."), Ended("interrupted"),
    ):  # fmt: skip
        screen.show(machine.apply(event))
    assert screen.texts() == ["I will look.", "Done."]
    assert screen.kinds() == ["prompt", "text", "tool", "text"]


words = st.text("ab \n*", max_size=6)
agents = st.sampled_from([None, None, None, "child"])
keys = st.sampled_from(["k1", "k2", "k3", "k4", "k5"])
events = st.one_of(
    st.builds(TextDelta, words, st.sampled_from(["text", "thought"]), st.sampled_from([None, "k1", "k2"]), agents),
    st.builds(MessageBreak, agents),
    st.builds(MessageRecorded, keys, words, st.just("text"), st.none(), st.none()),
    st.builds(ToolSeen, st.sampled_from(["t1", "t2"]), status=st.sampled_from([None, "running", "completed", "failed"]),
              output=st.one_of(st.none(), words), recorded=st.booleans()),
    st.builds(PromptRecorded, st.sampled_from(["p1", "p2"]), words),
    st.builds(UsageSeen, st.one_of(st.none(), st.floats(0, 1))),
    st.builds(Notice, st.sampled_from(["n1", "n2"]), words),
    st.builds(Ended, st.sampled_from(["completed", "cancelled", "failed", "interrupted"]), st.none(), st.booleans()),
)  # fmt: skip


@given(st.lists(events, max_size=40), st.booleans())
def test_any_feed_keeps_the_promises(feed: list[FeedEvent], restart: bool) -> None:
    machine, screen = TurnMachine("1", [PROMPT]), Screen()
    recorded: dict[str, str] = {}
    tools: set[str] = set()
    for number, event in enumerate(feed):
        if restart and number == len(feed) // 2 and machine.ended is None:
            machine = TurnMachine("1", screen.ordered())
        if machine.ended is None:
            if isinstance(event, MessageRecorded) and (event.text or event.key not in recorded):
                recorded[event.key] = event.text
            if isinstance(event, ToolSeen):
                tools.add(event.key)
        screen.show(machine.apply(event))
        screen.ordered()
    if machine.ended is None:
        screen.show(machine.apply(Ended("completed")))
    assert len(screen.ends) == 1
    assert all(item.final for item in screen.items.values())
    for key, text in recorded.items():
        if text:
            assert screen.items[key].text == text
    assert {item.key for item in screen.items.values() if item.kind == "tool"} == tools
    assert machine.apply(TextDelta("late")) == []


@given(st.lists(st.tuples(st.text("xyz", min_size=1, max_size=4), st.booleans()), min_size=1, max_size=8), st.data())
def test_records_in_order_stay_in_order_whatever_was_previewed(
    messages: list[tuple[str, bool]], data: st.DataObject
) -> None:
    """Messages with tools between them, previewed or not, recorded later in their order."""
    machine, screen = TurnMachine("1", [PROMPT]), Screen()
    backlog: list[FeedEvent] = []

    def settle(count: int) -> None:
        for _ in range(min(count, len(backlog))):
            screen.show(machine.apply(backlog.pop(0)))

    for number, (text, previewed) in enumerate(messages):
        if previewed:
            screen.show(machine.apply(TextDelta(text)))
            screen.show(machine.apply(MessageBreak()))
        backlog.append(MessageRecorded(f"m{number}", text))
        settle(data.draw(st.integers(0, 2)))
    settle(len(backlog))
    screen.show(machine.apply(Ended("completed", recorded=True)))
    assert screen.texts() == [text for text, _ in messages]
