"""Tasks in threads: order of results, failures, stopping."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from jettison.errors import Cancelled
from jettison.side_by_side import once, side_by_side


def test_results_come_in_order_and_all_run_at_once() -> None:
    meeting = threading.Barrier(3, timeout=20)

    def task(number: int) -> Callable[[], int]:
        def body() -> int:
            meeting.wait()
            return number

        return body

    assert side_by_side([task(number) for number in range(3)], 3) == [0, 1, 2]


def test_no_more_than_jobs_run_at_once() -> None:
    running: list[int] = []

    def task() -> int:
        running.append(1)
        count = len(running)
        running.pop()
        return count

    assert side_by_side([task] * 20, 1) == [1] * 20


def test_nothing_to_do() -> None:
    assert side_by_side([], 4) == []


def test_after_a_failure_nothing_begins() -> None:
    begun: list[str] = []

    def fail() -> None:
        begun.append("fail")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        side_by_side([fail, lambda: begun.append("late")], 1)
    assert begun == ["fail"]


def test_the_reason_is_raised_and_not_what_was_stopped_for_it() -> None:
    stop = threading.Event()
    started = threading.Event()

    def stopped() -> None:
        started.set()
        stop.wait(20)
        raise Cancelled("stopped")

    def fail() -> None:
        started.wait(20)
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        side_by_side([stopped, fail], 2, stop)
    assert stop.is_set()


def test_what_is_shared_is_made_once() -> None:
    begun = threading.Barrier(2, timeout=20)
    both_make = threading.Barrier(2, timeout=0.1)

    def make() -> object:
        with pytest.raises(threading.BrokenBarrierError):
            both_make.wait()
        return object()

    shared = once(make)

    def task() -> object:
        begun.wait()
        return shared()

    first, second = side_by_side([task, task], 2)
    assert first is second


def test_what_could_not_be_made_is_tried_again() -> None:
    answers = iter([None, 7])

    def make() -> int:
        answer = next(answers)
        if answer is None:
            raise OSError
        return answer

    shared = once(make)
    with pytest.raises(OSError):
        shared()
    assert [shared(), shared()] == [7, 7]
