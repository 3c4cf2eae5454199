"""Images in the local store: giving them names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jettison.exporters.image import ImageDocument
from jettison.oci import reference
from jettison.store.store import Store

UNTAGGED = "untagged"


def tag_image(
    store: Store, image: ImageDocument, names: Sequence[str], when_new: Callable[[], None] | None = None
) -> list[str]:
    """Record an image in the store under names in any form, and give them in full.

    A name that belonged to another image moves over. An image without names is kept as `untagged` with its
    digest, so that its id is enough to run or tag it. `when_new` is called when any name had another image.
    """
    full = [str(reference.parse(name)) for name in names]
    new = False
    for name in full or [str(reference.parse(f"{UNTAGGED}@{image.manifest_digest}"))]:
        new |= store.images.put(
            name,
            image.manifest_digest,
            media_type=image.manifest.media_type,
            config_digest=image.config_digest,
            platform=str(image.platform),
            blobs=tuple(layer.digest for layer in image.manifest.layers),
        )
    if new and when_new is not None:
        when_new()
    return full
