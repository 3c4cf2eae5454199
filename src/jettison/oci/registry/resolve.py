"""From a name to one image: through indexes to the manifest for a platform, and its configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jettison.dataclass import dataclass
from jettison.errors import SourceError
from jettison.oci import media
from jettison.oci.config import ImageConfig, parse_config
from jettison.oci.layout import check_layers
from jettison.oci.manifest import Index, Manifest, candidates, no_platform, offered, parse, rank
from jettison.oci.reference import Reference
from jettison.oci.registry.transfer import Received, fetch_manifest, fetch_small
from jettison.platforms import Platform

if TYPE_CHECKING:
    from jettison.oci.registry.access import RegistryAccess

_LARGEST_CONFIG = 8 * 1024 * 1024
_DEEPEST = 3

Known = Callable[[str], bytes | None]
"""The bytes of a document that is here already, by its digest."""


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """One image in a registry, with its documents exactly as they were sent. `source` is for people."""

    digest: str
    manifest: Manifest
    manifest_bytes: bytes
    config: ImageConfig
    config_bytes: bytes
    source: str


def find_image(
    access: RegistryAccess, reference: Reference, platform: Platform, known: Known = lambda digest: None
) -> RemoteImage:
    """The image that a reference means for a platform.

    Only documents are downloaded, and only those that are not known. Raises RegistryError, SourceError for
    documents that make no sense, and NotFound with the platforms there are.
    """
    top = _document(access, reference, reference.digest, known)
    found = parse(top.data, top.media_type, str(reference))
    what = f"image {reference.familiar()}"
    if isinstance(found, Manifest):
        image = _image(access, reference, top, found, known)
        if image is None:
            raise SourceError(f"{what} is an artifact, not an image")
        if not _runs(image.config, platform):
            raise no_platform(what, platform, [_platform_of(image.config)])
        return image
    chosen = _best(access, reference, found, platform, known, 0)
    if chosen is None:
        raise no_platform(what, platform, offered(found))
    return chosen


def _best(
    access: RegistryAccess, reference: Reference, index: Index, platform: Platform, known: Known, depth: int
) -> RemoteImage | None:
    """The first candidate that is really an image for the platform, going down into nested indexes."""
    for item in candidates(index, platform):
        received = _document(access, reference, item.digest, known)
        found = parse(received.data, item.media_type or received.media_type, f"{reference}: {item.digest}")
        if isinstance(found, Index):
            inner = None
            if depth < _DEEPEST:
                inner = _best(access, reference, found, platform, known, depth + 1)
            if inner is not None:
                return inner
            continue
        image = _image(access, reference, received, found, known)
        if image is not None and (item.platform is not None or _runs(image.config, platform)):
            return image
    return None


def _document(access: RegistryAccess, reference: Reference, digest: str, known: Known) -> Received:
    data = known(digest) if digest else None
    if data is not None:
        return Received(data, digest, "", f"registry {reference.registry}")
    return fetch_manifest(access, reference, digest)


def _image(
    access: RegistryAccess, reference: Reference, received: Received, manifest: Manifest, known: Known
) -> RemoteImage | None:
    """An image with its configuration; None for an artifact that is none (a signature, an attestation)."""
    wanted = manifest.config
    if manifest.artifact_type or (wanted.media_type or media.OCI_CONFIG) not in media.CONFIGS:
        return None
    data = known(wanted.digest)
    if data is None:
        data = fetch_small(access, reference, wanted.digest, wanted.size, _LARGEST_CONFIG)
    config = parse_config(data, f"{reference}: {wanted.digest}")
    check_layers(manifest, config, str(reference))
    return RemoteImage(received.digest, manifest, received.data, config, data, received.source)


def _runs(config: ImageConfig, platform: Platform) -> bool:
    return not config.os or rank(platform, config.os, config.architecture, config.variant) is not None


def _platform_of(config: ImageConfig) -> str:
    return "/".join(part for part in (config.os, config.architecture, config.variant) if part)
