"""The events of the chat page: blocks that fit what the page has, whenever it comes and whatever it missed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bridge.core.items import Item, ItemPut, ItemRemoved
from bridge.web.markdown import blocks_of
from bridge.web.rendered_feed import RenderedFeed, RenderedStream, with_blocks
from bridge.web.wire import item_json

from .conftest import Frame, Room, frames

WORDS = "# Title\n\nSome *words*.\n\n- a\n- b\n\n```python\nx = 1\n```\n\n|a|b|\n|-|-|\n|1|2|\n\nThe **end**.\n"


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Page:
    """What a page does with the events: the blocks of each item, as it would show them."""

    def __init__(self, room: Room, feed: RenderedFeed) -> None:
        self.room = room
        self.feed = feed
        self.blocks: dict[int, list[str]] = {}
        self.last = 0
        self.load()

    def load(self) -> None:
        """Load the items and follow from there, as the page does at its start."""
        self.last = self.room.ledger.last_seq()
        items = self.room.ledger.items(self.room.session_id)
        self.blocks = {item.id: with_blocks(item_json(item)).get("blocks", []) for item in items}
        self.connect()

    def connect(self) -> None:
        """Come back with the last event's id."""
        self.stream = RenderedStream(self.feed, self.room.session_id, self.last, False)

    def read(self) -> list[Frame]:
        """Take what there is."""
        found = frames(self.stream.take())
        for frame in found:
            assert frame.id is not None and frame.id >= self.last
            self.last = frame.id
            if frame.name == "item" and "blocks" in frame.data["item"]:
                self.blocks[frame.data["item"]["id"]] = frame.data["item"]["blocks"]
            elif frame.name == "removed":
                del self.blocks[frame.data["item_id"]]
            elif frame.name == "blocks":
                known = self.blocks[frame.data["item_id"]]
                assert frame.data["from"] <= len(known)
                known[frame.data["from"] :] = frame.data["blocks"]
        return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def feed(room: Room, clock: Clock) -> RenderedFeed:
    return RenderedFeed(room.ledger, room.hub.last_seq, clock)


@pytest.mark.parametrize("seed", range(8))
def test_any_page_ends_with_the_blocks_of_the_text(room: Room, feed: RenderedFeed, clock: Clock, seed: int) -> None:
    """Pages that come, go and come back at any moment, with text in any pieces, show what a reload shows."""
    dice = random.Random(seed)
    pages = [Page(room, feed)]
    waiting = [*room.prompt(), *room.say("")]
    item = room.ledger.items(room.session_id)[-1]
    offset = 0
    while offset < len(WORDS):
        piece = WORDS[offset : offset + dice.randint(1, 9)]
        waiting += room.more(piece, offset)
        offset += len(piece)
        if dice.random() < 0.7:
            feed.take(waiting)
            waiting = []
        clock.now += dice.choice([0.0, 0.0, 0.05, 1.0])
        action = dice.random()
        if action < 0.1:
            pages.append(Page(room, feed))
        elif action < 0.2:
            dice.choice(pages).connect()
        elif action < 0.6:
            dice.choice(pages).read()
    feed.take([*waiting, *room.more(" ", offset)])
    clock.now += 10
    for page in pages:
        page.read()
        page.read()
        assert page.blocks[item.id] == blocks_of(WORDS)
    feed.take(room.end())
    for page in pages:
        page.read()
        assert page.last == room.ledger.last_seq()


def test_deltas_are_joined_while_rendering_pauses(room: Room, feed: RenderedFeed, clock: Clock) -> None:
    """What comes within a pause is one event, and `due` tells when it will go out."""
    page = Page(room, feed)
    feed.take(room.prompt())
    feed.take(room.say("a"))
    feed.take(room.more("b", 1))
    assert [frame.name for frame in page.read()][-1] == "blocks"
    for offset, letter in enumerate("cdef", start=2):
        feed.take(room.more(letter, offset))
    assert page.read() == []
    assert feed.due() > clock.now
    clock.now = feed.due()
    (frame,) = page.read()
    assert (frame.name, frame.data["blocks"], frame.data["length"]) == ("blocks", ["<p>abcdef</p>\n"], 6)
    assert feed.due() == float("inf")


def test_nothing_is_rendered_unseen(room: Room, feed: RenderedFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a page a feed only counts; a page that comes then gets the item whole."""
    monkeypatch.setattr("bridge.web.markdown.GrowingBlocks.append", None)
    feed.take(room.prompt())
    feed.take(room.say("text"))
    feed.take(room.more(" more", 4))
    monkeypatch.undo()
    stream = RenderedStream(feed, room.session_id, 0, False)
    found = frames(stream.take())
    assert [frame.data["item"].get("blocks") for frame in found if frame.name == "item"][-1] == ["<p>text more</p>\n"]


def test_a_removed_or_replaced_item(room: Room, feed: RenderedFeed, clock: Clock) -> None:
    """A preview that is confirmed with another text is sent whole; one that is taken back is told."""
    page = Page(room, feed)
    feed.take(room.prompt())
    feed.take(room.say("prev"))
    feed.take(room.more("iew", 4))
    feed.take(room.write(ItemPut(Item("real", "text", 1, "the **record**", {}, True, True), "m1")))
    feed.take(room.say("gone", key="m2", position=2))
    feed.take(room.write(ItemRemoved("m2")))
    clock.now += 10
    page.read()
    assert list(page.blocks.values()) == [["<p>the <strong>record</strong></p>\n"]]


def test_all_sessions_on_one_stream(room: Room, feed: RenderedFeed, tmp_path: Path) -> None:
    """With `everything` a page hears of sessions, turns and approvals elsewhere, and of nothing else."""
    other, made = room.ledger.create_session(str(tmp_path / "other"))
    page = RenderedStream(feed, room.session_id, None, False)
    listing = RenderedStream(feed, room.session_id, None, True)
    feed.take([made])
    turn, accepted = room.ledger.accept(other.id, "elsewhere")
    feed.take(accepted)
    approval = Item("ask", "approval", 2, "rm", {"status": "pending"})
    feed.take(room.ledger.apply(turn.id, [ItemPut(Item("t", "text", 1, "words")), ItemPut(approval)]))
    assert frames(page.take()) == []
    names = [frame.name for frame in frames(listing.take())]
    assert names.count("item") == 1
    assert {"session", "turn"} <= set(names)
    behind = RenderedStream(feed, room.session_id, 0, True)
    kinds = [frame.data["item"]["kind"] for frame in frames(behind.take()) if frame.name == "item"]
    assert kinds == ["approval"]
