"""Makes damaged parts of a store again from what is sound, and removes what nothing can bring back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jettison.dataclass import dataclass
from jettison.errors import JettisonError, StoreError
from jettison.store.compress import packing
from jettison.store.temporary import remove_tree
from jettison.store.trees import tree_name
from jettison.upkeep.check import (
    Checked,
    Damage,
    blob_problem,
    broken_records,
    image_damage,
    note,
    tree_digest,
)
from jettison.upkeep.modes import close_to_others

if TYPE_CHECKING:
    from jettison.store.base import Layer
    from jettison.store.store import Store


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of each damage ("made again", "removed"), and the images and results gone with it."""

    outcomes: dict[Damage, str]
    images: tuple[str, ...]
    records: int


def repair(store: Store, checked: Checked) -> Repaired:
    """Mend what a check found. Nobody else may have the store open; whoever comes waits.

    Raises StoreError when somebody has.
    """
    if not checked.damages:
        return Repaired({}, (), 0)
    with store.lock("collect"), store.presence.alone() as alone:
        if not alone:
            raise StoreError(
                "the store is in use, and repairing it would disturb the build that uses it",
                hint="try again when no other jettison runs",
                temporary=True,
            )
        _take_away(store, checked)
        outcomes = {damage: _mend(store, damage) for damage in checked.damages}
        images, records = _drop_broken(store)
    return Repaired(outcomes, images, records)


def _take_away(store: Store, checked: Checked) -> None:
    """Put what is damaged out of the way first, so that nothing is made from it."""
    for damage in checked.damages:
        if damage.kind == "blob":
            remove_tree(f"{store.blobs.folder}/{damage.id.replace(':', '/', 1)}")
        elif damage.kind == "failed":
            remove_tree(f"{store.root}/failed/{damage.id}")
        elif damage.kind == "index":
            remove_tree(f"{store.layers.folder}/{damage.id}/index")
            note(store, f"layers/{damage.id}/index", "")
        elif damage.kind == "tree":
            doomed = store.session.new_name("dead")
            os.rename(store.layers.tree(damage.id), doomed)
            remove_tree(doomed)


def _mend(store: Store, damage: Damage) -> str:
    if damage.kind == "blob":
        return _blob(store, damage.id)
    if damage.kind == "mode":
        close_to_others(os.path.join(store.root, damage.id))
        return "closed"
    if damage.kind == "index":
        return "removed: it is made again when it is needed"
    if damage.kind == "tree":
        try:
            tree = store.layers.ensure_tree(damage.id)
        except JettisonError:
            return "removed: there is no sound blob to unpack"
        note(store, f"layers/{damage.id}/{tree_name()}", tree_digest(tree))
        return "made again from its blob"
    return "removed"


def _blob(store: Store, digest: str) -> str:
    """Make a blob again: from the files of its layer, or from where the layer came from."""
    rows = store.db.read(
        "SELECT id FROM layers WHERE blob = ? UNION SELECT layer FROM renderings WHERE blob = ?",
        (digest, digest),
    )
    for (layer_id,) in rows:
        layer = store.layers.get(layer_id)
        if layer is None or layer.blob is None:
            continue
        try:
            _make_blob(store, layer, digest)
        except JettisonError:
            continue
        if store.blobs.has(digest) and not blob_problem(store, digest):
            return "made again"
    return "removed"


def _make_blob(store: Store, layer: Layer, digest: str) -> None:
    if store.layers.is_base(layer.id):
        store.layers.fetch(layer)
        return
    rows = store.db.read(
        "SELECT compression, clamp FROM renderings WHERE layer = ? AND blob = ?", (layer.id, digest)
    )
    for name, clamp in rows or [("", -1)]:
        store.layers.ensure_blob(layer.id, None if clamp < 0 else clamp, packing(name) if name else None)


def _drop_broken(store: Store) -> tuple[tuple[str, ...], int]:
    """Forget layers that exist in no form, the steps that used them, and images that lack something."""
    lost = [layer.id for layer in store.layers.all() if not store.layers.usable([layer.id])]
    for layer_id in lost:
        store.layers.remove(layer_id)
    broken = broken_records(store)
    store.db.write_many("DELETE FROM records WHERE key = ?", [(key,) for key in broken])
    gone = tuple(image.name for image in store.images.list() if image_damage(store, image))
    for name in gone:
        store.images.remove(name)
    return gone, len(broken)
