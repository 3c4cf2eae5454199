"""Cache mounts restored: from an archive, or an artifact in a registry or an OCI layout."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from jettison.errors import NotFound, SourceError
from jettison.oci.descriptor import Descriptor
from jettison.oci.manifest import Manifest, parse_manifest
from jettison.request import Reader
from jettison.store import mount_archive
from jettison.store.cache_mounts import replace_with
from jettison.store.faults import faults
from jettison.store.store import Store
from jettison.store.temporary import remove_tree

if TYPE_CHECKING:
    from jettison.oci.registry.access import RegistryAccess

_TYPE = "application/vnd.jettison.cache-mounts.v1"
_PIECE = 1 << 20
_MOST = 1000


def restore_archive(store: Store, path: str) -> list[str]:
    """Put the mounts of an archive in the places of the store's, and give their ids.

    All or none: raises StoreError for an archive that is damaged or hostile, and for mounts in use.
    """
    return _restore(store, [path])


def spooled(store: Store, stream: Reader) -> str:
    """A temporary file of the store with all that a stream holds."""
    path = store.session.new_name("spool")
    with faults("taking in an archive", store.root), open(path, "wb") as file:
        while data := stream.read(_PIECE):
            file.write(data)
    return path


def restore_reference(store: Store, name: str, access: RegistryAccess) -> list[str]:
    """The same for an artifact in a registry. Raises RegistryError too."""
    from jettison.oci import reference
    from jettison.oci.registry.transfer import download, fetch_manifest

    source = reference.parse(name)
    received = fetch_manifest(access, source)
    manifest = parse_manifest(received.data, received.media_type, name)
    _check(manifest, name)

    def fetch(layer: Descriptor, write: Callable[[bytes], object]) -> None:
        download(access, source, layer.digest, layer.size, write)

    return _restore(store, [_fetched(store, layer, fetch, name) for layer in manifest.layers])


def restore_layout(store: Store, folder: str, selector: str) -> list[str]:
    """The same for an artifact in an OCI layout. `selector` is ":tag", "@digest" or ""."""
    from jettison.oci.archive import open_files
    from jettison.oci.layout import open_blob, read_blob, read_layout, select

    if not os.path.exists(folder):
        raise NotFound(f"there is no OCI layout {folder}")
    with open_files(folder, os.path.join(store.root, "tmp")) as files:
        layout = read_layout(files, folder)
        [top] = _only(select(layout, selector), folder)
        manifest = parse_manifest(read_blob(layout, top), top.media_type, folder)
        _check(manifest, folder)

        def fetch(layer: Descriptor, write: Callable[[bytes], object]) -> None:
            with open_blob(layout, layer.digest) as file:
                while data := file.read(_PIECE):
                    write(data)

        paths = [_fetched(store, layer, fetch, folder) for layer in manifest.layers]
    return _restore(store, paths)


def _only(found: Sequence[Descriptor], folder: str) -> Sequence[Descriptor]:
    if len(found) != 1:
        raise SourceError(f"{folder} holds {len(found)} things", hint="say which: oci-layout://FOLDER:TAG")
    return found


def _check(manifest: Manifest, what: str) -> None:
    if manifest.artifact_type != _TYPE or len(manifest.layers) > _MOST:
        raise SourceError(
            f"{what} holds no cache mounts", hint="it takes what jettison cache-mount save --to wrote"
        )


def _fetched(
    store: Store, layer: Descriptor, fetch: Callable[[Descriptor, Callable[[bytes], object]], None], what: str
) -> str:
    path = store.session.new_name("mount")
    digest = sha256()
    with faults("fetching a cache mount", store.root), open(path, "wb") as file:

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        fetch(layer, write)
    if f"sha256:{digest.hexdigest()}" != layer.digest:
        raise SourceError(f"{what}: {layer.digest} was damaged on its way", hint="try again, or save it anew")
    return path


def _restore(store: Store, archives: Sequence[str]) -> list[str]:
    folders: dict[str, str] = {}
    work = store.session.new_folder("restore")
    try:
        with faults("restoring cache mounts", store.root):
            for number, path in enumerate(archives):
                inside = f"{work}/{number}"
                os.mkdir(inside)
                folders.update(mount_archive.unpack(path, inside))
        replace_with(store, folders)
    finally:
        remove_tree(work)
    return list(folders)
