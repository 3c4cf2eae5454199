"""A walk through a folder of a build context that keeps nothing, and what tells that nothing changed.

`ContextTree` remembers all that it has seen; here a directory is forgotten as soon as it is passed, so
that the number of files does not matter.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Iterator
from hashlib import sha256

from jettison.errors import SourceError
from jettison.sources.context import ContextTree

_FOLDER = 0o040000
_KIND = 0o170000
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Listed = tuple[str, os.stat_result]
"""A name in a directory, and what the kernel says of it."""


class Fingerprint:
    """A digest of what the kernel says of all files that a walk passes, and the latest of their times."""

    def __init__(self) -> None:
        self._hash = sha256()
        self.newest_ns = 0

    def add(self, listed: list[Listed]) -> None:
        """Add one directory."""
        rows = [
            (name, st.st_mode, st.st_ino, st.st_dev, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
            for name, st in listed
        ]
        self._hash.update(marshal.dumps(rows, 2))
        for row in rows:
            if row[6] > self.newest_ns:
                self.newest_ns = row[6]

    def digest(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()


def sweep(
    tree: ContextTree, folder: str, seen: Fingerprint
) -> Iterator[tuple[int, str, str, os.stat_result]]:
    """All that is below a folder of a context, in the order of a layer's entries.

    Each with a descriptor of the directory it is in, its path below `folder`, its name, and what it
    is; the descriptor is good until the next one is asked for. Raises SourceError when a directory
    cannot be read.
    """
    stack: list[tuple[int, str, Iterator[Listed]]] = []

    def enter(fd: int, below: str) -> None:
        stack.append((fd, below, iter(())))
        listed = _listed(tree, fd, f"{folder}/{below}" if folder else below)
        seen.add(listed)
        stack[-1] = (fd, below, iter(listed))

    try:
        enter(os.open(f"{tree.folder}/{folder}" if folder else tree.folder, _OPEN), "")
        while stack:
            fd, below, listed = stack[-1]
            for name, st in listed:
                yield fd, below + name, name, st
                if st.st_mode & _KIND == _FOLDER:
                    enter(os.open(name, _OPEN, dir_fd=fd), f"{below}{name}/")
                    break
            else:
                stack.pop()
                os.close(fd)
    except OSError as error:
        inside = f"{folder}/{stack[-1][1]}" if stack else folder
        raise _unreadable(inside, error) from error
    finally:
        for fd, _, _ in stack:
            os.close(fd)


def _listed(tree: ContextTree, fd: int, inside: str) -> list[Listed]:
    """The names in a directory that the context has, sorted. `inside` is its path with a slash behind it."""
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
    out.sort(key=_name if "".join([name for name, _ in out]).isascii() else _bytes)
    return out


def _name(item: Listed) -> str:
    return item[0]


def _bytes(item: Listed) -> bytes:
    return os.fsencode(item[0])


def fingerprint(tree: ContextTree, folder: str) -> Fingerprint:
    """The fingerprint of a whole folder of a context: what `sweep` makes of it on its way."""
    seen = Fingerprint()
    todo = [f"{folder}/" if folder else ""]
    while todo:
        inside = todo.pop()
        try:
            fd = os.open(f"{tree.folder}/{inside}", _OPEN)
            try:
                listed = _listed(tree, fd, inside)
            finally:
                os.close(fd)
        except OSError as error:
            raise _unreadable(inside, error) from error
        seen.add(listed)
        below = [f"{inside}{name}/" for name, st in listed if st.st_mode & _KIND == _FOLDER]
        todo += reversed(below)
    return seen


def _unreadable(folder: str, error: OSError) -> SourceError:
    return SourceError(
        f"cannot read the folder {folder.rstrip('/') or '.'} of the build context: {error.strerror}",
        hint="make it readable, or exclude it in .dockerignore",
    )
