"""Several sessions in one engine: queues, approvals, options, forks, folders, what is taken over."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.core.feed import (
    ApprovalAsked,
    ApprovalClosed,
    ApprovalOption,
    Ended,
    MessageRecorded,
    Notice,
    PromptRecorded,
    SessionKnown,
    TextDelta,
    TitleSeen,
    ToolSeen,
)
from bridge.core.feed import (
    Engine as KiroEngine,
)
from bridge.core.ports import ApprovalAnswer, Steer, Surface
from bridge.core.records import KiroConversation, PastTurn, Session, SessionChange, SessionOptions
from bridge.engine.approvals import AlreadyAnswered, Approvals
from bridge.engine.book import SessionBook
from bridge.engine.folders import Folders
from bridge.engine.forking import LENGTH, sent_with, transcript
from bridge.engine.slots import Slots
from bridge.engine.upkeep import Upkeep
from bridge.errors import AgentBusy, RawRefused, RequestRefused, UnknownSession

from .conftest import WAIT, Bench

ASKED = ApprovalAsked(
    "approval:1",
    "Run ls",
    (
        ApprovalOption("o-yes", "Yes", "allow_once"),
        ApprovalOption("o-always", "Always", "allow_always"),
        ApprovalOption("o-no", "No", "reject_once"),
    ),
    text="ls -l",
)


class Elsewhere:
    """Conversations of Kiro's, as a test wants them."""

    def __init__(self) -> None:
        self.conversations: list[KiroConversation] = []
        self.turns: list[PastTurn] = []
        self.before = 0
        self.reads = 0

    def listed(self, cwd: str | None) -> list[KiroConversation]:
        return self.conversations

    def find(self, engine: KiroEngine, kiro_id: str) -> KiroConversation | None:
        return next((one for one in self.conversations if (one.engine, one.kiro_id) == (engine, kiro_id)), None)

    def past(self, found: KiroConversation) -> tuple[Sequence[PastTurn], int]:
        self.reads += 1
        return self.turns, self.before

    def delete(self, engine: KiroEngine, kiro_id: str, cwd: str) -> None:
        raise AssertionError("nothing is deleted here")


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


@pytest.fixture
def book(bench: Bench, elsewhere: Elsewhere) -> SessionBook:
    """The book of sessions of a started engine."""
    bench.start()
    folders = Folders(bench.folder / "sessions", [bench.folder])
    return SessionBook(bench.engine, bench.ledger, elsewhere, folders)


def asks(bench: Bench, asked: ApprovalAsked = ASKED, session_id: str | None = None) -> int:
    """Have the running turn ask; return the id of the item."""
    bench.puppet.say(asked)
    found: list[int] = []

    def look() -> list[int]:
        run = bench.engine.running(session_id or bench.engine.primary)
        waiting = [] if run is None else bench.ledger.pending_approvals(run.turn_id)
        found.extend(stored.id for stored in waiting if stored.item.key == asked.key)
        return found

    bench.until(look)
    return found[0]


def states(bench: Bench) -> list[tuple[str, str]]:
    return [(turn.prompt, turn.state) for turn in bench.ledger.turns(bench.engine.primary)]


def test_one_of_many_answers_counts_and_kiro_is_told_once(bench: Bench) -> None:
    engine = bench.start()
    approvals = Approvals(engine, bench.ledger)
    engine.submit("go")
    item = asks(bench)
    gate = threading.Barrier(8)

    def answer(number: int) -> str:
        gate.wait(WAIT)
        option = ("o-yes", "o-no")[number % 2]
        try:
            return str(approvals.answer(engine.primary, item, option).item.data["answer"])
        except AlreadyAnswered as error:
            return f"late: {error.item.item.data['answer']}"

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(answer, range(8)))
    [winner] = [one for one in told if not one.startswith("late")]
    assert told.count(f"late: {winner}") == 7
    bench.sees(lambda: bench.puppet.heard)
    assert bench.puppet.heard == [ApprovalAnswer("approval:1", winner)]
    bench.puppet.say(ApprovalClosed("approval:1", "expired"), Ended("completed"))
    bench.settled()
    stored = bench.ledger.item(item)
    assert stored is not None and (stored.item.data["status"], stored.item.data["answer"]) == ("answered", winner)


def test_an_approval_nobody_answered_is_over_with_its_turn(bench: Bench) -> None:
    engine = bench.start()
    approvals = Approvals(engine, bench.ledger)
    engine.submit("go")
    item = asks(bench)
    bench.puppet.say(Ended("completed"))
    bench.settled()
    with pytest.raises(AlreadyAnswered, match="the turn ended before"):
        approvals.answer(engine.primary, item, "o-yes")
    assert approvals.pending(engine.primary) == []


def test_a_key_answers_the_oldest_and_no_question(bench: Bench) -> None:
    engine = bench.start()
    approvals = Approvals(engine, bench.ledger)
    engine.submit("go")
    first = asks(bench)
    second = asks(bench, replace(ASKED, key="approval:2", question=True))
    approvals.answer_key(engine.primary, "n")
    stored = bench.ledger.item(first)
    assert stored is not None and stored.item.data["answer"] == "o-no"
    with pytest.raises(RawRefused, match="no answer to what Kiro asks"):
        approvals.answer_key(engine.primary, "y")
    approvals.answer(engine.primary, second, "o-yes")
    bench.until(lambda: engine.status().phase == "working")
    with pytest.raises(RawRefused, match="none is pending"):
        approvals.answer_key(engine.primary, "y")


def test_a_reason_is_the_next_prompt_before_those_that_wait(bench: Bench) -> None:
    engine = bench.start()
    approvals = Approvals(engine, bench.ledger)
    engine.submit("go")
    engine.enqueue("later", engine.primary)
    item = asks(bench)
    approvals.answer(engine.primary, item, "o-no", " use make ")
    bench.puppet.say(Ended("completed"))
    bench.sees(lambda: len(bench.puppet.requests) == 2)
    assert bench.puppet.requests[1].prompt == "use make"
    bench.puppet.say(Ended("completed"))
    bench.sees(lambda: len(bench.puppet.requests) == 3)
    bench.puppet.say(Ended("completed"))
    bench.settled()
    assert states(bench) == [("go", "completed"), ("use make", "completed"), ("later", "completed")]


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_a_queue_is_held_after_a_turn_that_did_not_complete(bench: Bench, ending: str) -> None:
    engine = bench.start()
    engine.submit("go")
    assert engine.enqueue("next", engine.primary)[1] is not None
    bench.puppet.say(Ended("failed") if ending == "failed" else Ended("cancelled"))
    bench.until(lambda: bench.ledger.queue(engine.primary).held)
    assert len(bench.puppet.requests) == 1
    engine.submit("something else")
    bench.puppet.say(Ended("completed"))
    bench.settled()
    assert len(bench.puppet.requests) == 2
    engine.resume_queue(engine.primary)
    bench.sees(lambda: len(bench.puppet.requests) == 3)
    bench.puppet.say(Ended("completed"))
    bench.settled()
    assert states(bench)[-1] == ("next", "completed")


def test_a_prompt_queued_while_nothing_runs_is_sent_at_once(bench: Bench) -> None:
    engine = bench.start()
    turn, queued = engine.enqueue("now", engine.primary)
    assert turn is not None and queued is None
    with pytest.raises(UnknownSession):
        engine.enqueue("x", "none")


def test_queued_prompts_are_held_over_a_restart(bench: Bench) -> None:
    engine = bench.start()
    engine.submit("go")
    engine.enqueue("next", engine.primary)
    bench.restart()
    bench.start()
    assert bench.ledger.queue(bench.engine.primary).held.startswith("The bridge was started anew")
    assert bench.puppet.requests == []


def test_a_message_steers_where_kiro_takes_it(bench: Bench) -> None:
    engine = bench.start()
    with pytest.raises(RequestRefused, match="No turn runs"):
        engine.steer("left", engine.primary)
    engine.submit("go")
    with pytest.raises(RequestRefused, match="cannot be given a message"):
        engine.steer("left", engine.primary)
    bench.puppet.offered = Surface(features=frozenset({"steer"}))
    engine.steer(" left ", engine.primary)
    bench.sees(lambda: bench.puppet.heard or engine.busy())
    bench.puppet.say(Ended("completed"))
    bench.settled()
    assert bench.puppet.heard == [Steer("left")]


def test_options_reach_the_turn_that_runs(bench: Bench, book: SessionBook) -> None:
    engine = bench.engine
    engine.submit("go")
    bench.sees(lambda: bench.puppet.wishes or engine.busy())
    book.change(engine.primary, SessionChange(), {"trust": "all", "model": "m"})
    bench.puppet.say(TextDelta("x"), Ended("completed"))
    bench.settled()
    engine.submit("again")
    bench.puppet.say(Ended("completed"))
    bench.settled()
    assert bench.puppet.requests[1].options == SessionOptions(model="m", trust="all")
    facts = engine.facts(engine.session(engine.primary))
    assert (facts.wishes.trust, facts.wishes.model, facts.transport, facts.phase) == ("all", "m", "acp", "ready")


def test_wishes_at_the_same_time_are_all_kept(bench: Bench, book: SessionBook) -> None:
    session = bench.engine.primary
    together = threading.Barrier(3)

    def wish(name: str) -> None:
        for number in range(50):
            together.wait(30)
            book.change(session, SessionChange(), {name: f"{number}"})
            together.wait(30)
            found = bench.engine.session(session).options
            assert (found.model, found.agent, found.effort) == (f"{number}",) * 3
            together.wait(30)

    with ThreadPoolExecutor(3) as clients:
        for done in [clients.submit(wish, name) for name in ("model", "agent", "effort")]:
            done.result(60)


def test_no_more_turns_than_allowed_run_and_one_that_waits_can_be_stopped(tmp_path: Path) -> None:
    begun: list[int] = []
    slots = Slots(2)
    calls = [functools.partial(begun.append, number) for number in range(5)]
    for call in calls:
        slots.enter(call)
    assert begun == [0, 1] and slots.waits(calls[3])
    slots.hurry(calls[3])
    assert begun == [0, 1, 3]
    slots.leave()
    assert begun == [0, 1, 3]
    slots.leave()
    assert begun == [0, 1, 3, 2]
    slots.leave()
    assert begun == [0, 1, 3, 2, 4]


def test_the_cap_holds_over_sessions_and_says_so(bench: Bench, book: SessionBook) -> None:
    bench.engine._slots = Slots(1)
    other = book.create(None, "other").id
    bench.engine.submit("first")
    bench.sees(lambda: len(bench.puppet.requests) == 1)
    waiting = bench.engine.submit("second", other)
    running = bench.engine.doing(other)
    assert running is not None and running[0] == waiting.id and "fewer sessions" in running[1].text
    third = book.create(None, "third").id
    bench.engine.submit("third", third)
    assert bench.engine.cancel(other) is True
    bench.until(lambda: not bench.engine.busy(other))
    turn = bench.ledger.turn(waiting.id)
    assert turn is not None and turn.state == "cancelled"
    assert [request.prompt for request in bench.puppet.requests] == ["first"]
    bench.puppet.say(Ended("completed"))
    bench.sees(lambda: len(bench.puppet.requests) == 2)
    bench.puppet.say(Ended("completed"))
    bench.until(lambda: not bench.engine.busy(third))


def test_doing_names_what_is_asked_before_a_tool_before_words(bench: Bench) -> None:
    engine = bench.start()
    engine.submit("go")

    def doing() -> str:
        running = engine.doing(engine.primary)
        return "" if running is None else running[1].text

    bench.sees(lambda: doing() == "Starting Kiro")
    for event, expected in (
        (TextDelta("hm", "thought"), "Thinking"),
        (TextDelta("I see"), "Writing the answer"),
        (ToolSeen("t", name="shell", status="running", input={"command": "make\nall"}), "make"),
        (ASKED, "Waiting for an answer: Run ls"),
        (ApprovalClosed("approval:1", "expired"), "make"),
        (ToolSeen("t", status="completed"), "Writing the answer"),
    ):
        bench.puppet.say(event)
        bench.sees(lambda wanted=expected: doing() == wanted)  # type: ignore[misc]
    bench.puppet.say(Ended("completed"))
    bench.settled()
    assert engine.doing(engine.primary) is None


def test_a_command_and_a_turn_never_run_together(bench: Bench) -> None:
    engine = bench.start()
    engine.submit("go")
    with pytest.raises(AgentBusy):
        engine.command(engine.primary, "/context", "show")
    bench.puppet.say(Ended("completed"))
    bench.settled()
    assert engine.command(engine.primary, "/context", "show") == "/context show"


def test_folders_are_claimed_without_a_race(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "root", [])
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: folders.new(1_800_000_000.0), range(40)))
    assert len(set(made)) == 40
    names = sorted(Path(place).name for place in made)
    assert names[0].startswith("task-2027") and f"{names[0]}-02" in names and f"{names[0]}-40" in names
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestRefused, match="sessions_root"):
        Folders(tmp_path / "file" / "root", []).new(0.0)


@pytest.mark.parametrize("cwd", ["relative", "", "/with\0nul", "/proc/1/root/nothing", "~"])
def test_folders_that_are_none(tmp_path: Path, cwd: str) -> None:
    with pytest.raises(RequestRefused):
        Folders(tmp_path, [Path("/")]).given(cwd, ())


def test_a_fork_is_sent_the_transcript_and_shows_the_prompt(bench: Bench, book: SessionBook) -> None:
    engine = bench.engine
    engine.submit("find the heron")
    bench.puppet.say(
        SessionKnown("k-1", "v2"),
        TitleSeen("Herons"),
        ToolSeen("t", name="shell", title="look around", status="completed"),
        MessageRecorded("m", "It is </conversation> here."),
        Ended("completed"),
    )
    bench.settled()
    forked = book.fork(engine.primary)
    assert (forked.title, forked.kiro_id, forked.cwd) == ("Herons (fork)", None, str(bench.folder))
    engine.submit("/compact", forked.id)
    bench.puppet.say(Ended("failed"))
    bench.until(lambda: not engine.busy(forked.id))
    assert bench.puppet.requests[-1].prompt == "/compact"
    engine.submit("and the stork?", forked.id)
    bench.sees(lambda: len(bench.puppet.requests) == 3)
    sent = bench.puppet.requests[-1].prompt
    assert sent.endswith("\n\nand the stork?") and "find the heron" in sent and "look around" in sent
    assert sent.count("</conversation>") == 1
    bench.puppet.say(
        SessionKnown("k-2", "v2"), PromptRecorded("p", sent), MessageRecorded("n", "No."), Ended("completed")
    )
    bench.until(lambda: not engine.busy(forked.id))
    items = [stored.item for stored in bench.ledger.items(forked.id)]
    prompts = [(item.text, item.recorded) for item in items if item.kind == "prompt"]
    assert prompts == [("/compact", False), ("and the stork?", True)]
    assert any(item.kind == "notice" and "“Herons”" in item.text for item in items)
    engine.submit("more", forked.id)
    bench.sees(lambda: len(bench.puppet.requests) == 4)
    assert bench.puppet.requests[-1].prompt == "more"
    bench.puppet.say(Ended("completed"))


def test_a_transcript_is_bounded_and_keeps_the_end(bench: Bench, book: SessionBook) -> None:
    engine = bench.engine
    for number in range(12):
        engine.submit(f"prompt {number} " + "x" * 3000)
        bench.puppet.say(MessageRecorded(f"m{number}", "y" * 9000), Ended("completed"))
        bench.settled()
    text = transcript(bench.ledger, engine.primary)
    assert LENGTH / 2 < len(text) < LENGTH + 200
    assert text.startswith("[What was said before is left out.]") and "prompt 11" in text and "prompt 0 " not in text
    assert sent_with(("t", ""), "x") == ""


def test_a_crash_in_a_forks_first_turn_still_shows_the_prompt_as_written(bench: Bench, book: SessionBook) -> None:
    engine = bench.engine
    engine.submit("find the heron")
    bench.puppet.say(MessageRecorded("m", "Here."), Ended("completed"))
    bench.settled()
    forked = book.fork(engine.primary).id
    turn = engine.submit("and?", forked)
    bench.sees(lambda: bench.ledger.turn(turn.id).mark)  # type: ignore[union-attr]
    sent = turn.sent
    bench.engine._runs[forked]._journal = BrokenJournal()  # type: ignore[assignment]
    bench.restart()
    bench.puppet.recorded = (PromptRecorded("p", sent), MessageRecorded("n", "There."))
    bench.start()
    items = [stored.item for stored in bench.ledger.items(forked)]
    assert [(item.text, item.recorded) for item in items if item.kind == "prompt"] == [("and?", True)]


class BrokenJournal:
    """A journal that has lost its ledger, as in a crash."""

    def apply(self, *_: object) -> None:
        from bridge.errors import LedgerError

        raise LedgerError("gone")


def past(number: int) -> PastTurn:
    events = (
        ToolSeen(f"t{number}", name="shell", status="running", recorded=True),
        MessageRecorded(f"m{number}", f"answer {number}"),
    )
    return PastTurn(f"prompt {number}", float(number), float(number) + 0.5, events)


def test_a_conversation_is_taken_over_once_with_each_thing_once(
    bench: Bench, book: SessionBook, elsewhere: Elsewhere
) -> None:
    found = KiroConversation("v2", "k-9", str(bench.folder), "Theirs", 70.0, 60)
    elsewhere.conversations = [found]
    elsewhere.turns = [*map(past, range(60)), replace(past(3), prompt="again")]
    elsewhere.before = 7
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: book.adopt("v2", "k-9").id, range(4)))
    assert len(set(made)) == 1 and elsewhere.reads == 1
    session = bench.engine.session(made[0])
    assert (session.title, session.kiro_id, session.origin, session.updated_at) == (
        "Theirs",
        "k-9",
        "kiro",
        session.updated_at,
    )
    turns = bench.ledger.turns(session.id)
    assert [turn.prompt for turn in turns] == [*(f"prompt {number}" for number in range(60)), "again"]
    kinds = [stored.item.kind for stored in bench.ledger.turn_items(turns[0].id)]
    assert kinds == ["prompt", "notice", "tool", "text"]
    assert [stored.item.kind for stored in bench.ledger.turn_items(turns[-1].id)] == ["prompt"]
    tool = bench.ledger.turn_items(turns[5].id)[1].item
    assert (tool.data["status"], tool.final) == ("completed", True)
    [(listed, by)] = book.elsewhere(None)
    assert by is not None and (listed, by.id) == (found, session.id)
    bench.engine.submit("go on", session.id)
    bench.sees(lambda: bench.puppet.requests)
    assert (bench.puppet.requests[0].kiro_id, bench.puppet.requests[0].engine) == ("k-9", "v2")
    bench.puppet.say(Ended("completed"))


def test_our_own_conversations_are_not_listed(bench: Bench, book: SessionBook, elsewhere: Elsewhere) -> None:
    bench.engine.submit("go")
    bench.puppet.say(SessionKnown("k-1", "v2"), Ended("completed"))
    bench.settled()
    elsewhere.conversations = [
        KiroConversation("v2", "k-1", "/w", "", 1.0),
        KiroConversation("v3", "k-1", "/w", "", 1.0),
    ]
    assert [one.engine for one, _ in book.elsewhere(None)] == ["v3"]
    with pytest.raises(RequestRefused, match="holds no conversation"):
        book.adopt("v1", "k-1")
    with pytest.raises(RequestRefused, match="no folder /w"):
        book.adopt("v3", "k-1")


def test_a_reading_that_a_crash_cut_is_dropped(bench: Bench, book: SessionBook, elsewhere: Elsewhere) -> None:
    found = KiroConversation("v2", "k-9", str(bench.folder), "Theirs", 70.0)
    half = bench.ledger.adopt_session(found)
    upkeep = Upkeep(bench.engine, bench.ledger, book.adoption, every=60.0)
    upkeep.start()
    upkeep.stop()
    assert bench.ledger.session(half.id) is None
    elsewhere.conversations = [found]
    assert book.adopt("v2", "k-9").id != half.id


def test_upkeep_indexes_and_purges(bench: Bench, book: SessionBook) -> None:
    engine = bench.engine
    engine.submit("a heron")
    bench.puppet.say(Notice("n", "x"), Ended("completed"))
    bench.settled()
    upkeep = Upkeep(engine, bench.ledger, book.adoption, every=60.0)
    upkeep.start()
    bench.ledger.search("heron", 1)
    upkeep.stop()
    while bench.ledger.index():
        pass
    assert [found.session_id for found in bench.ledger.search("heron", 9)].count(engine.primary) >= 1


def test_seats_close_what_is_not_used(bench: Bench) -> None:
    engine = bench.start()
    session: Session = engine.session(engine.primary)
    engine.submit("go")
    engine.seats.close_idle(lambda _: True, idle_seconds=0.0)
    assert engine.seats.kind(session.id) == "acp" and not bench.puppet.closed
    bench.puppet.say(Ended("completed"))
    bench.settled()
    engine.seats.close_idle(lambda _: False, idle_seconds=-1.0)
    assert engine.seats.kind(session.id) is None and bench.puppet.closed
    assert engine.seats.take(session) is bench.puppet
