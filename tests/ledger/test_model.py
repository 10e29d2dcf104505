"""Any sequence of changes gives what a simple model says, to readers and to clients that were away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.items import Change, Item, ItemPut, ItemRemoved, SessionLearned, TextAppended, TurnEnded
from bridge.core.records import DeltaEvent, Event, ItemEvent, RemovedEvent, Session, StoredItem, Turn, TurnEvent
from bridge.ledger import Ledger
from tests.ledger.conftest import Ticking

KEYS = tuple("abcde")
TEXT = st.text(st.sampled_from("xy é😀\0\ud83d\n"), max_size=6)


def stored(text: str) -> str:
    """Return a text of this test as the ledger keeps it."""
    return text.replace("\ud83d", "\ufffd")


@dataclass
class Model:
    """What one session should hold: its items by key with the number of their turn, and how turns ended."""

    items: dict[str, tuple[int, Item]] = field(default_factory=dict)
    title: str = ""
    ends: dict[int, str] = field(default_factory=dict)

    def apply(self, turn: int, change: Change) -> None:
        """Follow one change of the turn."""
        if isinstance(change, ItemPut):
            old = self.items.pop(change.old_key, None) if change.old_key else None
            home, before = self.items.get(change.item.key) or old or (turn, change.item)
            position = change.item.position if home == turn else before.position
            self.items[change.item.key] = (home, replace(change.item, text=stored(change.item.text), position=position))
        elif isinstance(change, TextAppended):
            home, item = self.items[change.key]
            self.items[change.key] = (home, replace(item, text=item.text + stored(change.text)))
        elif isinstance(change, ItemRemoved):
            self.items.pop(change.key, None)
        elif isinstance(change, SessionLearned):
            self.title = change.title or self.title
        else:
            self.ends[turn] = change.outcome

    def of(self, turn: int) -> list[Item]:
        """Return the items of a turn in their order; positions of this test are unique within a turn."""
        return sorted((item for home, item in self.items.values() if home == turn), key=lambda item: item.position)


@dataclass
class Client:
    """Someone who follows the events, and may be away for a while."""

    seq: int = 0
    items: dict[int, StoredItem] = field(default_factory=dict)
    turns: dict[int, Turn] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)

    def follow(self, events: Iterable[Event]) -> None:
        """Take in events that follow the last one."""
        for event in events:
            assert event.seq > self.seq
            self.seq = event.seq
            if isinstance(event, ItemEvent):
                assert event.item.seq == event.seq
                self.items[event.item.id] = event.item
            elif isinstance(event, DeltaEvent):
                self._grow(event)
            elif isinstance(event, RemovedEvent):
                self.items.pop(event.item_id, None)
            elif isinstance(event, TurnEvent):
                self.turns[event.turn.id] = event.turn
            else:
                self.sessions[event.session_id] = event.session

    def _grow(self, event: DeltaEvent) -> None:
        before = self.items[event.item_id]
        assert event.offset == len(before.item.text)
        grown = replace(before.item, text=before.item.text + event.text)
        self.items[event.item_id] = replace(before, item=grown, updated_at=event.at, seq=event.seq)

    def catch_up(self, ledger: Ledger, limit: int) -> None:
        """Ask for everything since the last event, in pages."""
        while page := ledger.events_after(self.seq, limit=limit):
            self.follow(page)

    def states(self) -> dict[int, tuple[str, object]]:
        """Return how each turn stands."""
        return {turn.id: (turn.state, turn.ended_at) for turn in self.turns.values()}


class Run:
    """A ledger with one session, driven by what hypothesis draws, and compared with the model and the clients."""

    def __init__(self, ledger: Ledger, data: st.DataObject) -> None:
        self.ledger, self.data, self.model = ledger, data, Model()
        self.live, self.away = Client(), [Client()]
        self.places = 0
        session, event = ledger.create_session("/a")
        self.session_id = session.id
        self.live.follow([event])
        self.begin_turn()

    def begin_turn(self) -> None:
        """Accept and start the next turn."""
        self.turn, events = self.ledger.accept(self.session_id, "prompt")
        self.live.follow([*events, self.ledger.start(self.turn.id)])
        item = Item(f"prompt:{self.turn.id}", "prompt", 0, "prompt", final=True)
        self.model.items[item.key] = (self.turn.id, item)

    def draw_change(self) -> Change:
        """Return a change that can follow what the model holds."""
        growing = [key for key in KEYS if key in self.model.items and not self.model.items[key][1].final]
        kinds = ["put", "put", "rename", "remove", "title"] + ["append"] * 6 * bool(growing)
        kind = self.data.draw(st.sampled_from(kinds))
        if kind == "append":
            key = self.data.draw(st.sampled_from(growing))
            return TextAppended(key, len(self.model.items[key][1].text), self.data.draw(TEXT))
        if kind == "remove":
            return ItemRemoved(self.data.draw(st.sampled_from(KEYS)))
        if kind == "title":
            return SessionLearned(title=self.data.draw(st.sampled_from(["one", "two"])))
        self.places += 1
        key, old = self.data.draw(st.sampled_from(KEYS)), self.data.draw(st.sampled_from(KEYS))
        final, text = self.data.draw(st.booleans()), self.data.draw(TEXT)
        item = Item(key, "text", self.places, text, {"n": self.places}, final)
        return ItemPut(item, old_key=old if kind == "rename" and old != key else None)

    def step(self) -> None:
        """Apply one batch; sometimes the turn ends with it; sometimes a client goes away."""
        batch: list[Change] = []
        for _ in range(self.data.draw(st.integers(1, 4))):
            batch.append(self.draw_change())
            self.model.apply(self.turn.id, batch[-1])
        ends = self.data.draw(st.integers(0, 5)) == 0
        if ends:
            batch.append(TurnEnded(self.data.draw(st.sampled_from(["completed", "failed"]))))
            self.model.apply(self.turn.id, batch[-1])
        self.live.follow(self.ledger.apply(self.turn.id, batch))
        if self.data.draw(st.integers(0, 3)) == 0:
            live = self.live
            self.away.append(Client(live.seq, dict(live.items), dict(live.turns), dict(live.sessions)))
        if ends:
            self.begin_turn()

    def check(self) -> None:
        """Compare the ledger with the model, and what each client sees with the ledger."""
        turns = self.ledger.turns(self.session_id)
        by_turn = {turn.id: self.ledger.turn_items(turn.id) for turn in turns}
        assert {turn: [one.item for one in items] for turn, items in by_turn.items()} == {
            turn.id: self.model.of(turn.id) for turn in turns
        }
        assert {turn.id: turn.state for turn in turns if turn.ended_at is not None} == self.model.ends
        everything = [one for items in by_turn.values() for one in items]
        assert self.ledger.items(self.session_id, limit=10_000) == everything
        assert self.live.seq == self.ledger.last_seq()
        limit = self.data.draw(st.integers(1, 7))
        for client in self.away:
            client.catch_up(self.ledger, limit)
        for client in [self.live, *self.away]:
            assert client.seq == self.live.seq
            assert client.items == {one.id: one for one in everything}
            assert client.states() == {turn.id: (turn.state, turn.ended_at) for turn in turns}
            assert client.sessions[self.session_id].title == self.model.title


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_ledger_model_and_clients_agree(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.sqlite3"
        with closing(Ledger.open(path, Ticking())) as ledger:
            run = Run(ledger, data)
            for _ in range(data.draw(st.integers(1, 12))):
                run.step()
            run.check()
        with closing(Ledger.open(path, Ticking())) as run.ledger:
            run.check()
