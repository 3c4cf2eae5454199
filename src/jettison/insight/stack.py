"""What becomes of each layer's files in the layers above: bookkeeping over entries, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jettison.dataclass import dataclass
from jettison.store.base import Entry
from jettison.store.index import EntryTree


@dataclass(slots=True)
class File:
    """One file that a layer holds. `names` counts those of its names that nothing has hidden yet.

    `hidden_by` is the layer that took the last one away, -1 for none. `successor` is the file that stands
    at its place since then; None where it was deleted.
    """

    layer: int
    entry: Entry
    names: int = 1
    hidden_by: int = -1
    successor: File | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """What one layer holds: the files in its archive and their bytes.

    `repeated` counts bytes of files that the same archive replaces or removes again.
    """

    files: int
    size: int
    repeated: int


class _Folder(dict[str, "_Folder | File | None"]):
    """A directory: a name leads to a folder, a file, or None for all that takes no bytes."""

    __slots__ = ()


class Stack:
    """Layers laid on each other, the lowest first.

    Symlinks of lower layers are not followed, just as overlayfs does not.
    """

    def __init__(self) -> None:
        self.layers: list[Measure] = []
        self.hidden: list[File] = []
        """Files with bytes that no name leads to any more, in the order in which they were hidden."""
        self.split: list[tuple[File, File]] = []
        """Files that lost some of their names, each with what stands at such a name since then."""
        self._root = _Folder()

    def add(self, entries: Iterable[Entry]) -> None:
        """Lay one more layer on top. Raises StoreError for entries that cannot be."""
        tree = EntryTree()
        files = size = 0
        for entry in entries:
            tree.add(entry)
            if entry.kind == "file":
                files += 1
                size += entry.size
        number = len(self.layers)
        for path in tree.opaque:
            folder = self._find(path)
            if folder is not None:
                self._hide(folder, number)
                folder.clear()
        for path in tree.whiteouts:
            above, _, name = path.rpartition("/")
            parent = self._find(above)
            if parent is not None and name in parent:
                self._hide(parent.pop(name), number)
        for path in tree.children:
            self._make(path, number)
        kept = self._put_files(tree, number)
        self.layers.append(Measure(files, size, size - kept))

    def _put_files(self, tree: EntryTree, number: int) -> int:
        """Put all that is no directory into its place, and give the bytes of these files."""
        kept = 0
        by_inode: dict[int, File] = {}
        above, parent = "", self._root
        for path, entry in tree.entries.items():
            if entry.kind == "dir":
                continue
            folder, _, name = path.rpartition("/")
            if folder != above:
                above, parent = folder, self._make(folder, number)
            file: File | None = None
            if entry.kind == "file":
                inode = tree.inodes[path]
                file = by_inode.get(inode)
                if file is None:
                    file = by_inode[inode] = File(number, entry)
                    kept += entry.size
                else:
                    file.names += 1
            before = parent.get(name)
            parent[name] = file
            if before is not None:
                self._hide(before, number, file)
        return kept

    def _hide(self, what: _Folder | File | None, by: int, successor: File | None = None) -> None:
        todo = [what]
        while todo:
            item = todo.pop()
            if isinstance(item, _Folder):
                todo.extend(item.values())
            elif item is not None:
                item.names -= 1
                if not item.names and item.entry.size:
                    item.hidden_by = by
                    item.successor = successor if item is what else None
                    self.hidden.append(item)
                elif item.names and item is what and successor is not None:
                    self.split.append((item, successor))

    def _find(self, path: str) -> _Folder | None:
        at = self._root
        for name in path.split("/") if path else ():
            found = at.get(name)
            if not isinstance(found, _Folder):
                return None
            at = found
        return at

    def _make(self, path: str, by: int) -> _Folder:
        at = self._root
        for name in path.split("/") if path else ():
            found = at.get(name)
            if not isinstance(found, _Folder):
                self._hide(found, by)
                found = at[name] = _Folder()
            at = found
        return at

    def visible(self) -> Iterator[tuple[str, File]]:
        """The files of the whole stack with their paths; one with several names comes for each of them."""
        todo: list[tuple[str, _Folder]] = [("", self._root)]
        while todo:
            prefix, folder = todo.pop()
            for name, item in folder.items():
                if isinstance(item, _Folder):
                    todo.append((f"{prefix}{name}/", item))
                elif item is not None:
                    path = prefix + name
                    # The string that is there already: there may be a hundred thousand of them.
                    yield (item.entry.path if item.entry.path == path else path), item
