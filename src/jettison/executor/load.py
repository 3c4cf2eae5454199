"""How busy the machine is, and how many steps run side by side for that.

Steps which only wait don't keep others from running.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from jettison.solver.solve import Slots

_MOST_STEPS = 16
"""Steps side by side, where most of them leave their cores idle."""

_SHORTEST = 0.03
"""Seconds: the kernel counts in ticks of 10 ms, and fewer of them say too little."""


def slots_for(jobs: int) -> Slots:
    """The slots of a build with `jobs` steps side by side; for 0 it depends on the machine."""
    if jobs:
        return Slots(jobs)
    cores = len(os.sched_getaffinity(0))
    return Slots(cores, max(_MOST_STEPS, 2 * cores), idle_cores())


def idle_cores() -> Callable[[], float]:
    """A function that gives how many cores were idle, on average, since it was last called.

    It gives 0 the first time, after too short a time, and where the kernel does not tell.
    """
    tick = 1 / os.sysconf("SC_CLK_TCK")
    last: list[float] = []

    def idle() -> float:
        nonlocal last
        now = [time.monotonic(), _idle_ticks() * tick]
        if last and now[0] - last[0] < _SHORTEST:
            return 0.0
        before, last = last, now
        return (now[1] - before[1]) / (now[0] - before[0]) if before else 0.0

    return idle


def _idle_ticks() -> int:
    """Idle time of all cores together (proc(5): the fields idle and iowait of /proc/stat)."""
    try:
        with open("/proc/stat", "rb") as file:
            fields = file.readline().split()
        return int(fields[4]) + int(fields[5])
    except (OSError, ValueError, IndexError):
        return 0
