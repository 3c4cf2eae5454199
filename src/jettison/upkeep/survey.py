"""All that a store holds, as items that can be removed and the things on the disk that each of them needs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from jettison.dataclass import dataclass, field
from jettison.errors import StoreError
from jettison.store.failed import listed
from jettison.store.trees import TREES, measurable
from jettison.upkeep.measure import disk_of

if TYPE_CHECKING:
    from jettison.store.images import ImageRecord
    from jettison.store.store import Store

Kind = Literal["orphan", "image", "step", "tree", "memo", "log", "failed", "cache-mount"]
"""`tree`: files of an image's layer that can be unpacked again; `memo`: hashes of a build context's files;
`log`: what the steps of a build wrote; `failed`: what a failed step left, with all that it stands on;
`orphan`: what no step and no image needs.
"""
FOREVER = float("inf")
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is kept or removed as a whole.

    `id` is a name, a layer, a digest or a cache mount's id; `rows` are its keys in the store's tables.
    `needs` are things: "row:LAYER", "tree:LAYER", "blob:DIGEST", or its own file or folder, as a path below
    the store. `used` is when it was used last (seconds since the epoch), FOREVER when it is in use.
    """

    kind: Kind
    id: str
    used: float
    needs: frozenset[str]
    rows: tuple[str, ...] = ()
    stage: str = ""
    title: str = ""
    depth: int = 0
    own: frozenset[str] = frozenset()
    """Of a step, also a failed one: the things of its own layer, without those that it is stacked on."""

    @property
    def tagged(self) -> bool:
        """Whether it is an image with a tag, which nothing but its user removes."""
        return self.kind == "image" and "@" not in self.id


@dataclass(frozen=True, slots=True)
class Survey:
    """The items of a store, what each thing takes on the disk in bytes, and when things were touched last."""

    items: tuple[Item, ...]
    disk: dict[str, int]
    touched: dict[str, float]
    total: int
    """Everything below the store's folder that is known, items or not."""


@dataclass(slots=True)
class _Layers:
    """What the table of layers says, by id."""

    blobs: dict[str, list[str]] = field(default_factory=dict)
    by_diff_id: dict[str, list[str]] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    """When the last step that has a layer in its stack was used."""

    def things(self, layer_id: str) -> Iterator[str]:
        yield f"row:{layer_id}"
        yield f"tree:{layer_id}"
        for digest in self.blobs.get(layer_id, ()):
            yield f"blob:{digest}"


def survey(store: Store, keep: Iterable[str] = ()) -> Survey:
    """Look at everything. What is known of sizes is taken from `measure`. Layers to `keep` are in use."""
    disk: dict[str, int] = {}
    touched: dict[str, float] = {}
    layers = _layers(store, disk, touched)
    _blobs(store, disk, touched)
    for layer_id in keep:
        layers.steps[layer_id] = FOREVER
        touched.update(dict.fromkeys(layers.things(layer_id), FOREVER))
    items = [*_steps(store, layers), *_images(store, layers, disk)]
    items += _folders(store, disk, touched)
    items += _failed(store, layers, disk)
    needed = {thing for item in items for thing in item.needs}
    items += _orphans(layers, disk, touched, needed)
    other = sum(disk_of(f"{store.root}/{name}") for name in _database_files(store.root))
    return Survey(tuple(items), disk, touched, sum(disk.values()) + other)


def _database_files(root: str) -> list[str]:
    return [name for name in os.listdir(root) if name.startswith(("jettison.db", "version", "salt"))]


def _layers(store: Store, disk: dict[str, int], touched: dict[str, float]) -> _Layers:
    out = _Layers()
    trees = {row[0]: row[1] for row in store.db.read("SELECT folder, disk FROM measured WHERE disk >= 0")}
    rows = store.db.read("SELECT id, diff_id, blob, last_used FROM layers")
    for layer_id, diff_id, blob, used in rows:
        out.blobs[layer_id] = [blob] if blob else []
        out.used[layer_id] = used
        if diff_id:
            out.by_diff_id.setdefault(diff_id, []).append(layer_id)
        touched[f"row:{layer_id}"] = touched[f"tree:{layer_id}"] = used
        folder = f"{store.layers.folder}/{layer_id}"
        unpacked = sum(
            trees.get(f"layers/{layer_id}/{name}", 0)
            for name in measurable()
            if os.path.isdir(f"{folder}/{name}")
        )
        beside = sum(at.st_blocks for name, at in _files(folder) if name not in TREES) * _BLOCK
        disk[f"tree:{layer_id}"] = unpacked + _own_blocks(folder) + beside
    for layer_id, blob in store.db.read("SELECT layer, blob FROM renderings"):
        if layer_id in out.blobs and blob not in out.blobs[layer_id]:
            out.blobs[layer_id].append(blob)
    return out


def _own_blocks(path: str) -> int:
    try:
        return os.lstat(path).st_blocks * _BLOCK
    except OSError:
        return 0


def _blobs(store: Store, disk: dict[str, int], touched: dict[str, float]) -> None:
    for algorithm in ("sha256", "sha512"):
        try:
            with os.scandir(f"{store.blobs.folder}/{algorithm}") as found:
                for item in found:
                    at = item.stat(follow_symlinks=False)
                    disk[f"blob:{algorithm}:{item.name}"] = at.st_blocks * _BLOCK
                    touched[f"blob:{algorithm}:{item.name}"] = at.st_mtime
        except FileNotFoundError:
            continue


def _steps(store: Store, layers: _Layers) -> list[Item]:
    """The records of the cache, those with the same result as one item."""
    found: dict[tuple[str, ...], list[tuple[str, float]]] = {}
    for key, stack, used in store.db.read("SELECT key, layers, last_used FROM records ORDER BY key"):
        found.setdefault(tuple(json.loads(stack)), []).append((key, used))
    for stack, rows in found.items():
        used = max(used for _, used in rows)
        for layer_id in stack:
            layers.steps[layer_id] = max(layers.steps.get(layer_id, 0.0), used)
    names = {row[0]: (row[1], row[2]) for row in store.db.read("SELECT layer, stage, name FROM steps")}
    listings = _listings(store)
    out = []
    for stack, rows in found.items():
        top = stack[-1] if stack else ""
        # Without what is built upon it, a step would free nothing.
        used = layers.steps.get(top, max(used for _, used in rows))
        listed = frozenset(thing for key, _ in rows for thing in listings.get(key, ()))
        needs = frozenset(thing for layer_id in stack for thing in layers.things(layer_id)) | listed
        stage, title = names.get(top, ("", ""))
        if any(layer_id not in layers.blobs for layer_id in stack):
            needs, used = frozenset(), 0.0
        keys = tuple(key for key, _ in rows)
        own = (frozenset(layers.things(top)) | listed) & needs
        out.append(Item("step", top or keys[0], used, needs, keys, stage, title, len(stack), own))
    return out


def _images(store: Store, layers: _Layers, disk: dict[str, int]) -> list[Item]:
    out = []
    for record in store.images.list():
        ids = [one for diff_id in diff_ids_of(store, record) for one in layers.by_diff_id.get(diff_id, ())]
        needs = {f"blob:{digest}" for digest in (record.manifest, record.config, *record.blobs) if digest}
        for layer_id in ids:
            needs.add(f"row:{layer_id}")
            here = {f"blob:{digest}" for digest in layers.blobs[layer_id][:1]} & disk.keys()
            # Without a blob the tree is all there is of it.
            needs |= here or {f"tree:{layer_id}"}
        used = max([record.created, *(layers.steps.get(layer_id, 0.0) for layer_id in ids)])
        title = record.config.removeprefix("sha256:")[:12]
        out.append(Item("image", record.name, used, frozenset(needs), (record.name,), title=title))
    return out


def diff_ids_of(store: Store, record: ImageRecord) -> tuple[str, ...]:
    """The diff IDs of an image; none when its configuration is missing or damaged."""
    try:
        config = json.loads(store.blobs.read(record.config))
        return tuple(str(item) for item in config["rootfs"]["diff_ids"])
    except (StoreError, ValueError, KeyError, TypeError):
        return ()


def _folders(store: Store, disk: dict[str, int], touched: dict[str, float]) -> list[Item]:
    """Cache mounts, memos of build contexts, logs and listings."""
    out = []
    trees = {row[0]: row[1] for row in store.db.read("SELECT folder, disk FROM measured WHERE disk >= 0")}
    for mount_id, folder, used in store.db.read("SELECT id, folder, last_used FROM cache_mounts"):
        path = f"cache-mounts/{folder}"
        disk[path] = trees.get(path, 0) if os.path.isdir(f"{store.root}/{path}") else 0
        out.append(Item("cache-mount", mount_id, used, frozenset((path,)), (mount_id,), title=mount_id))
    for name, at in _files(f"{store.root}/memo"):
        path = f"memo/{name}"
        disk[path] = at.st_blocks * _BLOCK
        out.append(Item("memo", name, at.st_mtime, frozenset((path,)), title="hashes of a build context"))
    for name, at in _files(f"{store.root}/logs"):
        path = f"logs/{name}"
        # A build that runs writes to its files, which leaves the folder as it is.
        written = [one for _, one in _files(f"{store.root}/{path}")]
        used = max([at.st_mtime, *(one.st_mtime for one in written)])
        disk[path] = sum(one.st_blocks for one in (at, *written)) * _BLOCK
        out.append(Item("log", name, used, frozenset((path,)), title=f"logs of {name}"))
    for name, at in _files(f"{store.root}/listings"):
        path = f"listings/{name}"
        disk[path] = at.st_blocks * _BLOCK
        touched[path] = at.st_mtime
    return out


def _failed(store: Store, layers: _Layers, disk: dict[str, int]) -> list[Item]:
    """Failed steps that are kept. The layers that they stand on stay as long as they do."""
    out = []
    steps = {step.id: step for step in listed(store)}
    for name, at in _files(f"{store.root}/failed"):
        path = f"failed/{name}"
        disk[path] = at.st_blocks * _BLOCK
        step = steps.get(name)
        if step is None or not step.needed <= layers.blobs.keys():
            alone = frozenset((path,))
            out.append(Item("failed", name, 0.0, alone, title="failed step that is not whole", own=alone))
            continue
        things = frozenset(thing for layer_id in step.needed for thing in layers.things(layer_id))
        own = frozenset((path, *layers.things(step.left)))
        stage, title = step.step["stage"], step.step["name"]
        out.append(Item("failed", name, at.st_mtime, things | {path}, (), stage, title, own=own))
    return out


def _listings(store: Store) -> dict[str, list[str]]:
    """The listings that each record names: of what was copied from contexts and stages, or mounted."""
    there = {name for name, _ in _files(f"{store.root}/listings")}
    out: dict[str, list[str]] = {}
    rows = store.db.read(
        "SELECT key, json_extract(parts, '$.content') FROM records"
        " UNION SELECT records.key, item.value FROM records, json_each(parts, '$.inputs') AS item"
        " WHERE item.type = 'text'"
    )
    for key, digest in rows:
        name = str(digest).rpartition(":")[2]
        if name in there:
            out.setdefault(key, []).append(f"listings/{name}")
    return out


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as found:
            for item in found:
                yield item.name, item.stat(follow_symlinks=False)
    except FileNotFoundError:
        return


def _orphans(
    layers: _Layers, disk: dict[str, int], touched: dict[str, float], needed: set[str]
) -> Iterator[Item]:
    """What no step and no image needs: layers with all that is theirs, then single blobs and files."""
    for layer_id in layers.blobs:
        if f"row:{layer_id}" not in needed:
            things = frozenset(layers.things(layer_id))
            used = max(layers.used[layer_id], layers.steps.get(layer_id, 0.0))
            needed |= things
            yield Item("orphan", layer_id, used, things, title="layer of no step and no image")
        elif f"tree:{layer_id}" not in needed and disk[f"tree:{layer_id}"]:
            used = max(layers.used[layer_id], layers.steps.get(layer_id, 0.0))
            needs = frozenset((f"tree:{layer_id}",))
            yield Item("tree", layer_id, used, needs, title="unpacked layer of an image")
    for thing in disk:
        if thing not in needed and thing.startswith(("blob:", "listings/")):
            title = "blob of no step and no image" if thing.startswith("blob:") else "listing of no step"
            name = thing.removeprefix("blob:")
            yield Item("orphan", name, touched[thing], frozenset((thing,)), title=title)
