"""What failed steps left: their files as a layer on those that they began with, and a note of how they ran.

ROOT/failed/ID    the note, as JSON; a lock on it says that somebody uses what it speaks of
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from jettison.dataclass import dataclass, fields
from jettison.store.faults import faults
from jettison.store.locks import try_lock
from jettison.store.private import private
from jettison.store.temporary import remove_tree

if TYPE_CHECKING:
    from jettison.store.store import Store

KEPT = 3
"""Failed steps that are kept: the latest."""

_VERSION = 1
_ROOM = 64 << 20
"""Bytes of the disk that have to be free for more to be kept."""


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A failed step. `at` is when it ended, in seconds since the epoch; `error` its error's message.

    `below` are the layers that it began with, `left` the one with what it wrote; `inputs` are stacks of
    layers, in the order of the inputs in `step`, which is the step itself as plain data.
    """

    id: str
    at: float
    error: str
    below: tuple[str, ...]
    left: str
    inputs: tuple[tuple[str, ...], ...]
    step: dict[str, Any]

    @property
    def layers(self) -> tuple[str, ...]:
        """Its root filesystem as it left it, the lowest layer first."""
        return (*self.below, self.left)

    @property
    def needed(self) -> frozenset[str]:
        """Every layer without which it cannot be looked into."""
        return frozenset((*self.layers, *(layer for stack in self.inputs for layer in stack)))


def has_room(store: Store) -> bool:
    """Whether the disk has enough room to keep what failed."""
    disk = os.statvfs(store.root)
    return disk.f_bavail * disk.f_frsize >= _ROOM


def add(store: Store, failed: FailedStep) -> None:
    """Keep a failed step, whose layers are in the store, instead of the oldest one. Raises StoreError."""
    with faults("keeping the files of a failed step", store.root):
        os.makedirs(_folder(store), 0o700, exist_ok=True)
        new = store.session.new_name("failed")
        data = {item.name: getattr(failed, item.name) for item in fields(failed)}
        with open(new, "w", encoding="ascii", opener=private) as file:
            json.dump({"version": _VERSION, **data}, file)
        os.rename(new, f"{_folder(store)}/{failed.id}")
        _trim(store)


def listed(store: Store) -> list[FailedStep]:
    """The failed steps that are kept, the latest first."""
    found = [step for name in names(store) if (step := read(store, name)) is not None]
    return sorted(found, key=lambda step: -step.at)


def read(store: Store, name: str) -> FailedStep | None:
    """The failed step of that id; None when it is not kept (any more)."""
    try:
        with open(f"{_folder(store)}/{name}", encoding="ascii") as file:
            data = json.load(file)
        if data.pop("version") != _VERSION:
            return None
        for key in ("below", "inputs"):
            data[key] = tuple(tuple(item) if isinstance(item, list) else item for item in data[key])
        return FailedStep(**data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


@contextmanager
def in_use(store: Store, failed: FailedStep) -> Iterator[None]:
    """A block in which a failed step is not given up for later ones."""
    try:
        fd = os.open(f"{_folder(store)}/{failed.id}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            os.utime(fd)
        yield
    finally:
        os.close(fd)


def _folder(store: Store) -> str:
    return f"{store.root}/failed"


def names(store: Store) -> list[str]:
    """The ids of all that is kept, readable or not."""
    try:
        return os.listdir(_folder(store))
    except FileNotFoundError:
        return []


def _trim(store: Store) -> None:
    """Remove the oldest ones beyond the limit that nobody uses."""
    for failed in listed(store)[KEPT:]:
        path = f"{_folder(store)}/{failed.id}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if try_lock(fd):
                remove_tree(path)
                store.layers.remove(failed.left)
        finally:
            os.close(fd)
