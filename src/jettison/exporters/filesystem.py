"""The files of an image without the image: `type=local` into a folder, `type=tar` into an archive.

Layers are flattened. What is in the folder already stays unless the image has something
of that name; symlinks in it are replaced, never followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from jettison.dataclass import replace
from jettison.errors import ExportError
from jettison.exporters.place import opened, reported
from jettison.oci.archive import pour
from jettison.replacing import create, give_name
from jettison.store import tar
from jettison.store.base import Entry, FileTree, Node
from jettison.store.tree_builder import has_holes
from jettison.store.trees import virtual

if TYPE_CHECKING:
    from jettison.events import Told

_FEW = 1000
"""Entries of a tree that are counted before it is written, which takes some milliseconds."""
_FORMATS = {"char": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO}


def flattened(tree: FileTree) -> Iterator[tuple[Entry, Node]]:
    """The entries of a whole tree in the order of layers, without its root. Sockets are left out.

    Further names of one file come as hardlinks to the first.
    """
    first: dict[tuple[int, int], str] = {}
    pending = list(reversed(tree.listdir("")))
    while pending:
        path = pending.pop()
        node = tree.lookup(path)
        if node is None or node.kind == "socket":
            continue
        if node.kind == "dir":
            pending += [f"{path}/{name}" for name in reversed(tree.listdir(path))]
        entry = Entry(
            path, node.kind, node.mode, node.uid, node.gid, node.mtime_ns, link=node.link, device=node.device
        )
        if node.kind == "file":
            target = first.setdefault(node.identity, path) if node.identity else path
            if target != path:
                yield replace(entry, kind="hardlink", link=target), node
                continue
            entry = replace(entry, size=node.size)
        yield replace(entry, xattrs=tree.xattrs(path)), node


def size_of_few(tree: FileTree) -> int:
    """The bytes of all files of a tree; 0 where there are too many to look at them all."""
    size = 0
    for number, (entry, _) in enumerate(flattened(tree)):
        if number == _FEW:
            return 0
        size += entry.size
    return size


def write_tar(
    tree: FileTree,
    dest: str,
    stream: BinaryIO | None = None,
    clamp: int | None = None,
    told: Told | None = None,
) -> None:
    """Write all files of a tree as a tar archive to a file, or to the stream for "-".

    `clamp` cuts later modification times (seconds since the epoch); `told` hears of the bytes of files
    as they are written. Raises ExportError.
    """
    with opened(dest, stream) as out:
        for entry, _ in flattened(tree):
            if clamp is not None and entry.mtime_ns > clamp * 10**9:
                entry = replace(entry, mtime_ns=clamp * 10**9)
            out.write(tar.header(entry))
            if entry.kind == "file" and entry.size:
                with tree.open(entry.path) as content:
                    pour(content, out, entry.size, told)
                out.write(tar.padding(entry.size))
        out.write(tar.END)


def write_folder(tree: FileTree, dest: str, owners: bool = False, told: Told | None = None) -> list[str]:
    """Write all files of a tree into a folder, which is made if need be.

    They belong to the calling user, unless `owners` is set and this user can give files away. Gives what
    could not be made (devices, for an ordinary user); `told` hears of the bytes of files as they are written.
    Raises ExportError.
    """
    owners = owners and not virtual()
    left_out: list[str] = []
    folders: list[tuple[str, Entry]] = []
    with reported(dest):
        os.makedirs(dest, exist_ok=True)
        for entry, _ in flattened(tree):
            target = os.path.join(dest, entry.path)
            if entry.kind == "dir":
                _make_folder(target, entry)
                folders.append((target, entry))
            elif not _make(tree, entry, dest, target, owners, told):
                left_out.append(f"/{entry.path}")
        # Only now: a folder without write permission takes no files, and every file changes its time.
        for target, entry in reversed(folders):
            _adorn(target, entry, owners)
    return left_out


def _make_folder(target: str, entry: Entry) -> None:
    try:
        os.mkdir(target, 0o700)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(target).st_mode):
            os.unlink(target)
            os.mkdir(target, 0o700)
        else:
            os.chmod(target, entry.mode | 0o700)


def _make(tree: FileTree, entry: Entry, dest: str, target: str, owners: bool, told: Told | None) -> bool:
    """Make what is no folder beside its place, then rename it, following no link. False: not allowed."""
    temporary = f"{os.path.dirname(target)}/.{os.urandom(6).hex()}.tmp"
    try:
        if entry.kind == "hardlink":
            os.link(os.path.join(dest, entry.link), temporary, follow_symlinks=False)
        elif entry.kind == "symlink":
            os.symlink(entry.link, temporary)
        elif entry.kind == "file":
            _make_file(tree, entry, temporary, told)
        else:
            try:
                os.mknod(temporary, _FORMATS[entry.kind] | 0o600, os.makedev(*entry.device))
            except PermissionError:
                return False
        if entry.kind != "hardlink":
            _adorn(temporary, entry, owners)
        _rename(temporary, target)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise
    return True


def _rename(temporary: str, target: str) -> None:
    try:
        os.rename(temporary, target)
    except IsADirectoryError:
        try:
            os.rmdir(target)
        except OSError as error:
            raise ExportError(
                f"{target} is a folder with something in it, where the image has a file",
                hint="remove it, or export to an empty folder",
            ) from error
        os.rename(temporary, target)
    if os.path.lexists(temporary):  # rename does nothing for two names of one file
        os.unlink(temporary)


def _make_file(tree: FileTree, entry: Entry, path: str, told: Told | None) -> None:
    handle = create(path, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as file, tree.open(entry.path) as content:
        try:
            source = content.fileno()
        except OSError:
            source = -1
        if source >= 0 and has_holes(source):
            _copy_with_holes(source, content, file, entry.size, told)
        else:
            pour(content, file, entry.size, told)
        give_name(handle, path)


def _copy_with_holes(source: int, content: BinaryIO, file: BinaryIO, size: int, told: Told | None) -> None:
    """Copy a file so that holes stay holes: some are larger than any disk."""
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
        os.lseek(file.fileno(), start, os.SEEK_SET)
        pour(content, file, min(at, size) - start, told)
    os.ftruncate(file.fileno(), size)


def _adorn(target: str, entry: Entry, owners: bool) -> None:
    """Give what was made its owner, mode, attributes and time; in this order, as chown clears the others."""
    link = entry.kind == "symlink"
    mode = entry.mode
    if owners:
        os.chown(target, entry.uid, entry.gid, follow_symlinks=False)
    elif (virtual() or (entry.uid, entry.gid) != (os.geteuid(), os.getegid())) and entry.kind != "dir":
        # A program that ran as somebody else there must not run as the calling user here.
        mode &= ~(stat.S_ISUID | stat.S_ISGID)
    if not link:
        os.chmod(target, mode)
        for name, value in entry.xattrs:
            if owners or name.startswith("user."):
                _set_attribute(target, name, value)
    os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def _set_attribute(target: str, name: str, value: bytes) -> None:
    try:
        os.setxattr(target, name, value, follow_symlinks=False)
    except OSError as error:
        # Some filesystems have no extended attributes; the files are worth having without.
        if error.errno not in (errno.EOPNOTSUPP, errno.EPERM, errno.ERANGE, errno.ENOSPC):
            raise
