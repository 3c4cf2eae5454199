"""What an overlay mount left in its upper directory."""

from __future__ import annotations

import os

from jettison.errors import SourceError
from jettison.store import owners, xattrs
from jettison.store.base import FileTree, Node
from jettison.store.whiteouts import is_whiteout


def bytes_of_files(tree: str, empty: list[str] | None = None) -> int:
    """The bytes of all files below a folder; names of one file count once.

    `empty` is given the paths of empty files that are not root's.
    """
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
                    if empty is not None and not at.st_size and at.st_uid:
                        empty.append(item.path[len(tree) + 1 :])
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

    A file that comes from a layer below has that one's notes. A new one is its `maker`'s, the user and group
    of the step, unless root noted otherwise: nobody else can give files away.
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
                    if not _is_whiteout(item):
                        listed[path] = _owner_of_special(item, below.lookup(path), maker)
                    continue
                if not xattrs.is_set(item.path, xattrs.ORIGIN):
                    known = owners.noted(item.path)
                    if maker != (known or (0, 0)) and (maker[0] or known is None):
                        owners.note(item.path, *maker)
                    elif known == (0, 0):
                        was = _replaced(item, path, below)
                        if was is not None:
                            owners.note(item.path, was.uid, was.gid)
    owners.write_listing(tree, {path: owner for path, owner in listed.items() if owner != (0, 0)})


def _replaced(item: os.DirEntry[str], path: str, below: FileTree) -> Node | None:
    """The file whose place a new one took, written by a program that gave it the same owner.

    So do `sed -i` and useradd: under another name the file is given to whom the old one seems to belong,
    which is root while a step runs, and then renamed.
    """
    if owners.name_when_given(item.path) in ("", item.name):
        return None
    was = below.lookup(path)
    return was if was is not None and was.kind == "file" else None


def _owner_of_special(item: os.DirEntry[str], was: Node | None, maker: tuple[int, int]) -> tuple[int, int]:
    """Whose a symlink or fifo is: that of before may have come here only because its time was changed."""
    if item.is_symlink():
        same = was is not None and was.kind == "symlink" and was.link == os.readlink(item.path)
    else:
        same = was is not None and was.kind == "fifo"
    return (was.uid, was.gid) if was is not None and same else maker


def _is_whiteout(item: os.DirEntry[str]) -> bool:
    if item.is_file(follow_symlinks=False) or item.is_dir(follow_symlinks=False) or item.is_symlink():
        return False
    return is_whiteout(item.stat(follow_symlinks=False))
