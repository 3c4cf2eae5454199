"""Looks after the memory and the number of a step's processes where no cgroup can, by looking at it often."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Literal

EVERY = 0.05
"""Seconds between two looks, and more where a look takes long."""

_SHARE = 4
"""A look may take a quarter of the time."""

Kind = Literal["memory", "pids"]


def watch(
    pid: int, memory: int, pids: int, over: threading.Event, exceeded: Callable[[Kind, int], None]
) -> None:
    """Look at a process and all its descendants until `over`, or until there are too many or too large ones.

    `memory` is in bytes; 0 is no limit. `exceeded` gets what there was too much of, and how much.
    """
    pause = EVERY
    while not over.wait(pause):
        began = time.monotonic()
        found = descendants(pid, pids or 1 << 20)
        if pids and len(found) > pids:
            exceeded("pids", len(found))
            return
        if memory and sum(map(_rough, found)) > memory:
            used = sum(map(_exact, found))
            if used > memory:
                exceeded("memory", used)
                return
        pause = max(EVERY, _SHARE * (time.monotonic() - began))


def descendants(pid: int, most: int) -> list[int]:
    """A process and all that come from it; not many more than `most`.

    Orphans are adopted by the first of their PID namespace, so none is missed there.
    """
    found = [pid]
    for parent in found:
        if len(found) > most:
            break
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children", encoding="ascii") as file:
                    found += map(int, file.read().split())
        except OSError:
            continue
    return found


def _rough(pid: int) -> int:
    """Bytes of a process's own that are in memory; what it shares with others is counted in each of them."""
    return _kilobytes(f"/proc/{pid}/status", ("RssAnon:", "RssShmem:")) << 10


def _exact(pid: int) -> int:
    """The same with its part of what is shared. Takes the kernel longer."""
    return _kilobytes(f"/proc/{pid}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:")) << 10 or _rough(pid)


def _kilobytes(path: str, names: tuple[str, ...]) -> int:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith(names))
    except OSError:
        return 0
