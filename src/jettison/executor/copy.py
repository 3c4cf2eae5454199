"""COPY and ADD: from the selected files of a source to the entries of one layer."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from jettison.dataclass import replace
from jettison.errors import SourceError, StoreError
from jettison.executor.folder import FolderWalk
from jettison.executor.mode import parse_mode
from jettison.executor.owner import resolve_owner
from jettison.executor.place import Content, Fresh, Item, Plan
from jettison.executor.select import Scanned, Source, contents, parents_of, selection
from jettison.executor.walk import Found, unreadable
from jettison.graph.ops import CopyOp
from jettison.store.base import Entry, FileTree, LayerWriter, Node
from jettison.store.resolve import resolve

if TYPE_CHECKING:
    from jettison.events import Pace


def copy_folder(op: CopyOp, base: FileTree, walk: FolderWalk, writer: LayerWriter, now_ns: int) -> bool:
    """Have a walk over the folder that a COPY takes write the layer's entries, where that can be done.

    It cannot where the destination has something that the files would be merged with: False then.
    """
    with ExitStack() as nothing_open:
        job = _Job(op, base, now_ns, nothing_open, "")
        job.make_dest()
        if not job.plan.is_new(job.dest) and _has_names(base, job.dest):
            return False
        job.plan.write(writer)
        walk.into(writer, f"{job.dest}/" if job.dest else "", job.owner or (0, 0))
    return True


def _has_names(base: FileTree, path: str) -> bool:
    node = base.lookup(path)
    return node is not None and (node.kind != "dir" or bool(base.listdir(path)))


def run_copy(
    op: CopyOp,
    source: FileTree | None,
    base: FileTree,
    writer: LayerWriter,
    now_ns: int,
    spool: str = "",
    pace: Pace | None = None,
) -> tuple[str, ...]:
    """Write the entries of a COPY's or ADD's layer, but commit nothing.

    `base` is what the layer is stacked on; `now_ns` is the time of directories and
    here-documents, which have none; `spool` a folder for decompressed archives; `pace` is asked how
    many bytes there will be. Raises NotFound and SourceError when the files aren't there or cannot be
    put where they should.

    Gives the files of a build context that changed since it was looked at: the
    layer is then not the one that `content_digest` spoke of, and must not be found by it.
    """
    with ExitStack() as open_archives:
        job = _Job(op, base, now_ns, open_archives, spool)
        if source is not None:
            for item in selection(op, source):
                job.place(item, source)
        for file in op.files:
            data = file.data.encode("utf-8", "surrogateescape")
            job.place_file(Found("", file.name, Node("file", 0o644, 0, 0, now_ns, len(data))), None, data)
        if pace is not None:
            pace.total = job.plan.size
        try:
            job.plan.write(writer)
        except (OSError, StoreError) as error:
            # A writer blames its own store for what it cannot read.
            cause = error if isinstance(error, OSError) else error.__cause__
            if isinstance(cause, OSError) and cause.filename in job.plan.files():
                raise unreadable(cause) from error
            raise
    return _changed(job.plan, source) if isinstance(source, Scanned) else ()


def _changed(plan: Plan, tree: Scanned) -> tuple[str, ...]:
    found = []
    for file in plan.files():
        seen = tree.stat(file)
        try:
            now = os.lstat(file)
        except OSError:
            found.append(file)
            continue
        if (now.st_ctime_ns, now.st_mtime_ns, now.st_size, now.st_ino) != (
            seen.st_ctime_ns, seen.st_mtime_ns, seen.st_size, seen.st_ino,
        ):  # fmt: skip
            found.append(file)
    return tuple(found)


class _Job:
    """One COPY: where its files go, and with which owner and mode."""

    def __init__(self, op: CopyOp, base: FileTree, now_ns: int, open_archives: ExitStack, spool: str) -> None:
        self.op = op
        self.owner = resolve_owner(op.owner, base) if op.owner is not None else None
        self.change = parse_mode(op.mode) if op.mode else None
        self.now_ns = now_ns
        self.open_archives = open_archives
        self.spool = spool
        uid, gid = self.owner or (0, 0)
        self.plan = Plan(base, Fresh(now_ns, uid, gid))
        dest = op.dest.strip("/")
        self.dest = dest if op.link else resolve(base, dest)
        self._taken: set[tuple[tuple[int, int], str]] = set()

    def place(self, source: Source, tree: FileTree) -> None:
        if self.op.parents:
            self._place_below(source, tree)
        elif source.node.kind == "dir":
            self.make_dest()
            self._place_tree(contents(source, self.op, tree), tree)
        elif not (self.op.unpack and source.node.kind == "file" and self._unpack(source, tree)):
            self.place_file(Found(source.path, source.target, source.node), tree)

    def place_file(self, item: Found, tree: FileTree | None, content: Content = None) -> None:
        """One file goes into the destination, or becomes it."""
        path = self.dest
        if self._dest_is_directory():
            self.plan.make_dirs(path, self.op.link)
            path = f"{path}/{item.target}" if path else item.target
        else:
            if self.plan.planned(path) is not None:
                raise SourceError(
                    f"several files are copied to the one file /{path}",
                    hint="end the destination with a slash if it is a directory",
                )
            self.plan.make_dirs(path.rpartition("/")[0], self.op.link)
        self._put(path, item, tree, content)

    def _dest_is_directory(self) -> bool:
        if self.op.dest_is_dir or not self.dest:
            return True
        planned = self.plan.planned(self.dest)
        if planned is not None:
            return planned.entry.kind == "dir"
        if self.op.link:
            return False
        node = self.plan.lookup(self.dest)
        return node is not None and node.kind == "dir"

    def make_dest(self) -> None:
        """The directory that contents go into. An existing one keeps its mode and owner."""
        if self.plan.planned(self.dest) is not None:
            self.plan.make_dirs(self.dest, self.op.link)
            return
        self.plan.make_dirs(self.dest, self.op.link)
        made = self.plan.planned(self.dest)
        if made is not None and self.change is not None and self.plan.is_new(self.dest):
            mode = self.change(made.entry.mode, True)
            self.plan.put_dir(replace(made.entry, mode=mode))

    def _place_below(self, source: Source, tree: FileTree) -> None:
        """--parents: everything keeps its path below the destination."""
        self.plan.make_dirs(self.dest, self.op.link)
        parts: list[Iterable[Found]] = [parents_of(source, tree)]
        if source.nested or source.node.kind != "dir":
            parts.append([Found(source.path, source.target, source.node)])
        if source.node.kind == "dir":
            parts.append(contents(source, self.op, tree))
        self._place_tree(chain.from_iterable(parts), tree)

    def _place_tree(self, found: Iterable[Found], tree: FileTree) -> None:
        """Merge files and directories into the destination, directories before what is in them."""
        where = {"": f"{self.dest}/" if self.dest else ""}
        for item in found:
            folder, _, name = item.target.rpartition("/")
            path = where[folder] + name
            if item.node.kind == "dir":
                path = self._put_dir(path, item, tree)
                where[item.target] = path + "/"
            else:
                self._put(path, item, tree)

    def _put_dir(self, path: str, item: Found, tree: FileTree) -> str:
        """Plan a directory, and give the path where its content goes: behind a symlink, if one is there."""
        if not self.op.link and not self.plan.is_new(path.rpartition("/")[0]):
            there = self.plan.lookup(path)
            if there is not None and there.kind == "symlink":
                real = resolve(self.plan, path)
                behind = self.plan.lookup(real)
                if behind is not None and behind.kind == "dir":
                    self.plan.make_dirs(real)
                    return real
        self.plan.put_dir(self._entry(path, item, tree), replace=self.op.link)
        return path

    def _put(self, path: str, item: Found, tree: FileTree | None, content: Content = None) -> None:
        node = item.node
        if node.kind == "socket":
            return
        identity = None
        if node.kind == "file" and tree is not None:
            content = node.file if node.file is not None else partial(tree.open, item.path)
            identity = node.identity
            if identity is not None:
                if (identity, item.path) in self._taken:
                    identity = None
                else:
                    self._taken.add((identity, item.path))
        self.plan.put(Item(self._entry(path, item, tree), content, identity), replace=self.op.link)

    def _entry(self, path: str, item: Found, tree: FileTree | None) -> Entry:
        node, kind = item.node, item.node.kind
        if kind == "socket":
            raise AssertionError("sockets are left out")
        if kind == "symlink":
            mode = 0o777
        else:
            mode = self.change(node.mode, kind == "dir") if self.change is not None else node.mode
        if self.owner is not None:
            uid, gid = self.owner
        elif self.op.keep_owner:
            uid, gid = node.uid, node.gid
        else:
            uid = gid = 0
        xattrs = tree.xattrs(item.path) if self.op.context is None and tree is not None else ()
        size = node.size if kind == "file" else 0
        return Entry(path, kind, mode, uid, gid, node.mtime_ns, size, node.link, node.device, xattrs)

    def _unpack(self, source: Source, tree: FileTree) -> bool:
        from jettison.executor.archive import open_archive, place_archive

        archive = open_archive(tree, source.path, source.node, self.open_archives, self.spool)
        if archive is None:
            return False
        self.plan.make_dirs(self.dest, self.op.link)
        place_archive(archive, self.plan, self.dest, self.owner)
        return True
