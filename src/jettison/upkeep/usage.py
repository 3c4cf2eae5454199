"""How much of the disk a store takes, and for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jettison.dataclass import dataclass
from jettison.upkeep.measure import disk_of, measure
from jettison.upkeep.survey import Item, survey

if TYPE_CHECKING:
    from jettison.store.store import Store

PARTS = ("layers", "blobs", "cache-mounts", "memo", "listings", "logs", "failed")


@dataclass(frozen=True, slots=True)
class Use:
    """What one item takes: bytes of the disk, and how many of them something else needs too.

    Of a step that is its own layer, and the share is what images need of it.
    """

    item: Item
    size: int
    shared: int


@dataclass(frozen=True, slots=True)
class Sum:
    """The bytes that all items of a type or stage take, each once. `prune --all` frees `reclaimable`."""

    name: str
    count: int
    size: int
    reclaimable: int


@dataclass(frozen=True, slots=True)
class Usage:
    """`types` add up to `total`: what several types need counts for the first of them.

    `parts` are the store's folders, as `du` would measure each.
    """

    total: int
    parts: dict[str, int]
    types: tuple[Sum, ...]
    stages: tuple[Sum, ...]
    uses: tuple[Use, ...]


def usage(store: Store) -> Usage:
    """Measure everything anew. Numbers are exact while nothing else uses the store."""
    measure(store, anew=True)
    with store.db.transaction():
        found = survey(store)
    total = disk_of(store.root)
    parts = {name: disk_of(f"{store.root}/{name}") for name in PARTS}
    tagged = {thing for item in found.items if item.tagged for thing in item.needs}
    in_images = {thing for item in found.items if item.kind == "image" for thing in item.needs}
    holders: Counter[str] = Counter(thing for item in found.items for thing in item.needs)
    uses = []
    for item in found.items:
        own = _own(item)
        shared = own & in_images if item.kind == "step" else {thing for thing in own if holders[thing] > 1}
        uses.append(Use(item, _bytes(found.disk, own), _bytes(found.disk, shared)))
    return Usage(
        total, parts, _types(found.items, found.disk, tagged, total), _stages(uses, found.disk), tuple(uses)
    )


def _own(item: Item) -> set[str]:
    """The things that are an item's own: of a step, failed or not, its layer, not those it is stacked on."""
    return set(item.own if item.kind in ("step", "failed") else item.needs)


def _bytes(disk: dict[str, int], things: Iterable[str]) -> int:
    return sum(disk.get(thing, 0) for thing in things)


def _types(items: Iterable[Item], disk: dict[str, int], tagged: set[str], total: int) -> tuple[Sum, ...]:
    """Sums by type. Whatever a tagged image needs is an image's, and stays."""
    items = list(items)
    out = [Sum("images", sum(item.tagged for item in items), _bytes(disk, tagged), 0)]
    counted = set(tagged)
    for name, kind in (
        ("images without a tag", "image"),
        ("steps", "step"),
        ("failed steps", "failed"),
        ("unpacked layers", "tree"),
        ("orphans", "orphan"),
        ("cache mounts", "cache-mount"),
        ("context hashes", "memo"),
        ("logs of builds", "log"),
    ):
        those = [item for item in items if item.kind == kind and not item.tagged]
        things = {thing for item in those for thing in item.needs} - counted
        counted |= things
        size = _bytes(disk, things)
        out.append(Sum(name, len(those), size, size))
    rest = total - sum(one.size for one in out)
    return (*out, Sum("database and folders", 0, rest, 0))


def _stages(uses: Iterable[Use], disk: dict[str, int]) -> tuple[Sum, ...]:
    things: dict[str, set[str]] = {}
    count: Counter[str] = Counter()
    for use in uses:
        if use.item.kind == "step" and use.item.stage:
            things.setdefault(use.item.stage, set()).update(use.item.own)
            count[use.item.stage] += 1
    sums = [Sum(name, count[name], _bytes(disk, those), 0) for name, those in things.items()]
    return tuple(sorted(sums, key=lambda one: -one.size))
