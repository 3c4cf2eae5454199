"""Cache mounts: used by steps, listed, emptied, replaced and removed.

Every step holds a shared lock on the folder that it uses. Whoever changes a mount as a whole takes the
folder away by rename, and removes it only when no step holds it any more.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from jettison.dataclass import dataclass
from jettison.errors import Cancelled, NotFound, StoreError
from jettison.store.faults import faults
from jettison.store.locks import still_named, try_lock
from jettison.store.store import Store
from jettison.store.temporary import remove_tree
from jettison.store.upper import bytes_of_files

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class CacheMount:
    """One cache mount. `size` counts the bytes of its files; times are seconds since the epoch."""

    id: str
    folder: str
    created: float
    last_used: float
    size: int = 0


@contextmanager
def in_use(
    store: Store,
    mount_id: str,
    seed: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[str]:
    """The folder of a cache mount while a step uses it; a new one is filled by `seed`.

    Waits while the mount is saved or restored. Raises Cancelled when `cancel` is set meanwhile.
    """
    while True:
        folder = store.cache_mount(mount_id, seed)
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # Somebody has just taken it away.
        try:
            _share(fd, cancel)
            if still_named(fd, folder):
                yield folder
                return
        finally:
            os.close(fd)


def _share(fd: int, cancel: threading.Event | None) -> None:
    if cancel is None:
        fcntl.flock(fd, fcntl.LOCK_SH)
        return
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if cancel.wait(_POLL_SECONDS):
                raise Cancelled("stopped while waiting for a cache mount") from None


def listed(store: Store, sizes: bool = True) -> list[CacheMount]:
    """All cache mounts, by id."""
    rows = store.db.read("SELECT id, folder, created, last_used FROM cache_mounts ORDER BY id")
    found = []
    for mount_id, name, created, used in rows:
        folder = f"{store.root}/cache-mounts/{name}"
        if os.path.isdir(folder):
            found.append(CacheMount(mount_id, folder, created, used, _size(folder) if sizes else 0))
    return found


def _size(folder: str) -> int:
    try:
        return bytes_of_files(folder)
    except FileNotFoundError:
        return 0  # A step that uses it removed something.


@contextmanager
def held(store: Store, ids: Sequence[str]) -> Iterator[list[CacheMount]]:
    """Some cache mounts, which no step uses and none begins to use before the block ends.

    Raises NotFound with the nearest id, and StoreError where one is in use.
    """
    known = {mount.id: mount for mount in listed(store, sizes=False)}
    with ExitStack() as stack:
        for mount_id in sorted(set(ids)):
            if mount_id not in known:
                raise _unknown(mount_id, known)
            stack.enter_context(_alone(store, known[mount_id]))
        yield [known[mount_id] for mount_id in dict.fromkeys(ids)]


@contextmanager
def _alone(store: Store, mount: CacheMount) -> Iterator[None]:
    with store.lock(f"cache-mount-{mount.id}"), faults("opening a cache mount", store.root):
        fd = os.open(mount.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if not try_lock(fd):
                raise StoreError(
                    f"the cache mount {mount.id} is in use by a build",
                    hint="try again when that build is over",
                    temporary=True,
                )
            yield
        finally:
            os.close(fd)


def _unknown(mount_id: str, known: Mapping[str, CacheMount]) -> NotFound:
    from difflib import get_close_matches

    near = get_close_matches(mount_id, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "jettison cache-mount ls lists them"
    return NotFound(f"there is no cache mount {mount_id}", hint=hint)


def remove(store: Store, ids: Sequence[str]) -> list[str]:
    """Remove cache mounts, and give their ids. Raises as `held`; then none is removed."""
    with held(store, ids) as mounts:
        for mount in mounts:
            remove_tree(_take_away(store, mount.id, mount.folder))
    return [mount.id for mount in mounts]


def empty(store: Store, mount_id: str) -> None:
    """Take away what a cache mount holds: the next step begins with a new one.

    Steps that use it at the moment keep what they have; it goes with the last of them.
    """
    folder = next((mount.folder for mount in listed(store, sizes=False) if mount.id == mount_id), None)
    if folder is not None:
        with store.lock(f"cache-mount-{mount_id}"):
            aside = _take_away(store, mount_id, folder)
        if not _is_held(aside):
            remove_tree(aside)


def replace_with(store: Store, folders: Mapping[str, str]) -> None:
    """Put folders in the places of cache mounts, all or none. Raises StoreError where one is in use."""
    there = {mount.id for mount in listed(store, sizes=False)}
    with ExitStack() as stack:
        stack.enter_context(held(store, [mount_id for mount_id in folders if mount_id in there]))
        for mount_id in sorted(folders.keys() - there):
            stack.enter_context(store.lock(f"cache-mount-{mount_id}"))
        for mount_id, fresh in folders.items():
            _put(store, mount_id, fresh)


def _put(store: Store, mount_id: str, fresh: str) -> None:
    place = store.cache_mount_folder(mount_id)
    with faults("restoring a cache mount", store.root):
        aside = _take_away(store, mount_id, place)
        os.rename(fresh, place)
        now = time.time()
        row = (mount_id, os.path.basename(place), now, now)
        store.db.write("INSERT OR REPLACE INTO cache_mounts VALUES (?, ?, ?, ?)", row)
        remove_tree(aside)


def _take_away(store: Store, mount_id: str, folder: str) -> str:
    """Rename a mount's folder, and give where it is now: what is left there is swept once nobody holds it."""
    aside = f"{store.root}/tmp/mount-{os.urandom(6).hex()}"
    with faults("removing a cache mount", store.root):
        try:
            os.rename(folder, aside)
        except FileNotFoundError:
            pass
        store.db.write("DELETE FROM cache_mounts WHERE id = ?", (mount_id,))
    return aside


def _is_held(folder: str) -> bool:
    """Whether a step uses a folder. One that another process has swept meanwhile is nobody's."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
