"""Images as OCI layouts: `type=oci`, an archive by default, a folder with tar=false; and `jettison save`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from jettison.errors import ExportError, SourceError
from jettison.exporters.image import ImageDocument, bring_blobs
from jettison.exporters.place import opened, reported
from jettison.oci import reference
from jettison.oci.archive import ArchiveSink, FolderFiles, FolderSink, Sink
from jettison.oci.descriptor import IMAGE_NAME, REF_NAME, Descriptor
from jettison.oci.layout import INDEX, is_layout, named, read_layout, write_layout
from jettison.oci.manifest import Index
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.events import Told

Named = tuple[ImageDocument, Sequence[str]]
"""An image and the full references it is to be known by; there may be none."""


def write_oci_archive(
    store: Store,
    images: Sequence[Named],
    dest: str,
    stream: BinaryIO | None = None,
    *,
    told: Told | None = None,
) -> None:
    """Write an OCI archive to a file, or to the stream for "-". Raises ExportError.

    `told` hears of the bytes of layers and configurations as they are written.
    """
    with opened(dest, stream) as file:
        _write(store, images, ArchiveSink(file, told), ())


def write_oci_folder(store: Store, images: Sequence[Named], dest: str, *, told: Told | None = None) -> None:
    """Write an OCI layout into a folder. Images of other names that it holds stay. Raises ExportError.

    `told` is as for an archive.
    """
    with reported(dest):
        os.makedirs(dest, exist_ok=True)
        files = FolderFiles(dest)
        before: tuple[Descriptor, ...] = ()
        if is_layout(files):
            try:
                before = read_layout(files, dest).index.manifests
            except SourceError as error:
                raise ExportError(
                    f"{dest} holds something else: {error.message}", hint="name another folder"
                ) from error
        elif os.path.exists(os.path.join(dest, INDEX)):
            raise ExportError(f"{dest} holds an {INDEX} that is no OCI layout's", hint="name another folder")
        _write(store, images, FolderSink(dest, told), before)


def entries(images: Sequence[Named]) -> list[Descriptor]:
    """The entries of an index for some images: one per name."""
    out = []
    for image, names in images:
        out += [named(image.descriptor, name) for name in names] or [image.descriptor]
    return out


def _write(store: Store, images: Sequence[Named], sink: Sink, before: Sequence[Descriptor]) -> None:
    blobs: dict[str, str] = {}
    documents: dict[str, bytes] = {}
    for image, _ in images:
        blobs |= bring_blobs(store, image)
        documents[image.manifest_digest] = image.manifest_bytes
        blobs[image.config_digest] = store.blobs.path(image.config_digest)
    added = entries(images)
    kept = [old for old in before if not any(_replaces(new, old) for new in added)]
    write_layout(sink, Index((*kept, *added)), documents, blobs, {})


def _replaces(new: Descriptor, old: Descriptor) -> bool:
    """Whether an entry takes the place of an older one: they go by one name, or both by none."""
    ours, theirs = _label(new), _label(old)
    return ours == theirs or theirs == "" or (ours != "" and reference.parse(ours).tag == theirs)


def _label(item: Descriptor) -> str:
    return item.annotations.get(IMAGE_NAME) or item.annotations.get(REF_NAME, "")
