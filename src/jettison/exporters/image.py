"""Image documents: the configuration and the manifest of an image, in the store, its layers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jettison.dataclass import dataclass, replace
from jettison.digests import digest_of_bytes
from jettison.errors import ExportError, NotFound
from jettison.oci import media
from jettison.oci.config import History, ImageConfig, config_bytes, parse_config
from jettison.oci.descriptor import Descriptor
from jettison.oci.manifest import Manifest, parse_manifest
from jettison.platforms import Platform
from jettison.store.base import Blob, Layer
from jettison.store.store import Store

_OF_OTHER_BUILDERS = frozenset({"id", "parent", "container", "container_config", "docker_version", "Size"})
"""Keys that old versions of Docker wrote about how they built a base image; they are not true of this one."""


@dataclass(frozen=True, slots=True)
class ImageDocument:
    """One image: its documents, which are in the store, and its layers, whose blobs may not be yet."""

    config: ImageConfig
    manifest: Manifest
    manifest_bytes: bytes
    manifest_digest: str
    layers: tuple[Layer, ...]

    @property
    def config_digest(self) -> str:
        """The image ID."""
        return self.manifest.config.digest

    @property
    def size(self) -> int:
        """The bytes of all compressed layers."""
        return sum(layer.size for layer in self.manifest.layers)

    @property
    def platform(self) -> Platform:
        """What the image runs on, as its configuration says."""
        return Platform(self.config.os, self.config.architecture, self.config.variant)

    @property
    def descriptor(self) -> Descriptor:
        """The entry that an index has for this image."""
        return Descriptor(
            self.manifest.media_type, self.manifest_digest, len(self.manifest_bytes), platform=self.platform
        )


def make_image(
    store: Store, config: ImageConfig, layers: Sequence[Layer], annotations: Mapping[str, str] | None = None
) -> ImageDocument:
    """Write configuration and manifest of an image into the store's blobs.

    Every layer must have its diff ID and the descriptor of its blob; the blob itself
    need not be here. The configuration's diff IDs are replaced, its history is
    completed where a base image left entries out. Raises ExportError.
    """
    described = []
    for layer in layers:
        if not layer.diff_id or layer.blob is None:
            raise ExportError(f"the layer {layer.id} has no blob yet", hint="this is a defect of jettison")
        blob = layer.blob
        described.append(Descriptor(media.as_oci_layer(blob.media_type), blob.digest, blob.size))
    config = replace(
        config,
        diff_ids=tuple(layer.diff_id for layer in layers),
        history=complete_history(config.history, len(layers)),
        extra={key: value for key, value in config.extra.items() if key not in _OF_OTHER_BUILDERS},
    )
    data = config_bytes(config)
    manifest = Manifest(
        config=Descriptor(media.OCI_CONFIG, store.blobs.put(data), len(data)),
        layers=tuple(described),
        annotations=dict(annotations or {}),
    )
    written = manifest.to_bytes()
    return ImageDocument(config, manifest, written, store.blobs.put(written), tuple(layers))


def complete_history(history: Sequence[History], layers: int) -> tuple[History, ...]:
    """A history with exactly one entry per layer beside those without: docker load refuses any other.

    What is missing is added in front, as only base images lack entries; of too many, the
    last are marked as empty.
    """
    having = [at for at, entry in enumerate(history) if not entry.empty_layer]
    out = [History(comment="unknown")] * (layers - len(having)) + list(history)
    for at in having[layers:]:
        out[at] = replace(out[at], empty_layer=True)
    return tuple(out)


def read_image(store: Store, manifest_digest: str) -> ImageDocument:
    """The image of a manifest that is in the store. Raises NotFound when a document is missing."""
    if not store.blobs.has(manifest_digest):
        raise NotFound(f"the store lacks the manifest {manifest_digest}", hint="load or pull the image again")
    data = store.blobs.read(manifest_digest)
    manifest = parse_manifest(data, what=f"manifest {manifest_digest}")
    if not store.blobs.has(manifest.config.digest):
        raise NotFound(
            f"the store lacks the configuration {manifest.config.digest}", hint="load or pull it again"
        )
    config = parse_config(store.blobs.read(manifest.config.digest), f"configuration {manifest.config.digest}")
    layers = []
    for described, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
        known = store.layers.by_diff_id(diff_id)
        blob = Blob(described.digest, described.size, described.media_type)
        layers.append(Layer(known.id if known else "", diff_id, blob, known.size if known else 0))
    return ImageDocument(config, manifest, data, manifest_digest, tuple(layers))


def bring_blobs(store: Store, image: ImageDocument) -> dict[str, str]:
    """Make sure that all layer blobs are here; the file of each by its digest. Raises ExportError."""
    digests = [bring_blob(store, layer) for layer in image.layers]
    return {digest: store.blobs.path(digest) for digest in digests}


def bring_blob(store: Store, layer: Layer) -> str:
    """Make sure that a layer's blob is here, fetching a base layer that was not needed yet; its digest."""
    if layer.blob is None:
        raise ExportError(f"the layer {layer.id} has no blob yet", hint="this is a defect of jettison")
    digest = layer.blob.digest
    if not store.blobs.has(digest) and layer.id:
        store.layers.ensure_blob(layer.id)
    if not store.blobs.has(digest):
        raise ExportError(f"the store lacks the layer {digest}", hint="load or pull its image again")
    return digest


def same_bytes(image: ImageDocument, manifest: Manifest) -> tuple[Descriptor, bytes]:
    """Another manifest for an image (in other media types): its descriptor and its bytes."""
    data = manifest.to_bytes()
    made = Descriptor(manifest.media_type, digest_of_bytes(data), len(data), platform=image.platform)
    return made, data
