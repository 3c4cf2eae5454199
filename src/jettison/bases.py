"""Where a build's base images come from, and how their layers get into the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from jettison.events import Emit, Pace
from jettison.graph.stages import Origin
from jettison.inputs import Contexts
from jettison.platforms import Platform
from jettison.request import BuildRequest
from jettison.sources.base import BaseImage
from jettison.store.base import Blob
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.oci.registry.access import RegistryAccess


def resolver(
    request: BuildRequest, contexts: Contexts, store: Store, access: Callable[[], RegistryAccess]
) -> Callable[[Origin, Platform], BaseImage]:
    """What finds the base image that a FROM, or a --from, names."""
    from jettison.sources.images import resolve_image

    def resolve(origin: Origin, platform: Platform) -> BaseImage:
        value = contexts.images.get(origin.name, "") if origin.kind == "context" else ""
        if value.startswith("oci-layout://"):
            from jettison.sources.layout import image_from_layout, split_layout

            folder, selector = split_layout(value)
            return image_from_layout(store, folder, selector, platform, origin.name)
        name = value.removeprefix("docker-image://") or origin.name
        return resolve_image(store, name, platform, pull=request.pull, access=access())

    return resolve


def fetch_layer(
    store: Store, access: RegistryAccess, blob: Blob, origin: str, emit: Emit, downloads: Mapping[str, str]
) -> None:
    """Bring the blob of a layer into the store, and tell how far it came; `downloads` are steps by digest."""
    from jettison.sources.fetch import fetch_blob

    pace = Pace(emit, downloads.get(blob.digest, ""), blob.digest, at_once=True)
    fetch_blob(store, blob, origin, access, pace.reach)
    pace.end()
