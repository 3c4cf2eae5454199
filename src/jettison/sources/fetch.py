"""Bring the blobs that layers name into the store, verified, when something needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from jettison.digests import hex_of
from jettison.errors import Cancelled, NotFound, SourceError, StoreError

if TYPE_CHECKING:
    from jettison.oci.registry.access import RegistryAccess
    from jettison.store.base import Blob
    from jettison.store.store import Store

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes there will be."""

_PIECE = 1024 * 1024
_REGISTRY = "registry:"
_LAYOUT = "layout:"


def fetch_blob(
    store: Store, blob: Blob, origin: str, access: RegistryAccess, progress: Progress | None = None
) -> None:
    """Bring a blob into the store, unless it is there.

    `origin` is "registry:REFERENCE" or "layout:FOLDER" (absolute). A blob that another thread or
    process fetches right now is waited for. Raises RegistryError, SourceError or StoreError.
    """
    if store.blobs.has(blob.digest):
        return
    with store.lock(f"download-{hex_of(blob.digest)}"):
        if store.blobs.has(blob.digest):
            return
        if origin.startswith(_REGISTRY):
            _from_registry(store, blob, origin.removeprefix(_REGISTRY), access, progress)
        elif origin.startswith(_LAYOUT):
            _from_layout(store, blob, origin.removeprefix(_LAYOUT), progress)
        else:
            raise NotFound(
                f"the layer {blob.digest} is not in the store, and nothing says where it came from",
                hint="load or pull its image again",
            )


def fetch_blobs(
    store: Store,
    wanted: Sequence[tuple[Blob, str]],
    access: RegistryAccess,
    progress: Progress | None = None,
    jobs: int = 4,
) -> None:
    """`fetch_blob` for several (blob, origin), some side by side. `progress` counts the bytes of all."""
    from functools import partial
    from threading import Event, Lock

    from jettison.side_by_side import side_by_side

    missing = {blob.digest: (blob, origin) for blob, origin in wanted if not store.blobs.has(blob.digest)}
    if not missing:
        return
    total = sum(blob.size for blob, _ in missing.values())
    done: dict[str, int] = {}
    lock = Lock()
    stop = Event()

    def one(blob: Blob, origin: str) -> None:
        def tell(now: int, _: int) -> None:
            if stop.is_set():
                raise Cancelled(f"the download of {blob.digest} was stopped")
            with lock:
                done[blob.digest] = now
                if progress is not None:
                    progress(sum(done.values()), total)

        fetch_blob(store, blob, origin, access, tell)
        tell(blob.size, blob.size)

    side_by_side([partial(one, *item) for item in missing.values()], jobs, stop)


def _from_registry(
    store: Store, blob: Blob, name: str, access: RegistryAccess, progress: Progress | None
) -> None:
    from jettison.oci.reference import parse
    from jettison.oci.registry.transfer import download

    reference = parse(name)
    for last in (False, True):
        writer = store.blobs.writer(blob.digest.partition(":")[0])
        try:
            download(access, reference, blob.digest, blob.size, writer.write, progress)
            writer.commit(blob.digest)
            return
        except StoreError as error:
            # a transfer may have been damaged on its way; a second one that is damaged too is no accident
            if last or not error.temporary:
                raise
        finally:
            writer.abort()


def _from_layout(store: Store, blob: Blob, folder: str, progress: Progress | None) -> None:
    from jettison.oci.archive import FolderFiles

    path = f"blobs/{blob.digest.partition(':')[0]}/{hex_of(blob.digest)}"
    writer = store.blobs.writer(blob.digest.partition(":")[0])
    try:
        with FolderFiles(folder).open(path) as file:
            while writer.size <= blob.size and (piece := file.read(_PIECE)):
                writer.write(piece)
                if progress is not None:
                    progress(writer.size, blob.size)
        writer.commit(blob.digest)
    except FileNotFoundError as error:
        raise NotFound(
            f"the layer {blob.digest} is not in {folder} any more",
            hint="put the image layout back, or name another one with --build-context",
        ) from error
    except OSError as error:
        raise SourceError(f"cannot read {folder}/{path}: {error.strerror}") from error
    finally:
        writer.abort()
