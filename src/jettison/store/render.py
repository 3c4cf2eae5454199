"""A tree in overlayfs's format as the entries of a layer: sorted, so that equal trees give equal archives."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from jettison.store import owners, xattrs
from jettison.store.base import Entry, Kind
from jettison.store.owners import Notes
from jettison.store.whiteouts import is_whiteout

_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}


def entries(tree: str) -> Iterator[Entry]:
    """The entries of a tree, directories before what is in them.

    The root itself is none, sockets are left out.
    """
    if xattrs.has(tree, xattrs.OPAQUE):
        yield Entry("", "opaque")
    links: dict[tuple[int, int], str] = {}
    notes = owners.notes_of(tree)
    # A list in place of a call for each level: folders may be nested as deeply as a path is long.
    todo = _listed(tree, "")
    while todo:
        path, item = todo.pop()
        at = item.stat(follow_symlinks=False)
        kind = _KINDS.get(stat.S_IFMT(at.st_mode))
        if kind is None:
            continue
        if is_whiteout(at):
            yield Entry(path, "whiteout")
            continue
        if kind == "dir":
            if not xattrs.has(item.path, xattrs.IMPLIED):
                yield _entry(notes, path, kind, at, item.path)
            if xattrs.has(item.path, xattrs.OPAQUE):
                yield Entry(path, "opaque")
            todo += _listed(item.path, f"{path}/")
            continue
        if at.st_nlink > 1:
            first = links.setdefault((at.st_dev, at.st_ino), path)
            if first != path:
                yield _entry(notes, path, "hardlink", at, item.path, first)
                continue
        yield _entry(notes, path, kind, at, item.path, os.readlink(item.path) if kind == "symlink" else "")


def _listed(folder: str, prefix: str) -> list[tuple[str, os.DirEntry[str]]]:
    """What is in a folder, with the paths in the layer, the last one first."""
    with os.scandir(folder) as found:
        listed = sorted(found, key=lambda item: os.fsencode(item.name), reverse=True)
    return [(prefix + item.name, item) for item in listed]


def _entry(
    notes: Notes | None, path: str, kind: Kind, at: os.stat_result, where: str, link: str = ""
) -> Entry:
    device = (os.major(at.st_rdev), os.minor(at.st_rdev)) if kind in ("char", "block") else (0, 0)
    entry = Entry(
        path, kind, stat.S_IMODE(at.st_mode), at.st_uid, at.st_gid, at.st_mtime_ns,
        at.st_size if kind == "file" else 0, link, device, () if kind == "hardlink" else xattrs.read(where),
    )  # fmt: skip
    return owners.corrected(notes, entry, path, where)
