from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jettison.exporters.image import ImageDocument, make_image
from jettison.oci.config import History, ImageConfig
from jettison.store.base import Entry
from jettison.store.store import Store
from tests import layouts

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as store:
        yield store


def layer(store: Store, entries: list[tuple[Entry, bytes | None]]) -> str:
    """A layer with these entries; its id."""
    writer = store.layers.tree_writer()
    for entry, content in entries:
        writer.add(entry, content)
    return writer.commit().id


def document(store: Store, layer_ids: list[str], **config: object) -> ImageDocument:
    """An image of these layers."""
    layers = [store.layers.ensure_blob(layer_id) for layer_id in layer_ids]
    history = tuple(History("2026-01-02T03:04:05Z", f"step {at}") for at in range(len(layers)))
    return make_image(
        store,
        ImageConfig("linux", "amd64", created="2026-01-02T03:04:05Z", config=dict(config), history=history),
        layers,
    )


def file(path: str, data: bytes, mode: int = 0o644, **fields: object) -> tuple[Entry, bytes]:
    return Entry(path, "file", mode, size=len(data), mtime_ns=10**18, **fields), data  # type: ignore[arg-type]


def folder(path: str, mode: int = 0o755, **fields: object) -> tuple[Entry, None]:
    return Entry(path, "dir", mode, mtime_ns=10**18, **fields), None  # type: ignore[arg-type]


@pytest.fixture
def image(store: Store) -> ImageDocument:
    """Two layers; the upper one changes and removes files of the lower one."""
    lower = layer(store, [folder("a"), file("a/gone", b"1"), file("a/kept", b"2"), file("b", b"3", 0o4755)])
    upper = layer(store, [folder("a", 0o700), (Entry("a/gone", "whiteout"), None), file("b", b"new")])
    return document(store, [lower, upper], Cmd=["/b"])


def members(path: Path) -> dict[str, bytes]:
    """The plain files of an archive, in order."""
    with tarfile.open(path) as tar:
        out = {}
        for member in tar.getmembers():
            if member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                out[member.name] = content.read()
        return out


__all__ = ["layouts"]
