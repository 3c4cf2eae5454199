"""What `jettison history`, `inspect` and `images` show, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jettison.dataclass import dataclass
from jettison.oci import reference
from jettison.oci.config import ImageConfig
from jettison.oci.manifest import Manifest


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One step of an image. `layer` is the digest of its blob, "" for none; `size` that blob's bytes."""

    created: str
    created_by: str
    comment: str
    size: int
    layer: str = ""
    diff_id: str = ""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One name of an image in a list. `image_id` is the digest of its configuration; `size` counts blobs."""

    repository: str
    tag: str
    digest: str
    image_id: str
    created: str
    platform: str
    size: int


def history_rows(manifest: Manifest, config: ImageConfig) -> list[HistoryRow]:
    """The steps of an image, the newest first, each with its layer.

    Layers that the history does not speak of come last, as the oldest.
    """
    steps = [entry for entry in config.history if not entry.empty_layer]
    layers = list(zip(manifest.layers, config.diff_ids, strict=False))
    unknown = max(len(layers) - len(steps), 0)
    out = [HistoryRow("", "", "", item.size, item.digest, diff_id) for item, diff_id in layers[:unknown]]
    rest = iter(layers[unknown:])
    for entry in config.history:
        layer = None if entry.empty_layer else next(rest, None)
        if layer is None:
            out.append(HistoryRow(entry.created, entry.created_by, entry.comment, 0))
        else:
            item, diff_id = layer
            row = HistoryRow(entry.created, entry.created_by, entry.comment, item.size, item.digest, diff_id)
            out.append(row)
    return out[::-1]


def image_row(name: str, digest: str, manifest: Manifest, config: ImageConfig) -> ImageRow:
    """The line of a list of images for one name."""
    ref = reference.parse(name)
    familiar = reference.Reference(ref.registry, ref.repository, ref.tag or "x").familiar()
    return ImageRow(
        repository=familiar.rpartition(":")[0],
        tag=ref.tag or "<none>",
        digest=digest,
        image_id=manifest.config.digest,
        created=config.created,
        platform="/".join(part for part in (config.os, config.architecture, config.variant) if part),
        size=total_size(manifest),
    )


def total_size(manifest: Manifest) -> int:
    """The bytes of all compressed layers."""
    return sum(layer.size for layer in manifest.layers)


def inspect_data(
    names: Sequence[str], digest: str, manifest: Manifest, config: ImageConfig
) -> dict[str, Any]:
    """The document that `inspect` shows, with the keys that `docker image inspect` has."""
    parsed = [reference.parse(name) for name in names]
    out: dict[str, Any] = {
        "Id": manifest.config.digest,
        "RepoTags": [ref.familiar() for ref in parsed if ref.tag and not ref.digest],
        "RepoDigests": list(dict.fromkeys(_pinned(ref, digest) for ref in parsed)),
        "Created": config.created,
        "Author": config.author,
        "Architecture": config.architecture,
        "Variant": config.variant,
        "Os": config.os,
        "Size": total_size(manifest),
        "Config": config.config,
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Descriptor": {"mediaType": manifest.media_type, "digest": digest, "size": len(manifest.to_bytes())},
        "Layers": [layer.to_json() for layer in manifest.layers],
    }
    if manifest.annotations:
        out["Annotations"] = dict(sorted(manifest.annotations.items()))
    return {key: value for key, value in out.items() if value != "" or key == "Created"}


def _pinned(ref: reference.Reference, digest: str) -> str:
    return reference.Reference(ref.registry, ref.repository, "", digest).familiar()
