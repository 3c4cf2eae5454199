"""Descriptors: what is where, how long, and of which kind (OCI image-spec, Descriptors)."""

from __future__ import annotations

from typing import Any

from jettison.dataclass import dataclass, field
from jettison.digests import is_digest
from jettison.errors import SourceError
from jettison.platforms import Platform

REF_NAME = "org.opencontainers.image.ref.name"
"""Annotation of a layout's index: the name, or only the tag, of an image."""
IMAGE_NAME = "io.containerd.image.name"
"""Annotation of a layout's index: the full reference of an image."""


_SIZES = 1 << 63


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One descriptor. `platform` is as it was written, not normalised; `size` is in bytes."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    artifact_type: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the keys in the specification's order."""
        out: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.urls:
            out["urls"] = list(self.urls)
        if self.annotations:
            out["annotations"] = dict(sorted(self.annotations.items()))
        if self.platform is not None:
            out["platform"] = self._platform_json(self.platform)
        if self.artifact_type:
            out["artifactType"] = self.artifact_type
        return out

    def _platform_json(self, platform: Platform) -> dict[str, Any]:
        out: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
        if self.os_version:
            out["os.version"] = self.os_version
        if self.os_features:
            out["os.features"] = list(self.os_features)
        if platform.variant:
            out["variant"] = platform.variant
        return out


def from_json(data: Any, what: str = "descriptor") -> Descriptor:
    """Read a descriptor. `what` names it in the SourceError raised when it is none."""
    if not isinstance(data, dict):
        raise SourceError(f"{what}: a descriptor must be a JSON object")
    digest, size = data.get("digest"), data.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise SourceError(f"{what}: {digest!r} is no digest", hint="sha256 and sha512 are understood")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < _SIZES:
        raise SourceError(f"{what}: {size!r} is no size")
    platform = data.get("platform")
    platform = platform if isinstance(platform, dict) and platform else None
    return Descriptor(
        media_type=text(data, "mediaType", what),
        digest=digest,
        size=size,
        platform=None if platform is None else _platform(platform, what),
        annotations=texts(data, "annotations", what),
        os_version=text(platform or {}, "os.version", what),
        os_features=_words(platform or {}, "os.features", what),
        urls=_words(data, "urls", what),
        artifact_type=text(data, "artifactType", what),
    )


def _platform(data: dict[str, Any], what: str) -> Platform:
    return Platform(text(data, "os", what), text(data, "architecture", what), text(data, "variant", what))


def text(data: dict[str, Any], key: str, what: str) -> str:
    """A string of a JSON object; "" when it is absent or null. Raises SourceError for another type."""
    value = data.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or not is_text(value):
        raise SourceError(f"{what}: {key} must be a string")
    return value


def is_text(value: str) -> bool:
    """Whether a string of a JSON document is text: its escapes can be halves of a character."""
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def texts(data: dict[str, Any], key: str, what: str) -> dict[str, str]:
    """An object of strings; empty when it is absent or null. Raises SourceError for another type."""
    value = data.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise SourceError(f"{what}: {key} must be an object of strings")
    return value


def _words(data: dict[str, Any], key: str, what: str) -> tuple[str, ...]:
    value = data.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SourceError(f"{what}: {key} must be a list of strings")
    return tuple(value)
