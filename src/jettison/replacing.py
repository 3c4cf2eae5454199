"""Files that appear whole, in place of what was there before, or not at all."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

LARGE = 8 * 1024 * 1024
"""Bytes from which on a file takes another one's place by an exchange of names."""
_END = ".tmp"


@contextmanager
def replacing(target: str, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A new file that takes its place by rename when all went well, and vanishes when not. Raises OSError.

    For the moment in which it takes another one's place it has a name of its own. What a killed process
    leaves there is removed by the next one that replaces the same file.
    """
    folder, name = os.path.split(target)
    stem = f".{name[:200]}."
    _sweep(folder or ".", stem)
    temporary = os.path.join(folder, f"{stem}{os.urandom(6).hex()}{_END}")
    handle = create(temporary, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            give_name(handle, temporary)
            # While the file is open its lock says that this process is alive.
            if file.tell() < LARGE or not _exchanged(temporary, target):
                os.replace(temporary, target)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise


def create(path: str, mode: int) -> int:
    """A new file, open for writing and locked, that `give_name` will call `path`. Raises OSError.

    Until then it has no name, so that nothing of it is left when this process is killed. A filesystem
    that cannot do that gives it its name at once.
    """
    try:
        handle = os.open(os.path.dirname(path) or ".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, mode)
    except OSError:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(path, flags, mode)
    _lock(handle)
    return handle


def give_name(handle: int, path: str) -> None:
    """Let a file of `create` appear, unless it has its name already. Raises OSError."""
    if os.fstat(handle).st_nlink == 0:
        # A folder has to be given for linkat(2) to be called, which alone follows the link in /proc.
        os.link(f"/proc/self/fd/{handle}", path, src_dir_fd=handle, follow_symlinks=True)


def _exchanged(temporary: str, target: str) -> bool:
    """Put a file in the place of an earlier one, and remove that; False where this is not possible.

    ext4 writes a whole file to the disk before a rename lets it replace another one.
    """
    from jettison.kernel import exchange

    try:
        if not stat.S_ISREG(os.lstat(target).st_mode):
            return False
        exchange(temporary, target)
    except OSError:
        return False
    try:
        os.unlink(temporary)
    except FileNotFoundError:
        pass  # somebody swept the earlier file, which nobody has locked
    return True


def _sweep(folder: str, stem: str) -> None:
    """Remove what killed processes left beside a file. Raises nothing: it is in nobody's way."""
    try:
        names = [name for name in os.listdir(folder) if name.startswith(stem) and name.endswith(_END)]
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if _lock(handle):
                os.unlink(path)
        except OSError:
            pass
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    """Take the lock of an open file. A filesystem without locks has nothing swept."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
