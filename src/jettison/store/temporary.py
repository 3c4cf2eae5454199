"""Folders for what is not finished: one per process, locked while it lives, swept away when it died."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

from jettison.dataclass import dataclass
from jettison.store.faults import faults
from jettison.store.locks import still_named, try_lock
from jettison.store.private import private

_NEEDS = "needs"
_LONG = 2000
"""Bytes of a path that are half of what Linux takes."""


@dataclass(frozen=True, slots=True)
class WorkDir:
    """A folder for one step: `upper` and `work` for an overlay mount. A context manager that removes it."""

    path: str
    upper: str
    work: str
    remove: Callable[[str], None]

    def close(self) -> None:
        """Remove what is left of it. Harmless when repeated."""
        self.remove(self.path)

    def __enter__(self) -> WorkDir:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Session:
    """This process's folder below tmp/, named after the time at which the store was opened.

    It is made at first use, and whatever dead processes left is swept then.
    """

    def __init__(self, folder: str, on_begin: Callable[[], None] | None = None) -> None:
        self._folder = folder
        self.opened = time.time()
        self._on_begin = on_begin
        self._lock = threading.Lock()
        self._path = ""
        self._fd = -1
        self._count = 0
        self._removals: list[threading.Thread] = []

    def new_name(self, stem: str) -> str:
        """A path in the session's folder where there is nothing yet."""
        with self._lock:
            begun = bool(self._path)
            if not begun:
                with faults("making a temporary folder", self._folder):
                    self._begin()
            self._count += 1
            name = f"{self._path}/{stem}{self._count}"
        if not begun and self._on_begin:
            self._on_begin()
        return name

    def new_folder(self, stem: str, mode: int = 0o700) -> str:
        """A new, empty folder."""
        path = self.new_name(stem)
        with faults("making a temporary folder", self._folder):
            os.mkdir(path)
            os.chmod(path, mode)
        return path

    def new_work_dir(self, *, beside: bool = False) -> WorkDir:
        """A folder whose `upper` looks like the root of a filesystem (0755) and whose `work` is empty.

        With `beside` it is removed while other things go on, which matters where steps wait for each other.
        """
        path = self.new_folder("step")
        remove = self._remove_beside if beside else remove_tree
        work = WorkDir(path, f"{path}/upper", f"{path}/work", remove)
        with faults("making a temporary folder", self._folder):
            for name in (work.upper, work.work):
                os.mkdir(name)
                os.chmod(name, 0o755)
        return work

    def need_only(self, layer_ids: Sequence[str]) -> None:
        """Say that from now on these layers are all that this process uses of the store."""
        name = self.new_name("needs")
        with faults("making a temporary file", self._folder):
            with open(name, "w", encoding="ascii", opener=private) as file:
                file.write("\n".join(layer_ids))
            os.rename(name, f"{self._path}/{_NEEDS}")

    def owns(self, path: str) -> bool:
        """Whether a folder is this session's."""
        return bool(self._path) and os.path.basename(path) == os.path.basename(self._path)

    def _remove_beside(self, path: str) -> None:
        def body() -> None:
            # What cannot be removed is tried again at the end, and reported then.
            with suppress(OSError):
                remove_tree(path)

        thread = threading.Thread(target=body, name="removal", daemon=True)
        thread.start()
        with self._lock:
            self._removals = [other for other in self._removals if other.is_alive()] + [thread]

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        for thread in self._removals:
            thread.join()
        with self._lock:
            if self._path:
                with suppress(PermissionError):  # as in `sweep`
                    remove_tree(self._path)
                os.close(self._fd)
                self._path = ""

    def _begin(self) -> None:
        from jettison.kernel import spread_folders

        sweep(self._folder)
        spread_folders(self._folder)
        while True:
            path = f"{self._folder}/{int(self.opened)}-{os.urandom(6).hex()}"
            os.mkdir(path, 0o700)
            # A sweep of another process may come before the lock, and takes the folder then.
            try:
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            if try_lock(fd) and still_named(fd, path):
                self._path, self._fd = path, fd
                return
            os.close(fd)


def others(folder: str, own: Session) -> tuple[float | None, set[str]]:
    """What the other living owners of temporary folders may be using.

    When the first of them opened the store, None without any; and the layers of those who need nothing else.
    """
    first: float | None = None
    needed: set[str] = set()
    with os.scandir(folder) as items:
        names = [item.path for item in items if item.is_dir(follow_symlinks=False)]
    for path in names:
        if own.owns(path):
            continue
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if not try_lock(fd):
                layers = _needs(path)
                if layers is None:
                    opened = os.path.basename(path).partition("-")[0]
                    moment = float(opened) if opened.isdecimal() and len(opened) < 12 else 0.0
                    first = moment if first is None else min(first, moment)
                needed.update(layers or ())
        finally:
            os.close(fd)
    return first, needed


def _needs(path: str) -> list[str] | None:
    try:
        with open(f"{path}/{_NEEDS}", encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return None


def sweep(folder: str) -> int:
    """Remove the temporary folders whose owners died, and give their number.

    What has files under ids that this process may not touch stays for the next who may.
    """
    swept = 0
    with os.scandir(folder) as found:
        names = [entry.path for entry in found]
    for path in names:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            if try_lock(fd) and still_named(fd, path):
                remove_tree(path)
                swept += 1
        except PermissionError:
            continue
        finally:
            os.close(fd)
    return swept


def remove_tree(path: str) -> None:
    """Remove a file or a folder with all below it, whatever its modes are.

    What is gone already is no error.
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM) or not stat.S_ISDIR(os.lstat(path).st_mode):
            raise
        _remove_folder(path)


def _remove_folder(top: str) -> None:
    """Steps and archives make folders in folders deeper than any path is long: those are moved up first."""
    todo = [(top, False)]
    while todo:
        path, emptied = todo.pop()
        if emptied:
            try:
                _allowed(os.rmdir, path)
                continue
            except OSError as error:
                # Folders were moved here meanwhile, or somebody else made something.
                if error.errno != errno.ENOTEMPTY:
                    raise
        todo.append((path, True))
        for folder in _emptied(path):
            todo.append((folder if len(folder) < _LONG else _lifted(folder, top), False))


def _lifted(folder: str, top: str) -> str:
    for path in (top, os.path.dirname(folder), folder):
        os.chmod(path, 0o700)
    path = f"{top}/{os.urandom(8).hex()}"
    os.rename(folder, path)
    return path


def _emptied(path: str) -> list[str]:
    """Remove what is in a folder and is none itself; the folders in it."""
    try:
        found = os.scandir(path)
    except FileNotFoundError:
        return []
    except PermissionError:
        os.chmod(path, 0o700)
        found = os.scandir(path)
    with found:
        names = [(item.path, item.is_dir(follow_symlinks=False)) for item in found]
    for name, is_folder in names:
        if not is_folder:
            _allowed(os.unlink, name)
    return [name for name, is_folder in names if is_folder]


def _allowed(remove: Callable[[str], None], path: str) -> None:
    """Remove something, also where the mode of its folder keeps it as it is for anyone but root."""
    try:
        remove(path)
    except FileNotFoundError:
        pass
    except PermissionError:
        os.chmod(os.path.dirname(path), 0o700)
        remove(path)
