"""Removes what is not wanted any more, while other processes go on using the store.

Who has the store open holds a shared lock. When nobody else does, whoever comes is kept out for the moment
in which it is decided what goes. When others do, nothing goes that they can have come to need: all that was
used since the first of them came. Times of use are right to the hour, so one more hour counts as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from jettison.store.faults import faults
from jettison.store.locks import still_named, try_lock
from jettison.store.temporary import others, remove_tree, sweep
from jettison.store.trees import TREES, removable
from jettison.upkeep.choose import Plan, Wanted, choose
from jettison.upkeep.measure import measure
from jettison.upkeep.survey import FOREVER, survey

if TYPE_CHECKING:
    from jettison.store.store import Store

_TOUCHED_WITHIN = 3600
_NO_SESSION = 600
"""Seconds that a process may have the store open without a temporary folder: a cached build, a listing."""
_SLACK = 2
"""Clocks of file systems lag behind."""


def collect(
    store: Store, wanted: Wanted, *, keep: Iterable[str] | None = None, dry_run: bool = False
) -> Plan:
    """Remove items of a store until it takes no more than `wanted.most` bytes, or all that fit; what went.

    A process that goes on using the store gives in `keep` the layers that it needs; what was stored since it
    opened the store stays as well. With `dry_run` nothing is removed. Raises StoreError.
    """
    with store.lock("collect"), faults("collecting garbage", store.root):
        measure(store)
        if not dry_run:
            _sweep(store)
        doomed: list[str] = []
        with store.presence.alone() as alone:
            since, needed = _in_use(store, alone, keep)
            with store.db.transaction():
                plan = choose(survey(store, needed), wanted, since)
                if dry_run:
                    return plan
                _forget(store, plan)
                # What a row still speaks of goes before anyone can ask for it again.
                doomed += _take_away(store, plan.things - _unknown(plan))
            # What no row speaks of any more goes after: when this process dies now, the next one sweeps it.
            doomed += _take_away(store, _unknown(plan))
            doomed += _take_blobs(store, plan, since)
        for path in doomed:
            with suppress(PermissionError):  # a cache mount with files under ids that are not ours
                remove_tree(path)
        return plan


def _in_use(store: Store, alone: bool, keep: Iterable[str] | None) -> tuple[float, set[str]]:
    """The moment from which on everything that was used stays, and the layers that stay in any case."""
    since, needed = FOREVER, set(keep or ())
    if keep is not None:
        since = store.session.opened - _SLACK
    if not alone:
        first, theirs = others(f"{store.root}/tmp", store.session)
        needed |= theirs
        moment = time.time() - _NO_SESSION if first is None else min(time.time() - _NO_SESSION, first)
        since = min(since, moment - _TOUCHED_WITHIN)
    return since, needed


def _forget(store: Store, plan: Plan) -> None:
    """Delete the rows of what goes."""
    tables = {"image": ("images", "name"), "step": ("records", "key"), "cache-mount": ("cache_mounts", "id")}
    for kind, (table, column) in tables.items():
        rows = [(row,) for one in plan.doomed if one.item.kind == kind for row in one.item.rows]
        if rows:
            store.db.write_many(f"DELETE FROM {table} WHERE {column} = ?", rows)
    ids = [thing.partition(":")[2] for thing in plan.things if thing.startswith("row:")]
    for table, column in (("layers", "id"), ("renderings", "layer"), ("steps", "layer")):
        if ids:
            store.db.write_many(f"DELETE FROM {table} WHERE {column} = ?", [(name,) for name in ids])
    gone = [name for thing in plan.things for name in _measured(thing)]
    if gone:
        store.db.write_many("DELETE FROM measured WHERE folder = ?", [(name,) for name in gone])


def _measured(thing: str) -> tuple[str, ...]:
    if thing.startswith("tree:"):
        folder = f"layers/{thing[5:]}"
        return *(f"{folder}/{name}" for name in TREES), f"{folder}/index"
    return (thing,)


def _unknown(plan: Plan) -> frozenset[str]:
    """The files of layers that are forgotten."""
    return frozenset(f"tree:{thing[4:]}" for thing in plan.things if thing.startswith("row:"))


def _take_away(store: Store, things: Iterable[str]) -> list[str]:
    """Move folders and files out of everyone's sight, and say where they are now."""
    doomed = []
    for thing in things:
        if thing.startswith(("row:", "blob:")):
            continue
        layer = thing.startswith("tree:")
        paths = removable(f"{store.layers.folder}/{thing[5:]}") if layer else [f"{store.root}/{thing}"]
        for path in paths:
            target = store.session.new_name("dead")
            try:
                os.rename(path, target)
                doomed.append(target)
            except (FileNotFoundError, PermissionError):
                pass
    return doomed


def _take_blobs(store: Store, plan: Plan, since: float) -> list[str]:
    doomed = []
    for thing in plan.things:
        if not thing.startswith("blob:"):
            continue
        path = store.blobs.path(thing.partition(":")[2])
        target = store.session.new_name("dead")
        try:
            os.rename(path, target)
            if os.stat(target).st_mtime >= since:
                # Somebody stored the same bytes anew a moment ago.
                os.rename(target, path)
            else:
                doomed.append(target)
        except FileNotFoundError:
            pass
    return doomed


def _sweep(store: Store) -> None:
    """Remove what dead processes left: temporary folders, layers and cache mounts without a row, locks."""
    # The session sweeps what others left when it begins; that must not happen in a transaction.
    store.session.new_name("sweep")
    sweep(f"{store.root}/tmp")
    store.layers.sweep()
    known = {row[0] for row in store.db.read("SELECT folder FROM cache_mounts")}
    with os.scandir(f"{store.root}/cache-mounts") as found:
        # One that has just come may be about to get its row.
        old = [item for item in found if item.stat(follow_symlinks=False).st_ctime < time.time() - 3600]
    for item in old:
        if item.name not in known:
            with suppress(PermissionError):
                remove_tree(item.path)
    for name in os.listdir(f"{store.root}/locks"):
        if name in ("in-use", "open", "collect"):
            continue
        path = f"{store.root}/locks/{name}"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if try_lock(fd) and still_named(fd, path):
                os.unlink(path)
        finally:
            os.close(fd)
