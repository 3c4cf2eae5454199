"""Waiting for others, servers and pipes, in a way that a stopped build does not have to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from jettison.errors import Cancelled

T = TypeVar("T")
_LOOK = 0.1
"""Seconds between two looks at whether the build was stopped."""


def interruptible(work: Callable[[], T], cancel: threading.Event | None) -> T:
    """Do something in a thread of its own; give its result or raise its exception.

    Raises Cancelled as soon as `cancel` is set. The thread is then left to itself: it must
    look at `cancel` before it writes anything, and may not keep the process from ending.
    """
    if cancel is None:
        return work()
    results: list[T] = []
    errors: list[BaseException] = []
    over = threading.Event()

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            over.set()

    threading.Thread(target=body, name="waiting for others", daemon=True).start()
    while not over.wait(_LOOK):
        if cancel.is_set():
            raise Cancelled("the build was stopped")
    if errors:
        raise errors[0]
    return results[0]
