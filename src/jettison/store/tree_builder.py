"""Builds the tree of one layer on disk, in overlayfs's own format.

A removed path is a character device 0:0, a directory that hides what is below it
carries `user.overlay.opaque` (Documentation/filesystems/overlayfs, whiteouts and opaque directories).
Names come from untrusted archives: nothing is ever written through a symlink that leads out of the tree.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from jettison.errors import StoreError
from jettison.store import owners, xattrs
from jettison.store.base import Entry
from jettison.store.contents import told_pieces
from jettison.store.temporary import remove_tree
from jettison.store.trees import virtual
from jettison.store.whiteouts import is_whiteout, make_whiteout

if TYPE_CHECKING:
    from jettison.events import Told

_LINKS = 40
_WORTH_HOLES = 1 << 16
"""Bytes of a file; a smaller one is copied whole."""
_AT_ONCE = 1 << 25
"""Bytes that the kernel is asked to copy in one go: less than a tenth of a second's work for most disks."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Fill = Callable[[int], int]
"""Writes a file's content to a descriptor, and gives the number of bytes."""


class TreeBuilder:
    """Adds entries below `root`, an empty folder that nobody else writes to. The last of equal names wins."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.size = 0
        self._folders: dict[str, Entry | None] = {"": None}
        """Every directory made so far, with its entry; None for those that no entry named."""
        self._removed: set[str] = set()
        self._virtual = virtual()
        self._listed: dict[str, tuple[int, int]] = {}
        """Owners of symlinks and fifos that are only noted."""

    def add(self, entry: Entry, fill: Fill | None = None) -> None:
        """Add one entry; `fill` writes the content of a file. Raises StoreError for impossible entries."""
        if entry.kind == "opaque":
            xattrs.mark(self._path(self._folder(entry.path)), xattrs.OPAQUE)
            return
        if not entry.path:
            return  # the root's own metadata belongs to no layer
        folder, _, name = entry.path.rpartition("/")
        if folder not in self._folders:
            folder = self._folder(folder)
        path = f"{folder}/{name}" if folder else name
        if entry.kind == "dir":
            self._add_folder(path, entry)
            return
        if entry.kind == "whiteout" or (entry.kind == "char" and entry.device == (0, 0)):
            self._add_whiteout(path)
            return
        self._make(path, entry, fill)

    def finish(self) -> tuple[str, ...]:
        """Set what has to be set last. Gives the directories that no entry named."""
        implied = []
        for path, entry in reversed(self._folders.items()):
            where = self._path(path)
            if entry is None and path:
                xattrs.mark(where, xattrs.IMPLIED)
                implied.append(path)
            when = entry.mtime_ns if entry else 0
            os.utime(where, ns=(when, when))
        owners.write_listing(self.root, self._listed)
        return tuple(sorted(implied))

    def _path(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _make(self, path: str, entry: Entry, fill: Fill | None) -> None:
        try:
            self._make_once(path, entry, fill)
        except FileExistsError:
            self._clear(path)
            self._make_once(path, entry, fill)

    def _make_once(self, path: str, entry: Entry, fill: Fill | None) -> None:
        where = self._path(path)
        if entry.kind == "file":
            self._make_file(where, entry, fill)
        elif entry.kind == "hardlink":
            self._make_link(where, entry)
        elif self._virtual and entry.kind in ("char", "block"):
            self._make_file(where, entry, None)
        else:
            self._make_special(where, entry)
            if self._virtual:
                self._list(path, (entry.uid, entry.gid))

    def _list(self, path: str, owner: tuple[int, int]) -> None:
        if owner != (0, 0):
            self._listed[path] = owner

    def _make_file(self, where: str, entry: Entry, fill: Fill | None) -> None:
        fd = os.open(where, _NEW, 0o600)
        try:
            if fill:
                self.size += fill(fd)
            self._adorn(fd, entry)
            if entry.xattrs:
                xattrs.write(fd, entry.xattrs)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _adorn(self, where: str | int, entry: Entry) -> None:
        if self._virtual:
            owners.adorn(where, entry)
        else:
            owners.own(where, entry.uid, entry.gid, repr(entry.path))
            os.chmod(where, entry.mode)

    def _make_link(self, where: str, entry: Entry) -> None:
        folder, _, name = entry.link.rpartition("/")
        source = f"{self._folder(folder, create=False)}/{name}".lstrip("/")
        target = self._path(source)
        try:
            kind = os.lstat(target)
        except (FileNotFoundError, NotADirectoryError):
            kind = None
        if kind is None or stat.S_ISDIR(kind.st_mode) or is_whiteout(kind):
            raise StoreError(
                f"{entry.path!r} is a hard link to {entry.link!r}, which is no file of the same layer"
            )
        if os.path.lexists(where) and os.path.samestat(kind, os.lstat(where)):
            return
        os.link(target, where, follow_symlinks=False)
        if self._virtual:
            self._list(where[len(self.root) + 1 :], self._listed.get(source, (0, 0)))

    def _make_special(self, where: str, entry: Entry) -> None:
        if entry.kind == "symlink":
            os.symlink(entry.link, where)
        elif entry.kind == "fifo":
            os.mkfifo(where, 0o600)
        else:
            form = stat.S_IFCHR if entry.kind == "char" else stat.S_IFBLK
            try:
                os.mknod(where, form | 0o600, os.makedev(*entry.device))
            except PermissionError:
                # No user namespace has devices, nor has a root without the right to make them.
                self._make_file(where, entry, None)
                owners.note_device(where, entry)
                return
        if not self._virtual:
            owners.own(where, entry.uid, entry.gid, repr(entry.path), follow=False)
        if entry.kind != "symlink":
            os.chmod(where, entry.mode)
        if entry.xattrs:
            xattrs.write(where, entry.xattrs)
        os.utime(where, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)

    def _add_folder(self, path: str, entry: Entry) -> None:
        where = self._path(path)
        try:
            os.mkdir(where, 0o700)
        except FileExistsError:
            if path not in self._folders:
                self._clear(path)
                os.mkdir(where, 0o700)
            elif self._virtual:
                owners.forget(where)
        if path in self._removed:
            # The layer removes the path and makes it anew: nothing of lower layers shines through.
            xattrs.mark(where, xattrs.OPAQUE)
        self._folders[path] = entry
        self._adorn(where, entry)
        if entry.xattrs:
            xattrs.write(where, entry.xattrs)

    def _add_whiteout(self, path: str) -> None:
        self._removed.add(path)
        if path in self._folders:
            xattrs.mark(self._path(path), xattrs.OPAQUE)
            return
        try:
            make_whiteout(self._path(path))
        except FileExistsError:
            pass  # what the layer puts in its place hides the lower one anyway

    def _clear(self, path: str) -> None:
        """Make room for an entry that replaces an earlier one."""
        self._listed.pop(path, None)
        doomed = [path] if path in self._folders else []
        while doomed:
            # What is removed, not all that there is: archives may replace names again and again.
            folder = doomed.pop()
            self._folders.pop(folder, None)
            with os.scandir(self._path(folder)) as found:
                for item in found:
                    self._listed.pop(f"{folder}/{item.name}", None)
                    if item.is_dir(follow_symlinks=False):
                        doomed.append(f"{folder}/{item.name}")
        remove_tree(self._path(path))

    def _folder(self, path: str, create: bool = True) -> str:
        """The real directory that a path leads to inside the tree.

        What is missing is made (or left as it is written).
        """
        todo = [part for part in path.split("/") if part][::-1]
        at: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                del at[-1:]
                continue
            here = "/".join((*at, part))
            if here in self._folders:
                at.append(part)
                continue
            target = self._enter(here, create)
            if target is None:
                at.append(part)
                continue
            links += 1
            if links > _LINKS:
                raise StoreError(f"{path!r} goes through a loop of symlinks")
            if target.startswith("/"):
                at = []
            todo += [name for name in target.split("/") if name not in ("", ".")][::-1]
        return "/".join(at)

    def _enter(self, here: str, create: bool) -> str | None:
        """Step into a component that is no known directory: the target if it is a symlink."""
        where = self._path(here)
        try:
            found = os.lstat(where)
        except FileNotFoundError:
            found = None
        if found is not None and stat.S_ISLNK(found.st_mode):
            return os.readlink(where)
        if found is not None and not is_whiteout(found):
            raise StoreError(f"an entry lies below {here!r}, which is no directory")
        if create:
            if found is not None:
                os.unlink(where)
            os.mkdir(where, 0o755)
            os.chmod(where, 0o755)
            self._folders[here] = None
            if found is not None:
                xattrs.mark(where, xattrs.OPAQUE)
        return None


def write_all(fd: int, pieces: Iterable[bytes | memoryview]) -> int:
    """Write pieces to a descriptor, and give their size."""
    size = 0
    for piece in pieces:
        size += len(piece)
        written = os.write(fd, piece)
        while written < len(piece):
            piece = piece[written:]
            written = os.write(fd, piece)
    return size


def copy_file(name: str, fd: int, told: Told | None = None) -> int:
    """Copy a file's content to an empty file.

    Shared blocks where the filesystem can, in the kernel elsewhere; holes stay holes. Gives its size;
    `told` hears of the bytes as they are copied.
    """
    # No waiting for the other end of a fifo that took the file's place.
    source = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if has_holes(source):
            return _copy_data(source, fd, os.fstat(source).st_size, told)
        size = _copy_range(source, fd, None, told)
        if size == 0:
            # Some filesystems (proc, sysfs) report no size and copy nothing.
            return write_all(fd, told_pieces(iter(lambda: os.read(source, 1 << 20), b""), told))
        return size
    finally:
        os.close(source)


def has_holes(descriptor: int) -> bool:
    """Whether a file has holes that are worth keeping."""
    there = os.fstat(descriptor)
    return (
        stat.S_ISREG(there.st_mode)
        and there.st_size >= _WORTH_HOLES
        and there.st_blocks * 512 < there.st_size
    )


def _copy_data(source: int, fd: int, size: int, told: Told | None) -> int:
    """Copy what is no hole."""
    at = 0
    while at < size:
        try:
            start = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        at = os.lseek(source, start, os.SEEK_HOLE)
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(fd, start, os.SEEK_SET)
        if _copy_range(source, fd, at - start, told) < at - start:
            break
    os.ftruncate(fd, size)
    return size


def _copy_range(source: int, fd: int, length: int | None, told: Told | None) -> int:
    """Copy from where the source stands, `length` bytes or all that come; give how many did."""
    size = 0
    while length is None or size < length:
        most = _AT_ONCE if length is None else min(length - size, _AT_ONCE)
        try:
            moved = os.copy_file_range(source, fd, most)
        except OSError as error:
            if size or error.errno not in _NOT_IN_THE_KERNEL:
                raise
            return write_all(fd, told_pieces(_pieces(source, length), told))
        if not moved:
            break
        size += moved
        if told is not None:
            told(moved)
    return size


def _pieces(source: int, length: int | None) -> Iterator[bytes]:
    while length is None or length > 0:
        piece = os.read(source, 1 << 20 if length is None else min(length, 1 << 20))
        if not piece:
            return
        if length is not None:
            length -= len(piece)
        yield piece


_NOT_IN_THE_KERNEL = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
