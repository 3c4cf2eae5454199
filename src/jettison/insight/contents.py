"""The entries of layers, and the contents of some of their files, from whichever rendering is there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256

from jettison.errors import StoreError
from jettison.store.base import Entry, Layer
from jettison.store.contents import pieces
from jettison.store.store import Store

LONGEST_TEXT = 32 << 20
"""Bytes that are kept of a file whose content is asked for."""


def entries_of(store: Store, layer: Layer) -> Iterable[Entry]:
    """The entries of a layer. Nothing is unpacked; a blob that was never looked into is read through once."""
    if not layer.id:
        from jettison.store.apply import scan

        return scan(_blob_file(store, layer))[2]
    if store.layers.has_tree(layer.id) and not os.path.exists(f"{store.layers.folder}/{layer.id}/index"):
        from jettison.store.render import entries

        return entries(store.layers.tree(layer.id))
    from jettison.store.index import from_bytes

    return from_bytes(store.layers.ensure_index(layer.id))


def contents_of(
    store: Store, layer: Layer, hashed: Collection[str], whole: Collection[str]
) -> dict[str, tuple[bytes, bytes]]:
    """Of files of a layer by path: the SHA-256, and the content of those in `whole`.

    What cannot be found by its path is left out.
    """
    found: dict[str, tuple[bytes, bytes]] = {}
    for path, content in _files(store, layer, {*hashed, *whole}):
        state, kept = sha256(), bytearray()
        for piece in content:
            state.update(piece)
            if path in whole and len(kept) < LONGEST_TEXT:
                kept += piece
        found[path] = state.digest(), bytes(kept)
    return found


def _files(
    store: Store, layer: Layer, wanted: Collection[str]
) -> Iterator[tuple[str, Iterable[bytes | memoryview]]]:
    if not wanted:
        return
    if layer.id and store.layers.has_tree(layer.id):
        tree = store.layers.tree(layer.id)
        for path in sorted(wanted):
            yield path, pieces(f"{tree}/{path}")
        return
    from jettison.store.readahead import Content
    from jettison.store.tar_reader import TarReader

    with Content(_blob_file(store, layer)) as content:
        reader = TarReader(content)
        for entry in reader:
            if entry.kind == "file" and entry.path in wanted:
                yield entry.path, reader.content()


def _blob_file(store: Store, layer: Layer) -> str:
    if layer.id:
        return store.layers.fetch(layer)
    assert layer.blob is not None
    if not store.blobs.has(layer.blob.digest):
        raise StoreError(
            f"the store lacks the layer {layer.blob.digest}", hint="load or pull its image again"
        )
    return store.blobs.path(layer.blob.digest)
