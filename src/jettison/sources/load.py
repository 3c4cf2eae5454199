"""`jettison load`: OCI layouts, OCI archives and docker archives into the local store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import cast

from jettison.dataclass import replace
from jettison.digests import digest_of_bytes
from jettison.errors import NotFound, SourceError, StoreError, UsageError
from jettison.oci import docker_archive, media, reference
from jettison.oci.archive import Files, compression_by_content, open_files
from jettison.oci.config import parse_config
from jettison.oci.descriptor import Descriptor
from jettison.oci.docker_archive import ArchivedImage
from jettison.oci.layout import (
    Image,
    Layout,
    blob_path,
    find,
    is_layout,
    names_of,
    read_layout,
    select,
    tag_of,
)
from jettison.oci.manifest import Manifest
from jettison.platforms import Platform, native
from jettison.sources.layout import copy_layers, keep_documents, register_layers
from jettison.store.blobs import BlobWriter
from jettison.store.store import Store

_CHUNK = 1024 * 1024
_LARGEST_CONFIG = 8 * 1024 * 1024


def load(store: Store, path: str, name: str | None = None, platform: Platform | None = None) -> list[str]:
    """Copy the images of a layout or an archive ("-": standard input) into the store; their full names.

    Archives may be compressed. With a `name` that has a tag, the image with that tag, or the
    only one, gets that name; a `name` without takes every tag of a layout. Without `name` all
    images keep theirs. Of several platforms the given one is taken, else this machine's.
    Raises SourceError or UsageError.
    """
    path = "/dev/stdin" if path == "-" else path
    if not os.path.exists(path):
        raise NotFound(f"{path} is not there")
    with open_files(path, os.path.join(store.root, "tmp")) as files:
        listed = _listed(files, path)
        if is_layout(files):
            layout = read_layout(files, path)
            if layout.index.manifests:
                return _load_layout(store, layout, listed, name, platform)
        if listed:
            return _load_docker(store, files, path, listed, name)
    raise SourceError(
        f"{path} holds no image",
        hint="OCI layouts, OCI archives and docker archives are read; compressed ones too",
    )


def _listed(files: Files, where: str) -> list[ArchivedImage]:
    return docker_archive.read_images(files, where) if docker_archive.is_docker_archive(files) else []


def _load_layout(
    store: Store, layout: Layout, listed: Sequence[ArchivedImage], name: str | None, platform: Platform | None
) -> list[str]:
    out: list[str] = []
    for names, items in _groups(layout, name):
        what = f"{names[0]} in {layout.where}" if names else layout.where
        image = find(layout, items, platform or native(), what=what, only=platform is not None)
        names = names or _names_by_config(listed, image.manifest.config.digest)
        if not names:
            raise _nameless(layout.where)
        copy_layers(store, layout, image)
        _record(store, image, names)
        out += [one for one in names if one not in out]
    return out


def _groups(layout: Layout, name: str | None) -> list[tuple[list[str], tuple[Descriptor, ...]]]:
    """What is to be loaded: the names, and the entries (one per platform) that they mean."""
    items = layout.index.manifests
    if name is not None:
        wanted = reference.parse(name)
        if ":" not in name.rpartition("/")[2] and any(tag_of(item) for item in items):
            tags = dict.fromkeys(tag_of(item) or wanted.tag for item in items)
            return [([str(replace(wanted, tag=tag))], _tagged(layout, tag, wanted.tag, name)) for tag in tags]
        same = tuple(item for item in items if str(wanted) in names_of(item))
        found = same or _tagged(layout, wanted.tag, "", name) or select(layout, "")
        return [([str(wanted)], found)]
    out: dict[tuple[str, ...], list[Descriptor]] = {}
    for item in items:
        # Entries that have only a tag are told apart by it, and are all without a name.
        out.setdefault(tuple(names_of(item)) or (":" + tag_of(item),), []).append(item)
    return [
        ([one for one in names if not one.startswith(":")], tuple(entries)) for names, entries in out.items()
    ]


def _tagged(layout: Layout, tag: str, default: str, name: str) -> tuple[Descriptor, ...]:
    """The entries with a tag (`default` where they have none). UsageError when they are different images."""
    found = tuple(item for item in layout.index.manifests if (tag_of(item) or default) == tag)
    names = sorted({known for item in found for known in names_of(item)})
    if len(names) > 1 and len({item.digest for item in found}) > 1:
        raise UsageError(
            f"{layout.where} holds several images with the tag {tag}: {', '.join(names)}",
            hint=f"only one can be called {name}; load them without a name to keep theirs",
        )
    return found


def _names_by_config(listed: Sequence[ArchivedImage], digest: str) -> list[str]:
    wanted = (blob_path(digest), digest.partition(":")[2] + ".json")
    return [name for image in listed if image.config in wanted for name in image.names]


def _nameless(where: str) -> UsageError:
    return UsageError(
        f"{where} does not say what its image is called",
        hint=f"give it a name: jettison load {where} NAME[:TAG]",
    )


def _record(store: Store, image: Image, names: Sequence[str]) -> None:
    digest = keep_documents(store, image)
    register_layers(store, image, "")
    config = image.config
    for name in names:
        store.images.put(
            name,
            digest,
            media_type=image.manifest.media_type,
            config_digest=image.manifest.config.digest,
            platform=str(Platform(config.os, config.architecture, config.variant)),
            blobs=tuple(layer.digest for layer in image.manifest.layers),
        )


def _load_docker(
    store: Store, files: Files, where: str, listed: Sequence[ArchivedImage], name: str | None
) -> list[str]:
    if name is not None:
        name = str(reference.parse(name))
        same = [image for image in listed if name in image.names]
        if len(same or listed) != 1:
            raise UsageError(
                f"{where} holds {len(listed)} images, but only one can be called {name}",
                hint="load it without a name: the images keep the names they came with",
            )
        listed = same or listed
    out: list[str] = []
    for image in listed:
        names = [name] if name is not None else list(image.names)
        if not names:
            raise _nameless(where)
        _record(store, _import(store, files, where, image), names)
        out += [one for one in names if one not in out]
    return out


def _import(store: Store, files: Files, where: str, image: ArchivedImage) -> Image:
    """Copy the layers of one archived image, and write the manifest that the archive lacks."""
    try:
        with files.open(image.config) as file:
            data = file.read(_LARGEST_CONFIG + 1)
        config = parse_config(data, f"{where}: {image.config}")
        if len(config.diff_ids) != len(image.layers):
            raise SourceError(
                f"{where}: {len(image.layers)} layers, but {len(config.diff_ids)} diff IDs in {image.config}"
            )
        layers = [
            _import_layer(store, files, where, path, diff_id)
            for path, diff_id in zip(image.layers, config.diff_ids, strict=True)
        ]
    except FileNotFoundError as error:
        raise SourceError(
            f"{where} lacks {error}", hint="the archive is incomplete; make it again"
        ) from error
    manifest = Manifest(
        config=Descriptor(media.OCI_CONFIG, digest_of_bytes(data), len(data)),
        layers=tuple(layers),
    )
    made = manifest.to_bytes()
    descriptor = Descriptor(media.OCI_MANIFEST, digest_of_bytes(made), len(made))
    return Image(descriptor, manifest, made, config, data)


def _import_layer(store: Store, files: Files, where: str, path: str, diff_id: str) -> Descriptor:
    """Copy one layer, unless the store has a blob of it. An uncompressed one is verified at once."""
    known = store.layers.claim(diff_id)
    if known is not None and known.blob is not None and store.blobs.claim(known.blob.digest):
        blob = known.blob
        return Descriptor(media.as_oci_layer(blob.media_type), blob.digest, blob.size)
    writer = store.blobs.writer()
    try:
        with files.open(path) as stream:
            piece = stream.read(_CHUNK)
            compression = compression_by_content(piece)
            while piece:
                writer.write(piece)
                piece = stream.read(_CHUNK)
        if compression not in ("", "gzip", "zstd"):
            raise SourceError(f"{where}: the layer {path} is compressed with {compression}, unlike any image")
        digest, size = _commit(writer, where, path, "" if compression else diff_id)
    finally:
        writer.abort()
    return Descriptor(media.oci_layer(cast(media.Compression, compression)), digest, size)


def _commit(writer: BlobWriter, where: str, path: str, diff_id: str) -> tuple[str, int]:
    try:
        return writer.commit(diff_id or None)
    except StoreError as error:
        if not error.temporary:
            raise
        raise SourceError(
            f"{where}: the layer {path} is damaged",
            hint="it is not what the image's configuration names; get it again",
        ) from error
