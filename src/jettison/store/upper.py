"""What an overlay mount left in its upper directory."""

from __future__ import annotations

import os
import stat

from jettison.errors import SourceError
from jettison.store import owners, xattrs
from jettison.store.base import FileTree, Node
from jettison.store.whiteouts import is_whiteout

_KINDS = {stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo"}


def bytes_of_files(tree: str) -> int:
    """The bytes of all files below a folder; names of one file count once."""
    total = 0
    seen: set[int] = set()
    todo = [tree]
    while todo:
        with os.scandir(todo.pop()) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    todo.append(item.path)
                elif item.is_file(follow_symlinks=False):
                    at = item.stat(follow_symlinks=False)
                    if at.st_nlink == 1 or at.st_ino not in seen:
                        total += at.st_size
                        if at.st_nlink > 1:
                            seen.add(at.st_ino)
    return total


def drop_needless(tree: str, below: FileTree) -> None:
    """Drop whiteouts and opaque marks that hide nothing.

    overlayfs marks every new directory opaque, and leaves whiteouts for files that only a
    throwaway layer had. Raises SourceError for a name that layers give a meaning to.
    """
    todo = [""]
    while todo:
        folder = todo.pop()
        where = f"{tree}/{folder}" if folder else tree
        needless = []
        with os.scandir(where) as found:
            for item in found:
                path = f"{folder}/{item.name}" if folder else item.name
                hidden = _is_whiteout(item)
                if item.name.startswith(".wh.") and not hidden:
                    raise SourceError(
                        f"cannot keep /{path} in an image: layers mark removed files with such names",
                        hint="remove it in the same step, or give it another name",
                    )
                if item.is_dir(follow_symlinks=False):
                    todo.append(path)
                    if xattrs.has(item.path, xattrs.OPAQUE):
                        node = below.lookup(path)
                        if node is None or node.kind != "dir" or not below.listdir(path):
                            xattrs.unmark(item.path, xattrs.OPAQUE)
                elif hidden and below.lookup(path) is None:
                    needless.append(item.path)
        if needless:
            times = os.stat(where)
            for name in needless:
                os.unlink(name)
            os.utime(where, ns=(times.st_atime_ns, times.st_mtime_ns))


def note_owners(tree: str, below: FileTree, maker: tuple[int, int]) -> None:
    """Note whose the files are that a step left, where all of them look like our own.

    What root noted itself counts. Else a file belongs to whom the layers below say, and a new one to its
    `maker`, the user and group of the step.
    """
    listed: dict[str, tuple[int, int]] = {}
    todo = [""]
    while todo:
        folder = todo.pop()
        with os.scandir(f"{tree}/{folder}" if folder else tree) as found:
            for item in found:
                path = f"{folder}/{item.name}" if folder else item.name
                if item.is_dir(follow_symlinks=False):
                    todo.append(path)
                elif not item.is_file(follow_symlinks=False):
                    if not _is_whiteout(item) and (owner := _owner(path, item, below, maker)) != (0, 0):
                        listed[path] = owner
                    continue
                known = owners.noted(item.path)
                if known is None or maker[0] != 0:
                    owner = _owner(path, item, below, maker)
                    if owner != (known or (0, 0)):
                        owners.note(item.path, *owner)
    owners.write_listing(tree, listed)


def _owner(path: str, item: os.DirEntry[str], below: FileTree, maker: tuple[int, int]) -> tuple[int, int]:
    was = below.lookup(path)
    return (was.uid, was.gid) if was is not None and _alike(was, item) else maker


def _alike(was: Node, item: os.DirEntry[str]) -> bool:
    """Whether what is there now can be what was there, changed."""
    if was.kind in ("dir", "symlink", "fifo"):
        return was.kind == _KINDS.get(stat.S_IFMT(item.stat(follow_symlinks=False).st_mode))
    return item.is_file(follow_symlinks=False)


def _is_whiteout(item: os.DirEntry[str]) -> bool:
    if item.is_file(follow_symlinks=False) or item.is_dir(follow_symlinks=False) or item.is_symlink():
        return False
    return is_whiteout(item.stat(follow_symlinks=False))
