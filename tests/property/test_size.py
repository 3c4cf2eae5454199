"""Random layers: what `jettison size` counts agrees with the archives and with what the stack shows."""

from __future__ import annotations

from hypothesis import given

from jettison.errors import StoreError
from jettison.insight.contents import entries_of
from jettison.insight.origins import Step
from jettison.insight.report import Subject, report
from jettison.insight.stack import Stack
from jettison.store.base import Entry, Layer
from jettison.store.store import Store
from jettison.store.view import LayerView
from tests.property.test_layers import LAYERS, RELAXED, opened, registered


def shown(view: LayerView, path: str = "") -> dict[object, int]:
    """The bytes of each file of a tree, however many names it has."""
    found: dict[object, int] = {}
    for name in view.listdir(path):
        inside = f"{path}/{name}" if path else name
        node = view.lookup(inside)
        if node is not None and node.kind == "dir":
            found |= shown(view, inside)
        elif node is not None and node.kind == "file":
            found[node.identity] = node.size
    return found


def stacked(store: Store, layers: list[Layer]) -> Stack:
    stack = Stack()
    for layer in layers:
        stack.add(entries_of(store, layer))
    return stack


@RELAXED
@given(LAYERS)
def test_sums_equal_the_archives_and_what_is_left_is_what_shows(
    layers: list[list[tuple[Entry, bytes]]],
) -> None:
    with opened() as store:
        ids = [registered(store, layer) for layer in layers]
        try:
            known = [store.layers.ensure_blob(layer_id) for layer_id in ids]
            stack = stacked(store, known)
        except StoreError:
            return
        sizes = [sum(entry.size for entry, _ in layer if entry.kind == "file") for layer in layers]
        assert [measure.size for measure in stack.layers] == sizes

        steps = tuple(Step(f"RUN {at}") for at in range(len(known)))
        found = report(store, Subject("random", tuple(known), steps))
        assert [part.size for part in found.parts] == sizes
        assert found.compressed == sum(layer.blob.size for layer in known if layer.blob)
        assert sum(share.size for share in found.shares) == found.size == sum(sizes)
        hidden = sum(file.entry.size for file in stack.hidden)
        repeated = sum(measure.repeated for measure in stack.layers)
        assert sum(shown(store.view(ids)).values()) == found.size - hidden - repeated
        # Names of one file that were changed apart from each other are waste too, and show all the same.
        split = sum(file.entry.size for file, _ in stack.split)
        assert 0 <= found.wasted - hidden - repeated <= split
