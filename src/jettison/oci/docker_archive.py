"""Docker archives: what `docker save` writes and `docker load` reads, by their `manifest.json`.

Its list has one object per image: Config and Layers are paths in the archive, RepoTags
the names. Newer archives hold an OCI layout as well; older ones plain tar layers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jettison.dataclass import dataclass, replace
from jettison.errors import SourceError, UsageError
from jettison.oci import media, reference
from jettison.oci.archive import Files
from jettison.oci.layout import blob_path
from jettison.oci.manifest import LARGEST, Manifest, json_bytes

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """One image of a docker archive. `config` and `layers` are paths in it, `names` full references."""

    config: str
    layers: tuple[str, ...]
    names: tuple[str, ...]


def is_docker_archive(files: Files) -> bool:
    """Whether these files are a docker archive."""
    return files.has(MANIFEST)


def read_images(files: Files, where: str) -> list[ArchivedImage]:
    """The images of a docker archive. Raises SourceError when its manifest.json is none."""
    with files.open(MANIFEST) as file:
        data = file.read(LARGEST + 1)
    what = f"{where}: {MANIFEST}"
    if len(data) > LARGEST:
        raise SourceError(f"{what} is too long")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{what} is not valid JSON: {error}") from error
    if not isinstance(value, list):
        raise SourceError(f"{what} must be a list")
    return [_image(item, what) for item in value]


def _image(item: Any, what: str) -> ArchivedImage:
    if not isinstance(item, dict) or not isinstance(item.get("Config"), str):
        raise SourceError(f"{what}: every entry must be an object that names its Config")
    layers, tags = item.get("Layers") or [], item.get("RepoTags") or []
    for words in (layers, tags):
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise SourceError(f"{what}: Layers and RepoTags must be lists of strings")
    names = []
    for tag in tags:
        try:
            names.append(str(reference.parse(tag)))
        except UsageError as error:
            raise SourceError(f"{what}: {error.message}") from error
    return ArchivedImage(item["Config"], tuple(layers), tuple(names))


def manifest_json(images: Sequence[tuple[Manifest, Sequence[str]]]) -> bytes:
    """The manifest.json for images with their names, whose files lie where an OCI layout has them."""
    return json_bytes(
        [
            {
                "Config": blob_path(manifest.config.digest),
                "RepoTags": [reference.parse(name).familiar() for name in names] or None,
                "Layers": [blob_path(layer.digest) for layer in manifest.layers],
            }
            for manifest, names in images
        ]
    )


def as_docker(manifest: Manifest) -> Manifest:
    """The same image in Docker's media types."""
    return replace(
        manifest,
        media_type=media.DOCKER_MANIFEST,
        config=replace(manifest.config, media_type=media.DOCKER_CONFIG),
        layers=tuple(
            replace(layer, media_type=media.docker_layer(media.compression_of(layer.media_type) or ""))
            for layer in manifest.layers
        ),
    )
