"""The ring of recent events."""

from __future__ import annotations

from bridge.core.records import DeltaEvent
from bridge.engine import Hub


def delta(seq: int, text: str = "x") -> DeltaEvent:
    return DeltaEvent(seq, "s", 1, 1, 0, text, 0.0)


def test_subscribers_ask_for_what_follows_their_own_sequence() -> None:
    hub = Hub(10)
    assert hub.since(10) == []
    hub.publish([delta(11), delta(12)])
    hub.publish([delta(14)])
    assert [event.seq for event in hub.since(11) or []] == [12, 14]
    assert hub.since(14) == []
    assert hub.last_seq == 14


def test_one_that_has_fallen_behind_the_ring_is_told_so() -> None:
    hub = Hub(0, max_events=3)
    hub.publish([delta(seq) for seq in range(1, 6)])
    assert hub.since(1) is None
    assert [event.seq for event in hub.since(2) or []] == [3, 4, 5]


def test_the_ring_is_bounded_by_its_text_too() -> None:
    hub = Hub(0, max_chars=10_000)
    hub.publish([delta(seq, "x" * 4000) for seq in range(1, 9)])
    assert hub.since(0) is None
    assert [event.seq for event in hub.since(6) or []] == [7, 8]


def test_listeners_are_woken_until_they_stop() -> None:
    hub, calls = Hub(0), []
    stop = hub.listen(lambda: calls.append(hub.last_seq))
    hub.publish([delta(1)])
    hub.wake()
    stop()
    hub.publish([delta(2)])
    assert calls == [1, 1]
