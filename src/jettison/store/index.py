"""The entries of a layer without their contents, kept beside its blob so that look-ups need no unpacking."""

from __future__ import annotations

import json
from collections.abc import Iterable

from jettison.dataclass import replace
from jettison.errors import StoreError
from jettison.store.base import Entry

_FORM = 1


def to_bytes(entries: Iterable[Entry]) -> bytes:
    """An index as it is kept in a file. Directories that no entry names are left out."""
    rows = [
        [
            entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.link,
            list(entry.device), [[name, value.decode("latin-1")] for name, value in entry.xattrs],
        ]
        for entry in entries
    ]  # fmt: skip
    return json.dumps([_FORM, rows], separators=(",", ":")).encode("ascii")


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
        if path in self.children:
            for name in list(self.children[path]):
                self._drop(f"{path}/{name}")
            del self.children[path]
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
