"""Media types: OCI's (image-spec, Media Types), which jettison writes, and Docker's, which it also reads."""

from __future__ import annotations

from typing import Literal

Compression = Literal["", "gzip", "zstd"]

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
OCI_LAYOUT = "application/vnd.oci.layout.header.v1+json"

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_MANIFEST_1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
DOCKER_LAYER_ZSTD = DOCKER_LAYER + ".zstd"

INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})
ACCEPTED = (OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST)
"""What a registry is asked for, in this order."""

_LAYERS: dict[str, Compression] = {
    OCI_LAYER: "",
    OCI_LAYER_GZIP: "gzip",
    OCI_LAYER_ZSTD: "zstd",
    DOCKER_LAYER: "",
    DOCKER_LAYER_GZIP: "gzip",
    DOCKER_LAYER_ZSTD: "zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar": "",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": "zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar": "",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": "gzip",
}
_OCI_LAYERS: dict[Compression, str] = {"": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}
_DOCKER_LAYERS: dict[Compression, str] = {
    "": DOCKER_LAYER,
    "gzip": DOCKER_LAYER_GZIP,
    "zstd": DOCKER_LAYER_ZSTD,
}


def is_layer(media_type: str) -> bool:
    """Whether a media type is that of a filesystem layer."""
    return media_type in _LAYERS


def compression_of(media_type: str) -> Compression | None:
    """How a layer of this media type is compressed; None when it is no layer's."""
    return _LAYERS.get(media_type)


def oci_layer(compression: Compression) -> str:
    """OCI's media type of a layer."""
    return _OCI_LAYERS[compression]


def docker_layer(compression: Compression) -> str:
    """Docker's media type of a layer."""
    return _DOCKER_LAYERS[compression]


def as_oci_layer(media_type: str) -> str:
    """The OCI media type of the same bytes; unknown media types stay as they are."""
    compression = _LAYERS.get(media_type)
    return media_type if compression is None else _OCI_LAYERS[compression]
