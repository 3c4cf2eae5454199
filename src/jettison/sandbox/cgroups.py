"""Control groups for one step, of version 1 or 2, wherever this process may make some.

A group's folder is made beside or below this process's own, holds a lock as long as its builder lives,
and goes with the step; those of builders that were killed are removed by the next one that makes any.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

from jettison import kernel
from jettison.dataclass import dataclass

PERIOD = 100_000
"""Microseconds in which a group may use its share of the processors."""

_PREFIX = "jettison-step-"
_LAST_TRIES = 200
_PAUSE = 0.005
"""Seconds; the kernel lets go of a group some moments after its last process has ended."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One group: its folder, opened before mounts change what is seen of it."""

    path: str
    descriptor: int
    version: int

    def join(self, pid: int) -> None:
        """Put a process in. Raises OSError."""
        self.write("cgroup.procs", str(pid))

    def write(self, name: str, text: str) -> None:
        """Write one of the group's files. Raises OSError."""
        descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self.descriptor)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def read(self, name: str) -> str:
        """What one of the group's files says; "" where there is no such file."""
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.descriptor)
        except OSError:
            return ""
        with open(descriptor, encoding="ascii", errors="replace") as file:
            return file.read()

    def limit(self, controller: str, amount: int) -> None:
        """Set a controller's limit: bytes, processes, or microseconds in each `PERIOD`. Raises OSError."""
        if controller == "pids":
            self.write("pids.max", str(amount))
        elif controller == "cpu" and self.version == 1:
            self.write("cpu.cfs_period_us", str(PERIOD))
            self.write("cpu.cfs_quota_us", str(amount))
        elif controller == "cpu":
            self.write("cpu.max", f"{amount} {PERIOD}")
        else:
            names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
            name, swap = names if self.version == 1 else ("memory.max", "memory.swap.max")
            self.write(name, str(amount))
            with suppress(OSError):  # where swap is not counted there is no such file
                self.write(swap, str(amount) if self.version == 1 else "0")

    def kills(self) -> int:
        """How many processes the kernel has killed because the group had no memory left."""
        return self._counter("memory.oom_control" if self.version == 1 else "memory.events", "oom_kill")

    def refusals(self) -> int:
        """How often a process could not be started because the group had too many."""
        return self._counter("pids.events", "max")

    def peak(self) -> int:
        """The most bytes that the group has had at once; 0 where the kernel does not know."""
        text = self.read("memory.max_usage_in_bytes" if self.version == 1 else "memory.peak").strip()
        return int(text) if text.isdigit() else 0

    def _counter(self, file: str, name: str) -> int:
        for line in self.read(file).splitlines():
            key, _, value = line.partition(" ")
            if key == name and value.isdigit():
                return int(value)
        return 0


def make(wanted: Mapping[str, int]) -> dict[str, Cgroup]:
    """Groups with limits, by controller: memory, pids, cpu. What cannot be had is left out."""
    name = f"{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
    made: dict[str, Cgroup] = {}
    places = _Places.found()
    rest = set(wanted)
    for controller in wanted:
        folder = places.old.get(controller)
        if folder is not None and _add(made, folder, name, 1, {controller: wanted[controller]}):
            rest.discard(controller)
    # Processors are often not delegated where memory is.
    for needed in (rest, rest - {"cpu"}):
        if needed and not needed & made.keys():
            for folder in _new_places(places, needed):
                if _add(made, folder, name, 2, {one: wanted[one] for one in needed}):
                    break
    return made


def remove(groups: Mapping[str, Cgroup]) -> None:
    """Remove groups, and end what is still in them."""
    for group in set(groups.values()):
        for _ in range(_LAST_TRIES):
            try:
                os.rmdir(group.path)
                break
            except OSError as error:
                if error.errno != errno.EBUSY:
                    break
            for pid in group.read("cgroup.procs").split():
                with suppress(ProcessLookupError):
                    if int(pid) > 0:  # 0: it is in a PID namespace that is not below ours
                        os.kill(int(pid), signal.SIGKILL)
            time.sleep(_PAUSE)
        os.close(group.descriptor)


def _add(made: dict[str, Cgroup], folder: str, name: str, version: int, amounts: Mapping[str, int]) -> bool:
    """Make a group in a folder and set its limits. False when that is not possible."""
    _sweep(folder)
    group: Cgroup | None = None
    try:
        group = next((one for one in made.values() if one.path == f"{folder}/{name}"), None)
        group = group or _make(folder, name, version)
        for controller, amount in amounts.items():
            group.limit(controller, amount)
    except OSError:
        if group is not None and group not in made.values():
            remove({"": group})
        return False
    made.update(dict.fromkeys(amounts, group))
    return True


def _make(folder: str, name: str, version: int) -> Cgroup:
    path = f"{folder}/{name}"
    while True:
        os.mkdir(path, 0o755)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.exists(path):
            return Cgroup(path, descriptor, version)
        os.close(descriptor)  # swept before it was locked


def _sweep(folder: str) -> None:
    """Remove the groups of builders that are gone: those that nobody has locked."""
    try:
        names = [name for name in os.listdir(folder) if name.startswith(_PREFIX)]
    except OSError:
        return
    for name in names:
        try:
            descriptor = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rmdir(f"{folder}/{name}")
        except OSError:
            pass  # in use, or its last processes are just ending
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Places:
    """Our own groups: of version 1 by controller, of version 2 (`own`, "" for none) below `top`."""

    old: Mapping[str, str]
    top: str = ""
    own: str = ""

    @staticmethod
    def found() -> _Places:
        """As /proc says."""
        mounts = _mounts()
        old: dict[str, str] = {}
        top = own = ""
        for line in _text("/proc/self/cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            for at, root, options in mounts:
                if controllers and not controllers.startswith("name=") and options:
                    for one in set(controllers.split(",")) & options:
                        old.setdefault(one, _inside(at, root, path))
                elif not controllers and not options and not top:
                    top, own = at, "" if root.startswith("/..") else _inside(at, root, path)
        if top and not own:
            top = own = _mounted_anew()
        return _Places(old, top, own)


def _mounts() -> list[tuple[str, str, frozenset[str]]]:
    """Where groups are mounted, which part of them, and the controllers (none: version 2)."""
    out = []
    for line in _text("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        _, _, _, root, at, *_ = left.split(" ")
        if kind == "cgroup2":
            out.append((at, root, frozenset[str]()))
        elif kind == "cgroup":
            out.append((at, root, frozenset(options.split(","))))
    return out


def _inside(at: str, root: str, path: str) -> str:
    if root == "/":
        return (at + path).rstrip("/")
    below = path.removeprefix(root)
    return (at + below).rstrip("/") if path.startswith(root) and below[:1] in ("", "/") else at


@functools.cache
def _mounted_anew() -> str:
    """Our own group, where the mount shows those of an outer namespace only; "" when that is not allowed.

    It stays open as long as this process lives.
    """

    def look() -> str:
        kernel.mount("cgroup2", "/sys/fs/cgroup", "cgroup2")
        return f"/proc/self/fd/{os.open('/sys/fs/cgroup', os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)}"

    try:
        return kernel.private_mounts(look)
    except OSError:
        return ""


def _new_places(places: _Places, needed: set[str]) -> Iterator[str]:
    """Folders of version 2 whose groups have the controllers needed (or are given them), the best first.

    Only a group without processes of its own may hand controllers on, but for the root of all.
    """
    own, top = places.own, places.top
    if not own:
        return
    above = [own]
    while above[-1] != top and above[-1].startswith(top + "/"):
        above.append(os.path.dirname(above[-1]))
    if needed <= _words(f"{own}/cgroup.controllers") and os.access(own, os.W_OK):
        ready = needed <= _words(f"{own}/cgroup.subtree_control")
        if ready or (_move_down(own) and _enable(own, needed)):
            yield own
    for folder in above[1:]:
        if needed <= _words(f"{folder}/cgroup.subtree_control") and os.access(folder, os.W_OK):
            yield folder
    if not os.path.exists(f"{top}/cgroup.type") and os.access(top, os.W_OK) and _enable(top, needed):
        yield top


def _move_down(own: str) -> bool:
    """Put what is in our group, if that is this program alone, into a group below."""
    if not os.path.exists(f"{own}/cgroup.type"):
        return True  # the root of all
    ours = {os.getpid(), os.getppid(), *map(int, _words(f"/proc/self/task/{os.getpid()}/children"))}
    inside = {int(pid) for pid in _words(f"{own}/cgroup.procs")}
    if not inside <= ours:
        return False
    leaf = f"{own}/jettison-{os.getpid()}"
    try:
        os.makedirs(leaf, exist_ok=True)
        for pid in inside:
            with open(f"{leaf}/cgroup.procs", "w", encoding="ascii") as file:
                file.write(str(pid))
    except OSError:
        return False
    return True


def _enable(folder: str, controllers: set[str]) -> bool:
    try:
        with open(f"{folder}/cgroup.subtree_control", "w", encoding="ascii") as file:
            file.write(" ".join(f"+{name}" for name in sorted(controllers)))
    except OSError:
        return False
    return True


def _words(path: str) -> set[str]:
    return set(_text(path).split())


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
