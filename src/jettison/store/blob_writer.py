"""Entries straight into a compressed blob, hashed on the way: diff ID and blob digest in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO

from jettison.dataclass import dataclass, replace
from jettison.store.base import Blob, Entry, Layer
from jettison.store.blobs import Blobs
from jettison.store.compress import MEDIA_TYPES, Packing, pack_with
from jettison.store.contents import changed, pieces, size_of, told_pieces
from jettison.store.faults import faults
from jettison.store.index import IndexWriter
from jettison.store.packer import Packer
from jettison.store.pieces import Piece, PiecesBefore
from jettison.store.tar import END, file_header, header, padding

if TYPE_CHECKING:
    from jettison.events import Told

_SMALLEST = 1 << 19
_LARGEST = 1 << 21
_LARGE_FILE = 1 << 20
_ONE_IN = 8
_ZSTD_TIMES = 4
"""zstd finds what repeats over larger distances: its blocks are so many times as large."""


class LayerStream:
    """A layer's tar archive on its way into the blob store.

    It is cut into blocks at entries, and which ones depends on their names alone: where a file is changed,
    or put in, few other blocks change. Large files are blocks of their own, cut at fixed places.
    """

    def __init__(self, blobs: Blobs, chosen: Packing, before: PiecesBefore | None = None) -> None:
        self._kind = chosen.kind
        times = _ZSTD_TIMES if chosen.kind == "zstd" else 1
        self._smallest, self._largest, self._large_file = (
            times * size for size in (_SMALLEST, _LARGEST, _LARGE_FILE)
        )
        self._before = before
        self._writer = blobs.writer()
        self._packer = Packer(self._writer, pack_with(chosen), before)
        self._parts: list[bytes | memoryview] = []
        self._held = 0
        self._marks: list[bytes] | None = []

    def add(self, entry: Entry, content: Iterable[bytes | memoryview] = (), digest: bytes = b"") -> None:
        """Add an entry, `entry.size` being that of its content. Raises StoreError when it is not.

        `digest` is the content's SHA-256, where it is known.
        """
        self._begin(entry.path)
        head = header(entry)
        if entry.kind != "file":
            self._hold(head, head)
        elif entry.size < self._large_file:
            self._hold(head, head + digest if digest else b"")
            self._content(entry, content)
        else:
            self._large(entry, head, content, digest)

    def small_file(self, path: str, head: bytes, data: bytes, digest: bytes) -> None:
        """Add a file of less than 1 MiB with its header. Does what `add` does; `digest` may be b""."""
        held = self._held
        if held >= self._smallest:
            self._begin(path)
            held = self._held
        size = len(data)
        rest = -size % 512
        self._parts += (head, data, bytes(rest)) if rest else (head, data)
        self._held = held + len(head) + size + rest
        if not digest:
            self._marks = None
        elif self._marks is not None:
            self._marks.append(head + digest)

    def _begin(self, path: str) -> None:
        """Cut before an entry where it is time to."""
        if self._held >= self._smallest and (self._held >= self._largest or _chosen(path)):
            self._cut(self._held)

    def _large(self, entry: Entry, head: bytes, content: Iterable[bytes | memoryview], digest: bytes) -> None:
        self._cut(self._held)
        name = head + digest
        self._hold(head, name if digest else b"")
        number = 0
        for piece in self._checked(entry, content):
            self._hold(piece)
            while self._held >= self._large_file:
                number += 1
                self._cut(self._large_file)
                self._marks = [name, b"%d" % number] if digest else None
        self._cut(self._held)

    def _content(self, entry: Entry, content: Iterable[bytes | memoryview]) -> None:
        for piece in self._checked(entry, content):
            self._hold(piece)

    def _checked(self, entry: Entry, content: Iterable[bytes | memoryview]) -> Iterable[bytes | memoryview]:
        """The content with what fills its last block, if it is as long as the entry says."""
        size = 0
        for piece in content:
            size += len(piece)
            if size > entry.size:
                break
            yield piece
        if size != entry.size:
            raise changed(entry.path, entry.size, size)
        if size % 512:
            yield padding(size)

    def _hold(self, data: bytes | memoryview, mark: bytes | None = None) -> None:
        """Add to the block that is being filled. A mark of b"" says that there is none for its content."""
        self._parts.append(data)
        self._held += len(data)
        if mark is not None and self._marks is not None:
            if mark:
                self._marks.append(mark)
            else:
                self._marks = None

    def _cut(self, size: int) -> None:
        """Hand over a block of so many bytes; what is held beyond stays."""
        if not size:
            return
        data = b"".join(self._parts)
        rest = data[size:]
        self._parts, self._held = ([rest] if rest else []), len(rest)
        mark = sha256(b"".join(self._marks)).digest() if self._marks is not None else b""
        self._packer.put(data[:size] if rest else data, mark)
        self._marks = []

    def commit(self) -> tuple[str, Blob]:
        """Finish the blob: the diff ID, and the blob that is now in the store."""
        self._hold(END, END)
        self._cut(self._held)
        diff_id = self._packer.finish()
        self._close()
        digest, size = self._writer.commit()
        return diff_id, Blob(digest, size, MEDIA_TYPES[self._kind])

    @property
    def pieces(self) -> list[Piece]:
        """Where the blocks are in the finished blob."""
        return self._packer.pieces

    def abort(self) -> None:
        """Leave nothing behind. Harmless after `commit`."""
        self._packer.abort()
        self._close()
        self._writer.abort()

    def _close(self) -> None:
        if self._before is not None:
            self._before.close()
            self._before = None


def _chosen(path: str) -> bool:
    from zlib import crc32

    return crc32(path.encode("utf-8", "surrogateescape")) % _ONE_IN == 0


@dataclass(frozen=True, slots=True)
class Written:
    """A finished blob of a layer. `index` is the file with its entries, `size` counts the bytes of files."""

    diff_id: str
    blob: Blob
    size: int
    index: str
    pieces: list[Piece]


class BlobLayerWriter:
    """A LayerWriter whose layer is only a blob, with an index of its entries.

    `keep` records the finished layer; `told` is told of the bytes of files as they go in.
    """

    def __init__(
        self,
        blobs: Blobs,
        stream: LayerStream,
        index: IndexWriter,
        clamp: int | None,
        keep: Callable[[Written], Layer],
        told: Told | None = None,
    ) -> None:
        self._folder = blobs.folder
        self._stream = stream
        self._index = index
        self._clamp = clamp
        self._keep = keep
        self._told = told
        self._size = 0

    def add(self, entry: Entry, content: str | bytes | BinaryIO | None = None, digest: bytes = b"") -> None:
        """Add one entry. Raises StoreError when its content cannot be read whole."""
        if not entry.path and entry.kind != "opaque":
            return
        with faults(f"adding {entry.path!r} to a layer", self._folder):
            if entry.kind == "file":
                if entry.size < _LARGE_FILE and not entry.xattrs and isinstance(content, str):
                    content = b"".join(pieces(content))
                    if len(content) < _LARGE_FILE:
                        owner, seconds = (entry.uid, entry.gid), entry.mtime_ns // 10**9
                        return self.add_file(entry.path, entry.mode, owner, seconds, content, digest)
                entry = replace(entry, size=size_of(content, entry.size))
            entry = stamped(entry, self._clamp)
            self._stream.add(entry, told_pieces(pieces(content), self._told), digest)
            self._index.add(entry)
        self._size += entry.size if entry.kind == "file" else 0

    def add_file(
        self, path: str, mode: int, owner: tuple[int, int], seconds: int, data: bytes, digest: bytes
    ) -> None:
        """Add a whole file without attributes, of less than 1 MiB, with the SHA-256 of its content."""
        if self._clamp is not None and seconds > self._clamp:
            seconds = self._clamp
        size = len(data)
        self._stream.small_file(path, file_header(path, mode, *owner, size, seconds), data, digest)
        self._index.add_file(path, mode, *owner, seconds, size)
        self._size += size
        if self._told is not None:
            self._told(size)

    def commit(self) -> Layer:
        """Make the layer appear in the store, whole."""
        try:
            with faults("finishing a layer", self._folder):
                diff_id, blob = self._stream.commit()
                index = self._index.finish()
        except BaseException:
            self.abort()
            raise
        return self._keep(Written(diff_id, blob, self._size, index, self._stream.pieces))

    def abort(self) -> None:
        """Leave nothing behind. Harmless after `commit`."""
        self._stream.abort()
        self._index.abort()


def stamped(entry: Entry, clamp: int | None) -> Entry:
    """The entry with its time as layers have it: whole seconds, no later than `clamp` (since the epoch).

    Anything finer would double the headers of most files, and other builders leave it out as well.
    """
    seconds = entry.mtime_ns // 10**9
    if clamp is not None and seconds > clamp:
        seconds = clamp
    return entry if entry.mtime_ns == seconds * 10**9 else replace(entry, mtime_ns=seconds * 10**9)
