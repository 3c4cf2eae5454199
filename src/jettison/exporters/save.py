"""`jettison save`: images of the local store into an OCI layout, an OCI archive or a docker archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Literal

from jettison.errors import NotFound, UsageError
from jettison.exporters.image import ImageDocument, read_image
from jettison.oci import reference
from jettison.store.images import ImageRecord
from jettison.store.store import Store

Format = Literal["oci", "oci-dir", "docker"]


def save(
    store: Store, names: Sequence[str], dest: str, format: Format = "docker", stream: BinaryIO | None = None
) -> list[ImageDocument]:
    """Write images, each under the name it was asked for by, to a file, a folder (oci-dir) or a stream (-).

    What is named by its ID is saved without a name. Raises NotFound or ExportError.
    """
    images: dict[str, tuple[ImageDocument, list[str]]] = {}
    for name in names:
        record, full = find_image(store, name)
        _, given = images.setdefault(record.manifest, (read_image(store, record.manifest), []))
        if full and full not in given:
            given.append(full)
    named = list(images.values())
    if format == "docker":
        from jettison.exporters.docker import write_docker_archive

        write_docker_archive(store, named, dest, stream)
    elif format == "oci":
        from jettison.exporters.layout import write_oci_archive

        write_oci_archive(store, named, dest, stream)
    else:
        from jettison.exporters.layout import write_oci_folder

        write_oci_folder(store, named, dest)
    return [image for image, _ in named]


def find_image(store: Store, name: str) -> tuple[ImageRecord, str]:
    """The store's image of a name, or of the start of its ID; and its full name, "" when found by ID.

    Raises NotFound, with the nearest name, or UsageError when an ID fits several images.
    """
    by_id = store.images.find(name)
    try:
        full = str(reference.parse(name))
    except UsageError:
        full = ""
    record = store.images.get(full) if full else None
    if record is not None:
        return record, full
    if len({found.config for found in by_id}) > 1:
        raise UsageError(f"{name} is the start of several images' IDs", hint="give more of it")
    if by_id:
        return by_id[0], ""
    raise NotFound(f"there is no image {name} in the local store", hint=_near(store, name))


def _near(store: Store, name: str) -> str:
    from difflib import get_close_matches

    there = [reference.parse(record.name).familiar() for record in store.images.list()]
    near = get_close_matches(name, there, 1)
    return f"did you mean {near[0]}?" if near else "see `jettison images`"
