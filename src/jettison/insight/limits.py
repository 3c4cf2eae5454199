"""Limits of an image's size and waste: checked before anything is tagged, written or pushed."""

from __future__ import annotations

from collections.abc import Sequence

from jettison.errors import ExportError
from jettison.insight.advice import advice, place
from jettison.insight.origins import Step
from jettison.insight.report import Subject, report
from jettison.location import Location
from jettison.progress.lines import size_text
from jettison.store.store import Store

_CULPRITS = 3


def check_size(image: Subject, most: int) -> None:
    """Raise ExportError when the image's blobs have more than `most` bytes, with the largest instructions.

    Looks into no layer.
    """
    sizes = [layer.blob.size if layer.blob else 0 for layer in image.layers]
    if sum(sizes) <= most:
        return
    base = sum(sizes[: image.base_layers])
    items: list[tuple[int, str, Location | None]] = []
    if base:
        items.append((base, f"the base image {image.base}".rstrip(), None))
    own = zip(sizes[image.base_layers :], image.steps[image.base_layers :], strict=True)
    items += [(size, f"{step.text} {_at(step)}".rstrip(), step.location) for size, step in own]
    items.sort(key=lambda item: -item[0])
    raise ExportError(
        f"the image of {image.name} has {size_text(sum(sizes))} compressed;"
        f" --max-size allows {size_text(most)}",
        hint=_hint("the largest parts", [(size, text) for size, text, _ in items]),
        location=items[0][2],
    )


def check_waste(store: Store, image: Subject, most: float) -> None:
    """Raise ExportError when more than `most` percent of the files are waste, with what wastes most."""
    found = report(store, image)
    if found.waste_percent <= most:
        return
    items = []
    for item in found.waste:
        culprit = found.parts[item.culprit].step
        text = f"{item.why}, {counted(item.files)}: {culprit.text} {_at(culprit)}".rstrip()
        items.append((item.size, f"{text}\n            {advice(found, item)}"))
    raise ExportError(
        f"the image of {image.name} wastes {size_text(found.wasted)}, {found.waste_percent:.1f}%"
        f" of its files; --max-waste allows {most:g}%",
        hint=_hint("what wastes the most", items),
        location=found.parts[found.waste[0].culprit].step.location,
    )


def counted(files: int) -> str:
    """`1 file`, `2 files`."""
    return f"{files} file{'' if files == 1 else 's'}"


def _at(step: Step) -> str:
    where = place(step)
    return f"({where})" if where else ""


def _hint(what: str, items: Sequence[tuple[int, str]]) -> str:
    lines = [f"  {size_text(size):>8}  {text}" for size, text in items[:_CULPRITS]]
    return "\n".join([f"{what} (jettison size shows all):", *lines])
