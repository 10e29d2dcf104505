"""Several sessions: changed, deleted, searched, their queues, and a file of the version before all that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.core.items import Item, ItemPut, ItemRemoved, SessionLearned, TurnEnded
from bridge.core.records import (
    ItemEvent,
    KiroConversation,
    Session,
    SessionChange,
    SessionEvent,
    SessionOptions,
    TurnEvent,
)
from bridge.errors import RequestRefused, UnknownSession
from bridge.ledger import ImportedTurn, Ledger

VERSION_1 = Path(__file__).with_name("version_1.sql")
"""A ledger as the version before wrote it, dumped."""


def told(ledger: Ledger, query: str) -> list[tuple[str, str]]:
    """Return (kind of item or `title`, snippet) of what a search finds, after all was taken into the index."""
    while ledger.index():
        pass
    kinds: list[tuple[str, str]] = []
    for found in ledger.search(query, 20):
        stored = None if found.item_id is None else ledger.item(found.item_id)
        kinds.append(("title" if stored is None else stored.item.kind, found.snippet))
    return kinds


@pytest.fixture
def old(path: Path) -> Path:
    """Return the place of a file of version 1."""
    with closing(sqlite3.connect(path, isolation_level=None)) as plain:
        plain.executescript(VERSION_1.read_text(encoding="utf-8"))
    return path


def test_a_file_of_version_1_keeps_all_it_has(old: Path) -> None:
    with closing(Ledger.open(old)) as ledger:
        second, first = ledger.sessions()
        assert first == Session(
            "first", "/srv/work", "Herons", "v2", "k-1", 1780000001.0, 1780000008.0, last_line="And the storks?"
        )
        assert (second.id, second.last_line, second.options) == ("second", "", SessionOptions())
        assert [turn.prompt for turn in ledger.turns("first")] == ["Count the herons\nplease", "And the storks?"]
        assert [stored.item.text for stored in ledger.turn_items(1)][1:] == ["There are seven herons.", "heron.txt"]
        assert ledger.meta("primary:/srv/work") == "first"
        assert (ledger.last_seq(), len(ledger.events_after(0))) == (17, 14)
        [left] = ledger.unfinished()
        ledger.apply(left.id, [TurnEnded("interrupted")])
        assert sorted(told(ledger, "heron")) == [
            ("prompt", "Count the \ue000herons\ue001\nplease"),
            ("text", "There are seven \ue000herons\ue001."),
            ("title", "Herons"),
            ("tool", "\ue000heron\ue001.txt"),
        ]
        assert [kind for kind, _ in told(ledger, "let me LOOK")] == ["text"]
        assert ledger.accept("first", "x")[0].message_id == 4
    with closing(sqlite3.connect(old)) as plain:
        assert plain.execute("PRAGMA user_version").fetchone() == (2,)
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_old_file_is_opened_before_it_is_indexed(old: Path) -> None:
    with closing(Ledger.open(old)) as ledger:
        assert ledger.search("seven", 5) == []
        while ledger.index():
            pass
        assert len(ledger.search("seven", 5)) == 1
        assert ledger.index() is False


def test_a_piece_of_the_index_is_bounded(ledger: Ledger, session: Session) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    items = [ItemPut(Item(f"m{number}", "text", number + 1, f"heron {number}", {}, True)) for number in range(250)]
    ledger.apply(turn.id, [*items, TurnEnded("completed")])
    assert [ledger.index() for _ in range(3)] == [True, True, False]
    assert len(ledger.search("heron", 300)) == 250


def test_what_is_given_changes_and_the_rest_stays(ledger: Ledger, session: Session) -> None:
    wishes = SessionOptions(model="m", trust="listed", trust_tools=("a", "b"))
    changed, events = ledger.change_session(session.id, SessionChange(pinned=True, options=wishes))
    assert changed == replace(session, pinned=True, options=wishes)
    assert events == [SessionEvent(2, changed)]
    assert ledger.session(session.id) == changed
    assert ledger.change_session(session.id, SessionChange(archived=True))[0] == replace(changed, archived=True)
    with pytest.raises(UnknownSession):
        ledger.change_session("none", SessionChange(pinned=True))


def test_pinned_ones_come_first_and_archived_ones_on_demand(ledger: Ledger) -> None:
    for name in ("a", "b", "c", "d"):
        ledger.create_session("/w", session_id=name)
    ledger.change_session("a", SessionChange(pinned=True))
    ledger.change_session("c", SessionChange(archived=True))

    def ids(archived: bool | None) -> list[str]:
        return [one.id for one in ledger.sessions(archived=archived)]

    assert (ids(None), ids(False), ids(True)) == (["a", "d", "c", "b"], ["a", "d", "b"], ["c"])


def test_kiro_never_replaces_a_title_that_somebody_gave(ledger: Ledger) -> None:
    given, _ = ledger.create_session("/w", title="Mine")
    turn, _ = ledger.accept(given.id, "hello")
    assert ledger.apply(turn.id, [SessionLearned(title="Kiro's")]) == []
    ledger.apply(turn.id, [SessionLearned(kiro_id="k", engine="v2", title="Kiro's")])
    now = ledger.session(given.id)
    assert now is not None and (now.title, now.kiro_id) == ("Mine", "k")
    ledger.change_session(given.id, SessionChange(title=""))
    ledger.apply(turn.id, [SessionLearned(title="Kiro's")])
    again = ledger.session(given.id)
    assert again is not None and again.title == "Kiro's"


def test_the_last_line_is_that_of_the_prompt_and_then_of_the_answer(ledger: Ledger, session: Session) -> None:
    def last() -> str:
        now = ledger.session(session.id)
        assert now is not None
        return now.last_line

    turn, _ = ledger.accept(session.id, "\n  What is this?\nreally")
    assert last() == "What is this?"
    ledger.apply(
        turn.id, [ItemPut(Item("m", "text", 1, "\n" + "x" * 500)), ItemPut(Item("s", "text", 2, "sub", {"agent": "a"}))]
    )
    assert last() == "What is this?"
    ledger.apply(turn.id, [TurnEnded("completed")])
    assert last() == "x" * 159 + "…"
    turn, _ = ledger.accept(session.id, "again")
    ledger.apply(turn.id, [TurnEnded("cancelled")])
    assert last() == "again"


def test_a_queue_is_kept_in_order_and_sent_from_its_front(ledger: Ledger, session: Session) -> None:
    one, events = ledger.enqueue(session.id, "one")
    assert [event.session.queued for event in events if isinstance(event, SessionEvent)] == [1]
    two, _ = ledger.enqueue(session.id, "two")
    three, _ = ledger.enqueue(session.id, "three", first=True)

    def texts() -> list[str]:
        return [prompt.text for prompt in ledger.queue(session.id).prompts]

    assert texts() == ["three", "one", "two"]
    ledger.change_queued(session.id, two, text="TWO", place=0)
    ledger.change_queued(session.id, three, place=99)
    assert texts() == ["TWO", "one", "three"]
    ledger.hold_queue(session.id, "because")
    assert ledger.queue(session.id).held == "because"
    assert ledger.accept_queued(session.id, lambda _: "") is None
    assert ledger.waiting_queues() == []
    ledger.hold_queue(session.id, "")
    assert ledger.waiting_queues() == [session.id]
    taken = ledger.accept_queued(session.id, lambda prompt: f"sent {prompt}")
    assert taken is not None and (taken[0].prompt, taken[0].sent) == ("TWO", "sent TWO")
    assert ledger.turn(taken[0].id) == taken[0]
    ledger.remove_queued(session.id, one)
    assert texts() == ["three"]
    for gone in (one, two, 12345):
        with pytest.raises(RequestRefused, match="waits in this session"):
            ledger.remove_queued(session.id, gone)


def test_an_empty_queue_is_not_held(ledger: Ledger, session: Session) -> None:
    ledger.hold_queue(session.id, "because")
    assert ledger.queue(session.id).held == ""
    number, _ = ledger.enqueue(session.id, "one")
    ledger.hold_queue(session.id, "because")
    ledger.remove_queued(session.id, number)
    assert ledger.queue(session.id).held == ""


def test_a_queue_of_another_session_is_out_of_reach(ledger: Ledger, session: Session) -> None:
    other, _ = ledger.create_session("/w")
    number, _ = ledger.enqueue(other.id, "theirs")
    with pytest.raises(RequestRefused):
        ledger.change_queued(session.id, number, text="mine")
    assert [prompt.text for prompt in ledger.queue(other.id).prompts] == ["theirs"]


def test_too_many_prompts_do_not_wait(ledger: Ledger, session: Session) -> None:
    for number in range(100):
        ledger.enqueue(session.id, str(number))
    with pytest.raises(RequestRefused, match="100 prompts wait"):
        ledger.enqueue(session.id, "one more")


def fill(ledger: Ledger, session_id: str, turns: int, word: str) -> None:
    for number in range(turns):
        turn, _ = ledger.accept(session_id, f"prompt {word} {number}")
        answer = Item(f"m{number}", "text", 1, f"answer {word} {number}", {}, True)
        ledger.apply(turn.id, [ItemPut(answer), ItemPut(Item(f"x{number}", "text", 2)), ItemRemoved(f"x{number}")])
        ledger.apply(turn.id, [TurnEnded("completed")])


def test_a_deleted_session_is_gone_at_once_and_then_altogether(ledger: Ledger, path: Path) -> None:
    kept, _ = ledger.create_session("/kept", session_id="kept")
    gone, _ = ledger.create_session("/gone", session_id="gone", title="pelican")
    fill(ledger, kept.id, 3, "heron")
    fill(ledger, gone.id, 150, "pelican")
    ledger.enqueue(gone.id, "pelican waits")
    for session in (kept, gone):
        ledger.set_meta(f"uploads:{session.id}", "pelican.txt")
    assert len(told(ledger, "pelican")) == 20
    highest = ledger.turns(gone.id)[-1]
    [event] = ledger.delete_session(gone.id)
    assert isinstance(event, SessionEvent) and event.session.deleted and event.session.title == ""
    assert ledger.session(gone.id) is None and ledger.items(gone.id) == [] and ledger.turns(gone.id) == []
    assert told(ledger, "pelican") == []
    assert (ledger.meta("uploads:kept"), ledger.meta("uploads:gone")) == ("pelican.txt", None)
    assert ledger.events_after(event.seq - 1, session_id=gone.id) == [event]
    with pytest.raises(UnknownSession):
        ledger.accept(gone.id, "more")
    pieces = 0
    while ledger.purge():
        pieces += 1
    assert pieces > 1
    assert len(told(ledger, "heron")) == 6
    with closing(sqlite3.connect(path)) as plain:
        for table, column in (("items", "text"), ("prompts", "text"), ("queue", "text"), ("chunks", "text")):
            assert plain.execute(f"SELECT count(*) FROM {table} WHERE {column} LIKE '%pelican%'").fetchone() == (0,)
        assert plain.execute("PRAGMA foreign_key_check").fetchall() == []
        plain.execute("INSERT INTO item_search(item_search) VALUES ('integrity-check')")
    new, _ = ledger.accept(kept.id, "again")
    assert new.id > highest.id and new.message_id > highest.message_id


def test_a_purge_that_was_cut_goes_on_after_a_restart(path: Path) -> None:
    with closing(Ledger.open(path)) as ledger:
        ledger.create_session("/gone", session_id="gone")
        fill(ledger, "gone", 300, "pelican")
        ledger.delete_session("gone")
        assert ledger.purge() is True
    with closing(Ledger.open(path)) as ledger:
        while ledger.purge():
            pass
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("SELECT count(*) FROM items WHERE text != ''").fetchone() == (0,)


def test_a_text_that_changes_is_found_by_what_it_says_now(ledger: Ledger, session: Session) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    ledger.apply(
        turn.id,
        [ItemPut(Item("m", "text", 1, "a pelican", {}, True)), ItemPut(Item("n", "text", 2, "a heron", {}, True))],
    )
    assert len(told(ledger, "pelican")) == 1
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 1, "a stork", {}, True)), ItemRemoved("n")])
    assert (told(ledger, "pelican"), told(ledger, "heron")) == ([], [])
    assert told(ledger, "stork") == [("text", "a \ue000stork\ue001")]
    ledger.apply(turn.id, [TurnEnded("completed")])
    assert told(ledger, "stork") == [("text", "a \ue000stork\ue001")]


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "*",
        "a AND",
        "NEAR(",
        "-x",
        "^a",
        "col:on",
        "\0",
        "'",
        "\ue000",
        "(",
        "x" * 5000,
        " ".join("abcdefghijklmnopqrstuvwxyz"),
    ],
)
def test_no_query_is_a_wrong_one(ledger: Ledger, session: Session, query: str) -> None:
    ledger.accept(session.id, "hello")
    assert told(ledger, query) in ([], [("prompt", "hello")])


def test_marks_in_the_text_itself_are_no_marks(ledger: Ledger, session: Session) -> None:
    ledger.accept(session.id, "one \ue001\ue000 two")
    assert told(ledger, "two") == [("prompt", "one  two")]


def test_words_are_found_without_regard_to_case_and_accents(ledger: Ledger, session: Session) -> None:
    ledger.accept(session.id, "Größe von Ébène")
    for query in ("grosse", "GRÖSSE"):
        assert told(ledger, query) == []
    assert told(ledger, "grö EBENE")[0][0] == "prompt"


def test_a_conversation_taken_over_is_told_of_when_it_is_whole(ledger: Ledger) -> None:
    found = KiroConversation("v3", "k-9", "/w", "Theirs", 50.0, 2)
    session = ledger.adopt_session(found)
    assert (ledger.sessions(), ledger.unfinished_adoptions()) == ([], [session.id])
    items = [Item("m", "text", 1, "answer", {}, True, True)]
    ledger.import_turns(session.id, [ImportedTurn("one", items, 1.0, 2.0), ImportedTurn(None, [], 3.0, 4.0)])
    adopted, events = ledger.adopted(session.id)
    assert [type(event) for event in events] == [SessionEvent]
    assert (adopted.origin, adopted.kiro_id, adopted.engine, adopted.last_line) == ("kiro", "k-9", "v3", "one")
    assert ledger.unfinished_adoptions() == [] and ledger.session_of_kiro("v3", "k-9") == adopted
    one, two = ledger.turns(session.id)
    assert (one.origin, one.state, one.accepted_at, one.ended_at) == ("import", "completed", 1.0, 2.0)
    assert [stored.item.text for stored in ledger.turn_items(one.id)] == ["one", "answer"]
    assert ledger.turn_items(two.id) == []
    assert (one.message_id % 2, two.message_id % 2) == (0, 0)


def test_the_overview_holds_sessions_turns_and_approvals(ledger: Ledger, session: Session) -> None:
    turn, _ = ledger.accept(session.id, "hello")
    asked = Item("a", "approval", 1, "ls", {"status": "pending"})
    ledger.apply(turn.id, [ItemPut(Item("m", "text", 2, "x")), ItemPut(asked), ItemPut(Item("n", "text", 3, "y"))])
    events, reached = ledger.overview_after(0)
    assert [type(event) for event in events] == [SessionEvent, TurnEvent, ItemEvent]
    assert reached == ledger.last_seq()
    assert [stored.item for stored in ledger.pending_approvals(turn.id)] == [asked]
    page, reached = ledger.overview_after(0, limit=2)
    assert (len(page), reached) == (2, page[-1].seq)
    assert ledger.overview_after(ledger.last_seq()) == ([], ledger.last_seq())
