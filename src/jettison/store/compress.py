"""Compression of layers. Equal input gives equal output, whatever the number of processors.

A layer is cut into blocks, and each becomes a whole gzip member or zstd frame: members and frames
one after the other are one stream (RFC 1952, section 2.2; RFC 8878, section 3.1). So blocks are
compressed side by side, and a block that did not change since the layer's last build is taken from there.

gzip is made by libdeflate at level 4: as small as zlib's level 5 to 6, in a third of the time. Where
most of a block cannot be compressed anyway, that would be time for nothing, and ISA-L makes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

from jettison.dataclass import dataclass
from jettison.errors import StoreError
from jettison.oci.expansion import FREE, refuse_bomb

Compression = Literal["gzip", "zstd", "none"]
LEVELS: dict[str, tuple[int, int]] = {"gzip": (1, 12), "zstd": (1, 19), "none": (0, 0)}
"""The lowest and the highest level of each compression."""
_ISAL_LEVELS = 3
_GZIP_LEVEL = 4
_ZSTD_LEVEL = 5
PIECE = 1 << 20
_SLICE = 1 << 10
_SLICES = 16
_MUCH = 5
_MOSTLY = 14
"""So many slices of a block that cannot be compressed make the whole worth less effort, and hardly any."""

MEDIA_TYPES: dict[str, str] = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "none": "application/vnd.oci.image.layer.v1.tar",
}

_AGAIN = "remove it, so that it is fetched again"

Pack = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Packing:
    """How blobs are compressed. Level 0 is each kind's own default.

    gzip has levels 1 to 12, of which the first three are much faster and make larger blobs; zstd 1 to 19.
    """

    kind: Compression = "gzip"
    level: int = 0

    @property
    def name(self) -> str:
        """What renderings of this packing are filed under."""
        return f"{self.kind}-{self.level}" if self.level else self.kind

    def plain(self) -> Packing:
        """The same at its default level: what layers are written with, as nothing tells of a blob's level."""
        return Packing(self.kind)

    def fits(self, media_type: str) -> bool:
        """Whether a layer's own blob of this type is what this packing makes: at a level it never is."""
        return not self.level and compression_of(media_type) == self.kind


def packing(name: str) -> Packing:
    """The packing of a name as `Packing.name` gives it. Raises StoreError for one that there is not."""
    kind, _, level = name.partition("-")
    if kind not in LEVELS:
        raise StoreError(f"unknown compression {kind!r}", hint=f"known: {', '.join(LEVELS)}")
    lowest, highest = LEVELS[kind]
    if level and not (level.isdecimal() and lowest <= int(level) <= highest):
        raise StoreError(
            f"{kind} has no compression level {level!r}",
            hint=f"levels {lowest} to {highest}" if highest else "it is not compressed at all",
        )
    return Packing(cast(Compression, kind), int(level or 0))


def compression_of(media_type: str) -> Compression:
    """Which compression a layer's media type names, OCI's or Docker's."""
    if media_type.endswith(("+gzip", ".gzip")):
        return "gzip"
    return "zstd" if media_type.endswith(("+zstd", ".zstd")) else "none"


def pack_with(chosen: Packing) -> Pack:
    """The function that makes a member, a frame or nothing of a block. It may be called from any thread."""
    if chosen.kind == "gzip":
        return _gzip(chosen.level)
    if chosen.kind == "zstd":
        return _zstd(chosen.level or _ZSTD_LEVEL)
    return lambda block: block


def _gzip(level: int) -> Pack:
    from isal import igzip_lib

    if 0 < level <= _ISAL_LEVELS:
        return lambda block: igzip_lib.compress(block, level, igzip_lib.COMP_GZIP)
    from deflate import gzip_compress

    def pack(block: bytes) -> bytes:
        dense = 0 if level else _dense_slices(block)
        if dense >= _MUCH:
            effort = 1 if dense >= _MOSTLY else _ISAL_LEVELS
            return igzip_lib.compress(block, effort, igzip_lib.COMP_GZIP)
        return bytes(gzip_compress(block, level or _GZIP_LEVEL))

    return pack


def _dense_slices(block: bytes) -> int:
    """How many of some slices of a block cannot be compressed."""
    from isal import igzip_lib

    if len(block) < _SLICES * _SLICE:
        return 0
    step = len(block) // _SLICES
    slices = [block[at : at + _SLICE] for at in range(0, step * _SLICES, step)]
    return sum(len(igzip_lib.compress(data, 1)) > _SLICE * 15 // 16 for data in slices)


def _zstd(level: int) -> Pack:
    import threading

    import zstandard

    own = threading.local()

    def pack(block: bytes) -> bytes:
        if not hasattr(own, "compressor"):
            own.compressor = zstandard.ZstdCompressor(level=level)
        return cast(bytes, own.compressor.compress(block))

    return pack


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def decompressed(path: str) -> Iterator[bytes]:
    """The content of a compressed file in pieces of at most 1 MiB; its form is told by its first bytes.

    Raises StoreError when it is cut short or damaged, and SourceError when it expands beyond all measure.
    """
    size = 0
    packed = os.path.getsize(path)
    for piece in _decompressed(path):
        size += len(piece)
        if size > FREE:
            refuse_bomb(packed, size, path)
        yield piece


def _decompressed(path: str) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        head = os.pread(file.fileno(), 4, 0)
        raw = iter(lambda: file.read(1 << 18), b"")
        try:
            if head[:2] == b"\x1f\x8b":
                yield from _gunzipped(raw, path)
            elif head == b"\x28\xb5\x2f\xfd" or (head[1:] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50):
                yield from _unzstd(file)
            else:
                yield from iter(lambda: file.read(PIECE), b"")
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror or error}") from error


def _gunzipped(raw: Iterator[bytes], path: str) -> Iterator[bytes]:
    from isal import isal_zlib

    member = isal_zlib.decompressobj(31)
    fresh = True
    try:
        for piece in raw:
            while piece:
                if fresh and not piece.strip(b"\0"):
                    break  # archives are sometimes padded with zeros
                out = member.decompress(piece, PIECE)
                fresh = False
                if out:
                    yield out
                while not member.eof and (piece := member.unconsumed_tail or b""):
                    out = member.decompress(piece, PIECE)
                    if out:
                        yield out
                piece = b""
                if member.eof:
                    piece = member.unused_data
                    member = isal_zlib.decompressobj(31)
                    fresh = True
    except isal_zlib.error as error:  # type: ignore[misc]
        raise _damaged(path, error) from error
    if not fresh:
        raise StoreError(f"{path} is cut short", hint=_AGAIN)


def _unzstd(file: Any) -> Iterator[bytes]:
    import zstandard

    try:
        decompressor = zstandard.ZstdDecompressor()
        with decompressor.stream_reader(file, read_across_frames=True, closefd=False) as reader:
            while piece := reader.read(PIECE):
                yield piece
    except zstandard.ZstdError as error:
        raise _damaged(file.name, error) from error


def _damaged(path: str, error: Exception) -> StoreError:
    return StoreError(f"{path} is damaged: {error}", hint=_AGAIN)
