"""A few tasks in threads, for they mostly wait: for servers, disks, compression; and what threads share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from jettison.errors import Cancelled

T = TypeVar("T")


def side_by_side(tasks: Sequence[Callable[[], T]], jobs: int, stop: threading.Event | None = None) -> list[T]:
    """The results of all tasks in order, at most `jobs` at a time; the calling thread takes part.

    After the first failure no further task begins, and `stop` is set for those that run; it is raised when
    they have ended. (A thread pool would do the same, but importing one takes longer than a no-op build.)
    """
    results: dict[int, T] = {}
    failures: list[BaseException] = []
    numbers = iter(range(len(tasks)))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = None if failures else next(numbers, None)
            if number is None:
                return
            try:
                results[number] = tasks[number]()
            except BaseException as error:
                failures.append(error)
                if stop is not None:
                    stop.set()

    threads = [threading.Thread(target=work) for _ in range(min(jobs, len(tasks)) - 1)]
    for thread in threads:
        thread.start()
    work()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        if stop is not None:
            stop.set()
        raise
    if failures:
        # What was stopped because of a failure is not its reason.
        raise next((error for error in failures if not isinstance(error, Cancelled)), failures[0])
    return [results[number] for number in range(len(tasks))]


def once(make: Callable[[], T]) -> Callable[[], T]:
    """Gives what `make` makes, which is called when that is first wanted: by one thread, the others wait.

    When it raises, nothing is kept. (`functools.cache` would let every thread that comes early make its own.)
    """
    lock = threading.Lock()
    made: list[T] = []

    def get() -> T:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get
