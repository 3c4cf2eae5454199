"""How busy the machine is."""

from __future__ import annotations

import os
import time

from jettison.executor.load import idle_cores


def test_the_first_answer_is_none() -> None:
    assert idle_cores()() == 0.0


def test_too_short_a_time_says_nothing() -> None:
    idle = idle_cores()
    idle()
    assert idle() == 0.0


def test_no_more_cores_are_idle_than_there_are() -> None:
    idle = idle_cores()
    idle()
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        pass
    cores = os.cpu_count() or 1
    # This very loop keeps one of them busy; a tick or two may be counted late.
    assert 0.0 <= idle() <= cores - 0.5
