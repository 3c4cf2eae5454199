"""The packed blocks of a large layer, so that the layer's next version can take those that did not change.

Beside the blob's layer stands a table: which blocks, told by digests of what they were
made of, are where in the blob. What is taken is checked on the way, as a damaged piece would go unseen into
a blob with a digest of its own.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from typing import NamedTuple

from jettison.digests import hex_of

_MAGIC = b"jettison pieces 1\n"
_ROW = struct.Struct("<32sQII")
_LONGEST_NAME = 32


class Piece(NamedTuple):
    """A packed block: its mark (32 bytes), where it is in the blob, its bytes, their CRC-32."""

    mark: bytes
    at: int
    size: int
    checksum: int


def piece_of(packed: bytes) -> tuple[bytes, int]:
    """Packed bytes with their checksum."""
    from isal.isal_zlib import crc32

    return packed, crc32(packed)


def to_bytes(pieces: Iterable[Piece], packing: str, blob: str) -> bytes:
    """A table as it is kept in a file. `packing` says how the blocks were packed, `blob` is the digest."""
    rows = b"".join([_ROW.pack(*piece) for piece in pieces])
    return b"%b%b\n%b\n%b" % (_MAGIC, packing.encode(), blob.encode(), rows)


class PiecesBefore:
    """The pieces of an earlier layer. May be asked from several threads."""

    def __init__(self, blob: int, rows: dict[bytes, tuple[int, int, int]]) -> None:
        self._blob = blob
        self._rows = rows

    def get(self, mark: bytes) -> tuple[bytes, int] | None:
        """The packed bytes of a block with their checksum; None where it is not there, or is damaged."""
        row = self._rows.get(mark)
        if row is None:
            return None
        at, size, checksum = row
        try:
            packed, found = piece_of(os.pread(self._blob, size, at))
        except OSError:
            return None
        return (packed, found) if found == checksum and len(packed) == size else None

    def close(self) -> None:
        """Close the blob."""
        os.close(self._blob)


def open_pieces(table: str, packing: str, blobs: str) -> PiecesBefore | None:
    """The pieces that a table lists, if they were packed in the wanted way and the blob is still there.

    `blobs` is the folder of the store's blobs. Anything that is wrong means that there are none.
    """
    try:
        with open(table, "rb") as file:
            data = file.read()
        magic, chosen, digest = data[: len(_MAGIC)], *data[len(_MAGIC) :].split(b"\n", 2)[:2]
        if magic != _MAGIC or chosen != packing.encode():
            return None
        start = len(_MAGIC) + len(chosen) + len(digest) + 2
        rows = {mark: (at, size, crc) for mark, at, size, crc in _ROW.iter_unpack(data[start:])}
        name = hex_of(digest.decode("ascii"))
        blob = os.open(f"{blobs}/sha256/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError, struct.error):
        return None
    return PiecesBefore(blob, rows)
