"""How much memory a builder needs at its peak."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

INTERVAL = 0.01
"""Seconds between two looks."""


def peak(work: Callable[[], object], daemons: Iterable[int], others: Iterable[int]) -> float:
    """Bytes that a builder's processes had together at their peak while `work` ran.

    Counted are the daemons with their children, with what they have at each look, and what `work`
    starts, with the most that each process had so far. `others` are daemons that belong to other
    builders.
    """
    done = threading.Event()
    most = 0

    def look() -> None:
        nonlocal most
        while not done.wait(INTERVAL):
            most = max(most, together(set(daemons), set(others)))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return float(most)


def together(daemons: set[int], others: set[int]) -> int:
    """What the daemons and the bench's other children have right now."""
    children = family()
    own = command(os.getpid())
    started = [pid for pid in children.get(os.getpid(), ()) if pid not in daemons | others]
    # between fork and exec a child is still this program, with this program's memory
    clients = [pid for pid in started if command(pid) != own]
    return sum(memory(pid, "VmRSS") for pid in below(daemons, children)) + sum(
        memory(pid, "VmHWM") for pid in below(clients, children)
    )


def family() -> dict[int, list[int]]:
    """The children of every process."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    return children


def command(pid: int) -> bytes:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def below(roots: Iterable[int], children: dict[int, list[int]]) -> list[int]:
    """Processes with all their descendants."""
    found = list(roots)
    for pid in found:
        found += children.get(pid, ())
    return found


def memory(pid: int, field: str) -> int:
    """Bytes of one line of a process's status; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))
