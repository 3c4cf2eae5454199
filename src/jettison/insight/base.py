"""Which layers of an image came with its base image, where nobody noted it."""

from __future__ import annotations

from collections.abc import Sequence

from jettison.errors import JettisonError
from jettison.store.store import Store

_MOST_IMAGES = 1000


def base_layers(store: Store, diff_ids: Sequence[str]) -> tuple[str, int]:
    """The name of the base image and the number of its layers, the lowest ones; ("", 0) when it is not here.

    It is the largest image of the store whose layers all lie below others of this one.
    """
    from jettison.oci.config import parse_config
    from jettison.oci.reference import parse

    name, most = "", 0
    for record in store.images.list()[:_MOST_IMAGES]:
        if not store.blobs.has(record.config):
            continue
        try:
            lower = parse_config(store.blobs.read(record.config), record.config).diff_ids
        except JettisonError:
            continue
        if most < len(lower) < len(diff_ids) and tuple(diff_ids[: len(lower)]) == lower:
            name, most = parse(record.name).familiar(), len(lower)
    return name, most
