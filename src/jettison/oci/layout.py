"""OCI image layouts, in a folder or a tar archive (OCI image-spec, Image Layout): reading and writing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

from jettison.dataclass import dataclass, replace
from jettison.digests import digest_of_bytes, hex_of, is_digest
from jettison.errors import NotFound, SourceError, UsageError
from jettison.oci import media, reference
from jettison.oci.archive import Files, Sink
from jettison.oci.config import ImageConfig, parse_config
from jettison.oci.descriptor import IMAGE_NAME, REF_NAME, Descriptor
from jettison.oci.manifest import (
    LARGEST,
    Index,
    Manifest,
    candidates,
    json_bytes,
    no_platform,
    parse,
    parse_index,
    rank,
    read_json,
)
from jettison.platforms import Platform

MARKER = "oci-layout"
INDEX = "index.json"
_LARGEST_CONFIG = 8 * 1024 * 1024
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """An opened layout. `where` is what errors call it."""

    files: Files
    index: Index
    where: str


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a layout, its small documents read and verified."""

    descriptor: Descriptor
    manifest: Manifest
    manifest_bytes: bytes
    config: ImageConfig
    config_bytes: bytes


def is_layout(files: Files) -> bool:
    """Whether these files are an OCI image layout."""
    return files.has(MARKER) and files.has(INDEX)


def read_layout(files: Files, where: str) -> Layout:
    """Open a layout. Raises SourceError when it is none, or of another version."""
    try:
        with files.open(MARKER) as file:
            version = read_json(file.read(LARGEST + 1), f"{where}: {MARKER}").get("imageLayoutVersion")
        with files.open(INDEX) as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise SourceError(
            f"{where} is no OCI image layout: {MARKER} or {INDEX} is missing",
            hint="an OCI image layout is a folder with oci-layout, index.json and blobs",
        ) from error
    if version != "1.0.0":
        raise SourceError(f"{where} is an OCI image layout of the unknown version {version!r}")
    return Layout(files, parse_index(data, what=f"{where}: {INDEX}"), where)


def blob_path(digest: str) -> str:
    """Where a layout keeps a blob. Raises ValueError for what is no digest."""
    return f"blobs/{digest.partition(':')[0]}/{hex_of(digest)}"


def open_blob(layout: Layout, digest: str) -> BinaryIO:
    """Open a blob; the reader verifies it. Raises NotFound."""
    try:
        return layout.files.open(blob_path(digest))
    except FileNotFoundError as error:
        raise NotFound(f"{layout.where} lacks the blob {digest}", hint="the copy is incomplete") from error


def read_blob(layout: Layout, descriptor: Descriptor, largest: int = LARGEST) -> bytes:
    """A small blob, its digest and size verified. Raises SourceError."""
    if descriptor.size > largest:
        raise SourceError(
            f"{layout.where}: {descriptor.digest} is too large for a document: {descriptor.size} bytes"
        )
    with open_blob(layout, descriptor.digest) as file:
        data = file.read(largest + 1)
    found = digest_of_bytes(data) if descriptor.digest.startswith("sha256:") else _sha512(data)
    if len(data) != descriptor.size or found != descriptor.digest:
        raise SourceError(
            f"{layout.where}: the blob {descriptor.digest} is damaged",
            hint=f"it has the digest {found} and {len(data)} bytes, not {descriptor.size}",
        )
    return data


def _sha512(data: bytes) -> str:
    from hashlib import sha512

    return "sha512:" + sha512(data).hexdigest()


def names_of(item: Descriptor) -> list[str]:
    """The full names an entry of the index goes by: only those that are more than a tag."""
    found = [item.annotations.get(key, "") for key in (IMAGE_NAME, REF_NAME)]
    out = []
    for name in found:
        if name and not (name == found[1] and reference.valid_tag(name)):
            try:
                out.append(str(reference.parse(name)))
            except UsageError:
                continue
    return list(dict.fromkeys(out))


def tag_of(item: Descriptor) -> str:
    """The tag an entry of the index goes by, or ""."""
    name = item.annotations.get(REF_NAME, "")
    if reference.valid_tag(name):
        return name
    return next((reference.parse(full).tag for full in names_of(item)), "")


def select(layout: Layout, selector: str) -> tuple[Descriptor, ...]:
    """The entries that a selector means: ":tag", "@digest", or "" for the only image or that tagged latest.

    Several entries are several platforms of one image. Raises NotFound, naming what there is.
    """
    items = layout.index.manifests
    if selector.startswith("@"):
        return (_by_digest(layout, selector[1:]),)
    if selector.startswith(":"):
        found = tuple(item for item in items if _goes_by(item, selector[1:]))
    else:
        one = len({_label(item) for item in items}) == 1 or len({item.digest for item in items}) == 1
        found = items if one else tuple(item for item in items if tag_of(item) == reference.DEFAULT_TAG)
    if found:
        return found
    there = sorted({label for item in items if (label := _label(item))})
    wanted = f"no image {selector[1:]!r}" if selector else "several images" if items else "no image"
    raise NotFound(
        f"{layout.where} holds {wanted}",
        hint=f"it holds {', '.join(there)}" if there else "its index names none",
    )


def _label(item: Descriptor) -> str:
    return next(iter(names_of(item)), "") or tag_of(item)


def _goes_by(item: Descriptor, tag: str) -> bool:
    return tag in (tag_of(item), item.annotations.get(REF_NAME), item.annotations.get(IMAGE_NAME))


def _by_digest(layout: Layout, digest: str) -> Descriptor:
    if not is_digest(digest):
        raise UsageError(f"{digest!r} is no digest", hint="write oci-layout://FOLDER@sha256:...")
    for item, _ in walk(layout):
        if item.digest == digest:
            return item
    with open_blob(layout, digest) as file:
        data = file.read(LARGEST + 1)
    return Descriptor("", digest, len(data))


def walk(layout: Layout) -> Iterator[tuple[Descriptor, Descriptor]]:
    """All manifests and indexes, nested ones too, each with the entry of index.json that it is below."""
    for top in layout.index.manifests:
        pending = [(top, 0)]
        while pending:
            item, depth = pending.pop()
            yield item, top
            if item.media_type in media.INDEXES and depth < _DEEPEST:
                found = parse(read_blob(layout, item), item.media_type, f"{layout.where}: {item.digest}")
                if isinstance(found, Index):
                    pending += [(inner, depth + 1) for inner in reversed(found.manifests)]


def find(
    layout: Layout, items: Iterable[Descriptor], platform: Platform, *, what: str = "", only: bool = True
) -> Image:
    """The image for a platform among entries and what they nest.

    A single manifest is taken whatever its platform is, and with `only=False` also the single
    image of an index. Raises NotFound, naming the platforms that there are.
    """
    items = tuple(items)
    if len(items) == 1:
        found = _read(layout, items[0])
        if isinstance(found, Image):
            return found
        if found is None:
            raise SourceError(f"{layout.where}: {items[0].digest} is an artifact, not an image")
        items = found.manifests
    best = _best(layout, items, platform, 0)
    if best is not None:
        return best
    there = _all(layout, items, 0)
    if len(there) == 1 and not only:
        return there[0]
    platforms = [str(Platform(i.config.os, i.config.architecture, i.config.variant)) for i in there]
    raise no_platform(what or layout.where, platform, list(dict.fromkeys(platforms)))


def _best(layout: Layout, items: tuple[Descriptor, ...], platform: Platform, depth: int) -> Image | None:
    """The first candidate that is really an image for the platform, going down into nested indexes."""
    for item in candidates(Index(items), platform):
        found = _read(layout, item)
        if isinstance(found, Index):
            inner = _best(layout, found.manifests, platform, depth + 1) if depth < _DEEPEST else None
            if inner is not None:
                return inner
        elif found is not None and (item.platform is not None or _runs(found.config, platform)):
            return found
    return None


def _runs(config: ImageConfig, platform: Platform) -> bool:
    return not config.os or rank(platform, config.os, config.architecture, config.variant) is not None


def _all(layout: Layout, items: Iterable[Descriptor], depth: int) -> list[Image]:
    out: list[Image] = []
    for item in items:
        if item.platform is not None and item.platform.os == "unknown":
            continue
        if item.media_type and item.media_type not in media.MANIFESTS | media.INDEXES:
            continue
        found = _read(layout, item)
        if isinstance(found, Image):
            out.append(found)
        elif found is not None and depth < _DEEPEST:
            out += _all(layout, found.manifests, depth + 1)
    return out


def _read(layout: Layout, item: Descriptor) -> Image | Index | None:
    """What an entry leads to; None for artifacts that are no images (signatures, attestations)."""
    data = read_blob(layout, item)
    where = f"{layout.where}: {item.digest}"
    manifest = parse(data, item.media_type, where)
    if isinstance(manifest, Index):
        return manifest
    if manifest.artifact_type or (manifest.config.media_type or media.OCI_CONFIG) not in media.CONFIGS:
        return None
    config_bytes = read_blob(layout, manifest.config, _LARGEST_CONFIG)
    config = parse_config(config_bytes, f"{layout.where}: {manifest.config.digest}")
    check_layers(manifest, config, where)
    return Image(replace(item, media_type=manifest.media_type), manifest, data, config, config_bytes)


def check_layers(manifest: Manifest, config: ImageConfig, what: str) -> None:
    """Raise SourceError when manifest and configuration do not speak of the same layers."""
    if len(manifest.layers) != len(config.diff_ids):
        raise SourceError(
            f"{what}: the manifest has {len(manifest.layers)} layers, but its"
            f" configuration speaks of {len(config.diff_ids)}"
        )
    for layer in manifest.layers:
        if not media.is_layer(layer.media_type):
            raise SourceError(f"{what}: a layer has the unknown media type {layer.media_type!r}")


def named(descriptor: Descriptor, name: str) -> Descriptor:
    """The entry of an index for an image of this name: the full name for containerd, the tag for others."""
    ref = reference.parse(name)
    added = {IMAGE_NAME: str(ref), **({REF_NAME: ref.tag} if ref.tag else {})}
    return replace(descriptor, annotations={**descriptor.annotations, **added})


def write_layout(
    sink: Sink,
    index: Index,
    documents: Mapping[str, bytes],
    blobs: Mapping[str, str],
    extra: Mapping[str, bytes],
) -> None:
    """Write a layout.

    `documents` and `blobs` map digests to bytes and to files of this machine; `extra`
    are further small files at the top. Files come in a fixed order: the marker, the
    index, the rest sorted.
    """
    sink.data(MARKER, json_bytes({"imageLayoutVersion": "1.0.0"}))
    sink.data(INDEX, index.to_bytes())
    for name in sorted(extra):
        sink.data(name, extra[name])
    for digest in sorted({*documents, *blobs}):
        if digest in documents:
            sink.data(blob_path(digest), documents[digest])
        else:
            sink.file(blob_path(digest), blobs[digest])
    sink.finish()
