"""Mounts without mount(2): files and folders that lie in a root filesystem while a process runs there.

What was in their place is set aside and put back as it was, so no layer shows anything of it.

- A read-only bind is a copy. Nothing keeps the process from writing to it, but it is thrown away.
- A bind that can be written to is a tree of hard links: what the process writes into files is in the
  source at once. New, replaced and removed files follow at the end, so several
  processes may share one folder. On another filesystem files are copied, and back if they have changed.
- A tmpfs is an empty folder, of no limited size.
- /dev has the usual devices as far as they may be made, /sys is empty, and /proc has a few files with what is
  known when the process begins. There is no /proc/self, and nothing of processes.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from jettison.errors import SandboxError
from jettison.sandbox.base import Mount, ProcessSpec
from jettison.sandbox.linked import LinkedFolder, copy_file, copy_folder

_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}

_FACTS = (
    "cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version", "filesystems", "sys/kernel/ostype",
    "sys/kernel/osrelease", "sys/kernel/cap_last_cap", "sys/kernel/pid_max",
)  # fmt: skip
_MOUNTS = "rootfs / rootfs rw 0 0\n"


@contextmanager
def emulated(spec: ProcessSpec, work: str) -> Iterator[None]:
    """Have a process's mounts in its root filesystem while the block runs.

    `work` is a folder on the same filesystem, which is empty afterwards again. Raises SandboxError.
    """
    places = _Places(spec.rootfs, work)
    with ExitStack() as stack:
        try:
            stack.enter_context(places.taken("/dev", _fill_dev))
            stack.enter_context(places.taken("/proc", _fill_proc))
            stack.enter_context(places.taken("/sys", lambda path: os.mkdir(path, 0o555)))
            for mount in sorted(spec.mounts, key=lambda mount: mount.target.count("/")):
                stack.enter_context(places.mounted(mount))
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise SandboxError(f"cannot prepare the mounts of the step: {error.strerror}{where}") from error
        yield


class _Places:
    """Paths of a root filesystem in which something else lies for a time."""

    def __init__(self, root: str, work: str) -> None:
        self._root = root
        self._work = work
        self._count = 0

    @contextmanager
    def mounted(self, mount: Mount) -> Iterator[None]:
        """Have one mount at its target."""
        if mount.type == "tmpfs":
            with self.taken(mount.target, lambda path: _new_folder(path, mount.mode)):
                yield
        elif os.path.isdir(mount.source):
            if mount.read_only:
                with self.taken(mount.target, lambda path: copy_folder(mount.source, path)):
                    yield
                return
            linked = LinkedFolder(mount.source, self._path(mount.target))
            with self.taken(mount.target, lambda path: linked.fill(), linked.end):
                yield
        else:
            with self._file(mount):
                yield

    @contextmanager
    def _file(self, mount: Mount) -> Iterator[None]:
        """A file. A copy of a secret is overwritten, whatever other names it has got meanwhile."""
        opened: list[int] = []

        def put(path: str) -> None:
            if not mount.read_only:
                with suppress(OSError):
                    os.link(mount.source, path)
                    return
            copy_file(mount.source, path)
            if stat.S_ISREG(os.lstat(path).st_mode):
                opened.append(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC))

        def end(inside: bool) -> None:
            for fd in opened:
                try:
                    if not mount.read_only:
                        _copy_back(fd, mount.source)
                    if mount.secret:
                        wipe(fd)
                    else:
                        os.ftruncate(fd, 0)
                finally:
                    os.close(fd)

        with self.taken(mount.target, put, end):
            yield

    @contextmanager
    def taken(
        self, target: str, put: Callable[[str], None], end: Callable[[bool], None] | None = None
    ) -> Iterator[None]:
        """Have what `put(path)` makes at a path while the block runs.

        `end(inside)` is called before it is removed. It is told whether the path is still in the root
        filesystem: the process may have put a link above it, which would lead us out.
        """
        path = self._path(target)
        made = self._missing_folders(path)
        aside = self._set_aside(path)
        try:
            with _times_kept(os.path.dirname(path)):
                put(path)
            yield
        finally:
            try:
                if end is not None:
                    end(self._is_inside(path))
            finally:
                self._put_back(path, aside, made)

    def _path(self, target: str) -> str:
        """The target below the root. Everything above it has to be a folder, not a link that may lead out."""
        parts = [part for part in target.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            raise SandboxError(f"cannot mount at {target!r}")
        path = f"{self._root}/{'/'.join(parts)}"
        if any(os.path.lexists(above) and not _is_folder(above) for above in self._above(path)):
            raise SandboxError(f"cannot mount at {target}: something above it is no folder")
        return path

    def _above(self, path: str) -> Iterator[str]:
        """The folders between the root and a path, the outermost first."""
        at = len(self._root)
        while (at := path.find("/", at + 1)) > 0:
            yield path[:at]

    def _is_inside(self, path: str) -> bool:
        return all(map(_is_folder, self._above(path)))

    def _missing_folders(self, path: str) -> list[str]:
        """Make what is missing above a path; give it, the innermost first."""
        made: list[str] = []
        above = os.path.dirname(path)
        while not os.path.lexists(above):
            made.append(above)
            above = os.path.dirname(above)
        with _times_kept(above):
            for folder in reversed(made):
                _new_folder(folder, 0o755)
        return made

    def _set_aside(self, path: str) -> str:
        if not os.path.lexists(path):
            return ""
        self._count += 1
        aside = f"{self._work}/{self._count}"
        with _times_kept(os.path.dirname(path)):
            os.rename(path, aside)
        return aside

    def _put_back(self, path: str, aside: str, made: list[str]) -> None:
        above = os.path.dirname(path)
        if self._is_inside(path):
            with _times_kept(above):
                remove(path)
                if aside:
                    os.rename(aside, path)
        elif aside:
            remove(aside)  # the process has removed all around it
        for folder in made:
            if self._is_inside(folder):
                with suppress(OSError), _times_kept(os.path.dirname(folder)):
                    os.rmdir(folder)


@contextmanager
def _times_kept(folder: str) -> Iterator[None]:
    """Let a folder have the same time of modification after the block as before."""
    before = os.lstat(folder)
    yield
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _new_folder(path: str, mode: int) -> None:
    os.mkdir(path)
    os.chmod(path, mode)


def remove(path: str) -> None:
    """Remove a file or a folder; nothing happens when there is none."""
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)


def wipe_file(path: str) -> None:
    """As `wipe`; a file that is gone already is no error."""
    with suppress(FileNotFoundError):
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            wipe(fd)
        finally:
            os.close(fd)


def wipe(fd: int) -> None:
    """Overwrite a file and make it empty, so that no other name of it keeps the content.

    What the file was sent to by sendfile(2), as busybox's cat does, and has not been read from a pipe yet is
    zeros from then on, too: the pipe holds the file's own pages.
    """
    size = os.fstat(fd).st_size
    for at in range(0, size, 1 << 20):
        os.pwrite(fd, bytes(min(1 << 20, size - at)), at)
    os.ftruncate(fd, 0)


def _copy_back(fd: int, source: str) -> None:
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    with open(source, "r+b") as file:
        if file.read() != data:
            file.seek(0)
            file.write(data)
            file.truncate()


def _fill_dev(path: str) -> None:
    _new_folder(path, 0o755)
    for name, device in _DEVICES.items():
        node = f"{path}/{name}"
        try:
            os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(*device))
            os.chmod(node, 0o666)
            if name == "null":
                os.close(os.open(node, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EACCES):
                raise
            # What is written to it is gone at the end, if not at once.
            if name == "null":
                remove(node)
                os.close(os.open(node, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
                os.chmod(node, 0o666)
    _new_folder(f"{path}/shm", 0o1777)
    # Nothing is there: an error says more than a file that takes what is written and keeps it from everyone.
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1")):
        os.symlink(f"/proc/self/{target}", f"{path}/{name}")
    os.symlink("null", f"{path}/stderr")


def _fill_proc(path: str) -> None:
    _new_folder(path, 0o755)
    for name in _FACTS:
        with suppress(OSError), open(f"/proc/{name}", "rb") as file:
            data = file.read()
            os.makedirs(os.path.dirname(f"{path}/{name}"), exist_ok=True)
            with open(f"{path}/{name}", "wb") as copy:
                copy.write(data)
    with open(f"{path}/mounts", "w", encoding="ascii") as copy:
        copy.write(_MOUNTS)
