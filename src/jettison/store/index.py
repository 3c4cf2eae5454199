"""The entries of a layer without their contents, kept beside its blob so that look-ups need no unpacking."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii as quoted

from jettison.dataclass import replace
from jettison.errors import StoreError
from jettison.store.base import Entry
from jettison.store.private import private

_FORM = 1


_AT_ONCE = 2000


class IndexWriter:
    """Writes an index to a new file, entry by entry: a layer may have a million."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open(path, "xb", buffering=0, opener=private)  # noqa: SIM115
        self._rows: list[str] = []
        self._start = f"[{_FORM},["
        self._done = False

    def add(self, entry: Entry) -> None:
        """Add an entry. Directories that no entry names are left out."""
        row = [
            entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.link,
            entry.device, [[name, value.decode("latin-1")] for name, value in entry.xattrs],
        ]  # fmt: skip
        self._add(json.dumps(row, separators=(",", ":")))

    def add_file(self, path: str, mode: int, uid: int, gid: int, seconds: int, size: int) -> None:
        """Add a file without attributes."""
        self._add(f'[{quoted(path)},"file",{mode},{uid},{gid},{seconds * 10**9},{size},"",[0,0],[]]')

    def _add(self, row: str) -> None:
        self._rows.append(row)
        if len(self._rows) >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            data = memoryview((self._start + ",".join(self._rows)).encode("ascii"))
            while data:
                data = data[self._file.write(data) :]
            self._rows, self._start = [], ","

    def finish(self) -> str:
        """Complete the file, and give its name."""
        self._flush()
        self._file.write((f"[{_FORM},[]]" if self._start != "," else "]]").encode("ascii"))
        self._file.close()
        self._done = True
        return self._path

    def abort(self) -> None:
        """Remove the file. Harmless after `finish`."""
        if not self._done:
            self._done = True
            self._file.close()
            os.unlink(self._path)


def write_index(path: str, entries: Iterable[Entry]) -> None:
    """Write a whole index to a new file."""
    writer = IndexWriter(path)
    try:
        for entry in entries:
            writer.add(entry)
        writer.finish()
    finally:
        writer.abort()


def from_bytes(data: bytes) -> list[Entry]:
    """The entries of an index. Raises StoreError when it cannot be read."""
    try:
        form, rows = json.loads(data)
        if form != _FORM:
            raise ValueError(f"form {form}")
        return [
            Entry(
                path, kind, mode, uid, gid, mtime_ns, size, link, (device[0], device[1]),
                tuple((name, value.encode("latin-1")) for name, value in xattrs) if xattrs else (),
            )
            for path, kind, mode, uid, gid, mtime_ns, size, link, device, xattrs in rows
        ]  # fmt: skip
    except (ValueError, TypeError, IndexError) as error:
        raise StoreError(f"an index of the store cannot be read: {error}") from error


class EntryTree:
    """Entries put into their places, as unpacking them would do; the last of equal names wins."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.inodes: dict[str, int] = {}
        """Equal numbers for the names of one file. Hard links have their target's entry."""
        self.implied: set[str] = set()
        self.children: dict[str, dict[str, None]] = {"": {}}
        self.opaque: set[str] = set()
        self.whiteouts: set[str] = set()
        self._removed: set[str] = set()
        self._count = 0

    def add(self, entry: Entry) -> None:
        """Add one entry of a layer. Raises StoreError for impossible ones."""
        if entry.kind == "opaque":
            self.opaque.add(self._folder(entry.path))
            return
        if not entry.path:
            return
        folder, _, name = entry.path.rpartition("/")
        folder = self._folder(folder)
        path = f"{folder}/{name}" if folder else name
        if entry.kind == "whiteout" or (entry.kind == "char" and entry.device == (0, 0)):
            self._removed.add(path)
            if path in self.children:
                self.opaque.add(path)
            elif path not in self.entries:
                self.whiteouts.add(path)
                self.children[folder][name] = None
            return
        self._count += 1
        inode = self._count
        if entry.kind == "hardlink":
            entry = self._target(entry, path)
            if self.inodes.get(path) == self.inodes[entry.path]:
                return
            inode = self.inodes[entry.path]
        if entry.kind == "dir":
            self.entries.pop(path, None)
            self.children.setdefault(path, {})
            self.implied.discard(path)
            if path in self._removed:
                self.opaque.add(path)
        else:
            self._drop(path)
        self.whiteouts.discard(path)
        self.entries[path] = entry if entry.path == path else replace(entry, path=path)
        self.inodes[path] = inode
        self.children[folder][name] = None

    def _target(self, entry: Entry, path: str) -> Entry:
        folder, _, name = entry.link.rpartition("/")
        target = self.entries.get(f"{self._folder(folder, create=False)}/{name}".lstrip("/"))
        if target is None or target.kind == "dir":
            raise StoreError(f"{path!r} is a hard link to {entry.link!r}, which is no file of the same layer")
        return target

    def _drop(self, path: str) -> None:
        """Forget a path and all below it."""
        doomed = [path]
        while doomed:
            path = doomed.pop()
            doomed += [f"{path}/{name}" for name in self.children.pop(path, ())]
            self.entries.pop(path, None)
            self.inodes.pop(path, None)
            self.implied.discard(path)
            self.opaque.discard(path)
            self.whiteouts.discard(path)

    def _folder(self, path: str, create: bool = True) -> str:
        """The directory that a path leads to, through symlinks of the same layer as unpacking
        follows them.
        """
        if path in self.children:
            return path
        todo = [part for part in path.split("/") if part][::-1]
        at = ""
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                at = at.rpartition("/")[0]
                continue
            here = f"{at}/{part}" if at else part
            found = self.entries.get(here)
            if found is not None and found.kind == "symlink":
                links += 1
                if links > 40:
                    raise StoreError(f"{path!r} goes through a loop of symlinks")
                if found.link.startswith("/"):
                    at = ""
                todo += [name for name in found.link.split("/") if name not in ("", ".")][::-1]
                continue
            if found is not None and found.kind != "dir":
                raise StoreError(f"an entry lies below {here!r}, which is no directory")
            if here not in self.children and create:
                self.children[here] = {}
                self.children[at][part] = None
                self.implied.add(here)
                if here in self.whiteouts:
                    self.whiteouts.discard(here)
                    self.opaque.add(here)
            at = here
        return at
