"""What is in an image: the report that `jettison size` shows and limits are checked against."""

from __future__ import annotations

from collections.abc import Sequence

from jettison.dataclass import dataclass
from jettison.errors import StoreError
from jettison.insight.contents import contents_of, entries_of
from jettison.insight.leftovers import Leftover, leftovers
from jettison.insight.origins import Origins, Step
from jettison.insight.packages import development_only, manifests
from jettison.insight.stack import Measure, Stack
from jettison.insight.waste import Key, Waste, base_waste, candidates, wastes
from jettison.oci.config import History
from jettison.store.base import Layer
from jettison.store.store import Store

UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Part:
    """One layer of an image: what made it, and its bytes.

    `size` counts the files in it, `compressed` its blob, and `wasted` what of `size` later layers make
    useless or is there already.
    """

    step: Step
    base: bool
    files: int
    size: int
    compressed: int
    wasted: int


@dataclass(frozen=True, slots=True)
class Share:
    """What came from one stage, or from elsewhere: bytes in all layers that copied from it."""

    source: str
    files: int
    size: int
    compressed: int


@dataclass(frozen=True, slots=True)
class Builder:
    """The heaviest stage that files were copied from: what its files would weigh as an image of its own."""

    stage: str
    size: int


@dataclass(frozen=True, slots=True)
class Report:
    """One image. All sizes are bytes; those of files are uncompressed.

    `waste` is what the layers above the base image cause; `base_waste` what those of the base image do
    among themselves. With `origins_known` false, the stages are unknown and the instructions are those of
    the image's history.
    """

    name: str
    base: str
    origins_known: bool
    parts: tuple[Part, ...]
    shares: tuple[Share, ...]
    waste: tuple[Waste, ...]
    base_waste: int
    leftovers: tuple[Leftover, ...]
    builder: Builder | None

    @property
    def size(self) -> int:
        """The bytes of all files of all layers."""
        return sum(part.size for part in self.parts)

    @property
    def compressed(self) -> int:
        """The bytes of all blobs: what a push sends."""
        return sum(part.compressed for part in self.parts)

    @property
    def wasted(self) -> int:
        """The bytes of all waste."""
        return sum(item.size for item in self.waste)

    @property
    def waste_percent(self) -> float:
        """The share of waste in all bytes of files."""
        return self.wasted * 100 / self.size if self.size else 0.0


@dataclass(frozen=True, slots=True)
class Subject:
    """An image to report on: its layers with their blobs, lowest first, and a step for each.

    The lowest `base_layers` came with the image `base`.
    """

    name: str
    layers: tuple[Layer, ...]
    steps: tuple[Step, ...]
    base_layers: int = 0
    base: str = ""
    origins_known: bool = False
    copied_from: tuple[tuple[str, tuple[str, ...]], ...] = ()


def subject(
    name: str,
    layers: Sequence[Layer],
    history: Sequence[History],
    origins: Origins | None,
    base_layers: int = 0,
    base: str = "",
) -> Subject:
    """An image as far as its origins, or else its history, describe it.

    Without origins, the lowest `base_layers` are taken for those of the image `base`.
    """
    texts = [" ".join(entry.created_by.split()) for entry in history if not entry.empty_layer]
    texts = (texts + [""] * len(layers))[: len(layers)]
    steps = [Step(text or UNKNOWN) for text in texts]
    if origins is None or origins.base_layers + len(origins.steps) != len(layers):
        return Subject(name, tuple(layers), tuple(steps), base_layers, base)
    return Subject(
        name,
        tuple(layers),
        (*steps[: origins.base_layers], *origins.steps),
        origins.base_layers,
        origins.base,
        True,
        origins.copied_from,
    )


def report(store: Store, image: Subject) -> Report:
    """Look into all layers of an image. Reads contents only where files of equal size have to be compared.

    Raises StoreError when a layer is not in the store and cannot be fetched.
    """
    stack = Stack()
    for layer in image.layers:
        stack.add(entries_of(store, layer))
    base = image.base_layers
    found = candidates(stack, base)
    own = [(path, file) for path, file in stack.visible() if file.layer >= base]
    lists = manifests([path for path, _ in own])
    named = set(lists.values())
    keys = {path: (file.layer, file.entry.path) for path, file in own if path in named}
    hashes, texts = _read(store, image, found.wanted(), set(keys.values()))
    waste = wastes(stack, base, found, hashes.get)
    development = development_only({folder: texts.get(keys[path], b"") for folder, path in lists.items()})
    useless = [0] * len(image.layers)
    for item in waste:
        useless[item.culprit if item.why == "duplicate" else item.owner] += item.size
    parts = tuple(
        Part(step, at < base, measure.files, measure.size, layer.blob.size if layer.blob else 0, wasted)
        for at, (step, measure, layer, wasted) in enumerate(
            zip(image.steps, stack.layers, image.layers, useless, strict=True)
        )
    )
    # What has another name outside of a cache would stay when the cache is emptied.
    single = ((path, file.layer, file.entry.size) for path, file in own if file.names == 1)
    return Report(
        image.name,
        image.base,
        image.origins_known,
        parts,
        _shares(image, parts),
        waste,
        base_waste(stack, base),
        leftovers(single, development),
        _builder(store, image, stack.layers),
    )


def _read(
    store: Store, image: Subject, hashed: dict[int, set[str]], whole: set[Key]
) -> tuple[dict[Key, bytes], dict[Key, bytes]]:
    """The hashes of some files, and the contents of others, which may be the same ones."""
    hashes: dict[Key, bytes] = {}
    texts: dict[Key, bytes] = {}
    for number, layer in enumerate(image.layers):
        wanted = {path for at, path in whole if at == number}
        for path, (digest, data) in contents_of(store, layer, hashed.get(number, ()), wanted).items():
            hashes[number, path] = digest
            texts[number, path] = data
    return hashes, texts


def _shares(image: Subject, parts: Sequence[Part]) -> tuple[Share, ...]:
    found: dict[str, list[Part]] = {}
    for part in parts:
        source = (image.base or "base image") if part.base else part.step.source or UNKNOWN
        found.setdefault(source, []).append(part)
    shares = [
        Share(
            source,
            sum(part.files for part in items),
            sum(part.size for part in items),
            sum(part.compressed for part in items),
        )
        for source, items in found.items()
    ]
    return tuple(sorted(shares, key=lambda item: (-item.size, -item.compressed)))


def _builder(store: Store, image: Subject, layers: Sequence[Measure]) -> Builder | None:
    """The heaviest stage that was copied from, as long as the store still knows all of its layers."""
    known = {layer.id: measure.size for layer, measure in zip(image.layers, layers, strict=True)}
    found = []
    for stage, ids in image.copied_from:
        try:
            layers_of_stage = store.layers.many(ids)
        except StoreError:
            continue
        # The size of a base layer is known once somebody has looked into it.
        if all(layer.size or store.layers.is_open(layer.id) for layer in layers_of_stage):
            found.append(Builder(stage, sum(known.get(layer.id, layer.size) for layer in layers_of_stage)))
    return max(found, key=lambda builder: builder.size, default=None)
