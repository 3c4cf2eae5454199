"""Bytes are told of as they are copied and packed: all of them, and each once."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from jettison.store.base import Entry
from jettison.store.compress import Packing
from jettison.store.store import Store

LARGE = os.urandom(3_000_000)


@pytest.mark.parametrize("blob", [False, True])
def test_a_writer_and_a_packer_tell_of_every_byte_once(tmp_path: Path, blob: bool) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    (tmp_path / "small").write_bytes(LARGE[:100])
    told: list[int] = []
    with Store.open(str(tmp_path / "store")) as store:
        layers = store.layers
        writer = layers.blob_writer(told=told.append) if blob else layers.tree_writer(told.append)
        writer.add(Entry("a", "file", size=len(LARGE)), str(tmp_path / "large"))
        writer.add(Entry("b", "file", size=100), str(tmp_path / "small"))
        writer.add(Entry("c", "hardlink", link="b"))
        writer.add(Entry("d", "file", size=5), b"bytes")
        writer.add(Entry("e", "file", size=len(LARGE)), io.BytesIO(LARGE))
        layer = writer.commit()
        size = 2 * len(LARGE) + 105
        assert sum(told) == layer.size == size and max(told) <= len(LARGE)
        told.clear()
        layers.ensure_blob(layer.id, chosen=Packing("zstd"), told=told.append)
        assert sum(told) == size and len(told) > 6
        told.clear()
        layers.ensure_blob(layer.id, chosen=Packing("zstd"), told=told.append)
        assert told == []
