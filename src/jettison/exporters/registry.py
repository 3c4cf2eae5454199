"""Images pushed to registries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from jettison.exporters.image import ImageDocument, bring_blob
from jettison.oci import reference
from jettison.store.base import Layer
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.oci.registry.access import RegistryAccess


def push_image(
    store: Store,
    image: ImageDocument,
    name: str,
    access: RegistryAccess,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Push an image under a name, and give the digest it is known by there.

    Layers that the registry has already, in this repository or in the one they came from, are not even
    fetched. Raises RegistryError or ExportError.
    """
    from jettison.oci.registry.push import Upload, mountable, push

    target = reference.parse(name)
    config = image.manifest.config
    uploads = [Upload(config.digest, config.size, partial(store.blobs.open, config.digest))]
    for layer, described in zip(image.layers, image.manifest.layers, strict=True):
        bases = mountable(target, _origin(store, layer))
        uploads.append(Upload(described.digest, described.size, partial(_open, store, layer), bases))
    return push(access, target, uploads, image.manifest_bytes, image.manifest.media_type, progress=progress)


def _open(store: Store, layer: Layer) -> BinaryIO:
    return store.blobs.open(bring_blob(store, layer))


def _origin(store: Store, layer: Layer) -> str:
    rows = store.db.read("SELECT origin FROM layers WHERE id = ?", (layer.id,))
    return str(rows[0][0]) if rows else ""
