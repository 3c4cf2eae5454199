"""Base images by name: from the local store, else from a registry or its mirrors.

Only documents are brought into the store here; layers are registered, and
fetched by `sources.fetch` when something needs them.

A name belongs to one image in the store. An image for another platform that a build needs does not take
the name away: it is kept under its digest, and the store remembers which one that was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.dataclass import dataclass
from jettison.errors import NotFound, RegistryError, SourceError
from jettison.oci.config import ImageConfig, parse_config
from jettison.oci.manifest import Manifest, parse, rank
from jettison.oci.reference import Reference
from jettison.oci.reference import parse as parse_reference
from jettison.platforms import Platform
from jettison.sources.base import BaseImage, BaseLayer
from jettison.store.base import Blob

if TYPE_CHECKING:
    from jettison.oci.registry.access import RegistryAccess
    from jettison.oci.registry.resolve import RemoteImage
    from jettison.sources.fetch import Progress
    from jettison.store.store import Store

_OTHER_ARCHITECTURE = 100
"""Ranks from here on are of other architectures, which run, but are no reason not to ask a registry."""


@dataclass(frozen=True, slots=True)
class _Local:
    """An image that the store has."""

    digest: str
    manifest: Manifest
    config: ImageConfig


def resolve_image(
    store: Store, name: str, platform: Platform, *, pull: bool, access: RegistryAccess
) -> BaseImage:
    """Pin a base image by name.

    The store's own image is used as it is, unless `pull` is set or it is for another
    platform. What comes from a registry is recorded in the store, so that the next build needs no
    network. Raises NotFound when it is nowhere, RegistryError when a registry failed or
    refused (`temporary` when it could not be reached), UsageError for what is no name.
    """
    reference = parse_reference(name)
    local = _find_local(store, reference, platform)
    if isinstance(local, _Local):
        if not pull:
            return _base_image(store, reference, local, "local store")
        return _from_registry(store, reference, platform, access, "")
    return _from_registry(store, reference, platform, access, local)


def pull_image(
    store: Store,
    name: str,
    platform: Platform,
    access: RegistryAccess,
    progress: Progress | None = None,
) -> BaseImage:
    """Bring a whole image into the store: documents, and the layers that it lacks. Raises as `resolve_image`.

    The name points to this image afterwards, whatever it was before.
    """
    from jettison.sources.fetch import fetch_blobs

    reference = parse_reference(name)
    image = _from_registry(store, reference, platform, access, "", take_name=True)
    fetch_blobs(store, [(layer.blob, image.fetch_from) for layer in image.layers], access, progress)
    return image


def _find_local(store: Store, reference: Reference, platform: Platform) -> _Local | str:
    """The store's image for the platform; else, for people, why there is none."""
    there: list[str] = []
    digests = [record.manifest] if (record := store.images.get(str(reference))) else []
    other = _recall(store, reference, platform)
    if other and store.images.get(f"{reference.name}@{other}"):
        digests.append(other)
    if reference.digest:
        digests.append(reference.digest)
    for digest in dict.fromkeys(digests):
        found = _read_local(store, digest)
        if found is None:
            continue
        config = found.config
        how = _rank(config, platform)
        if how is not None and (how < _OTHER_ARCHITECTURE or digest == other):
            return found
        there.append(_platform_of(config))
    return f"in the local store only for {', '.join(there)}" if there else "not in the local store"


def _read_local(store: Store, digest: str) -> _Local | None:
    """An image whose documents are both in the store."""
    data = _known(store, digest)
    if data is None:
        return None
    manifest = parse(data, what=f"the store's manifest {digest}")
    if not isinstance(manifest, Manifest):
        return None
    config = _known(store, manifest.config.digest)
    if config is None:
        return None
    return _Local(
        digest, manifest, parse_config(config, f"the store's configuration {manifest.config.digest}")
    )


def _known(store: Store, digest: str) -> bytes | None:
    return store.blobs.read(digest) if store.blobs.has(digest) else None


def _from_registry(
    store: Store,
    reference: Reference,
    platform: Platform,
    access: RegistryAccess,
    absence: str,
    *,
    take_name: bool = False,
) -> BaseImage:
    from jettison.oci.registry.resolve import find_image

    try:
        found = find_image(access, reference, platform, lambda digest: _known(store, digest))
    except RegistryError as error:
        raise _not_had(store, reference, error, absence) from error
    _keep(store, found.digest, found.manifest_bytes)
    _keep(store, found.manifest.config.digest, found.config_bytes)
    local = _Local(found.digest, found.manifest, found.config)
    image = _base_image(store, reference, local, found.source, remote=True)
    _record(store, reference, platform, found, take_name)
    return image


def _base_image(
    store: Store, reference: Reference, image: _Local, origin: str, *, remote: bool = False
) -> BaseImage:
    """The image for the build, its layers registered."""
    layers = tuple(
        BaseLayer(diff_id, Blob(item.digest, item.size, item.media_type))
        for diff_id, item in zip(image.config.diff_ids, image.manifest.layers, strict=True)
    )
    complete = all(store.blobs.has(layer.blob.digest) for layer in layers)
    fetch_from = f"registry:{reference.name}@{image.digest}" if remote or not complete else ""
    for layer in layers:
        # a layer of a local image may have come from elsewhere, and then its own origin is right
        if remote or store.layers.claim(layer.diff_id) is None:
            store.layers.register(layer.diff_id, layer.blob, fetch_from)
    return BaseImage(str(reference), image.digest, origin, image.config, layers, fetch_from)


def _record(
    store: Store, reference: Reference, platform: Platform, found: RemoteImage, take_name: bool
) -> None:
    """Let the store find the image next time."""
    name = str(reference)
    taken = store.images.get(name)
    own = _platform_of(found.config)
    belongs_to_another = taken is not None and taken.platform != own
    if not take_name and (belongs_to_another or (_rank(found.config, platform) or 0) >= _OTHER_ARCHITECTURE):
        name = f"{reference.name}@{found.digest}"
        _remember(store, reference, platform, found.digest)
    store.images.put(
        name,
        found.digest,
        media_type=found.manifest.media_type,
        config_digest=found.manifest.config.digest,
        platform=own,
        blobs=tuple(layer.digest for layer in found.manifest.layers),
    )


def _key(reference: Reference, platform: Platform) -> str:
    return f"image {reference} for {platform}"


def _recall(store: Store, reference: Reference, platform: Platform) -> str:
    rows = store.db.read("SELECT value FROM remembered WHERE name = ?", (_key(reference, platform),))
    return str(rows[0][0]) if rows else ""


def _remember(store: Store, reference: Reference, platform: Platform, digest: str) -> None:
    store.db.write("INSERT OR REPLACE INTO remembered VALUES (?, ?)", (_key(reference, platform), digest))


def _keep(store: Store, digest: str, data: bytes) -> None:
    if not store.blobs.claim(digest):
        writer = store.blobs.writer(digest.partition(":")[0])
        try:
            writer.write(data)
            writer.commit(digest)
        finally:
            writer.abort()


def _rank(config: ImageConfig, platform: Platform) -> int | None:
    """How well an image runs on a platform; one that does not say its own is taken to fit."""
    return rank(platform, config.os, config.architecture, config.variant) if config.os else 0


def _platform_of(config: ImageConfig) -> str:
    return str(Platform(config.os, config.architecture, config.variant))


def _not_had(
    store: Store, reference: Reference, error: RegistryError, absence: str
) -> SourceError | RegistryError:
    """The error for an image that no registry gave: all that was tried, and what can be done."""
    name = reference.familiar()
    tried = f"{absence}; {error.message}" if absence else error.message
    ways = (
        f"load it with: jettison load FILE {name}, name a mirror of {reference.registry},"
        f" or pass --build-context {name}=oci-layout://FOLDER"
    )
    near = _near(store, reference)
    if near:
        ways = f"did you mean {' or '.join(near)}? Otherwise {ways}"
    if error.status == 404 and not error.temporary:
        return NotFound(f"base image {name} was not found: {tried}", hint=ways)
    hint = ways if error.temporary else error.hint or ways
    if error.status in (401, 403):
        hint = f"it does not exist there, or needs a login: {hint}"
    return RegistryError(
        f"base image {name} could not be resolved: {tried}",
        status=error.status,
        hint=hint,
        temporary=error.temporary,
    )


def _near(store: Store, reference: Reference) -> list[str]:
    """The store's names that look most like one that is not there."""
    from difflib import get_close_matches

    # the registry is left out: one that is shared would make all of its images look alike
    known: dict[str, str] = {}
    for record in store.images.list():
        name = parse_reference(record.name)
        known.setdefault(f"{name.repository}:{name.selector}", name.familiar())
    wanted = f"{reference.repository}:{reference.selector}"
    found = [known[name] for name in get_close_matches(wanted, known, n=4)]
    return [name for name in found if name != reference.familiar()][:3]
