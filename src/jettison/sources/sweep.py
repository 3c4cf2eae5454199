"""A walk through a folder of a build context that keeps nothing, and what tells that nothing changed.

`ContextTree` remembers all that it has seen; here a directory is forgotten as soon as it is passed, so
that the number of files does not matter.
"""

from __future__ import annotations

import marshal
import os
import threading
from collections import deque
from collections.abc import Iterator
from hashlib import sha256

from jettison.dataclass import dataclass
from jettison.sources.context import ContextTree, unreadable_folder
from jettison.store.compress import processors

_FOLDER = 0o040000
_KIND = 0o170000
_MANY = 20_000
"""Files from which on a second process pays."""
_FEW = 1000
"""Entries of a folder that are counted before it is walked, which takes a few milliseconds."""
_ENOUGH = 32
_OPEN_AT_ONCE = 64
"""Descriptors that a walk holds, however deep it goes."""
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Listed = tuple[str, os.stat_result]
"""A name in a directory, and what the kernel says of it."""


class Fingerprint:
    """A digest of what the kernel says of all files that a walk passes, and the latest of their times."""

    def __init__(self) -> None:
        self.folders: dict[str, bytes] = {}
        """A digest of each directory."""
        self.files = 0
        self.newest_ns = 0
        self.devices: set[int] = set()

    def add(self, folder: str, listed: list[Listed]) -> None:
        """Add one directory."""
        rows = [
            (name, st.st_mode, st.st_ino, st.st_dev, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
            for name, st in listed
        ]
        rows.sort()
        self.folders[folder] = sha256(marshal.dumps(rows, 2)).digest()
        self.files += len(rows)
        self.newest_ns = max([self.newest_ns, *(row[6] for row in rows)])
        self.devices.update([row[3] for row in rows])

    def digest(self) -> str:
        """The digest of all directories."""
        total = sha256()
        for path, found in sorted(self.folders.items()):
            total.update(b"%d %b%b" % (len(path), path.encode("utf-8", "surrogateescape"), found))
        return total.hexdigest()


@dataclass(slots=True)
class _Open:
    """A directory on the way down: its descriptor, or -1 while it is far above, and what is left of it."""

    fd: int
    below: str
    listed: Iterator[Listed] = iter(())

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def sweep(
    tree: ContextTree, folder: str, seen: Fingerprint
) -> Iterator[tuple[int, str, str, os.stat_result]]:
    """All that is below a folder of a context, in the order of a layer's entries.

    Each with a descriptor of the directory it is in, its path below `folder`, its name, and what it
    is; the descriptor is good until the next one is asked for. Raises SourceError when a directory
    cannot be read.
    """
    stack: list[_Open] = []

    def enter(fd: int, below: str) -> None:
        stack.append(_Open(fd, below))
        if len(stack) > _OPEN_AT_ONCE:
            stack[-1 - _OPEN_AT_ONCE].close()
        inside = f"{folder}/{below}" if folder else below
        listed = _listed(tree, fd, inside)
        seen.add(inside, listed)
        listed.sort(key=_name if "".join([name for name, _ in listed]).isascii() else _bytes)
        stack[-1].listed = iter(listed)

    try:
        root = f"{tree.folder}/{folder}" if folder else tree.folder
        enter(os.open(root, _OPEN), "")
        while stack:
            top = stack[-1]
            if top.fd < 0:
                top.fd = os.open(f"{root}/{top.below}", _OPEN)
            fd, below = top.fd, top.below
            for name, st in top.listed:
                yield fd, below + name, name, st
                if st.st_mode & _KIND == _FOLDER:
                    enter(os.open(name, _OPEN, dir_fd=fd), f"{below}{name}/")
                    break
            else:
                stack.pop().close()
    except OSError as error:
        inside = f"{folder}/{stack[-1].below}" if stack else folder
        raise unreadable_folder(inside, error) from error
    finally:
        for opened in stack:
            opened.close()


def _listed(tree: ContextTree, fd: int, inside: str) -> list[Listed]:
    """The names in a directory that the context has. `inside` is its path with a slash behind it."""
    matcher = tree.matcher
    out: list[Listed] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            name = entry.name
            hidden = matcher is not None and matcher.ignored(inside + name)
            if hidden and not tree.leads_somewhere(inside + name, entry):
                continue
            try:
                out.append((name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    return out


def _name(item: Listed) -> str:
    return item[0]


def _bytes(item: Listed) -> bytes:
    return os.fsencode(item[0])


def fingerprint(tree: ContextTree, folder: str, files: int = 0) -> Fingerprint:
    """The fingerprint of a whole folder of a context: what `sweep` makes of it on its way.

    `files` is how many there were last time: when they are many, a second process looks at half of them.
    """
    seen = Fingerprint()
    todo = deque([f"{folder}/" if folder else ""])
    if files >= _MANY and processors() > 1 and threading.active_count() == 1:
        while todo and len(todo) < _ENOUGH:
            todo += _look(tree, todo.popleft(), seen)
        half = deque(todo.popleft() for _ in range(len(todo) // 2))
        with _Helper(tree, half) as helper:
            _look_below(tree, todo, seen)
            if not helper.join(seen):
                _look_below(tree, half, seen)
        return seen
    _look_below(tree, todo, seen)
    return seen


def _look_below(tree: ContextTree, todo: deque[str], seen: Fingerprint) -> None:
    while todo:
        todo += _look(tree, todo.pop(), seen)


def _look(tree: ContextTree, inside: str, seen: Fingerprint) -> list[str]:
    """Add one directory, and give those that are in it."""
    try:
        fd = os.open(f"{tree.folder}/{inside}", _OPEN)
        try:
            listed = _listed(tree, fd, inside)
        finally:
            os.close(fd)
    except OSError as error:
        raise unreadable_folder(inside, error) from error
    seen.add(inside, listed)
    return [f"{inside}{name}/" for name, st in listed if st.st_mode & _KIND == _FOLDER]


def size_of_few(tree: ContextTree, folder: str) -> int:
    """The bytes of all files below a folder of a context; 0 where there are too many to look at them all."""
    todo = [f"{folder}/" if folder else ""]
    size = count = 0
    try:
        while todo:
            inside = todo.pop()
            with os.scandir(f"{tree.folder}/{inside}") as entries:
                for entry in entries:
                    count += 1
                    if count > _FEW:
                        return 0
                    path = inside + entry.name
                    hidden = tree.matcher is not None and tree.matcher.ignored(path)
                    if hidden and not tree.leads_somewhere(path, entry):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(f"{path}/")
                    else:
                        size += entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0
    return size


class _Helper:
    """A copy of this process that looks at some directories. Threads would wait for each other instead.

    Whatever goes wrong in it is no error: the caller does its work then.
    """

    def __init__(self, tree: ContextTree, todo: deque[str]) -> None:
        self._end, far = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(far)
            return
        try:
            seen = Fingerprint()
            _look_below(tree, todo, seen)
            data = memoryview(marshal.dumps((seen.folders, seen.files, seen.newest_ns)))
            while data:
                data = data[os.write(far, data) :]
        finally:
            os._exit(0)

    def __enter__(self) -> _Helper:
        return self

    def join(self, seen: Fingerprint) -> bool:
        """Wait for what it has seen, and take that over. False when it failed."""
        data = b"".join(iter(lambda: os.read(self._end, 1 << 20), b""))
        try:
            folders, files, newest_ns = marshal.loads(data)
        except (EOFError, ValueError, TypeError):
            return False
        seen.folders |= folders
        seen.files += files
        seen.newest_ns = max(seen.newest_ns, newest_ns)
        return True

    def __exit__(self, *_: object) -> None:
        os.close(self._end)
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            pass  # somebody else waits for all children of this process
