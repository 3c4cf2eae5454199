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
    yield from _below(tree, "", links, owners.notes_of(tree))


def _below(tree: str, folder: str, links: dict[tuple[int, int], str], notes: Notes | None) -> Iterator[Entry]:
    with os.scandir(f"{tree}/{folder}" if folder else tree) as found:
        listed = sorted(found, key=lambda item: os.fsencode(item.name))
    for item in listed:
        path = f"{folder}/{item.name}" if folder else item.name
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
            yield from _below(tree, path, links, notes)
            continue
        if at.st_nlink > 1:
            first = links.setdefault((at.st_dev, at.st_ino), path)
            if first != path:
                yield _entry(notes, path, "hardlink", at, item.path, first)
                continue
        yield _entry(notes, path, kind, at, item.path, os.readlink(item.path) if kind == "symlink" else "")


def _entry(
    notes: Notes | None, path: str, kind: Kind, at: os.stat_result, where: str, link: str = ""
) -> Entry:
    device = (os.major(at.st_rdev), os.minor(at.st_rdev)) if kind in ("char", "block") else (0, 0)
    entry = Entry(
        path, kind, stat.S_IMODE(at.st_mode), at.st_uid, at.st_gid, at.st_mtime_ns,
        at.st_size if kind == "file" else 0, link, device, () if kind == "hardlink" else xattrs.read(where),
    )  # fmt: skip
    return owners.corrected(notes, entry, path, where)
