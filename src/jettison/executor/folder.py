"""COPY of a whole folder of the build context in one walk: `COPY . /app`, with any number of files.

Every file is read at most once: hashed for the step's key, and where the layer becomes a blob packed
in the same breath. Nothing is kept of a file once it is passed.
"""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from typing import TYPE_CHECKING

from jettison.errors import StoreError
from jettison.executor.mode import parse_mode
from jettison.executor.place import marked_as_removed
from jettison.executor.walk import unreadable
from jettison.graph.ops import CopyOp
from jettison.sources.context import ContextTree
from jettison.sources.memo import Memo, hash_file, key_of
from jettison.sources.sweep import Fingerprint, sweep
from jettison.store import listings
from jettison.store.base import Entry, Kind, LayerWriter
from jettison.store.blob_writer import BlobLayerWriter
from jettison.store.contents import changed
from jettison.store.listings import ListingWriter

if TYPE_CHECKING:
    from jettison.events import Told

_SMALL = 1 << 20
_ROWS = 1000
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS: dict[int, Kind] = {stat.S_IFCHR: "char", stat.S_IFBLK: "block", stat.S_IFIFO: "fifo"}


class FolderWalk:
    """One walk over a folder: its content digest, or the entries of a layer, or both.

    For a digest it needs the `memo` with the hashes of files, and a `listing`, which is given all rows.
    `told` hears of the bytes of files, where there is no writer: that tells of them itself.
    """

    def __init__(
        self,
        op: CopyOp,
        tree: ContextTree,
        folder: str,
        memo: Memo | None = None,
        listing: ListingWriter | None = None,
        told: Told | None = None,
    ) -> None:
        self._tree = tree
        self._folder = folder
        self._memo = memo
        self._listing = listing
        self._told = told
        self._change = parse_mode(op.mode) if op.mode else None
        self._rows = listings.heads([("", False, "dir")])
        self._links: dict[tuple[int, int], str] = {}
        self._writer: LayerWriter | None = None
        self._blob: BlobLayerWriter | None = None
        self._dest = ""
        self._owner = (0, 0)
        self.size = 0
        """The bytes of all files so far, each counted once."""
        self.seen = Fingerprint()
        self.changed: list[str] = []
        """Files that were written to between the look at them and their reading."""

    def into(self, writer: LayerWriter, dest: str, owner: tuple[int, int]) -> None:
        """Have the entries written, below `dest`: a path with a slash behind it, or "" for the root.

        Nothing of these names may be there yet.
        """
        self._writer, self._dest, self._owner = writer, dest, owner
        self._blob = writer if isinstance(writer, BlobLayerWriter) else None

    def run(self) -> str:
        """Walk, and give the content digest (or ""). Raises SourceError for what cannot be read."""
        for fd, path, name, st in sweep(self._tree, self._folder, self.seen):
            kind = st.st_mode & 0o170000
            try:
                if kind == stat.S_IFREG:
                    self._file(fd, path, name, st)
                elif kind == stat.S_IFDIR:
                    self._row(path, "dir", self._mode(st, True))
                    self._add(path, "dir", self._mode(st, True), st)
                elif kind == stat.S_IFLNK:
                    link = os.readlink(name, dir_fd=fd)
                    self._row(path, "symlink", 0, link)
                    self._add(path, "symlink", 0o777, st, link)
                elif kind in _OTHERS:
                    self._special(path, _OTHERS[kind], st)
            except (OSError, StoreError) as error:
                cause = error if isinstance(error, OSError) else error.__cause__
                where = self._where(path)
                # A writer blames its own store for what it cannot read.
                if isinstance(cause, OSError) and (cause is error or cause.filename == where):
                    raise unreadable(OSError(cause.errno, cause.strerror, where)) from error
                raise
            if len(self._rows) >= _ROWS:
                self._flush()
        self._flush()
        if self._memo is not None:
            self._memo.settle()
        return self._listing.digest() if self._listing is not None else ""

    def _where(self, path: str) -> str:
        return "/".join(filter(None, (self._tree.folder, self._folder, path)))

    def _flush(self) -> None:
        if self._listing is not None:
            self._listing.add(self._rows)
        self._rows.clear()

    def _mode(self, st: os.stat_result, is_dir: bool) -> int:
        mode = st.st_mode & 0o7777
        return self._change(mode, is_dir) if self._change is not None else mode

    def _row(self, path: str, kind: str, mode: int, link: str = "", digest: bytes = b"") -> None:
        self._rows.append(listings.row(0, path, kind, mode, "", link, "", digest))

    def _file(self, fd: int, path: str, name: str, st: os.stat_result) -> None:
        link = ""
        if st.st_nlink > 1:
            first = self._links.setdefault((st.st_dev, st.st_ino), path)
            link = first if first != path else ""
        if not link:
            self.size += st.st_size
        mode = self._mode(st, False)
        digest = self._content(fd, path, name, mode, st, link)
        self._rows.append(
            listings.row(0, path, "file", mode, "", link, "", digest)
            if link
            else listings.file_row(path, mode, digest)
        )

    def _content(self, fd: int, path: str, name: str, mode: int, st: os.stat_result, link: str) -> bytes:
        """Write a file, and give the digest of its content where that is asked for."""
        key, known = b"", None
        if self._memo is not None:
            key = key_of(st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
            known = self._memo.get(key)
        if self._blob is not None and not link and st.st_size < _SMALL:
            digest = self._small_file(self._blob, fd, path, name, mode, st, known)
        else:
            digest = self._hashed(fd, name, st, known)
            self._large_file(fd, path, name, mode, st, digest, link)
        if self._memo is not None and known is None:
            self._memo.put(key, digest)
        return digest

    def _hashed(self, fd: int, name: str, st: os.stat_result, known: bytes | None) -> bytes:
        told = self._told if self._writer is None else self._still
        if known is None and self._memo is not None:
            return hash_file(name, fd, self._memo, told)
        if told is not None:
            told(st.st_size)
        return known or b""

    def _still(self, size: int) -> None:
        """Bytes that the writer will take, and tell of then, are being hashed."""
        if self._told is not None:
            self._told(0)

    def _small_file(
        self, blob: BlobLayerWriter, fd: int, path: str, name: str, mode: int, st: os.stat_result,
        known: bytes | None,
    ) -> bytes:  # fmt: skip
        size = st.st_size
        handle = os.open(name, _READ, dir_fd=fd)
        try:
            fresh = known is None and self._memo is not None
            if fresh and self._memo is not None:
                self._memo.expose(handle, st)
            data = os.read(handle, size + 1)
            if not fresh and not _same(os.fstat(handle), st):
                self.changed.append(self._where(path))
        finally:
            os.close(handle)
        if len(data) != size:
            raise changed(self._where(path), size, len(data))
        digest = sha256(data).digest() if fresh else known or b""
        self._allowed(path, name)
        blob.add_file(self._dest + path, mode, self._owner, st.st_mtime_ns // 10**9, data, digest)
        return digest

    def _large_file(
        self, fd: int, path: str, name: str, mode: int, st: os.stat_result, digest: bytes, link: str
    ) -> None:
        if self._writer is None:
            return
        self._allowed(path, name)
        if link:
            self._add(path, "hardlink", mode, st, self._dest + link)
            return
        where = self._where(path)
        entry = Entry(self._dest + path, "file", mode, *self._owner, st.st_mtime_ns, st.st_size)
        if self._blob is not None:
            self._blob.add(entry, where, digest)
        else:
            self._writer.add(entry, where)
        if not _same(os.stat(name, dir_fd=fd, follow_symlinks=False), st):
            self.changed.append(where)

    def _special(self, path: str, kind: Kind, st: os.stat_result) -> None:
        major, minor = os.major(st.st_rdev), os.minor(st.st_rdev)
        device = (major, minor) if kind != "fifo" else (0, 0)
        mode = self._mode(st, False)
        self._row(path, kind, mode, f"{device[0]}:{device[1]}" if kind != "fifo" else "")
        self._add(path, kind, mode, st, device=device)

    def _add(
        self, path: str, kind: Kind, mode: int, st: os.stat_result, link: str = "",
        device: tuple[int, int] = (0, 0),
    ) -> None:  # fmt: skip
        if self._writer is not None:
            if kind != "dir":
                self._allowed(path, path.rpartition("/")[2])
            self._writer.add(
                Entry(self._dest + path, kind, mode, *self._owner, st.st_mtime_ns, 0, link, device)
            )

    def _allowed(self, path: str, name: str) -> None:
        if name.startswith(".wh."):
            raise marked_as_removed(self._dest + path)


def _same(now: os.stat_result, then: os.stat_result) -> bool:
    return (now.st_ctime_ns, now.st_mtime_ns, now.st_size, now.st_ino) == (
        then.st_ctime_ns, then.st_mtime_ns, then.st_size, then.st_ino,
    )  # fmt: skip
