"""Image manifests and indexes (OCI image-spec, Image Manifest, Image Index), and Docker's equals of them."""

from __future__ import annotations

import json
from typing import Any

from jettison.dataclass import dataclass, field
from jettison.errors import NotFound, SourceError
from jettison.oci import media
from jettison.oci.descriptor import Descriptor, from_json, text, texts
from jettison.platforms import Platform, normalise

LARGEST = 4 * 1024 * 1024
"""Bytes that a manifest or an index may have (the limit of the distribution-spec)."""
_MOST_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: its configuration and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = field(default_factory=dict)
    media_type: str = media.OCI_MANIFEST
    artifact_type: str = ""

    def to_bytes(self) -> bytes:
        """The JSON document."""
        out: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            out["artifactType"] = self.artifact_type
        out["config"] = self.config.to_json()
        out["layers"] = [layer.to_json() for layer in self.layers]
        if self.annotations:
            out["annotations"] = dict(sorted(self.annotations.items()))
        return json_bytes(out)


@dataclass(frozen=True, slots=True)
class Index:
    """Several manifests: one image for several platforms, or the contents of a layout."""

    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = field(default_factory=dict)
    media_type: str = media.OCI_INDEX

    def to_bytes(self) -> bytes:
        """The JSON document."""
        out: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        out["manifests"] = [item.to_json() for item in self.manifests]
        if self.annotations:
            out["annotations"] = dict(sorted(self.annotations.items()))
        return json_bytes(out)


def json_bytes(value: Any) -> bytes:
    """Compact JSON in UTF-8. What UTF-8 has no form for (lone surrogates) becomes U+FFFD."""
    made = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return made.encode()
    except UnicodeEncodeError:
        return made.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()


def read_json(data: bytes, what: str, largest: int = LARGEST) -> dict[str, Any]:
    """Read a JSON object. Raises SourceError, naming `what`, when it is too long or no object."""
    if len(data) > largest:
        raise SourceError(f"{what} has {len(data)} bytes; at most {largest} are read")
    try:
        value = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{what} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise SourceError(f"{what} must be a JSON object")
    return value


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def parse(data: bytes, media_type: str = "", what: str = "manifest") -> Manifest | Index:
    """Read a manifest or an index, whichever it is.

    `media_type` is what the sender called it; the document's own word, when it has one, must not
    say something else. Raises SourceError for anything else, Docker's schema 1 among it.
    """
    value = read_json(data, what)
    version = value.get("schemaVersion")
    if version == 1 or media_type in (media.DOCKER_MANIFEST_1, media.DOCKER_MANIFEST_1_SIGNED):
        raise SourceError(
            f"{what} is in Docker's image format 1, which is out of use since 2017",
            hint="push the image again with a current tool",
        )
    if version not in (2, None):
        raise SourceError(f"{what} has the unknown schemaVersion {version!r}")
    has_manifests, has_layers = "manifests" in value, "layers" in value or "config" in value
    if has_manifests and has_layers:
        raise SourceError(f"{what} is both a manifest and an index, so nobody can know which is meant")
    own = text(value, "mediaType", what)
    for said in filter(None, (own, media_type)):
        if (said in media.INDEXES and not has_manifests) or (said in media.MANIFESTS and not has_layers):
            raise SourceError(f"{what} does not hold what its media type {said} says")
    if has_manifests:
        return _index(value, own or media_type, what)
    if has_layers:
        return _manifest(value, own or media_type, what)
    raise SourceError(f"{what} is neither an image manifest nor an index")


def parse_manifest(data: bytes, media_type: str = "", what: str = "manifest") -> Manifest:
    """Read an image manifest. Raises SourceError for anything else."""
    found = parse(data, media_type, what)
    if not isinstance(found, Manifest):
        raise SourceError(f"{what} is an index where an image manifest was expected")
    return found


def parse_index(data: bytes, media_type: str = "", what: str = "index") -> Index:
    """Read an index or a manifest list. Raises SourceError for anything else."""
    found = parse(data, media_type, what)
    if not isinstance(found, Index):
        raise SourceError(f"{what} is an image manifest where an index was expected")
    return found


def _manifest(value: dict[str, Any], media_type: str, what: str) -> Manifest:
    layers = _items(value, "layers", what)
    return Manifest(
        config=from_json(value.get("config"), f"{what}: config"),
        layers=tuple(from_json(item, f"{what}: layer {at}") for at, item in enumerate(layers)),
        annotations=texts(value, "annotations", what),
        media_type=media_type if media_type in media.MANIFESTS else media.OCI_MANIFEST,
        artifact_type=text(value, "artifactType", what),
    )


def _index(value: dict[str, Any], media_type: str, what: str) -> Index:
    items = _items(value, "manifests", what)
    return Index(
        manifests=tuple(from_json(item, f"{what}: manifest {at}") for at, item in enumerate(items)),
        annotations=texts(value, "annotations", what),
        media_type=media_type if media_type in media.INDEXES else media.OCI_INDEX,
    )


def _items(value: dict[str, Any], key: str, what: str) -> list[Any]:
    items = value.get(key)
    items = [] if items is None else items
    if not isinstance(items, list):
        raise SourceError(f"{what}: {key} must be a list")
    if len(items) > _MOST_ENTRIES:
        raise SourceError(f"{what}: {key} has {len(items)} entries; at most {_MOST_ENTRIES} are read")
    return items


def rank(wanted: Platform, os: str, architecture: str, variant: str) -> int | None:
    """How well an image of a platform runs on the wanted one: 0 is exactly, None is not at all.

    A newer variant runs what was built for an older one, amd64 runs 386, and arm64 runs 32-bit arm.
    """
    offered = normalise(os, architecture, variant)
    if offered == wanted:
        return 0
    if offered.os != wanted.os:
        return None
    if offered.architecture == wanted.architecture:
        newest, this = _level(wanted), _level(offered)
        return newest - this if this < newest else None
    if (wanted.architecture, offered.architecture) in (("amd64", "386"), ("arm64", "arm")):
        return 100 - _level(offered)
    return None


def _level(platform: Platform) -> int:
    """The number in a variant. A variant that is left out is arm64's v8 and amd64's v1."""
    number = platform.variant.removeprefix("v").partition(".")[0]
    if number.isdecimal():
        return int(number)
    return {"arm64": 8, "amd64": 1, "arm": 7}.get(platform.architecture, 0)


def candidates(index: Index, platform: Platform) -> list[Descriptor]:
    """The entries that may be the image for a platform, best first.

    Those that do not say their platform come last: their configuration has to be asked.
    """
    ranked: list[tuple[int, int, Descriptor]] = []
    for at, item in enumerate(index.manifests):
        if item.media_type and item.media_type not in media.MANIFESTS | media.INDEXES:
            continue
        if item.platform is None:
            ranked.append((1000, at, item))
        else:
            how = rank(platform, item.platform.os, item.platform.architecture, item.platform.variant)
            if how is not None:
                ranked.append((how, at, item))
    return [item for _, _, item in sorted(ranked, key=lambda found: found[:2])]


def select_platform(index: Index, platform: Platform, what: str = "the image") -> Descriptor:
    """The entry of an index that fits a platform best. Raises NotFound, naming the platforms there are."""
    found = candidates(index, platform)
    if found:
        return found[0]
    raise no_platform(what, platform, offered(index))


def offered(index: Index) -> list[str]:
    """The platforms an index speaks of, attestations (unknown/unknown) left out."""
    seen = [str(item.platform) for item in index.manifests if item.platform is not None]
    return [name for name in dict.fromkeys(seen) if not name.startswith("unknown")]


def no_platform(what: str, platform: Platform, there: list[str]) -> NotFound:
    """The error for an image that is not there for the platform."""
    return NotFound(
        f"{what} is not there for {platform}",
        hint=f"it is there for {', '.join(there)}" if there else "it holds no image at all",
    )
