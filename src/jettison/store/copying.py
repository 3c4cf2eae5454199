"""Layers stacked by copying: the stand-in for overlayfs where that cannot be mounted.

A copy is one folder that gets every layer in turn. What is noted of each file right after it was copied tells
later what a step has changed (`store/changes.py`). The copy that a step has finished with is kept: the next
step on top of it gets its own layers only, and not everything again.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from jettison import kernel
from jettison.dataclass import dataclass, field
from jettison.errors import StoreError
from jettison.store import xattrs
from jettison.store.clocks import silent_devices
from jettison.store.faults import faults
from jettison.store.owners import is_note
from jettison.store.store import Store
from jettison.store.temporary import remove_tree
from jettison.store.tree_builder import copy_file
from jettison.store.trees import virtual
from jettison.store.whiteouts import is_whiteout

_KEPT = 2
"""Copies that wait for the next step; each takes the room of a whole root filesystem."""

_TOKEN = "user.jettison.copy"

_NULL = os.makedev(1, 3)
_HARMLESS = (_NULL, *(os.makedev(1, minor) for minor in (5, 7, 8, 9)), os.makedev(5, 0))
"""null, zero, full, random, urandom, tty. A layer may hold the host's disk, and no `nodev` keeps a step from
opening it here: /dev/null takes the place of all others."""

_PATIENCE = 3.0
"""Seconds to wait for the filesystem's clock, which on some moves every other second only."""


class Known(NamedTuple):
    """What a file of a copy was right after it was copied, and the tree of the layer that it came from.

    Nobody can set the time of change (`changed`, ns): while it stays the same, so does the file.
    """

    inode: int
    changed: int
    form: int
    tree: str


@dataclass(slots=True)
class Copy:
    """A root filesystem made of copies. `known` has all its files but the root, by path."""

    root: str
    known: dict[str, Known] = field(default_factory=dict)

    def note(self, path: str, tree: str) -> None:
        """Remember a file as it is now."""
        at = os.lstat(f"{self.root}/{path}")
        self.known[path] = Known(at.st_ino, at.st_ctime_ns, stat.S_IFMT(at.st_mode), tree)

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it."""
        todo = [path]
        while todo:
            here = todo.pop()
            known = self.known.pop(here, None)
            if known is not None and stat.S_ISDIR(known.form):
                todo += [f"{here}/{name}" for name in os.listdir(f"{self.root}/{here}")]
        remove_tree(f"{self.root}/{path}")


@dataclass(frozen=True, slots=True)
class Kept:
    """A copy that a step has finished with. It is short of what the step left in its upper directory, which
    bears `token` and will be the layer on top of `layers`, if it becomes one.
    """

    copy: Copy
    layers: tuple[str, ...]
    token: bytes


@contextmanager
def copied(
    store: Store, layer_ids: Sequence[str], top: str, upper: str | None, folder: str, only: str | None = None
) -> Iterator[str]:
    """Give a folder with layers copied into it, the lowest first; at the end of the block, put what has
    changed there into `upper`, as overlayfs would have it.

    The trees of the layers have to be there. `top` is a tree of mount points, which count as no change.
    Without `upper` changes are dropped; so they are with `only`, and then there is nothing but that path.
    A new copy is made in `folder`. Raises StoreError.
    """
    if only is None and kernel.refuses_programs(folder):
        raise StoreError(
            f"no program can be started from {store.root}, where files are copied for steps: it is noexec",
            hint="--root DIR, or JETTISON_ROOT, names another place",
        )
    layers = tuple(layer_ids)
    taken = _take_over(store, layers) if only is None else None
    copy, done = taken or (Copy(f"{folder}/root"), 0)
    try:
        with faults("copying the files of a step", store.root):
            if not done:
                os.mkdir(copy.root)
            # As an upper directory is: its own mode and owner belong to no layer.
            os.chown(copy.root, os.geteuid(), os.getegid())
            os.chmod(copy.root, 0o755)
            for layer_id in layers[done:]:
                apply(copy, store.layers.tree(layer_id), only=only or "")
            stubs = apply(copy, top, keep_folders=True, only=only or "")
            _let_the_clock_move(folder)
        yield copy.root
        if upper is None or only is not None:
            return
        from jettison.store.changes import take_changes

        with faults("collecting the files of a step", store.root):
            take_changes(copy, upper, bool(silent_devices([os.stat(copy.root).st_dev])))
            _drop_stubs(copy, stubs)
            _keep(store, copy, layers, upper)
    finally:
        remove_tree(copy.root)


def _keep(store: Store, copy: Copy, layers: tuple[str, ...], upper: str) -> None:
    """Keep a copy for the next step, instead of the oldest one."""
    token = os.urandom(16)
    try:
        os.setxattr(upper, _TOKEN, token)
    except OSError:
        return
    root = store.session.new_name("copy")
    os.rename(copy.root, root)
    store.copies.append(Kept(Copy(root, copy.known), layers, token))
    with suppress(IndexError):
        while len(store.copies) > _KEPT:
            remove_tree(store.copies.pop(0).copy.root)


def _take_over(store: Store, layers: tuple[str, ...]) -> tuple[Copy, int] | None:
    """A kept copy that layers may be put on, and the number of those that it has already."""
    for kept in reversed(list(store.copies)):
        done = len(kept.layers)
        if layers[:done] != kept.layers or done == len(layers):
            continue
        with suppress(OSError, ValueError):
            if os.getxattr(store.layers.tree(layers[done]), _TOKEN) == kept.token:
                store.copies.remove(kept)  # ValueError: another step was faster
                return kept.copy, done
    return None


def _let_the_clock_move(folder: str) -> None:
    """Wait until a change gets another time than what was just copied: some milliseconds at most."""
    marker = f"{folder}/clock"
    began, ends = 0, time.monotonic() + _PATIENCE
    while time.monotonic() < ends:
        with open(marker, "wb") as file:
            now = os.fstat(file.fileno()).st_ctime_ns
        os.unlink(marker)
        began = began or now
        if now > began:
            return
        time.sleep(0.001)


def apply(copy: Copy, tree: str, keep_folders: bool = False, only: str = "") -> list[str]:
    """Put the tree of a layer on top of a copy, and give the paths that are new.

    With `keep_folders` folders that are there already stay as they are. With `only` nothing counts but a
    path, what is below it, and the folders above.
    """
    return _Layer(copy, tree, keep_folders, only).put()


class _Layer:
    """The tree of one layer on its way into a copy."""

    def __init__(self, copy: Copy, tree: str, keep_folders: bool, only: str) -> None:
        self._copy = copy
        self._tree = tree
        self._keep_folders = keep_folders
        self._only = f"{only}/" if only else ""
        self._new: list[str] = []
        self._folders: list[tuple[str, os.stat_result | None]] = []
        """In the order of the walk; with their state where that is to stay as it was."""
        self._links: dict[int, str] = {}
        """The first name of each file with several, by inode."""
        self._linked: list[str] = []

    def put(self) -> list[str]:
        if xattrs.has(self._tree, xattrs.OPAQUE):
            for name in os.listdir(self._copy.root):
                self._copy.remove(name)
        todo = [""]
        while todo:
            folder = todo.pop()
            with os.scandir(f"{self._tree}/{folder}") as found:
                for item in found:
                    path = f"{folder}/{item.name}" if folder else item.name
                    if not self._counts(path):
                        continue
                    at = item.stat(follow_symlinks=False)
                    if stat.S_ISDIR(at.st_mode):
                        self._enter(path)
                        todo.append(path)
                    elif is_whiteout(at):
                        if path in self._copy.known:
                            self._copy.remove(path)
                    else:
                        self._put(path, at)
        for path, before in reversed(self._folders):
            self._finish(path, before)
        for path in self._linked:
            self._copy.note(path, self._tree)
        return self._new

    def _counts(self, path: str) -> bool:
        return f"{path}/".startswith(self._only) or self._only.startswith(f"{path}/")

    def _enter(self, path: str) -> None:
        there, where, source = self._copy.known.get(path), f"{self._copy.root}/{path}", f"{self._tree}/{path}"
        if there is not None and (not stat.S_ISDIR(there.form) or xattrs.has(source, xattrs.OPAQUE)):
            self._copy.remove(path)
            there = None
        before = None
        if there is None:
            os.mkdir(where, 0o700)
            self._new.append(path)
        elif self._keep_folders or xattrs.has(source, xattrs.IMPLIED):
            before = os.lstat(where)
        self._folders.append((path, before))

    def _finish(self, path: str, before: os.stat_result | None) -> None:
        """What writing into a folder would change again."""
        where = f"{self._copy.root}/{path}"
        if before is None:
            source = f"{self._tree}/{path}"
            dress(source, where, os.lstat(source))
            self._copy.note(path, self._tree)
        else:
            os.utime(where, ns=(before.st_atime_ns, before.st_mtime_ns))
            self._copy.note(path, self._copy.known[path].tree)

    def _put(self, path: str, at: os.stat_result) -> None:
        source, where = f"{self._tree}/{path}", f"{self._copy.root}/{path}"
        if path in self._copy.known:
            self._copy.remove(path)
        self._new.append(path)
        if at.st_nlink > 1:
            self._linked.append(path)
            first = self._links.setdefault(at.st_ino, path)
            if first != path:
                os.link(f"{self._copy.root}/{first}", where, follow_symlinks=False)
                return
        try:
            if stat.S_ISBLK(at.st_mode) or (stat.S_ISCHR(at.st_mode) and at.st_rdev not in _HARMLESS):
                os.mknod(where, stat.S_IFCHR | 0o600, _NULL)
                dress(source, where, at)
            else:
                copy_one(source, where, at)
        except PermissionError:
            if not stat.S_ISBLK(at.st_mode) and not stat.S_ISCHR(at.st_mode):
                raise
            self._new.pop()  # a user namespace has no devices
            return
        self._copy.note(path, self._tree)


def copy_one(source: str, where: str, at: os.stat_result) -> None:
    """Copy what is no folder, with all that is known of it. `at` is the source's lstat. Raises OSError."""
    if stat.S_ISREG(at.st_mode):
        fd = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if at.st_size:
                copy_file(source, fd)
        finally:
            os.close(fd)
    elif stat.S_ISLNK(at.st_mode):
        os.symlink(os.readlink(source), where)
    else:
        os.mknod(where, stat.S_IFMT(at.st_mode) | 0o600, at.st_rdev)
    dress(source, where, at)


def dress(source: str, where: str, at: os.stat_result) -> None:
    """Give a file the owner, mode, attributes and times of another one, and the mark of overlayfs's copies
    where somebody asks for it later. Raises OSError.
    """
    try:
        os.chown(where, at.st_uid, at.st_gid, follow_symlinks=False)
    except OSError as error:
        # Where a user has one id only, other owners are kept in an attribute.
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise
    if not stat.S_ISLNK(at.st_mode):
        os.chmod(where, stat.S_IMODE(at.st_mode))
    marks = [(xattrs.ORIGIN, b"")] if virtual() else []
    for name, value in (*attributes(source), *marks):
        try:
            os.setxattr(where, name, value, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise
    os.utime(where, ns=(at.st_atime_ns, at.st_mtime_ns), follow_symlinks=False)


def attributes(path: str) -> list[tuple[str, bytes]]:
    """The extended attributes of a file but for overlayfs's marks: those of layers, and notes on owners."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            return []
        raise
    kept = [name for name in sorted(names) if xattrs.belongs(name) or is_note(name)]
    return [(name, os.getxattr(path, name, follow_symlinks=False)) for name in kept]


def _drop_stubs(copy: Copy, stubs: list[str]) -> None:
    """Remove the mount points that are still as they were made."""
    for path in reversed(stubs):
        if path not in copy.known:
            continue
        folder = path.rpartition("/")[0]
        before = os.lstat(f"{copy.root}/{folder}")
        copy.remove(path)
        os.utime(f"{copy.root}/{folder}", ns=(before.st_atime_ns, before.st_mtime_ns))
        if folder in copy.known:
            copy.note(folder, copy.known[folder].tree)
