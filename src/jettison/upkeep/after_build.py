"""What a build in which steps ran does for its store: it names layers, and keeps to the cap."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jettison.errors import JettisonError
from jettison.events import Emit, Warned
from jettison.sizes import parse_size
from jettison.upkeep.choose import Wanted
from jettison.upkeep.collect import collect
from jettison.upkeep.measure import disk_of

if TYPE_CHECKING:
    from jettison.store.store import Store

_LEAST = 10 * 10**9
_SHARE = 0.2


def cap(root: str, text: str) -> int | None:
    """The bytes that a store may take. None: as many as there are. Raises ValueError.

    Without `text`: a fifth of its file system, or 10 GB if that is more.
    """
    if text == "none":
        return None
    disk = os.statvfs(root)
    whole = disk.f_blocks * disk.f_frsize
    return parse_size(text, whole) if text else max(int(whole * _SHARE), _LEAST)


@contextmanager
def kept_small(
    store: Store, text: str, names: Mapping[str, tuple[str, str]], in_use: Collection[str], emit: Emit
) -> Iterator[None]:
    """Collect garbage beside the block, and once more behind it if the block made the store too large.

    `names` are the stages and names of steps by the layers that they made, `in_use` the layers that the
    block needs. What goes wrong is a warning: the build is not worse for it.
    """
    most = cap(store.root, text)
    rest: list[int] = []

    def work() -> None:
        _name(store, names)
        if most is not None:
            left = _collect(store, most, in_use, emit)
            rest.append(left - disk_of(store.blobs.folder))

    thread = threading.Thread(target=work, name="upkeep")
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if most is not None and rest and rest[0] + disk_of(store.blobs.folder) > most:
        _collect(store, most, None, emit)


def _name(store: Store, names: Mapping[str, tuple[str, str]]) -> None:
    rows = [(layer, *name) for layer, name in names.items()]
    try:
        store.db.write_many("INSERT OR REPLACE INTO steps (layer, stage, name) VALUES (?, ?, ?)", rows)
    except JettisonError:
        pass  # Whatever is wrong with the store, the export meets it too.


def _collect(store: Store, most: int, in_use: Collection[str] | None, emit: Emit) -> int:
    """Collect garbage, and give what the store takes then."""
    try:
        return collect(store, Wanted(most=most), keep=in_use).after
    except JettisonError as error:
        emit(Warned(time.time(), f"the store could not be made smaller: {error.message}"))
        return 0
