"""Several threads with the same question to kiro-cli."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.kiro.ending import Ending
from bridge.kiro.single_flight import SingleFlight

HANG = 30.0


class Question:
    """Counts how often it is asked, and answers its number once it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.begun, self.may = threading.Event(), threading.Event()

    def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        self.begun.set()
        assert self.may.wait(HANG)
        return number


class Watched:
    """A `Cancellation` that never happens and knows that somebody waits with it."""

    def __init__(self) -> None:
        self.looked_at = threading.Event()

    def wake_fd(self) -> int:
        return -1

    def cancelled(self) -> bool:
        self.looked_at.set()
        return False


def asked_twice(first: Ending | None, later: Callable[[], None] = lambda: None) -> tuple[int, int]:
    """Ask from two threads, the second while the first is under way; `later` is called when both are."""
    flights, question, waiting = SingleFlight(), Question(), Watched()
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(flights.ask, "key", question, first)
        assert question.begun.wait(HANG)
        two = threads.submit(flights.ask, "key", question, waiting)
        assert waiting.looked_at.wait(HANG)
        later()
        question.may.set()
        return one.result(HANG), two.result(HANG)


def test_one_answer_serves_all_who_wait() -> None:
    assert asked_twice(None) == (1, 1)


def test_an_answer_cut_short_is_asked_for_again() -> None:
    ending = Ending()
    try:
        assert asked_twice(ending, ending.begin) == (1, 2)
    finally:
        ending.release()


def test_who_is_to_stop_does_not_wait_for_another() -> None:
    flights, question, ending = SingleFlight(), Question(), Ending()
    try:
        with ThreadPoolExecutor(2) as threads:
            slow = threads.submit(flights.ask, "key", question, None)
            assert question.begun.wait(HANG)
            stopped = threads.submit(flights.ask, "key", lambda: -1, ending)
            ending.begin()
            assert stopped.result(HANG) == -1 and not slow.done()
            question.may.set()
    finally:
        ending.release()


def test_a_question_that_fails_leaves_nothing() -> None:
    flights = SingleFlight()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            flights.ask("key", lambda: 1 // 0, None)
    assert flights.ask("key", lambda: 5, None) == 5
