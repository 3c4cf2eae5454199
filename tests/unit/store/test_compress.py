"""Compression: what standard tools read of it, that it never differs, and pieces that are used again."""

from __future__ import annotations

import gzip
import random
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from jettison.errors import StoreError
from jettison.store import packer as packer_module
from jettison.store.base import Entry
from jettison.store.blob_writer import LayerStream
from jettison.store.blobs import Blobs
from jettison.store.compress import Packing, compression_of, decompressed, pack_with, packing
from jettison.store.pieces import PiecesBefore, open_pieces, to_bytes
from jettison.store.store import Store

MIB = 1 << 20
WORDS = [b"%d line of text\n" % number for number in range(5000)]


def text(size: int, seed: int = 0) -> bytes:
    chosen = random.Random(seed)
    out = bytearray()
    while len(out) < size:
        out += b"".join(chosen.choices(WORDS, k=min(1000, size // 10 + 1)))
    return bytes(out[:size])


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("name", ["gzip", "gzip-1", "gzip-3", "gzip-12", "zstd", "zstd-19", "none"])
@pytest.mark.parametrize("make", [text, noise, lambda size: text(size // 2) + noise(size // 2)])
def test_standard_tools_read_it(tmp_path: Path, name: str, make: Callable[[int], bytes]) -> None:
    pack = pack_with(packing(name))
    blocks = [make(300_000), b"", make(7), make(2 * MIB), b"end"]
    path = tmp_path / "blob"
    path.write_bytes(b"".join(map(pack, blocks)))
    data = b"".join(blocks)
    assert b"".join(decompressed(str(path))) == data
    program = {"gzip": "gzip", "zstd": "zstd", "none": "cat"}[name.partition("-")[0]]
    words = [program] if program == "cat" else [program, "-dc"]
    run = subprocess.run(words, input=path.read_bytes(), capture_output=True, check=True)
    assert run.stdout == data


def test_the_header_says_nothing_about_when_and_where() -> None:
    for block in (b"x", noise(MIB)):
        assert pack_with(Packing())(block)[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def test_blocks_cost_next_to_nothing() -> None:
    data = text(4 * MIB)
    pack = pack_with(Packing())
    made = sum(len(pack(data[at : at + MIB])) for at in range(0, len(data), MIB))
    assert made < 1.03 * len(zlib.compress(data, 6))
    mixed = b"".join(text(2000, n) + noise(2000, n) for n in range(400))
    assert len(pack(mixed)) < 1.03 * len(zlib.compress(mixed, 6))


def test_higher_levels_are_smaller() -> None:
    data = text(MIB)
    sizes = [len(pack_with(packing(name))(data)) for name in ("gzip-1", "gzip", "gzip-12")]
    assert sizes[0] > sizes[1] > sizes[2]
    assert len(pack_with(packing("zstd-1"))(data)) > len(pack_with(packing("zstd-19"))(data))


@pytest.mark.parametrize("name", ["lz4", "gzip-13", "gzip-0", "gzip-x", "zstd-20", "none-1", ""])
def test_an_unknown_packing_is_refused(name: str) -> None:
    with pytest.raises(StoreError) as caught:
        packing(name)
    assert caught.value.hint


def test_several_members_and_zeros_behind_them(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(gzip.compress(b"one ") + gzip.compress(b"two") + bytes(600_000))
    assert b"".join(decompressed(str(path))) == b"one two"


def test_content_that_swells_comes_in_small_pieces(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(gzip.compress(bytes(50 << 20)))
    sizes = [len(piece) for piece in decompressed(str(path))]
    assert sum(sizes) == 50 << 20
    assert max(sizes) <= MIB


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_damaged_blob_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "blob"
    data = pack_with(packing(kind))(text(200_000))
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes(64) + data[middle + 64 :])
    with pytest.raises(StoreError, match=r"damaged|cut short"):
        list(decompressed(str(path)))


def test_media_types_of_both_families() -> None:
    assert compression_of("application/vnd.docker.image.rootfs.diff.tar.gzip") == "gzip"
    assert compression_of("application/vnd.oci.image.layer.v1.tar+zstd") == "zstd"
    assert compression_of("application/vnd.oci.image.layer.v1.tar") == "none"


# -- layers in blocks

Files = dict[str, bytes]


def project(seed: int = 1) -> Files:
    """Some 15 MB in small files, and a few large ones."""
    chosen = random.Random(seed)
    files = {}
    for number in range(1500):
        size = chosen.randrange(100, 14_000)
        make = text if number % 2 else noise
        files[f"src/d{number // 50:03}/f{number:05}"] = make(size, number)
    files["src/d010/large"] = text(3 * MIB + 5)
    files["src/exact"] = noise(MIB)
    return dict(sorted(files.items(), key=lambda item: item[0].split("/")))


def stream(
    blobs: Blobs, files: Files, before: PiecesBefore | None = None, step: int = MIB
) -> tuple[LayerStream, str, str]:
    """The finished stream, its diff ID, and the digest of its blob."""
    from hashlib import sha256

    made = LayerStream(blobs, Packing(), before)
    for path, data in files.items():
        parts = (data[at : at + step] for at in range(0, len(data), step))
        made.add(Entry(path, "file", 0o644, size=len(data)), parts, sha256(data).digest())
    diff_id, blob = made.commit()
    return made, diff_id, blob.digest


def before(store: Store, made: LayerStream, digest: str, tmp_path: Path) -> PiecesBefore:
    (tmp_path / "pieces").write_bytes(to_bytes(made.pieces, "gzip", digest))
    found = open_pieces(str(tmp_path / "pieces"), "gzip", store.blobs.folder)
    assert found is not None
    return found


@pytest.mark.parametrize("count", [1, 2, 5])
def test_neither_processors_nor_the_size_of_writes_change_the_result(
    store: Store, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = project()
    expected = stream(store.blobs, files)[1:]
    monkeypatch.setattr(packer_module, "processors", lambda: count)
    for step in (4096, 1 << 18, 3 * MIB):
        assert stream(store.blobs, files, step=step)[1:] == expected


def test_pieces_are_used_again_and_give_the_same_blob(store: Store, tmp_path: Path) -> None:
    files = project()
    made, _, digest = stream(store.blobs, files)
    files["src/d020/f01010"] += b"changed"
    files["src/d003/new file"] = b"new"
    del files["src/d029/f01499"]
    files = dict(sorted(files.items(), key=lambda item: item[0].split("/")))
    fresh = stream(store.blobs, files)
    packed: list[int] = []
    real = packer_module.Packer._packed

    def counting(self: packer_module.Packer, block: bytes, mark: bytes) -> tuple[bytes, int]:
        if self._before is None or self._before.get(mark) is None:
            packed.append(len(block))
        return real(self, block, mark)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packer_module.Packer, "_packed", counting)
        again = stream(store.blobs, files, before(store, made, digest, tmp_path))
    assert again[1:] == fresh[1:]
    assert sum(packed) < 6 * MIB < sum(map(len, files.values())) / 2


def test_a_damaged_piece_is_made_anew(store: Store, tmp_path: Path) -> None:
    files = project()
    made, diff_id, digest = stream(store.blobs, files)
    path = Path(store.blobs.path(digest))
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    for piece in made.pieces[::3]:
        data[piece.at + piece.size // 2] ^= 4
    path.write_bytes(data)
    pieces = before(store, made, digest, tmp_path)
    assert any(pieces.get(piece.mark) is None for piece in made.pieces)
    path.rename(path.with_name("damaged"))
    assert stream(store.blobs, files, pieces)[1:] == (diff_id, digest)


def test_a_table_that_does_not_fit_is_none(store: Store, tmp_path: Path) -> None:
    made, _, digest = stream(store.blobs, project())
    table = str(tmp_path / "pieces")
    good = to_bytes(made.pieces, "gzip", digest)
    gone = to_bytes(made.pieces, "gzip", "sha256:" + "0" * 64)
    for data in (b"", good[:30], good[:-1], b"x" + good, gone, good.replace(digest.encode(), b"../../etc")):
        Path(table).write_bytes(data)
        assert open_pieces(table, "gzip", store.blobs.folder) is None, data[:40]
    Path(table).write_bytes(good)
    assert open_pieces(table, "zstd", store.blobs.folder) is None
    assert open_pieces(str(tmp_path / "nothing"), "gzip", store.blobs.folder) is None


def test_an_error_of_a_thread_reaches_the_caller(store: Store) -> None:
    def fail(block: bytes) -> bytes:
        raise MemoryError("no room")

    writer = store.blobs.writer()
    packer = packer_module.Packer(writer, fail, None)
    with pytest.raises(MemoryError):
        for _ in range(100):
            packer.put(bytes(1000))
        packer.finish()
    packer.abort()
    writer.abort()
    assert not list(Path(writer.path).parent.glob("blob*"))


def test_small_files_with_long_names_arrive_whole(store: Store) -> None:
    import tarfile
    from hashlib import sha256

    from jettison.store.tar import file_header

    files = {f"{'n' * 90}/{number:03}-ü": b"%d" % number * number for number in range(200)}
    one, other = LayerStream(store.blobs, Packing()), LayerStream(store.blobs, Packing())
    for path, data in files.items():
        digest = sha256(data).digest()
        one.small_file(path, file_header(path, 0o644, 0, 0, len(data), 0), data, digest)
        other.add(Entry(path, "file", 0o644, size=len(data)), [data], digest)
    diff_id, blob = one.commit()
    assert other.commit() == (diff_id, blob)
    with tarfile.open(store.blobs.path(blob.digest)) as tar:
        assert {info.name: info.size for info in tar} == {path: len(data) for path, data in files.items()}
