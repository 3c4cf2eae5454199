"""A folder in two places at once, for want of bind mounts; and copies with all that is known of files."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress

from jettison.dataclass import dataclass, field

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

    `bring_back` lets `source` have what was made, replaced and removed in `copy`; where others did the same
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
            try:
                names = os.listdir(f"{self.source}/{folder}")
            except FileNotFoundError:
                continue
            for name in names:
                path = f"{folder}/{name}" if folder else name
                with suppress(FileNotFoundError):
                    if self._put(path):
                        folders.append(path)
        for folder in reversed(folders):
            with suppress(FileNotFoundError):
                _dress(f"{self.source}/{folder}", f"{self.copy}/{folder}")

    def _put(self, path: str) -> bool:
        """Link one file. True: it is a folder, which is made."""
        source, copy = f"{self.source}/{path}", f"{self.copy}/{path}"
        at = os.lstat(source)
        if stat.S_ISDIR(at.st_mode):
            os.mkdir(copy, 0o700)
            self._begun[path] = _Begun(os.lstat(copy).st_ino, at.st_ino, folder=True)
            return True
        try:
            os.link(source, copy, follow_symlinks=False)
            self._begun[path] = _Begun(at.st_ino, at.st_ino)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            copy_file(source, copy)
            made = os.lstat(copy)
            self._begun[path] = _Begun(made.st_ino, at.st_ino, made.st_ctime_ns)
        return False

    def bring_back(self) -> None:
        """Carry what has changed to the source. Raises OSError."""
        seen: set[str] = set()
        folders = [""] if _is_folder(self.copy) else []
        for folder in folders:  # grows on the way
            for name in os.listdir(f"{self.copy}/{folder}"):
                path = f"{folder}/{name}" if folder else name
                seen.add(path)
                if _is_folder(f"{self.copy}/{path}"):
                    folders.append(path)
                    self._folder_back(path)
                elif not self._is_as_begun(path):
                    self._file_back(path)
        for path in reversed(self._begun):
            if path not in seen:
                self._remove(path)
        for folder in reversed(folders):
            _dress(f"{self.copy}/{folder}", f"{self.source}/{folder}")

    def _is_as_begun(self, path: str) -> bool:
        begun, at = self._begun.get(path), os.lstat(f"{self.copy}/{path}")
        return begun is not None and begun.inode == at.st_ino and begun.changed in (0, at.st_ctime_ns)

    def _folder_back(self, path: str) -> None:
        source = f"{self.source}/{path}"
        if not _is_folder(source):
            with suppress(FileNotFoundError):
                os.unlink(source)
            os.mkdir(source, 0o700)

    def _file_back(self, path: str) -> None:
        source, copy = f"{self.source}/{path}", f"{self.copy}/{path}"
        if _is_folder(source):
            shutil.rmtree(source)
        try:
            os.replace(copy, source)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            fresh = f"{source}.{os.urandom(6).hex()}"
            copy_file(copy, fresh)
            os.replace(fresh, source)

    def _remove(self, path: str) -> None:
        """Remove what is gone from the copy, unless another one has replaced it meanwhile."""
        source, begun = f"{self.source}/{path}", self._begun[path]
        with suppress(FileNotFoundError, NotADirectoryError):
            if os.lstat(source).st_ino != begun.there:
                return
            if begun.folder:
                with suppress(OSError):  # somebody has put something there
                    os.rmdir(source)
            else:
                os.unlink(source)


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
