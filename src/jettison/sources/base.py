"""What every source of base images gives: a pinned image, its layers known but perhaps not fetched."""

from __future__ import annotations

from jettison.dataclass import dataclass
from jettison.oci.config import ImageConfig
from jettison.store.base import Blob


@dataclass(frozen=True, slots=True)
class BaseLayer:
    """One layer of a base image: what it unpacks to, and the blob that holds it."""

    diff_id: str
    blob: Blob


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A base image, pinned to one manifest.

    `name` is the full reference, `digest` that of the image manifest. `origin` says to a person where it
    came from ("local store", "registry …", "named context …"). `fetch_from` is stored with every layer
    and tells `sources.fetch.fetch_blob` where a missing blob is to be had ("" when all are in the store).
    """

    name: str
    digest: str
    origin: str
    config: ImageConfig
    layers: tuple[BaseLayer, ...]
    fetch_from: str = ""
