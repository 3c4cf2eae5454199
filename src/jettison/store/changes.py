"""What a step has changed in a copy, left as overlayfs would leave it in an upper directory."""

from __future__ import annotations

import os
import stat

from jettison.dataclass import dataclass, field
from jettison.kernel import birth_ns
from jettison.store import xattrs
from jettison.store.copying import Copy, Known, attributes, copy_one, dress
from jettison.store.whiteouts import make_whiteout

_CHUNK = 1 << 20


@dataclass(slots=True)
class _Changes:
    """Paths of a copy, by what became of them. `folders` are those that are the same ones as before.

    `fresh` are folders that were not there or are others now, `touched` those with another owner, mode or
    time.
    """

    folders: dict[str, os.stat_result] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    same: set[str] = field(default_factory=set)
    """Files that have not changed."""
    gone: list[str] = field(default_factory=list)
    shared: list[list[str]] = field(default_factory=list)
    """The names of each file that has others outside of the copy, as a link to one in a cache mount has."""


def take_changes(copy: Copy, upper: str, silent: bool = False) -> None:
    """Move what is new or has changed from a copy to `upper`, an empty folder on the same filesystem.

    What is gone becomes a whiteout there. With `silent` files may have changed without showing it in their
    times, so all are compared. The copy knows afterwards only what it still has. Raises OSError.
    """
    changes = _find(copy, silent)
    _Upper(copy.root, upper, changes.folders).fill(changes)
    copy.known = {
        path: known for path, known in copy.known.items() if path in changes.same or path in changes.folders
    }


def _find(copy: Copy, silent: bool) -> _Changes:
    changes = _Changes()
    changes.folders[""] = os.lstat(copy.root)
    names: dict[int, list[str]] = {}
    """Those of unchanged files with several names, by inode."""
    dirty: dict[int, list[str]] = {}
    """Those of others."""
    links: dict[int, int] = {}
    todo = [("", False)]
    while todo:
        folder, new = todo.pop()
        with os.scandir(f"{copy.root}/{folder}") as found:
            for item in found:
                path = f"{folder}/{item.name}" if folder else item.name
                at = item.stat(follow_symlinks=False)
                known = None if new else copy.known.get(path)
                if stat.S_ISDIR(at.st_mode):
                    todo.append((path, _folder(copy, changes, path, at, known, new)))
                elif known is not None and _is_same(copy, path, at, known, silent):
                    changes.same.add(path)
                    if at.st_nlink > 1:
                        names.setdefault(at.st_ino, []).append(path)
                else:
                    if not new:
                        changes.files.append(path)
                    if at.st_nlink > 1:
                        dirty.setdefault(at.st_ino, []).append(path)
                        links[at.st_ino] = at.st_nlink
    # A new name for an old file: overlayfs has both then.
    for inode in dirty.keys() & names.keys():
        changes.files += names[inode]
        changes.same.difference_update(names[inode])
        dirty[inode] += names[inode]
    changes.shared = [paths for inode, paths in dirty.items() if len(paths) < links[inode]]
    there = {*changes.same, *changes.files, *changes.fresh, *changes.folders}
    changes.gone = [
        path for path in copy.known if path not in there and path.rpartition("/")[0] in changes.folders
    ]
    return changes


def _folder(
    copy: Copy, changes: _Changes, path: str, at: os.stat_result, known: Known | None, new: bool
) -> bool:
    """Sort a folder in, and give whether all that is in it is new."""
    if new:
        return True
    if known is None or _is_another(copy, path, at, known):
        changes.fresh.append(path)
        return True
    changes.folders[path] = at
    if known.changed != at.st_ctime_ns and not _looks_same(copy, path, at, known):
        changes.touched.append(path)
    return False


def _is_another(copy: Copy, path: str, at: os.stat_result, known: Known) -> bool:
    """Whether a folder has taken the place of the one that was there, perhaps with its inode too."""
    if known.inode != at.st_ino or not stat.S_ISDIR(known.form):
        return True
    return known.changed != at.st_ctime_ns and birth_ns(f"{copy.root}/{path}") > known.changed


def _is_same(copy: Copy, path: str, at: os.stat_result, known: Known, silent: bool) -> bool:
    if known.inode != at.st_ino or known.form != stat.S_IFMT(at.st_mode):
        return False
    if known.changed == at.st_ctime_ns and not (silent and at.st_size):
        return True
    return _looks_same(copy, path, at, known)


def _looks_same(copy: Copy, path: str, at: os.stat_result, known: Known) -> bool:
    """Compare with the layer: renaming a file and back, or another name for it, changes nothing."""
    source, where = f"{known.tree}/{path}", f"{copy.root}/{path}"
    try:
        origin = os.lstat(source)
    except FileNotFoundError:
        return False
    if _fields(origin) != _fields(at) or attributes(source) != attributes(where):
        return False
    if stat.S_ISLNK(at.st_mode):
        return os.readlink(source) == os.readlink(where)
    return not stat.S_ISREG(at.st_mode) or _content_is_same(source, where)


def _fields(at: os.stat_result) -> tuple[int, ...]:
    size = 0 if stat.S_ISDIR(at.st_mode) else at.st_size
    return at.st_mode, at.st_uid, at.st_gid, at.st_mtime_ns, size, at.st_rdev


def _content_is_same(first: str, second: str) -> bool:
    with open(first, "rb", buffering=0) as one, open(second, "rb", buffering=0) as other:
        while True:
            data = one.read(_CHUNK)
            if data != other.read(_CHUNK):
                return False
            if not data:
                return True


class _Upper:
    """An upper directory that is being filled."""

    def __init__(self, root: str, upper: str, folders: dict[str, os.stat_result]) -> None:
        self._root = root
        self._upper = upper
        self._folders = folders
        self._made: list[str] = []
        self._known = {""}

    def fill(self, changes: _Changes) -> None:
        for path in changes.touched:
            self._enter(path)
        for path in (*changes.fresh, *changes.files):
            self._enter(path.rpartition("/")[0])
            os.rename(f"{self._root}/{path}", f"{self._upper}/{path}")
        for path in changes.fresh:
            xattrs.mark(f"{self._upper}/{path}", xattrs.OPAQUE)
        for path in changes.gone:
            self._enter(path.rpartition("/")[0])
            make_whiteout(f"{self._upper}/{path}")
        for paths in changes.shared:
            self._part(paths)
        # Last, and as it was before anything was moved out: that changed the times.
        for path in reversed(self._made):
            dress(f"{self._root}/{path}", f"{self._upper}/{path}", self._folders[path])

    def _part(self, paths: list[str]) -> None:
        """Let a file have no other names than these: what is written to it elsewhere must not get here."""
        where = [f"{self._upper}/{path}" for path in paths]
        folders = {os.path.dirname(path): os.lstat(os.path.dirname(path)) for path in where}
        fresh = f"{self._upper}/{os.urandom(12).hex()}"
        copy_one(where[0], fresh, os.lstat(where[0]))
        for path in where[1:]:
            os.unlink(path)
            os.link(fresh, path, follow_symlinks=False)
        os.rename(fresh, where[0])
        for folder, at in folders.items():
            os.utime(folder, ns=(at.st_atime_ns, at.st_mtime_ns))

    def _enter(self, path: str) -> None:
        """Make a folder of the upper directory, and those above it."""
        missing = []
        while path not in self._known:
            missing.append(path)
            path = path.rpartition("/")[0]
        for path in reversed(missing):
            os.mkdir(f"{self._upper}/{path}", 0o700)
        self._made += reversed(missing)
        self._known.update(missing)
