"""Finds what is damaged in a store: blobs against their digests, files of layers against their diff IDs.

Where a layer exists only as files there may be nothing that says what they were. The first check then notes
their digest, and the next ones compare with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from jettison.dataclass import dataclass
from jettison.digests import hex_of
from jettison.errors import StoreError
from jettison.store import failed
from jettison.store.blob_writer import stamped
from jettison.store.contents import pieces
from jettison.store.images import ImageRecord
from jettison.store.index import from_bytes
from jettison.store.render import entries
from jettison.store.tar import END, header, padding
from jettison.store.temporary import remove_tree
from jettison.store.trees import TREES, tree_name
from jettison.upkeep.modes import exposed
from jettison.upkeep.survey import diff_ids_of

if TYPE_CHECKING:
    from jettison.store.base import Layer
    from jettison.store.store import Store

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not what it should be. `id` is a digest, layer, key, path or image's name."""

    kind: Literal["blob", "tree", "index", "layer", "record", "failed", "image", "mode"]
    id: str
    problem: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at, what is damaged, and the names of the images that it hurts, by damage.

    `noted` counts layers whose files nothing could be compared with; from now on they are.
    """

    blobs: int
    trees: int
    noted: int
    elsewhere: int
    """Trees that were made with other user ids than this process has, and so were not looked at."""
    damages: tuple[Damage, ...]
    hurt: dict[Damage, tuple[str, ...]]


def check(store: Store) -> Checked:
    """Read everything in the store. Changes nothing but the notes of digests. Raises StoreError."""
    with store.lock("collect"):
        blobs = store.blobs.all()
        damages = [found for digest, _ in blobs if (found := _blob(store, digest))]
        bad = {one.id for one in damages}
        layers = store.layers.all()
        noted = trees = elsewhere = 0
        for layer in layers:
            elsewhere += _others(store, layer)
            if store.layers.has_tree(layer.id):
                trees += 1
                wrong, new = _tree(store, layer, bad)
                noted += new
                damages += wrong
            damages += _index(store, layer)
            damages += _renderings(store, layer)
        damages += [
            Damage("record", key, "it names a layer that the store has not") for key in broken_records(store)
        ]
        damages += [
            Damage("failed", name, "it names a layer that the store has not")
            for name in broken_failures(store)
        ]
        damages += [Damage("mode", path, problem) for path, problem in exposed(store.root)]
        images = store.images.list()
        damages += [found for image in images if (found := image_damage(store, image))]
        hurt = _hurt(store, damages, images)
    return Checked(len(blobs), trees, noted, elsewhere, tuple(damages), hurt)


def _others(store: Store, layer: Layer) -> int:
    """How many trees a layer has that this process does not use."""
    folder = f"{store.layers.folder}/{layer.id}"
    return sum(os.path.isdir(f"{folder}/{name}") for name in TREES if name != tree_name())


def blob_problem(store: Store, digest: str) -> str:
    """What is wrong with a blob's file; "" for nothing."""
    hashed = sha256()
    if digest.startswith("sha512:"):
        from hashlib import sha512

        hashed = sha512()
    try:
        expected = hex_of(digest)
        with open(store.blobs.path(digest), "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                hashed.update(piece)
    except ValueError:
        return "its name is no digest"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return "" if hashed.hexdigest() == expected else "its content is not what its digest says"


def _blob(store: Store, digest: str) -> Damage | None:
    try:
        problem = blob_problem(store, digest)
    except StoreError as error:
        problem = error.message
    return Damage("blob", digest, problem) if problem else None


def tree_digest(tree: str) -> str:
    """The diff ID that the files of a layer have. Raises OSError when one cannot be read."""
    hashed = sha256()
    for entry in entries(tree):
        hashed.update(header(stamped(entry, None)))
        if entry.kind == "file":
            size = 0
            for piece in pieces(f"{tree}/{entry.path}"):
                hashed.update(piece)
                size += len(piece)
            if size % 512:
                hashed.update(padding(size))
    hashed.update(END)
    return "sha256:" + hashed.hexdigest()


def _tree(store: Store, layer: Layer, bad: set[str]) -> tuple[list[Damage], bool]:
    """What is wrong with a tree, and whether it was only noted, as there is nothing to compare it with."""
    folder = f"layers/{layer.id}/{tree_name()}"
    try:
        digest = tree_digest(store.layers.tree(layer.id))
    except OSError as error:
        problem = f"its files cannot be read: {error.strerror} ({error.filename})"
        return [Damage("tree", layer.id, problem)], False
    except StoreError as error:
        return [Damage("tree", layer.id, error.message)], False
    known = noted(store, folder)
    if digest in (layer.diff_id, known):
        return [], False
    if known:
        return [Damage("tree", layer.id, "its files are not what they were")], False
    expected = _unpacked(store, layer, bad)
    if expected == digest or not expected:
        note(store, folder, digest)
        return [], not expected
    return [Damage("tree", layer.id, "its files are not those of its blob")], False


def noted(store: Store, folder: str) -> str:
    """The digest that an earlier check noted of a folder or file; "" for none."""
    rows = store.db.read("SELECT digest FROM measured WHERE folder = ?", (folder,))
    return str(rows[0][0]) if rows else ""


def note(store: Store, folder: str, digest: str) -> None:
    """Note a digest for later checks; "" forgets it."""
    store.db.write(
        "INSERT INTO measured (folder, digest) VALUES (?, ?)"
        " ON CONFLICT (folder) DO UPDATE SET digest = excluded.digest",
        (folder, digest),
    )


def _unpacked(store: Store, layer: Layer, bad: set[str]) -> str:
    """The digest of the files that a layer's blob holds; "" when there is no sound blob."""
    from jettison.store.apply import unpack

    if layer.blob is None or layer.blob.digest in bad or not store.blobs.has(layer.blob.digest):
        return ""
    tree = store.session.new_folder("check", 0o755)
    try:
        unpack(store.blobs.path(layer.blob.digest), tree)
        return tree_digest(tree)
    finally:
        remove_tree(tree)


def _index(store: Store, layer: Layer) -> list[Damage]:
    name = f"layers/{layer.id}/index"
    try:
        with open(f"{store.root}/{name}", "rb") as file:
            data = file.read()
        from_bytes(data)
    except FileNotFoundError:
        return []  # It is made when it is needed.
    except (OSError, StoreError):
        return [Damage("index", layer.id, "it cannot be read")]
    digest = sha256(data).hexdigest()
    known = noted(store, name)
    if not known:
        note(store, name, digest)
    return [Damage("index", layer.id, "it is not what it was")] if known not in ("", digest) else []


def _renderings(store: Store, layer: Layer) -> list[Damage]:
    """A layer that exists in no form, and comes from nowhere."""
    if store.layers.usable([layer.id]):
        return []
    return [Damage("layer", layer.id, "neither its files nor its blob are here")]


def broken_records(store: Store) -> list[str]:
    """The keys of cached results that name a layer which the store has not."""
    layers = {row[0] for row in store.db.read("SELECT id FROM layers")}
    out = []
    for key, stack in store.db.read("SELECT key, layers FROM records ORDER BY key"):
        try:
            whole = layers.issuperset(json.loads(stack))
        except (ValueError, TypeError):
            whole = False
        if not whole:
            out.append(key)
    return out


def broken_failures(store: Store) -> list[str]:
    """The ids of kept failed steps that cannot be read, or name a layer which the store has not."""
    layers = {row[0] for row in store.db.read("SELECT id FROM layers")}
    whole = {step.id for step in failed.listed(store) if layers.issuperset(step.needed)}
    return sorted(set(failed.names(store)) - whole)


def image_damage(store: Store, image: ImageRecord) -> Damage | None:
    """What an image lacks. Layers of a base image may still be where it came from."""
    for digest in (image.manifest, image.config):
        if not store.blobs.has(digest):
            return Damage("image", image.name, f"the document {digest} is missing")
    diff_ids = diff_ids_of(store, image)
    if len(diff_ids) != len(image.blobs):
        return Damage("image", image.name, "its documents do not fit each other")
    for diff_id, digest in zip(diff_ids, image.blobs, strict=True):
        layer = store.layers.by_diff_id(diff_id)
        if not store.blobs.has(digest) and (layer is None or not _to_be_had(store, layer, image.blobs)):
            return Damage("image", image.name, f"its layer {digest} is missing")
    return None


def _to_be_had(store: Store, layer: Layer, blobs: Collection[str]) -> bool:
    """Whether a layer of an image that lists `blobs` is here, or can be fetched or packed again."""
    if not store.layers.is_base(layer.id):
        return store.layers.usable([layer.id])
    if layer.blob is None or store.blobs.has(layer.blob.digest):
        return True
    origin = store.db.read("SELECT origin FROM layers WHERE id = ?", (layer.id,))
    return layer.blob.digest not in blobs or bool(origin and origin[0][0])


def _hurt(store: Store, damages: list[Damage], images: list[ImageRecord]) -> dict[Damage, tuple[str, ...]]:
    names: dict[str, list[str]] = {}
    for image in images:
        needed = {image.manifest, image.config, *image.blobs, image.name}
        for diff_id in diff_ids_of(store, image):
            rows = store.db.read("SELECT id, blob FROM layers WHERE diff_id = ?", (diff_id,))
            needed.update(value for row in rows for value in row if value)
        for one in needed:
            names.setdefault(one, []).append(image.name)
    return {damage: tuple(names.get(damage.id, ())) for damage in damages}
