"""Entries straight into a compressed blob, hashed on the way: diff ID and blob digest in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import BinaryIO

from jettison.dataclass import replace
from jettison.store.base import Blob, Entry, Layer
from jettison.store.blobs import Blobs
from jettison.store.compress import MEDIA_TYPES, compressor
from jettison.store.contents import changed, pieces, size_of
from jettison.store.faults import faults
from jettison.store.tar import END, header, padding

_GATHER = 1 << 18


class LayerStream:
    """A layer's tar archive on its way into the blob store."""

    def __init__(self, blobs: Blobs, compression: str) -> None:
        self._blobs = blobs
        self._compression = compression
        self._diff = sha256()
        self._writer = blobs.writer()
        self._compressor = compressor(compression, self._writer.write)
        self._parts: list[bytes | memoryview] = []
        self._held = 0

    def add(self, entry: Entry, content: Iterable[bytes | memoryview] = ()) -> None:
        """Add an entry, `entry.size` being that of its content. Raises StoreError when it is not."""
        self.raw(header(entry))
        if entry.kind != "file":
            return
        size = 0
        for piece in content:
            size += len(piece)
            if size > entry.size:
                break
            self.raw(piece)
        if size != entry.size:
            raise changed(entry.path, entry.size, size)
        if size % 512:
            self.raw(padding(size))

    def raw(self, data: bytes | memoryview) -> None:
        """Add bytes of the archive as they are."""
        self._parts.append(data)
        self._held += len(data)
        if self._held >= _GATHER:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._parts)
        self._parts, self._held = [], 0
        self._diff.update(data)
        self._compressor.write(data)

    def commit(self, end: bytes = END) -> tuple[str, Blob]:
        """Finish the blob: the diff ID, and the blob that is now in the store."""
        self.raw(end)
        self._flush()
        self._compressor.finish()
        digest, size = self._writer.commit()
        return "sha256:" + self._diff.hexdigest(), Blob(digest, size, MEDIA_TYPES[self._compression])

    def abort(self) -> None:
        """Leave nothing behind. Harmless after `commit`."""
        self._compressor.abort()
        self._writer.abort()


class BlobLayerWriter:
    """A LayerWriter whose layer is only a blob, with an index of its entries.

    `keep` records the finished layer: diff ID, blob, entries, bytes of files.
    """

    def __init__(
        self,
        blobs: Blobs,
        compression: str,
        clamp: int | None,
        keep: Callable[[str, Blob, list[Entry], int], Layer],
    ) -> None:
        self._folder = blobs.folder
        self._stream = LayerStream(blobs, compression)
        self._clamp = clamp
        self._keep = keep
        self._entries: list[Entry] = []
        self._size = 0

    def add(self, entry: Entry, content: str | bytes | BinaryIO | None = None) -> None:
        """Add one entry. Raises StoreError when its content cannot be read whole."""
        if not entry.path and entry.kind != "opaque":
            return
        with faults(f"adding {entry.path!r} to a layer", self._folder):
            if entry.kind == "file":
                entry = replace(entry, size=size_of(content, entry.size))
            entry = clamped(entry, self._clamp)
            self._stream.add(entry, pieces(content))
        self._entries.append(entry)
        self._size += entry.size if entry.kind == "file" else 0

    def commit(self) -> Layer:
        """Make the layer appear in the store, whole."""
        try:
            diff_id, blob = self._stream.commit()
        except BaseException:
            self.abort()
            raise
        return self._keep(diff_id, blob, self._entries, self._size)

    def abort(self) -> None:
        """Leave nothing behind. Harmless after `commit`."""
        self._stream.abort()


def clamped(entry: Entry, clamp: int | None) -> Entry:
    """The entry with a modification time no later than `clamp` (seconds since the epoch)."""
    if clamp is None or entry.mtime_ns <= clamp * 10**9:
        return entry
    return replace(entry, mtime_ns=clamp * 10**9)
