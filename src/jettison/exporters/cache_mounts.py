"""Cache mounts saved: to an archive, and as an artifact to a registry or an OCI layout."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from jettison.dataclass import dataclass
from jettison.errors import ExportError, UsageError
from jettison.exporters.place import opened, reported
from jettison.oci.archive import FolderFiles, FolderSink
from jettison.oci.descriptor import REF_NAME, Descriptor
from jettison.oci.layout import INDEX, is_layout, read_layout, write_layout
from jettison.oci.manifest import Index, Manifest
from jettison.store import mount_archive
from jettison.store.cache_mounts import CacheMount, held
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.oci.registry.access import RegistryAccess

ARTIFACT = "application/vnd.jettison.cache-mounts.v1"
LAYER = ARTIFACT + ".tar+zstd"
_EMPTY = "application/vnd.oci.empty.v1+json"
_EMPTY_DATA = b"{}"
_SUFFIXES = {".tar": "none", ".tar.gz": "gzip", ".tgz": "gzip", ".tar.zst": "zstd", ".tzst": "zstd"}


@dataclass(frozen=True, slots=True)
class _Artifact:
    """The documents of an artifact, and the files of its layers by digest."""

    manifest: bytes
    descriptor: Descriptor
    config: str
    layers: dict[str, str]


def save_archive(store: Store, ids: Sequence[str], dest: str, stream: BinaryIO | None = None) -> None:
    """Write mounts to a file, compressed as its suffix says, or to the stream for "-" (zstd).

    Raises ExportError, and as `held`; an earlier file is there still then.
    """
    compression = "zstd" if dest == "-" else compression_of(dest)
    with held(store, ids) as mounts, opened(dest, stream) as file:
        mount_archive.write(mounts, compression, file.write)


def compression_of(name: str) -> str:
    """How an archive of this name is compressed. Raises UsageError for an unknown suffix."""
    for suffix, compression in _SUFFIXES.items():
        if name.endswith(suffix):
            return compression
    raise UsageError(
        f"{name!r} does not say how the archive is to be compressed",
        hint=f"let it end with one of {', '.join(_SUFFIXES)}",
    )


def push(store: Store, ids: Sequence[str], name: str, access: RegistryAccess) -> str:
    """Push mounts as an artifact, one layer for each, and give its digest; unchanged ones are not sent again.

    Raises RegistryError, and as `held`.
    """
    from jettison.oci import reference
    from jettison.oci.registry.push import Upload
    from jettison.oci.registry.push import push as push_image

    target = reference.parse(name)
    artifact = _artifact(store, ids)
    uploads = [Upload(artifact.config, len(_EMPTY_DATA), partial(store.blobs.open, artifact.config))]
    for digest, path in artifact.layers.items():
        uploads.append(Upload(digest, os.path.getsize(path), partial(_open, path)))
    return push_image(access, target, uploads, artifact.manifest, artifact.descriptor.media_type)


def save_layout(store: Store, ids: Sequence[str], folder: str, tag: str) -> str:
    """Write mounts as an artifact into an OCI layout, and give its digest. Other tags that are there stay."""
    artifact = _artifact(store, ids)
    with reported(folder):
        os.makedirs(folder, exist_ok=True)
        files = FolderFiles(folder)
        before: tuple[Descriptor, ...] = ()
        if is_layout(files):
            before = read_layout(files, folder).index.manifests
        elif os.path.exists(os.path.join(folder, INDEX)):
            raise ExportError(
                f"{folder} holds an {INDEX} that is no OCI layout's", hint="name another folder"
            )
        descriptor = Descriptor(
            artifact.descriptor.media_type,
            artifact.descriptor.digest,
            artifact.descriptor.size,
            annotations={REF_NAME: tag},
            artifact_type=ARTIFACT,
        )
        kept = [item for item in before if item.annotations.get(REF_NAME) != tag]
        blobs = {**artifact.layers, artifact.config: store.blobs.path(artifact.config)}
        documents = {descriptor.digest: artifact.manifest}
        write_layout(FolderSink(folder), Index((*kept, descriptor)), documents, blobs, {})
    return descriptor.digest


def _artifact(store: Store, ids: Sequence[str]) -> _Artifact:
    from jettison.digests import digest_of_bytes

    config = store.blobs.put(_EMPTY_DATA)
    layers: dict[str, str] = {}
    described = []
    with held(store, ids) as mounts:
        for mount in mounts:
            path, digest = _layer(store, mount)
            layers[digest] = path
            described.append(Descriptor(LAYER, digest, os.path.getsize(path)))
    manifest = Manifest(
        Descriptor(_EMPTY, config, len(_EMPTY_DATA)), tuple(described), artifact_type=ARTIFACT
    )
    data = manifest.to_bytes()
    return _Artifact(data, Descriptor(manifest.media_type, digest_of_bytes(data), len(data)), config, layers)


def _open(path: str) -> BinaryIO:
    return open(path, "rb")


def _layer(store: Store, mount: CacheMount) -> tuple[str, str]:
    """An archive of one mount in a temporary file, and its digest."""
    from hashlib import file_digest

    path = store.session.new_name("mount")
    with open(path, "w+b") as file:
        mount_archive.write([mount], "zstd", file.write)
        file.flush()
        file.seek(0)
        return path, "sha256:" + file_digest(file, "sha256").hexdigest()
