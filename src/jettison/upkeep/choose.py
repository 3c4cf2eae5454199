"""Which items go: orphans, then the least recently used, until what is left fits. Pure: touches nothing."""

from __future__ import annotations

from collections import Counter

from jettison.dataclass import dataclass
from jettison.upkeep.survey import FOREVER, Item, Kind, Survey

_ORDER: tuple[Kind, ...] = ("orphan", "image", "step", "tree", "failed", "memo", "log", "cache-mount")
"""Of items used at the same time. What others stand on goes after them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What may go. Empty `kinds`, `stages` and `ids` stand for all of them.

    `unused_since`: only what was last used before (seconds since the epoch). `most`: stop as soon as the
    store takes no more than that many bytes on the disk.
    """

    kinds: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    ids: tuple[str, ...] = ()
    unused_since: float = FOREVER
    most: int = 0

    def fits(self, item: Item) -> bool:
        """Whether an item is one of those."""
        return (
            (not self.kinds or item.kind in self.kinds)
            and (not self.stages or item.stage in self.stages)
            and (not self.ids or any(_is(item, wanted) for wanted in self.ids))
            and item.used < self.unused_since
        )


@dataclass(frozen=True, slots=True)
class Doomed:
    """An item that goes, and the bytes of the disk that this frees. What others need as well is not freed."""

    item: Item
    freed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes, in that order; the things to remove; the bytes that the store takes before and after."""

    doomed: tuple[Doomed, ...]
    things: frozenset[str]
    before: int
    after: int


def choose(found: Survey, wanted: Wanted, since: float = FOREVER) -> Plan:
    """Pick what goes. Tagged images and what was used at `since` or later (seconds since the epoch) stay."""
    holders: Counter[str] = Counter()
    for item in found.items:
        holders.update(item.needs)
    for thing, moment in found.touched.items():
        if moment >= since:
            holders[thing] += 1
    total = found.total
    doomed: list[Doomed] = []
    gone: set[str] = set()
    for item in sorted(found.items, key=_turn):
        if total <= wanted.most:
            break
        if item.tagged or item.used >= since or item.used == FOREVER or not wanted.fits(item):
            continue
        holders.subtract(item.needs)
        free = {thing for thing in item.needs if holders[thing] <= 0} - gone
        # A layer that is not known any more has no files either.
        free |= {f"tree:{thing[4:]}" for thing in free if thing.startswith("row:")} - gone
        freed = sum(found.disk.get(thing, 0) for thing in free)
        gone |= free
        total -= freed
        doomed.append(Doomed(item, freed))
    return Plan(tuple(doomed), frozenset(gone), found.total, total)


def _turn(item: Item) -> tuple[bool, float, int, int, str]:
    return item.kind != "orphan", item.used, _ORDER.index(item.kind), -item.depth, item.id


def _is(item: Item, wanted: str) -> bool:
    if wanted in (item.id, *item.rows):
        return True
    if not wanted or set(wanted) - set("0123456789abcdef"):
        return False
    names = (item.id, *item.rows) if item.kind != "cache-mount" else ()
    return any(name.removeprefix("sha256:").startswith(wanted) for name in names)
