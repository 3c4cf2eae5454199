"""Makes the rendering of a layer that is missing. Callers hold the lock of that rendering."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jettison.errors import StoreError
from jettison.store import owners
from jettison.store.base import Blob, Entry, Layer
from jettison.store.blob_writer import LayerStream, stamped
from jettison.store.compress import Packing, compression_of
from jettison.store.contents import pieces, told_pieces
from jettison.store.faults import faults
from jettison.store.temporary import remove_tree

if TYPE_CHECKING:
    from jettison.events import Told
    from jettison.store.store import Store

_UNCLAMPED = -1


def make_tree(store: Store, layer: Layer) -> None:
    """Unpack the blob of a layer, and let its tree appear if it is what the diff ID says."""
    import json

    from jettison.store.apply import unpack

    blob = store.layers.fetch(layer)
    tree = store.session.new_folder("tree", 0o755)
    try:
        with faults(f"unpacking {blob}", store.root):
            diff_id, size, implied = unpack(blob, tree)
            _verify(layer, diff_id)
            os.makedirs(f"{store.layers.folder}/{layer.id}", 0o700, exist_ok=True)
            store.db.write(
                "UPDATE layers SET size = ?, implied = ? WHERE id = ?", (size, json.dumps(implied), layer.id)
            )
            owners.bring(tree, store.layers.tree(layer.id))
    except BaseException:
        remove_tree(tree)
        raise


def make_index(store: Store, layer: Layer) -> None:
    """Read the blob of a layer through, and keep the entries."""
    from jettison.store.apply import scan
    from jettison.store.index import write_index

    blob = store.layers.fetch(layer)
    with faults(f"reading {blob}", store.root):
        diff_id, size, found = scan(blob)
        _verify(layer, diff_id)
        path = store.session.new_name("index")
        write_index(path, found)
        os.makedirs(f"{store.layers.folder}/{layer.id}", 0o700, exist_ok=True)
        store.db.write("UPDATE layers SET size = ? WHERE id = ?", (size, layer.id))
        os.rename(path, f"{store.layers.folder}/{layer.id}/index")


def _verify(layer: Layer, diff_id: str) -> None:
    if layer.diff_id and diff_id != layer.diff_id:
        raise StoreError(
            f"layer {layer.id} unpacks to {diff_id}, but its image says {layer.diff_id}",
            hint="the image is damaged, or its configuration belongs to another one",
        )


def make_blob(
    store: Store, layer: Layer, clamp: int | None, chosen: Packing | None, told: Told | None = None
) -> Layer:
    """The layer with a blob of the wanted kind: one that was made before, or a new one."""
    if chosen is None:
        chosen = Packing(compression_of(layer.blob.media_type) if layer.blob else "gzip")
    known = _known(store, layer, clamp, chosen)
    if known is not None:
        return known
    if clamp is not None and not _later(store, layer, clamp):
        plain = make_blob(store, layer, None, chosen, told)
        _record(store, plain, clamp, chosen)
        return plain
    stream = LayerStream(store.blobs, chosen)
    try:
        with faults(f"packing layer {layer.id}", store.root):
            diff_id, blob = _pack(store, layer, stream, clamp, told)
    finally:
        stream.abort()
    made = Layer(layer.id, diff_id, blob, layer.size)
    _record(store, made, clamp, chosen)
    return made


def _known(store: Store, layer: Layer, clamp: int | None, chosen: Packing) -> Layer | None:
    blob = layer.blob
    if clamp is None and blob and chosen.fits(blob.media_type) and store.blobs.has(blob.digest):
        return layer
    rows = store.db.read(
        "SELECT diff_id, blob, blob_size, media_type FROM renderings"
        " WHERE layer = ? AND compression = ? AND clamp = ?",
        (layer.id, chosen.name, _UNCLAMPED if clamp is None else clamp),
    )
    if not rows or not store.blobs.has(rows[0][1]):
        return None
    diff_id, digest, size, media_type = rows[0]
    return Layer(layer.id, diff_id, Blob(digest, size, media_type), layer.size)


def _record(store: Store, layer: Layer, clamp: int | None, chosen: Packing) -> None:
    blob = layer.blob
    assert blob is not None
    values = (layer.diff_id, blob.digest, blob.size, blob.media_type)
    with store.db.transaction():
        store.db.write(
            "INSERT OR REPLACE INTO renderings VALUES (?, ?, ?, ?, ?, ?, ?)",
            (layer.id, chosen.name, _UNCLAMPED if clamp is None else clamp, *values),
        )
        if clamp is None and not chosen.level:
            # The first rendering is the one that the layer is known by.
            store.db.write(
                "UPDATE layers SET diff_id = ?, blob = ?, blob_size = ?, media_type = ?"
                " WHERE id = ? AND (blob = '' OR media_type = ?)",
                (*values, layer.id, blob.media_type),
            )


def _later(store: Store, layer: Layer, clamp: int) -> bool:
    """Whether anything in the layer is later than `clamp`."""
    return any(entry.mtime_ns > clamp * 10**9 for entry in _entries(store, layer))


def _entries(store: Store, layer: Layer) -> Iterable[Entry]:
    from jettison.store.index import from_bytes
    from jettison.store.render import entries

    if store.layers.has_tree(layer.id):
        return entries(store.layers.tree(layer.id))
    return from_bytes(store.layers.ensure_index(layer.id))


def _pack(
    store: Store, layer: Layer, stream: LayerStream, clamp: int | None, told: Told | None
) -> tuple[str, Blob]:
    if layer.blob and store.blobs.has(layer.blob.digest):
        return _repack(store.blobs.path(layer.blob.digest), stream, clamp, told)
    if not store.layers.has_tree(layer.id):
        store.layers.fetch(layer)
    tree = store.layers.tree(layer.id)
    from jettison.store.render import entries

    for entry in entries(tree):
        content = pieces(f"{tree}/{entry.path}") if entry.kind == "file" else ()
        stream.add(stamped(entry, clamp), told_pieces(content, told))
    return stream.commit()


def _repack(path: str, stream: LayerStream, clamp: int | None, told: Told | None) -> tuple[str, Blob]:
    """The entries of an archive packed in another way, or with earlier times."""
    from jettison.store.readahead import Content
    from jettison.store.tar_reader import TarReader

    with Content(path) as content:
        reader = TarReader(content)
        for entry in reader:
            stream.add(stamped(entry, clamp), told_pieces(reader.content(), told))
        return stream.commit()
