"""Reads the entries of a tar stream one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jettison.dataclass import replace
from jettison.errors import StoreError
from jettison.oci.expansion import FREE
from jettison.store.base import Entry
from jettison.store.entry_limits import check
from jettison.store.sparse import Parts, of_header, of_records, written_out
from jettison.store.tar import BLOCK, checksum_fits, number, parse, parse_pax

_ZEROS = bytes(BLOCK)
_NAMES_LIMIT = 1 << 20
"""Bytes of the extended headers of one entry, and of those that count for all entries."""


class TarReader:
    """Iterates over entries.

    `content()` gives that of the file entry just yielded, and is skipped if not asked for.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._piece = memoryview(b"")
        self._left = 0
        """Bytes of the current entry's content that were not read yet."""
        self._pad = 0
        self._sparse: tuple[Parts, int] | None = None
        self._holes = 0
        self._pax: dict[bytes, bytes] = {}
        self._defaults: dict[bytes, bytes] = {}
        self._extended = {b"g": 0, b"x": 0}
        """Bytes of extended headers: for all entries, and for the next one."""

    def __iter__(self) -> Iterator[Entry]:
        while (block := self._header()) is not None:
            kind = block[156:157]
            if kind in b"xgLK" and kind != b"":
                self._extend(kind, block)
                continue
            try:
                entry = self._entry(block, {**self._defaults, **self._pax})
            except (ValueError, KeyError, OverflowError) as error:
                raise StoreError(f"the archive has a malformed header: {error}") from error
            self._pax = {}
            self._extended[b"x"] = 0
            if entry is not None:
                check(entry)
                yield entry
            self._skip(self._left + self._pad)
            self._left = 0
        for _ in self._pieces:
            pass  # whoever hashes the stream wants all of it

    def _entry(self, block: bytes, pax: dict[bytes, bytes]) -> Entry | None:
        sparse: tuple[Parts, int] | None = None
        if block[156:157] == b"S":
            sparse = of_header(block, self._exactly)
            block = block[:156] + b"0" + block[157:345] + bytes(BLOCK - 345)
        name = pax.pop(b"GNU.sparse.name", None)
        if name is not None:
            pax[b"path"] = name
        entry, size = parse(block, pax)
        self._left, self._pad = size, -size % BLOCK
        if entry is not None and any(key.startswith(b"GNU.sparse.") for key in pax):
            parts, whole, used = of_records(pax, self._exactly)
            sparse = parts, whole
            self._left -= used
        if sparse is not None:
            self._holes += max(sparse[1] - size, 0)
            if self._holes > FREE:
                raise StoreError(
                    f"the archive has sparse files with holes of more than {FREE >> 30} GiB",
                    hint="it was made to fill the disk; make it without --sparse if it was not",
                )
        self._sparse = sparse
        return entry if entry is None or sparse is None else replace(entry, size=sparse[1])

    def content(self) -> Iterator[memoryview]:
        """The pieces of the current file's content; of sparse files all of it, with zeros for the holes."""
        if self._sparse is None:
            return self._stored(self._left)
        return written_out(*self._sparse, self._stored)

    def _stored(self, size: int) -> Iterator[memoryview]:
        while size:
            if not self._left:
                raise StoreError("the archive has a sparse entry with more parts than content")
            got = self._some(min(size, self._left))
            self._left -= len(got)
            size -= len(got)
            yield got

    def _header(self) -> bytes | None:
        block = self._exactly(BLOCK, at_end=True)
        if block == _ZEROS or not block:
            return None
        if not checksum_fits(block):
            raise StoreError("this is no tar archive, or a damaged one: a header's checksum is wrong")
        return block

    def _extend(self, kind: bytes, block: bytes) -> None:
        size = number(block[124:136])
        whose = b"g" if kind == b"g" else b"x"
        self._extended[whose] += size
        if size < 0 or self._extended[whose] > _NAMES_LIMIT:
            raise StoreError(f"the archive has extended headers of {self._extended[whose]} bytes")
        body = self._exactly(size)
        self._skip(-size % BLOCK)
        if kind == b"x":
            self._pax.update(parse_pax(body))
        elif kind == b"g":
            self._defaults.update(parse_pax(body))
        else:
            self._pax[b"path" if kind == b"L" else b"linkpath"] = body.partition(b"\0")[0]

    def _some(self, limit: int) -> memoryview:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                raise StoreError("the archive is cut short")
            self._piece = memoryview(piece)
        got, self._piece = self._piece[:limit], self._piece[limit:]
        return got

    def _exactly(self, size: int, at_end: bool = False) -> bytes:
        if len(self._piece) >= size:
            got, self._piece = bytes(self._piece[:size]), self._piece[size:]
            return got
        parts: list[memoryview] = []
        missing = size
        while missing:
            if at_end and not parts and not self._piece:
                piece = next(self._pieces, None)
                if piece is None:
                    return b""
                self._piece = memoryview(piece)
                continue
            parts.append(self._some(missing))
            missing -= len(parts[-1])
        return b"".join(parts)

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._some(size))
