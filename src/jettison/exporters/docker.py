"""Images as docker archives: `type=docker`, `jettison save --format docker`, and what `--load` sends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from jettison.exporters.image import ImageDocument, bring_blobs, same_bytes
from jettison.exporters.layout import Named
from jettison.exporters.place import opened
from jettison.oci.archive import ArchiveSink
from jettison.oci.docker_archive import MANIFEST, as_docker, manifest_json
from jettison.oci.layout import named, write_layout
from jettison.oci.manifest import Index, Manifest
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.events import Told


def write_docker_archive(
    store: Store,
    images: Sequence[Named],
    dest: str,
    stream: BinaryIO | None = None,
    *,
    oci_types: bool = False,
    told: Told | None = None,
) -> None:
    """Write a docker archive to a file, or to the stream for "-". Raises ExportError.

    It holds an OCI layout too; its manifests have Docker's media types unless `oci_types` is set. `told`
    hears of the bytes of layers and configurations as they are written.
    """
    with opened(dest, stream) as file:
        stream_docker_archive(store, images, file, oci_types=oci_types, told=told)


def stream_docker_archive(
    store: Store,
    images: Sequence[Named],
    stream: BinaryIO,
    *,
    oci_types: bool = False,
    told: Told | None = None,
) -> None:
    """Write a docker archive to a stream."""
    blobs: dict[str, str] = {}
    documents: dict[str, bytes] = {}
    index = []
    for image, names in images:
        blobs |= bring_blobs(store, image)
        blobs[image.config_digest] = store.blobs.path(image.config_digest)
        described, data = same_bytes(image, _manifest(image, oci_types))
        documents[described.digest] = data
        index += [named(described, name) for name in names] or [described]
    listed = manifest_json([(image.manifest, names) for image, names in images])
    write_layout(ArchiveSink(stream, told), Index(tuple(index)), documents, blobs, {MANIFEST: listed})


def _manifest(image: ImageDocument, oci_types: bool) -> Manifest:
    return image.manifest if oci_types else as_docker(image.manifest)
