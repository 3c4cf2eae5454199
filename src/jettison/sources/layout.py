"""Base images in OCI layouts: named contexts written as oci-layout://FOLDER[:TAG|@DIGEST]."""

from __future__ import annotations

import os
from typing import BinaryIO

from jettison.digests import is_digest
from jettison.errors import NotFound, SourceError, StoreError
from jettison.oci import media
from jettison.oci.archive import open_files
from jettison.oci.layout import Image, Layout, find, open_blob, read_layout, select
from jettison.platforms import Platform
from jettison.sources.base import BaseImage, BaseLayer
from jettison.store.base import Blob
from jettison.store.store import Store

SCHEME = "oci-layout://"
_CHUNK = 1024 * 1024


def split_layout(text: str) -> tuple[str, str]:
    """Folder and selector of [oci-layout://]FOLDER[:TAG|@DIGEST]. The selector keeps its sign.

    A colon is the folder's own where there is such a folder.
    """
    text = text.removeprefix(SCHEME)
    folder, at, digest = text.rpartition("@")
    if at and is_digest(digest):
        return folder, at + digest
    folder, colon, tag = text.rpartition(":")
    if colon and "/" not in tag and tag and not os.path.exists(text):
        return folder, colon + tag
    return text, ""


def image_from_layout(store: Store, folder: str, selector: str, platform: Platform, name: str) -> BaseImage:
    """The image of a layout for a platform, its documents copied into the store.

    `selector` is ":tag", "@digest" or "". Layers stay where they are until something
    needs them; those of an archive are copied at once. `name` is what errors call it. Raises
    SourceError, NotFound among them.
    """
    folder = os.path.abspath(folder)
    if not os.path.exists(folder):
        raise NotFound(f"{name}: the OCI layout {folder} is not there")
    with open_files(folder, os.path.join(store.root, "tmp")) as files:
        layout = read_layout(files, folder)
        image = find(layout, select(layout, selector), platform, what=f"{name} in {folder}{selector}")
        digest = keep_documents(store, image)
        in_folder = os.path.isdir(folder)
        if not in_folder:
            copy_layers(store, layout, image)
    fetch_from = f"layout:{folder}" if in_folder else ""
    return BaseImage(
        name=name,
        digest=digest,
        origin=f"named context {name} (OCI layout {folder})",
        config=image.config,
        layers=register_layers(store, image, fetch_from),
        fetch_from=fetch_from,
    )


def keep_documents(store: Store, image: Image) -> str:
    """Put manifest and configuration of an image, as they are, into the store; the manifest's digest."""
    put_document(store, image.config_bytes, image.manifest.config.digest)
    put_document(store, image.manifest_bytes, image.descriptor.digest)
    return image.descriptor.digest


def put_document(store: Store, data: bytes, digest: str) -> None:
    """Put a small blob into the store under the digest it is known by."""
    from io import BytesIO

    copy_blob(store, BytesIO(data), digest, len(data), "document")


def register_layers(store: Store, image: Image, origin: str) -> tuple[BaseLayer, ...]:
    """Tell the store of an image's layers, and where their blobs are to be had ("" when they are here)."""
    out = []
    for described, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
        blob = Blob(described.digest, described.size, media.as_oci_layer(described.media_type))
        store.layers.register(diff_id, blob, origin)
        out.append(BaseLayer(diff_id, blob))
    return tuple(out)


def copy_layers(store: Store, layout: Layout, image: Image) -> None:
    """Copy all layer blobs of an image into the store, verified. Raises SourceError."""
    for described in image.manifest.layers:
        if not store.blobs.claim(described.digest):
            with open_blob(layout, described.digest) as stream:
                copy_blob(store, stream, described.digest, described.size, layout.where)


def copy_blob(store: Store, stream: BinaryIO, digest: str, size: int, where: str) -> None:
    """Copy one blob into the store. Raises SourceError when it has not the digest and size it should have."""
    if store.blobs.claim(digest):
        return
    writer = store.blobs.writer(digest.partition(":")[0])
    try:
        while writer.size <= size and (data := stream.read(_CHUNK)):
            writer.write(data)
        if writer.size != size:
            raise _damaged(where, digest)
        writer.commit(digest)
    except StoreError as error:
        # The store calls wrong content temporary; a full disk is another matter.
        if error.temporary:
            raise _damaged(where, digest) from error
        raise
    finally:
        writer.abort()


def _damaged(where: str, digest: str) -> SourceError:
    return SourceError(
        f"{where}: the blob {digest} is damaged",
        hint="it has not the size or the content that its name stands for; get it again",
    )
