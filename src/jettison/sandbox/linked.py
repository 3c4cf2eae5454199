"""A folder in two places at once, for want of bind mounts; and copies with all that is known of files."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from jettison.dataclass import dataclass, field

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A file as it was put there: its inodes in both places, and a copy's time of change."""

    inode: int
    there: int
    changed: int = 0
    folder: bool = False


@dataclass(slots=True)
class LinkedFolder:
    """`copy` (which `fill` makes) holds links to the files of `source`.

    `end` lets `source` have what was made, replaced and removed in `copy`; where others did the same
    meanwhile, the later one wins, file by file.
    """

    source: str
    copy: str
    _begun: dict[str, _Begun] = field(default_factory=dict)

    def fill(self) -> None:
        """Make the copy. Files that vanish meanwhile are left out. Raises OSError."""
        folders = [""]
        os.mkdir(self.copy, 0o700)
        for folder in folders:  # grows on the way
            with _opened(self.source, folder) as there:
                if there < 0:
                    continue
                for name in os.listdir(there):
                    path = f"{folder}/{name}" if folder else name
                    with suppress(FileNotFoundError):
                        if self._put(path, name, there):
                            folders.append(path)
        for folder in reversed(folders):
            with _opened(self.source, folder) as there:
                if there >= 0:
                    _dress(_by_number(there), f"{self.copy}/{folder}")

    def _put(self, path: str, name: str, there: int) -> bool:
        """Link one file. True: it is a folder, which is made.

        A device stays where it is, and out of sight: nothing would keep a step from opening it.
        """
        copy = f"{self.copy}/{path}"
        at = os.lstat(name, dir_fd=there)
        if stat.S_ISDIR(at.st_mode):
            os.mkdir(copy, 0o700)
            self._begun[path] = _Begun(os.lstat(copy).st_ino, at.st_ino, folder=True)
            return True
        if stat.S_ISCHR(at.st_mode) or stat.S_ISBLK(at.st_mode):
            return False
        try:
            os.link(name, copy, src_dir_fd=there, follow_symlinks=False)
            self._begun[path] = _Begun(at.st_ino, at.st_ino)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            copy_file(f"{_by_number(there)}/{name}", copy)
            made = os.lstat(copy)
            self._begun[path] = _Begun(made.st_ino, at.st_ino, made.st_ctime_ns)
        return False

    def end(self, inside: bool) -> None:
        """Carry what has changed to the source, unless the copy is not where it was. Raises OSError."""
        if not inside:
            return
        seen: set[str] = set()
        folders = [""] if _is_folder(self.copy) else []
        for folder in folders:  # grows on the way
            with _opened(self.source, folder) as there:
                for name in os.listdir(f"{self.copy}/{folder}") if there >= 0 else ():
                    path = f"{folder}/{name}" if folder else name
                    seen.add(path)
                    if _is_folder(f"{self.copy}/{path}"):
                        folders.append(path)
                        _make_folder(name, there)
                    elif not self._is_as_begun(path):
                        _file_back(f"{self.copy}/{path}", name, there)
        for path in reversed(self._begun):
            if path not in seen:
                self._remove(path)
        for folder in reversed(folders):
            with _opened(self.source, folder) as there:
                if there >= 0:
                    _dress(f"{self.copy}/{folder}", _by_number(there))

    def _is_as_begun(self, path: str) -> bool:
        begun, at = self._begun.get(path), os.lstat(f"{self.copy}/{path}")
        return begun is not None and begun.inode == at.st_ino and begun.changed in (0, at.st_ctime_ns)

    def _remove(self, path: str) -> None:
        """Remove what is gone from the copy, unless another one has replaced it meanwhile."""
        folder, _, name = path.rpartition("/")
        begun = self._begun[path]
        with _opened(self.source, folder) as there:
            if there < 0:
                return
            with suppress(FileNotFoundError):
                if os.lstat(name, dir_fd=there).st_ino != begun.there:
                    return
                if begun.folder:
                    with suppress(OSError):  # somebody has put something there
                        os.rmdir(name, dir_fd=there)
                else:
                    os.unlink(name, dir_fd=there)


@contextmanager
def _opened(top: str, folder: str) -> Iterator[int]:
    """A folder below `top`, open; -1 when there is none, or a link: others may change it just now."""
    fd = os.open(top, _FOLDER)
    try:
        for name in folder.split("/") if folder else ():
            try:
                inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
            except (FileNotFoundError, NotADirectoryError):
                yield -1
                return
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def _by_number(fd: int) -> str:
    """An open folder as a path."""
    return f"/proc/self/fd/{fd}/."


def _make_folder(name: str, there: int) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(name, dir_fd=there).st_mode):
            return
        os.unlink(name, dir_fd=there)
    os.mkdir(name, 0o700, dir_fd=there)


def _file_back(copy: str, name: str, there: int) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(name, dir_fd=there).st_mode):
            shutil.rmtree(name, dir_fd=there)
    try:
        os.replace(copy, name, dst_dir_fd=there)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        fresh = f"{name}.{os.urandom(6).hex()}"
        copy_file(copy, f"{_by_number(there)}/{fresh}")
        os.replace(fresh, name, src_dir_fd=there, dst_dir_fd=there)


def copy_folder(source: str, target: str) -> None:
    """Copy a folder with all below it; `target` is made. Raises OSError."""
    folders = [""]
    os.mkdir(target, 0o700)
    for folder in folders:  # grows on the way
        for name in os.listdir(f"{source}/{folder}"):
            path = f"{folder}/{name}" if folder else name
            if _is_folder(f"{source}/{path}"):
                os.mkdir(f"{target}/{path}", 0o700)
                folders.append(path)
            else:
                copy_file(f"{source}/{path}", f"{target}/{path}")
    for folder in reversed(folders):
        _dress(f"{source}/{folder}", f"{target}/{folder}")


def copy_file(source: str, target: str) -> None:
    """Copy what is no folder. Raises OSError."""
    at = os.lstat(source)
    if stat.S_ISLNK(at.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISREG(at.st_mode):
        shutil.copyfile(source, target, follow_symlinks=False)
    else:
        os.mknod(target, at.st_mode, at.st_rdev)
    _dress(source, target)


def _dress(source: str, target: str) -> None:
    """Give a file the owner, mode, attributes and times of another one."""
    at = os.lstat(source)
    os.chown(target, at.st_uid, at.st_gid, follow_symlinks=False)
    shutil.copystat(source, target, follow_symlinks=False)


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False
