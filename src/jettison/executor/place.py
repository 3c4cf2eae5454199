"""The layer that COPY, ADD or WORKDIR makes, as a plan: what is to be at which path, above what is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from jettison.dataclass import dataclass, replace
from jettison.errors import SourceError
from jettison.store.base import Entry, FileTree, LayerWriter, Node

Content = str | bytes | Callable[[], BinaryIO] | None
"""The name of a file to copy from, bytes, or what opens a stream when its time has come."""


class Item(NamedTuple):
    """One planned entry. Files with an equal `identity` become hard links of one file."""

    entry: Entry
    content: Content = None
    identity: object = None


@dataclass(frozen=True, slots=True)
class Fresh:
    """How directories are made that nobody described: their owner and mode, and their time."""

    now_ns: int
    uid: int = 0
    gid: int = 0
    mode: int = 0o755


class Plan:
    """Collects entries above a base, and is a FileTree of both for those who resolve paths in it.

    `replace` lets files and directories take each other's place (archives, --link);
    without it that is an error, as a copy would otherwise lose what is there.
    """

    def __init__(self, base: FileTree, fresh: Fresh) -> None:
        self.base = base
        self.fresh = fresh
        self._items: dict[str, Item] = {}
        self._new: set[str] = set()
        self._opaque: set[str] = set()

    def lookup(self, path: str) -> Node | None:
        """What will be at a path."""
        item = self._items.get(path)
        if item is not None:
            return _node(item.entry)
        parent = path
        while parent:
            parent = parent.rpartition("/")[0]
            if parent in self._new:
                return None
            above = self._items.get(parent)
            if above is not None:
                if above.entry.kind != "dir":
                    return None
                break
        return self.base.lookup(path)

    def listdir(self, path: str) -> list[str]:
        """The names that will be in a directory."""
        prefix = f"{path}/" if path else ""
        planned = {name[len(prefix) :] for name in self._items if name.startswith(prefix)}
        names = {name for name in planned if "/" not in name}
        if path not in self._new:
            node = self.base.lookup(path)
            names |= set(self.base.listdir(path)) if node is not None and node.kind == "dir" else set()
        return sorted(names)

    def open(self, path: str) -> BinaryIO:
        """The content of a planned or existing file."""
        item = self._items.get(path)
        return open_content(item.content) if item is not None else self.base.open(path)

    def xattrs(self, path: str) -> tuple[tuple[str, bytes], ...]:
        """The extended attributes of what will be at a path."""
        item = self._items.get(path)
        return item.entry.xattrs if item is not None else self.base.xattrs(path)

    def planned(self, path: str) -> Item | None:
        """What this plan itself puts at a path."""
        return self._items.get(path)

    def adopt(self, path: str, item: Item) -> None:
        """Put an item in the place of the one that is planned at its path."""
        self._items[path] = item

    def make_dirs(self, path: str, replace: bool = False) -> None:
        """See that a directory and all above it are part of the layer: as they are, or as `fresh` says."""
        missing = []
        while path and not self._is_planned_dir(path):
            missing.append(path)
            path = path.rpartition("/")[0]
        for path in reversed(missing):
            self._make_dir(path, replace)

    def _make_dir(self, path: str, replace: bool) -> None:
        node = self._existing(path, path.rpartition("/")[0])
        if node is not None and node.kind == "dir":
            entry = Entry(
                path, "dir", node.mode, node.uid, node.gid, node.mtime_ns, xattrs=self.base.xattrs(path)
            )
            self._items[path] = Item(entry)
            return
        if node is not None and not replace:
            raise SourceError(
                f"cannot make the directory /{path}: something that is not a directory is there",
                hint="choose another destination, or remove it in an earlier step",
            )
        fresh = self.fresh
        self.put_dir(Entry(path, "dir", fresh.mode, fresh.uid, fresh.gid, fresh.now_ns), replace=True)

    def put_dir(self, entry: Entry, replace: bool = False) -> None:
        """Plan a directory with this metadata; its parent is planned already."""
        path = entry.path
        parent = path.rpartition("/")[0]
        node = self._existing(path, parent)
        if node is None or node.kind != "dir":
            if node is not None and not replace:
                raise SourceError(
                    f"cannot copy the directory onto /{path}, which is not a directory",
                    hint="remove it in an earlier step, or choose another destination",
                )
            self._new.add(path)
        self._items[path] = Item(entry)

    def put(self, item: Item, replace: bool = False) -> None:
        """Plan something that isn't a directory; its parent is planned already."""
        path = item.entry.path
        if path.rpartition("/")[2].startswith(".wh."):
            raise marked_as_removed(path)
        planned = self._items.get(path)
        if planned is None or planned.entry.kind == "dir":
            node = self._existing(path, path.rpartition("/")[0])
            if node is not None and node.kind == "dir":
                if not replace:
                    raise SourceError(
                        f"cannot replace the directory /{path} with a file",
                        hint="remove the directory in an earlier step, or choose another destination",
                    )
                self._drop_below(path)
        self._items[path] = item

    def is_new(self, path: str) -> bool:
        """Whether the plan makes this directory, so that nothing of the base is in it."""
        return path in self._new

    def files(self) -> list[str]:
        """The files on this machine that content comes from."""
        return [item.content for item in self._items.values() if isinstance(item.content, str)]

    def size(self) -> int:
        """The bytes of all files, each counted once."""
        sizes = {item.identity or path: item.entry.size for path, item in self._items.items()}
        return sum(sizes.values())

    def write(self, writer: LayerWriter) -> None:
        """Hand all entries to a writer, sorted."""
        first: dict[object, str] = {}
        for path in sorted(self._items, key=_walk_order):
            entry, content, identity = self._items[path]
            if identity is not None:
                earlier = first.setdefault(identity, path)
                if earlier != path:
                    writer.add(replace(entry, kind="hardlink", link=earlier, size=0))
                    continue
            if callable(content):
                with content() as stream:
                    writer.add(entry, stream)
            else:
                writer.add(entry, content)
            if path in self._opaque and entry.kind == "dir":
                writer.add(Entry(path, "opaque"))

    def _is_planned_dir(self, path: str) -> bool:
        item = self._items.get(path)
        return item is not None and item.entry.kind == "dir"

    def _existing(self, path: str, parent: str) -> Node | None:
        item = self._items.get(path)
        if item is not None:
            return _node(item.entry)
        return None if parent in self._new else self.base.lookup(path)

    def _drop_below(self, path: str) -> None:
        """Forget what was planned in a directory that gives way to a file; hide what the base has there."""
        prefix = path + "/"
        for name in [name for name in self._items if name.startswith(prefix)]:
            del self._items[name]
            self._new.discard(name)
        if path not in self._new:
            self._opaque.add(path)
        self._new.discard(path)


def marked_as_removed(path: str) -> SourceError:
    """The error for a file whose name would remove another one from an image."""
    return SourceError(
        f"cannot put /{path} into an image: layers mark removed files with such names",
        hint="leave it out with --exclude or .dockerignore",
    )


def _walk_order(path: str) -> bytes:
    """Sorts a directory's content behind the directory, before the next name: as a walk finds them."""
    return os.fsencode(path).replace(b"/", b"\0")


def open_content(content: Content) -> BinaryIO:
    """A stream over the content of a planned file."""
    if callable(content):
        return content()
    if isinstance(content, str):
        return open(content, "rb")
    from io import BytesIO

    return BytesIO(content or b"")


def _node(entry: Entry) -> Node:
    kind = entry.kind
    assert kind != "hardlink" and kind != "whiteout" and kind != "opaque", f"a {kind} in a plan"
    return Node(kind, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.link, entry.device)
