"""The guard who sees to it that a step keeps within its limits: with cgroups, or by looking at it often."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from jettison.dataclass import dataclass
from jettison.errors import Cancelled
from jettison.request import Limits
from jettison.sandbox.base import Started

if TYPE_CHECKING:
    from jettison.sandbox.cgroups import Cgroup

KILLED = 137
"""The exit status of a process that SIGKILL has ended."""

_RUNTIME_PIDS, _RUNC_PIDS = 2, 16
"""Processes and threads of the runtime, which are in the step's group as well."""


What = Literal["memory", "pids", "time"]


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A limit that was reached. `used` is the most that there was at once, 0 where nobody knows."""

    what: What
    used: int = 0


class Guard(threading.Event):
    """Sees to it that a step keeps within its limits. To the sandbox it is the step's `cancel`.

    It is set when the build is cancelled, when the time is over, and when a watcher has found too much.
    """

    def __init__(self, limits: Limits, cancel: threading.Event, groups: Mapping[str, Cgroup]) -> None:
        super().__init__()
        self._limits = limits
        self._cancel = cancel
        self._groups = groups
        self._deadline = math.inf
        self._found: Exceeded | None = None
        self._over = threading.Event()

    def is_set(self) -> bool:
        """Whether the step has to end."""
        if time.monotonic() >= self._deadline and not super().is_set():
            self._end("time", 0)
        return self._cancel.is_set() or super().is_set()

    def started(self, pid: int) -> None:
        """Take the step's first process into its groups, before it does anything. Raises OSError."""
        limits = self._limits
        if limits.seconds:
            self._deadline = time.monotonic() + limits.seconds
        for group in set(self._groups.values()):
            group.join(pid)
        if limits.cpus and "cpu" not in self._groups:
            _keep_to_cores(pid, math.ceil(limits.cpus))
        memory = 0 if "memory" in self._groups else limits.memory
        pids = 0 if "pids" in self._groups else limits.pids
        if memory or pids:
            from jettison.sandbox.watcher import watch

            arguments = (pid, memory, pids, self._over, self._end)
            threading.Thread(target=watch, args=arguments, name="limits of a step", daemon=True).start()

    def _end(self, what: What, used: int) -> None:
        self._found = Exceeded(what, used)
        self.set()

    def exceeded(self) -> Exceeded | None:
        """The limit that the step has reached, if there is one; to be asked when it is over."""
        if self._cancel.is_set():
            return None
        memory, pids = self._groups.get("memory"), self._groups.get("pids")
        if self._found is not None:
            return self._found
        if memory is not None and memory.kills():
            return Exceeded("memory", memory.peak())
        if pids is not None and pids.refusals():
            return Exceeded("pids")
        return None

    def close(self) -> None:
        """Stop watching."""
        self._over.set()


def run_within(
    limits: Limits,
    cancel: threading.Event,
    sandbox: str,
    warn: Callable[[str], None],
    run: Callable[[threading.Event, Started], int],
) -> tuple[int, Exceeded | None]:
    """Call `run(cancel, started)`, which hands both to a sandbox of that name. Not inside private mounts.

    Gives the exit status (137 for a step that had to be ended), and the limit that was reached. `warn` is
    told what this machine does not let us keep to as exactly as asked. Raises what `run` raises.
    """
    if not limits.any():
        return run(cancel, None), None
    from jettison.sandbox import cgroups

    extra = _RUNC_PIDS if sandbox.startswith("runc") else _RUNTIME_PIDS
    pids = limits.pids and limits.pids + extra
    cpu = limits.cpus and max(1000, round(limits.cpus * cgroups.PERIOD))
    wanted = {"memory": limits.memory, "pids": pids, "cpu": int(cpu)}
    groups = cgroups.make({controller: amount for controller, amount in wanted.items() if amount})
    guard = Guard(Limits(limits.memory, pids, limits.cpus, limits.seconds), cancel, groups)
    try:
        if text := shortcomings(limits, groups):
            warn(text)
        status = run(guard, guard.started)
        return status, guard.exceeded() if status else None
    except Cancelled:
        exceeded = guard.exceeded()
        if exceeded is None:
            raise
        return KILLED, exceeded
    finally:
        guard.close()
        cgroups.remove(groups)


def shortcomings(limits: Limits, groups: Mapping[str, object]) -> str:
    """What is not kept to by the kernel itself, in a sentence; "" when all is."""
    watched = [
        option
        for option, amount, controller in (
            ("--memory", limits.memory, "memory"),
            ("--pids-limit", limits.pids, "pids"),
        )
        if amount and controller not in groups
    ]
    parts = []
    if watched:
        parts.append(f"{' and '.join(watched)} by looking at the processes 20 times a second")
    if limits.cpus and "cpu" not in groups:
        cores = math.ceil(limits.cpus)
        parts.append(f"--cpus by keeping to {cores} core" + ("" if cores == 1 else "s"))
    if not parts:
        return ""
    return f"no cgroup can be made here: {', and '.join(parts)}"


def _keep_to_cores(pid: int, count: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if count < len(cores):
        # Steps side by side should not all get the same ones.
        os.sched_setaffinity(pid, {cores[(pid + number) % len(cores)] for number in range(count)})
