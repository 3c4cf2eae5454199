"""A stack of layers as one file tree, without mounting or unpacking anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import BinaryIO, Literal, Protocol

from jettison.errors import StoreError
from jettison.store import owners, xattrs
from jettison.store.base import Entry, Node
from jettison.store.index import EntryTree, from_bytes
from jettison.store.whiteouts import is_whiteout

_KINDS: dict[int, Literal["file", "dir", "symlink", "char", "block", "fifo", "socket"]] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_ROOT = Node("dir", 0o755, 0, 0, 0, 0)
_SCANS = 500
"""So many directories are remembered with all that is in them."""


class _OneLayer(Protocol):
    """What the view asks of a layer. Parents of the paths are directories of this layer."""

    def find(self, path: str) -> Node | Literal[False] | None:
        """What the layer has at a path; False for a whiteout."""

    def names(self, path: str) -> dict[str, bool]:
        """The names in a directory; False for whiteouts."""

    def opaque(self, path: str) -> bool:
        """Whether a directory hides what is below it."""

    def implied(self, path: str) -> bool:
        """Whether no entry of the layer names this directory."""

    def xattrs(self, path: str) -> tuple[tuple[str, bytes], ...]:
        """The attributes of a path."""


class LayerView:
    """The FileTree of stacked layers, the lowest first. What it has looked at once it remembers.

    `tree` gives the folder of a layer's tree or None, `index` the index of a layer that has none,
    `unpack` a folder in any case.
    """

    def __init__(
        self,
        layer_ids: Sequence[str],
        tree: Callable[[str], str | None],
        index: Callable[[str], bytes],
        unpack: Callable[[str], str],
    ) -> None:
        self.layer_ids = tuple(layer_ids)
        self._ids = self.layer_ids[::-1]
        self._tree, self._index, self._unpack = tree, index, unpack
        self._layers: dict[int, _OneLayer] = {}
        self._scans: dict[str, tuple[int, dict[str, Node]]] = {}
        self._folders: dict[str, tuple[int, ...] | None] = {}

    def _layer(self, number: int) -> _OneLayer:
        found = self._layers.get(number)
        if found is None:
            tree = self._tree(self._ids[number])
            found = _Tree(tree) if tree else _Index(self._index(self._ids[number]), number)
            self._layers[number] = found
        return found

    def _folder(self, path: str) -> tuple[int, ...] | None:
        """The layers that make up a directory, the uppermost first; None for what is no directory."""
        unknown: list[str] = []
        while path not in self._folders and path:
            unknown.append(path)
            path = path.rpartition("/")[0]
        found = self._folders.get(path)
        if path not in self._folders:
            found = self._folders[""] = self._root()
        for path in reversed(unknown):
            found = self._merge(path, found) if found is not None else None
            self._folders[path] = found
        return found

    def _root(self) -> tuple[int, ...]:
        out = []
        for number in range(len(self._ids)):
            out.append(number)
            if self._layer(number).opaque(""):
                break
        return tuple(out)

    def _merge(self, path: str, parent: tuple[int, ...]) -> tuple[int, ...] | None:
        out: list[int] = []
        for number in parent:
            layer = self._layer(number)
            node = layer.find(path)
            if node is None:
                continue
            if node is False or node.kind != "dir":
                break
            out.append(number)
            if layer.opaque(path):
                break
        return tuple(out) or None

    def _at(self, path: str) -> tuple[int, Node] | None:
        """The layer whose metadata counts at a path, and what it has there."""
        above, _, name = path.rpartition("/")
        scanned = self._scans.get(above)
        if scanned is not None:
            there = scanned[1].get(name)
            return (scanned[0], there) if there is not None else None
        parent = self._folder(above)
        implied: tuple[int, Node] | None = None
        for number in parent or ():
            layer = self._layer(number)
            node = layer.find(path)
            if node is None:
                continue
            if node is False:
                break
            if node.kind == "dir" and layer.implied(path):
                implied = implied or (number, node)
                if layer.opaque(path):
                    break
                continue
            if node.kind != "dir" and implied:
                break
            return number, node
        return implied

    def lookup(self, path: str) -> Node | None:
        """What is at a path, or None. Symlinks are not followed."""
        if not path:
            return _ROOT
        found = self._at(path)
        return found[1] if found else None

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, sorted by their bytes. Raises StoreError for what is no directory."""
        layers = self._folder(path)
        if layers is None:
            raise StoreError(f"/{path} is no directory in these layers")
        names: dict[str, bool] = {}
        for number in layers:
            for name, present in self._layer(number).names(path).items():
                names.setdefault(name, present)
        return sorted((name for name, present in names.items() if present), key=os.fsencode)

    def scan(self, path: str) -> dict[str, Node]:
        """The names in a directory, sorted, and what they are: `listdir` and every `lookup` in one."""
        layers = self._folder(path) or ()
        layer = self._layer(layers[0]) if len(layers) == 1 else None
        if not isinstance(layer, _Tree):
            found = {name: self.lookup(f"{path}/{name}" if path else name) for name in self.listdir(path)}
            return {name: node for name, node in found.items() if node is not None}
        # Nothing is merged here: what the one layer has is what there is.
        if path not in self._scans:
            if len(self._scans) >= _SCANS:
                self._scans.clear()
            self._scans[path] = (layers[0], layer.scan(path))
        return self._scans[path][1]

    def open(self, path: str) -> BinaryIO:
        """The content of a regular file. Of a layer that is only a blob, the tree is made first."""
        found = self._at(path) if path else None
        if found is None or found[1].kind != "file":
            raise StoreError(f"/{path} is no file in these layers")
        number, node = found
        if node.size == 0 and node.file is None:
            return BytesIO(b"")
        return open(node.file or self._unpacked(number, path), "rb")

    def content(self, path: str) -> str:
        """The name of a file on this machine with the content of a regular file.

        Unpacks its layer if need be.
        """
        found = self._at(path) if path else None
        if found is None or found[1].kind != "file":
            raise StoreError(f"/{path} is no file in these layers")
        return found[1].file or self._unpacked(found[0], path)

    def _unpacked(self, number: int, path: str) -> str:
        return f"{self._unpack(self._ids[number])}/{path}"

    def xattrs(self, path: str) -> tuple[tuple[str, bytes], ...]:
        """The extended attributes that belong into a layer, sorted."""
        found = self._at(path) if path else None
        return self._layer(found[0]).xattrs(path) if found else ()


class _Tree:
    """A layer that is a folder in overlayfs's format."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._notes = owners.notes_of(root)
        self._names: dict[str, dict[str, bool]] = {}

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def find(self, path: str) -> Node | Literal[False] | None:
        folder, _, name = path.rpartition("/")
        known = self._names.get(folder)
        if known is not None and name not in known:
            return None
        where = self._path(path)
        try:
            at = os.lstat(where)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return self._node(at, path, where)

    def _node(self, at: os.stat_result, path: str, where: str) -> Node | Literal[False]:
        node = _node(at, where)
        return node if node is False else owners.corrected(self._notes, node, path, where)

    def scan(self, path: str) -> dict[str, Node]:
        """What is in a directory, sorted."""
        with os.scandir(self._path(path)) as found:
            listed = sorted((os.fsencode(item.name), item) for item in found)
        below = f"{path}/" if path else ""
        nodes = {
            item.name: self._node(item.stat(follow_symlinks=False), below + item.name, item.path)
            for _, item in listed
        }
        return {name: node for name, node in nodes.items() if node is not False}

    def names(self, path: str) -> dict[str, bool]:
        known = self._names.get(path)
        if known is None:
            with os.scandir(self._path(path)) as found:
                known = {item.name: not _is_whiteout(item) for item in found}
            self._names[path] = known
        return known

    def opaque(self, path: str) -> bool:
        return xattrs.has(self._path(path), xattrs.OPAQUE)

    def implied(self, path: str) -> bool:
        return xattrs.has(self._path(path), xattrs.IMPLIED)

    def xattrs(self, path: str) -> tuple[tuple[str, bytes], ...]:
        return xattrs.read(self._path(path))


def _node(at: os.stat_result, where: str) -> Node | Literal[False]:
    """What a file of a tree is; False for a whiteout."""
    kind = _KINDS[stat.S_IFMT(at.st_mode)]
    if kind == "char" and is_whiteout(at):
        return False
    return Node(
        kind, stat.S_IMODE(at.st_mode), at.st_uid, at.st_gid, at.st_mtime_ns,
        at.st_size if kind == "file" else 0, os.readlink(where) if kind == "symlink" else "",
        (os.major(at.st_rdev), os.minor(at.st_rdev)) if kind in ("char", "block") else (0, 0),
        where, (at.st_dev, at.st_ino),
    )  # fmt: skip


def _is_whiteout(item: os.DirEntry[str]) -> bool:
    if item.is_dir(follow_symlinks=False) or item.is_file(follow_symlinks=False) or item.is_symlink():
        return False
    return is_whiteout(item.stat(follow_symlinks=False))


class _Index:
    """A layer that is a blob, seen through the index of its entries."""

    def __init__(self, data: bytes, number: int) -> None:
        self._tree = EntryTree()
        for entry in from_bytes(data):
            self._tree.add(entry)
        self._number = number

    def find(self, path: str) -> Node | Literal[False] | None:
        entry = self._tree.entries.get(path)
        if entry is None:
            if path in self._tree.children:
                return _ROOT
            return False if path in self._tree.whiteouts else None
        return self._node(entry)

    def _node(self, entry: Entry) -> Node:
        kind = entry.kind
        assert kind != "whiteout" and kind != "opaque" and kind != "hardlink"
        return Node(
            kind, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.link,
            entry.device, None,
            # No device has a negative number: these never look like files of this machine.
            (-1 - self._number, self._tree.inodes[entry.path]),
        )  # fmt: skip

    def names(self, path: str) -> dict[str, bool]:
        prefix = f"{path}/" if path else ""
        whiteouts = self._tree.whiteouts
        return {name: prefix + name not in whiteouts for name in self._tree.children.get(path, {})}

    def opaque(self, path: str) -> bool:
        return path in self._tree.opaque

    def implied(self, path: str) -> bool:
        return path in self._tree.implied

    def xattrs(self, path: str) -> tuple[tuple[str, bytes], ...]:
        entry = self._tree.entries.get(path)
        return tuple((n, v) for n, v in entry.xattrs if xattrs.belongs(n)) if entry else ()
