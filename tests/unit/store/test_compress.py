"""Compression: what standard tools read of it, and that it never differs."""

from __future__ import annotations

import gzip
import random
import subprocess
from pathlib import Path

import pytest

from jettison.errors import StoreError
from jettison.store import compress
from jettison.store.compress import BLOCK, compression_of, compressor, decompressed

WORDS = [b"%d line of text\n" % number for number in range(5000)]


def sample(size: int) -> bytes:
    chosen = random.Random(size)
    out = bytearray()
    while len(out) < size:
        out += chosen.choice(WORDS)
    return bytes(out[:size])


def pack(kind: str, data: bytes, step: int = 1 << 18) -> bytes:
    out: list[bytes] = []
    made = compressor(kind, out.append)
    for at in range(0, len(data), step):
        made.write(data[at : at + step])
    made.finish()
    return b"".join(out)


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 17])
@pytest.mark.parametrize("kind", ["gzip", "zstd", "none"])
def test_content_comes_back(tmp_path: Path, kind: str, size: int) -> None:
    data = sample(size)
    path = tmp_path / "blob"
    path.write_bytes(pack(kind, data))
    assert b"".join(decompressed(str(path))) == data
    if kind == "gzip":
        assert gzip.decompress(path.read_bytes()) == data
    if kind == "zstd" and size:
        run = subprocess.run(["zstd", "-dc"], input=path.read_bytes(), capture_output=True, check=True)
        assert run.stdout == data


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_neither_processors_nor_the_size_of_writes_change_the_result(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sample(4 * BLOCK + 99)
    results = set()
    for processors in (1, 2, 5):
        monkeypatch.setattr(compress, "processors", lambda count=processors: count)
        for step in (1000, 1 << 18, 3 * BLOCK):
            results.add(pack(kind, data, step))
    assert len(results) == 1


def test_the_header_says_nothing_about_when_and_where() -> None:
    assert pack("gzip", b"x")[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def test_blocks_cost_next_to_nothing() -> None:
    import zlib

    data = sample(4 * BLOCK)
    assert len(pack("gzip", data)) < 1.02 * len(zlib.compress(data, 6))


def test_several_members_and_zeros_behind_them(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(gzip.compress(b"one ") + gzip.compress(b"two") + bytes(600_000))
    assert b"".join(decompressed(str(path))) == b"one two"


def test_content_that_swells_comes_in_small_pieces(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(gzip.compress(bytes(50 << 20)))
    sizes = [len(piece) for piece in decompressed(str(path))]
    assert sum(sizes) == 50 << 20
    assert max(sizes) <= BLOCK


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_damaged_blob_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "blob"
    data = pack(kind, sample(200_000))
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes(64) + data[middle + 64 :])
    with pytest.raises(StoreError, match=r"damaged|cut short"):
        list(decompressed(str(path)))


def test_media_types_of_both_families() -> None:
    assert compression_of("application/vnd.docker.image.rootfs.diff.tar.gzip") == "gzip"
    assert compression_of("application/vnd.oci.image.layer.v1.tar+zstd") == "zstd"
    assert compression_of("application/vnd.oci.image.layer.v1.tar") == "none"


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(StoreError, match="lz4"):
        compressor("lz4", lambda data: None)
