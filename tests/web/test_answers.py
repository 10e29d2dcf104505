"""Answers that many ask for at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from bridge.web.answers import Answer, Answers, Body


class Counter:
    """Makes answers that say how many were made, and can be held up."""

    def __init__(self) -> None:
        self.made = 0
        self.at_once = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def make(self) -> Answer:
        self.at_once += 1
        assert self.at_once == 1, "two are made at a time"
        self.made += 1
        number = self.made
        self.begun.set()
        assert self.go_on.wait(60)
        self.at_once -= 1
        return Answer("200 OK", [], Body(b"%d" % number))


def gathered(answers: Answers, counter: Counter, requests: list[str]) -> list[bytes]:
    """Have one answer held up in its making while those for `requests` are asked for; return these."""
    with ThreadPoolExecutor(len(requests) + 1) as pool:
        first: Future[Answer] = pool.submit(answers.made, "a", counter.make)
        assert counter.begun.wait(60)
        waiting = [pool.submit(answers.made, request, counter.make) for request in requests]
        while answers.waiting < len(requests) + 1:
            pass
        counter.go_on.set()
        assert first.result(60).body.data == b"1"
        return [each.result(60).body.data for each in waiting]


def test_those_who_came_in_time_share_one_answer() -> None:
    counter = Counter()
    found = gathered(Answers(), counter, ["a"] * 20)
    assert found == [b"2"] * 20 and counter.made == 2


def test_different_requests_get_different_answers() -> None:
    counter = Counter()
    found = gathered(Answers(), counter, ["b", "c"])
    assert sorted(found) == [b"2", b"3"]


def test_nobody_gets_what_was_made_before_they_came() -> None:
    answers, counter = Answers(), Counter()
    counter.go_on.set()
    assert [answers.made("a", counter.make).body.data for _ in range(3)] == [b"1", b"2", b"3"]


def test_a_failure_is_of_no_consequence_for_others() -> None:
    answers, counter = Answers(), Counter()

    def fail() -> Answer:
        raise MemoryError

    for _ in range(2):
        try:
            answers.made("a", fail)
        except MemoryError:
            continue
        raise AssertionError("the failure was not told")
    counter.go_on.set()
    assert answers.made("a", counter.make).body.data == b"1"


def test_equal_bytes_are_held_once_and_no_longer_than_needed() -> None:
    answers = Answers()
    first, equal, other = Body(bytes(1000)), Body(bytes(1000)), Body(bytes(999))
    assert answers.held_once(first) is first
    assert answers.held_once(equal) is first
    assert answers.held_once(other) is other
    del first
    again = Body(bytes(1000))
    assert answers.held_once(again) is again
