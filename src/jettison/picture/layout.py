"""Boxes and the lines between them, laid out in layers: who is read stands before its readers.

Works in two directions without names: *along* the flow from source to reader, and *across* it. Boxes stand
in even layers; a line that has a label leads through it in the odd layer before the reader. Lines that pass
layers on their way hold a place in each, so they run beside the boxes, not over them; those of one source
share theirs. Between two layers there is nothing but lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from jettison.dataclass import dataclass, field

_SPACE = 18.0
"""Between two boxes of one layer."""
_GAP = 20.0, 64.0
"""Between two layers, at least and at most; the more, the further a line has to lean over."""
_PORT = 16.0
"""Between two lines that arrive at a box, at most."""
_SWEEPS = 8
_ATTEMPTS = 20
_FEW = 300
"""Places; with fewer, several orders are tried."""
_ROUNDS = 40
_MANY = 1500
"""Places; with more, order and positions are improved less often."""


@dataclass(frozen=True, slots=True)
class Box:
    """The size of a box."""

    across: float
    along: float


@dataclass(frozen=True, slots=True)
class Link:
    """A line between two boxes, by their numbers. `label` is the size of its text, if it has one."""

    source: int
    reader: int
    label: Box | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something is: its middle across, and from where to where along."""

    across: float
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is. `routes` are the spots that each line runs through straight, its ends included."""

    boxes: tuple[Spot, ...]
    labels: tuple[Spot | None, ...]
    routes: tuple[tuple[Spot, ...], ...]
    across: float
    along: float


@dataclass(slots=True)
class _Web:
    """Places by number: boxes first, then those that lines hold. `size` is None for a bare line."""

    layer: list[int]
    size: list[Box | None]
    before: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    after: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def place(self, layer: int, size: Box | None) -> int:
        self.layer.append(layer)
        self.size.append(size)
        return len(self.layer) - 1

    def join(self, one: int, other: int) -> None:
        if other not in self.after[one]:
            self.after[one].append(other)
            self.before[other].append(one)

    def width(self, place: int) -> float:
        size = self.size[place]
        return size.across if size is not None else 0.0


def arrange(boxes: Sequence[Box], links: Sequence[Link]) -> Layout:
    """Lay out boxes; `links` lead from earlier boxes to later ones."""
    web = _Web(_layers(len(boxes), links), list(boxes))
    chains, labels = _chains(web, links)
    rows = _ordered(web)
    across = _positions(web, rows)
    begins, ends = _bands(web, rows, across)
    ports = _ports(web, chains, across)
    size = max((across[place] + web.width(place) / 2 for place in range(len(across))), default=0.0)

    bands = [Spot(across[p], begins[web.layer[p]], ends[web.layer[p]]) for p in range(len(across))]

    def spot(place: int) -> Spot:
        band, size = bands[place], web.size[place]
        return Spot(band.across, band.begin, band.begin + size.along) if size is not None else band

    spots = [spot(place) for place in range(len(across))]
    routes = []
    for chain, port in zip(chains, ports, strict=True):
        first, last = chain[0], chain[-1]
        start = Spot(across[first], spots[first].end, bands[first].end)
        # Where a layer is empty nothing has to be gone around.
        through = [bands[p] for p in chain[1:-1] if bands[p].begin < bands[p].end]
        routes.append((start, *through, Spot(port, spots[last].begin, spots[last].begin)))
    return Layout(
        tuple(spots[: len(boxes)]),
        tuple(None if place is None else spots[place] for place in labels),
        tuple(routes),
        size,
        ends[-1] if ends else 0.0,
    )


def _layers(count: int, links: Sequence[Link]) -> list[int]:
    """Even numbers: as far as the longest way from a source; a mere source stands near its first reader."""
    layer = [0] * count
    for link in sorted(links, key=lambda link: link.reader):
        layer[link.reader] = max(layer[link.reader], layer[link.source] + 2)
    readers: dict[int, list[int]] = defaultdict(list)
    for link in links:
        readers[link.source].append(layer[link.reader])
    for box in range(count):
        if layer[box] == 0 and readers[box]:
            layer[box] = min(readers[box]) - 2
    return layer


def _chains(web: _Web, links: Sequence[Link]) -> tuple[list[list[int]], list[int | None]]:
    """The places that each link leads through, and which of them holds its label."""
    trunks: dict[tuple[int, int], int] = {}
    chains: list[list[int]] = []
    labels: list[int | None] = []
    for link in links:
        chain = [link.source]
        last = web.layer[link.reader] - 1
        for layer in range(web.layer[link.source] + 1, last + (link.label is None)):
            key = (link.source, layer)
            if key not in trunks:
                trunks[key] = web.place(layer, None)
            chain.append(trunks[key])
        labels.append(None if link.label is None else web.place(last, link.label))
        chain += [labels[-1]] if labels[-1] is not None else []
        chain.append(link.reader)
        for one, other in pairwise(chain):
            web.join(one, other)
        chains.append(chain)
    return chains, labels


def _ordered(web: _Web) -> list[list[int]]:
    """Each layer's places in an order with few crossings, the best of some attempts."""
    from random import Random

    rows: list[list[int]] = [[] for _ in range(max(web.layer, default=-1) + 1)]
    for place, layer in enumerate(web.layer):
        rows[layer].append(place)
    attempts = _ATTEMPTS if len(web.layer) < _FEW else 1
    shuffle = Random(0).shuffle
    best: list[list[int]] = rows
    least: int | None = None
    for _ in range(attempts):
        found, count = _improved(web, rows)
        if least is None or count < least:
            best, least = found, count
        if not least:
            break
        rows = [list(row) for row in rows]
        for row in rows:
            shuffle(row)
    return best


def _improved(web: _Web, start: Sequence[Sequence[int]]) -> tuple[list[list[int]], int]:
    """An order with fewer crossings, and how many: by the middle of the neighbours, to and fro."""
    rows = [list(row) for row in start]
    best, least = [list(row) for row in rows], _crossings(web, rows)
    for sweep in range(_SWEEPS if len(web.layer) < _MANY else 2):
        down = sweep % 2 == 0
        spot = {place: at for row in rows for at, place in enumerate(row)}
        for row in rows if down else reversed(rows):
            near = web.before if down else web.after
            row.sort(key=lambda place: _mean([spot[other] for other in near[place]], spot[place]))
            spot.update((place, at) for at, place in enumerate(row))
        count = _crossings(web, rows)
        if count < least:
            best, least = [list(row) for row in rows], count
    return best, least


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _crossings(web: _Web, rows: Sequence[Sequence[int]]) -> int:
    """How many pairs of lines cross."""
    from bisect import bisect_right, insort

    spot = {place: at for row in rows for at, place in enumerate(row)}
    count = 0
    for row in rows:
        seen: list[int] = []
        for place in row:
            ends = sorted(spot[other] for other in web.after[place])
            count += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return count


def _positions(web: _Web, rows: Sequence[Sequence[int]]) -> list[float]:
    """The middles across: near those of the neighbours, as far as the order and the sizes allow."""
    across = [0.0] * len(web.layer)
    for row in rows:
        at = 0.0
        for place in row:
            across[place] = at + web.width(place) / 2
            at += web.width(place) + _SPACE
    rounds = _ROUNDS if len(web.layer) < _MANY else 2
    for sweep in range(2 * rounds):
        # The last rounds look at both sides, for lines as straight as they can be.
        sides = [web.before, web.after] if sweep >= rounds else [(web.before, web.after)[sweep % 2]]
        for row in rows if sweep % 2 == 0 else reversed(rows):
            _settle(web, row, sides, across)
    least = min((across[p] - web.width(p) / 2 for p in range(len(across))), default=0.0)
    return [value - least for value in across]


def _settle(
    web: _Web, row: Sequence[int], sides: Sequence[Mapping[int, list[int]]], across: list[float]
) -> None:
    """Bring a row to where it wants to be: least squares, with the order and the spaces kept."""
    offsets, at = [], 0.0
    blocks: list[list[float]] = []  # sum of weighted wishes, weight, members
    for number, place in enumerate(row):
        if number:
            at += (web.width(row[number - 1]) + web.width(place)) / 2 + _SPACE
        offsets.append(at)
        wish = weight = 0.0
        for side in sides:
            for other in side.get(place, ()):
                pull = 4.0 if web.size[place] is None and web.size[other] is None else 1.0
                wish += pull * across[other]
                weight += pull
        if not weight:
            wish, weight = across[place] * 0.1, 0.1
        blocks.append([wish - weight * at, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [one + other for one, other in zip(blocks[-1], last, strict=True)]
    number = 0
    for total, weight, members in blocks:
        for _ in range(int(members)):
            across[row[number]] = total / weight + offsets[number]
            number += 1


def _ports(web: _Web, chains: Sequence[Sequence[int]], across: Sequence[float]) -> list[float]:
    """Where across each line meets its reader: side by side, in the order in which they come."""
    arriving: dict[int, list[int]] = defaultdict(list)
    for number, chain in enumerate(chains):
        arriving[chain[-1]].append(number)
    ports = [0.0] * len(chains)
    for place, numbers in arriving.items():
        numbers.sort(key=lambda number: across[chains[number][-2]])
        space = min(_PORT, web.width(place) * 0.7 / len(numbers))
        for at, number in enumerate(numbers):
            ports[number] = across[place] + (at - (len(numbers) - 1) / 2) * space
    return ports


def _bands(
    web: _Web, rows: Sequence[Sequence[int]], across: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Where each layer begins and ends along."""
    begins, ends = [], []
    at = 0.0
    for number, row in enumerate(rows):
        if number:
            lean = max((abs(across[p] - across[q]) for p in row for q in web.before[p]), default=0.0)
            at += min(max(_GAP[0], lean / 8), _GAP[1])
        begins.append(at)
        at += max((size.along for p in row if (size := web.size[p]) is not None), default=0.0)
        ends.append(at)
    return begins, ends
