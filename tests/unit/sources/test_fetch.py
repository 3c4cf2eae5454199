from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jettison.digests import digest_of_bytes
from jettison.errors import Cancelled, NotFound, StoreError
from jettison.oci.registry.access import RegistryAccess
from jettison.sources.fetch import fetch_blob, fetch_blobs
from jettison.store.base import Blob
from jettison.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def layout_with(folder: Path, data: bytes, content: bytes | None = None) -> tuple[Blob, str]:
    """Put a blob into an image layout; `content` is what its file holds when that is something else."""
    digest = digest_of_bytes(data)
    path = folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if content is None else content)
    return Blob(digest, len(data), "application/vnd.oci.image.layer.v1.tar"), f"layout:{folder}"


def test_a_blob_comes_from_a_layout(store: Store, tmp_path: Path) -> None:
    blob, origin = layout_with(tmp_path / "layout", b"data" * 1000)
    told: list[tuple[int, int]] = []
    fetch_blob(store, blob, origin, RegistryAccess(), lambda *now: told.append(now))
    assert store.blobs.read(blob.digest) == b"data" * 1000
    assert told == [(4000, 4000)]


def test_a_blob_that_is_there_is_not_looked_for(store: Store) -> None:
    digest = store.blobs.put(b"here")
    fetch_blob(store, Blob(digest, 4, ""), "layout:/nowhere", RegistryAccess())


def test_a_damaged_blob_never_enters_the_store(store: Store, tmp_path: Path) -> None:
    blob, origin = layout_with(tmp_path / "layout", b"good", b"evil")
    with pytest.raises(StoreError, match="does not match its digest"):
        fetch_blob(store, blob, origin, RegistryAccess())
    assert not store.blobs.has(blob.digest)


@pytest.mark.parametrize("origin", ["", "layout:/nowhere", "elsewhere:x"])
def test_a_blob_that_is_gone_is_not_found(store: Store, origin: str) -> None:
    blob = Blob(digest_of_bytes(b"gone"), 4, "")
    with pytest.raises(NotFound, match=blob.digest):
        fetch_blob(store, blob, origin, RegistryAccess())


def test_several_come_side_by_side_and_count_as_one(store: Store, tmp_path: Path) -> None:
    wanted = [layout_with(tmp_path / "layout", bytes([number]) * 10_000) for number in range(6)]
    wanted.append(wanted[0])
    told: list[tuple[int, int]] = []
    fetch_blobs(store, wanted, RegistryAccess(), lambda *now: told.append(now), jobs=3)
    assert all(store.blobs.has(blob.digest) for blob, _ in wanted)
    assert told[-1] == (60_000, 60_000)


def test_one_failure_among_several_is_raised(store: Store, tmp_path: Path) -> None:
    good, bad = layout_with(tmp_path / "a", b"good"), layout_with(tmp_path / "b", b"bad", b"worse")
    with pytest.raises(StoreError, match="does not match its digest"):
        fetch_blobs(store, [good, bad], RegistryAccess())


def test_two_threads_fetch_a_blob_once(store: Store, tmp_path: Path) -> None:
    blob, origin = layout_with(tmp_path / "layout", b"x" * 3_000_000)
    starts: list[int] = []
    ready = threading.Barrier(2)

    def run() -> None:
        ready.wait()
        fetch_blob(
            store, blob, origin, RegistryAccess(), lambda now, _: starts.append(now) if now <= 2**20 else None
        )

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(starts) == 1


def test_a_failure_stops_what_runs_beside_it(store: Store, tmp_path: Path) -> None:
    large = [layout_with(tmp_path / "layout", bytes([number]) * 30_000_000) for number in range(2)]
    told: list[int] = []

    def progress(done: int, total: int) -> None:
        told.append(done)
        if len(told) == 5:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        fetch_blobs(store, large, RegistryAccess(), progress)
    assert not any(store.blobs.has(blob.digest) for blob, _ in large)
