"""Sparse entries of archives: which parts of a file are stored (GNU tar manual, Storing Sparse Files)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jettison.errors import StoreError
from jettison.store.tar import BLOCK, number

_ZEROS = memoryview(bytes(1 << 18))
_LIMIT = 1 << 20

Parts = list[tuple[int, int]]
"""Offset and size of each stored part, in the order of the file."""

Take = Callable[[int], bytes]


def of_header(block: bytes, take: Take) -> tuple[Parts, int]:
    """The parts and the whole size that an old GNU header (type S) tells.

    `take` reads the headers that go on.
    """
    fields = block[386:482]
    more = block[482]
    while more:
        block_of_parts = take(BLOCK)
        fields += block_of_parts[:504]
        more = block_of_parts[504]
        if len(fields) > _LIMIT:
            raise StoreError("the archive has a sparse entry with too many parts")
    parts = []
    for at in range(0, len(fields) - 23, 24):
        if fields[at]:
            parts.append((number(fields[at : at + 12]), number(fields[at + 12 : at + 24])))
    return parts, number(block[483:495])


def of_records(pax: dict[bytes, bytes], take: Take) -> tuple[Parts, int, int]:
    """The parts, the whole size and the bytes of the map in front of the content (version 1.0 has
    it there).
    """
    if pax.get(b"GNU.sparse.major") == b"1" and pax.get(b"GNU.sparse.minor") == b"0":
        numbers, used = _leading(take)
        return _paired(numbers), int(pax[b"GNU.sparse.realsize"]), used
    if b"GNU.sparse.map" in pax:
        numbers = [int(text) for text in pax[b"GNU.sparse.map"].split(b",")]
        return _paired(numbers), int(pax[b"GNU.sparse.size"]), 0
    raise StoreError("the archive has a sparse entry of an unknown form", hint="make it without --sparse")


def _leading(take: Take) -> tuple[list[int], int]:
    data = take(BLOCK)
    while True:
        lines = data.split(b"\n")[:-1]
        if lines and len(lines) > 2 * int(lines[0]):
            return [int(line) for line in lines[1 : 1 + 2 * int(lines[0])]], len(data)
        if len(data) > _LIMIT:
            raise StoreError("the archive has a sparse entry with too many parts")
        data += take(BLOCK)


def _paired(numbers: list[int]) -> Parts:
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def written_out(
    parts: Parts, size: int, stored: Callable[[int], Iterator[memoryview]]
) -> Iterator[memoryview]:
    """The whole content: `stored(n)` gives the next n bytes of the archive, holes become zeros."""
    at = 0
    for offset, length in [*parts, (size, 0)]:
        if offset < at or length < 0 or offset + length > size:
            raise StoreError("the archive has a sparse entry whose parts overlap")
        while at < offset:
            hole = _ZEROS[: offset - at]
            at += len(hole)
            yield hole
        yield from stored(length)
        at += length
