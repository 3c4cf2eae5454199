"""A build context: a folder on this machine, seen through its .dockerignore file."""

from __future__ import annotations

import errno
import os
import stat
from hashlib import sha256
from typing import BinaryIO, Literal

from jettison.dockerfile.dockerignore import Matcher, parse_ignore
from jettison.errors import NotFound, SourceError
from jettison.store.base import Node
from jettison.store.faults import TOO_DEEP, brief

_IGNORE = ".dockerignore"


class ContextTree:
    """A folder as a FileTree. What .dockerignore excludes isn't there; a folder that leads to something is.

    Every directory is read once, when it is first asked for. No lookup follows a symlink.
    `folder` is absolute, `rules` the digest of the ignore file's text.
    """

    def __init__(
        self, folder: str, matcher: Matcher | None = None, ignore_name: str = _IGNORE, rules: str = ""
    ) -> None:
        self.folder = folder
        self.matcher = matcher
        self.rules = rules
        self._ignore_name = ignore_name
        self._read: dict[str, dict[str, Node]] = {}
        self._stats: dict[str, os.stat_result] = {}
        self._root = _node(os.stat(folder), folder)

    def lookup(self, path: str) -> Node | None:
        """What is at a path, or None when nothing is there or it is ignored."""
        if not path:
            return self._root
        parent, _, name = path.rpartition("/")
        return self._children(parent).get(name)

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        return list(self._children(path))

    def scan(self, path: str) -> dict[str, Node]:
        """The names in a directory, sorted, and what they are: `listdir` and every `lookup` in one."""
        return self._children(path)

    def open(self, path: str) -> BinaryIO:
        """The content of a regular file. Raises NotFound."""
        node = self.lookup(path)
        if node is None or node.file is None:
            raise NotFound(f"{path} is not a file of the build context")
        return open(os.open(node.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")

    def xattrs(self, path: str) -> tuple[tuple[str, bytes], ...]:
        """None: extended attributes of a working copy say nothing about an image."""
        return ()

    def stat(self, file: str) -> os.stat_result:
        """What the system said of the file of a node, when its directory was read."""
        return self._stats.get(file) or os.lstat(file)

    def ignored_by(self, path: str) -> str | None:
        """The line that hides something which is in the folder, as `.dockerignore:3 ("dist")`, or None."""
        if self.matcher is None or not os.path.lexists(f"{self.folder}/{path}"):
            return None
        if not self.matcher.ignored(path):
            return None
        line = self.matcher.why(path)
        return f'{self._ignore_name}:{line.line} ("{line.text}")' if line is not None else None

    def _children(self, path: str) -> dict[str, Node]:
        unread: list[str] = []
        while path not in self._read and path:
            unread.append(path)
            path = path.rpartition("/")[0]
        if path not in self._read:
            self._read[path] = self._load(path)
        known = self._read[path]
        for path in reversed(unread):
            node = known.get(path.rpartition("/")[2])
            known = self._read[path] = self._load(path) if node is not None and node.kind == "dir" else {}
        return known

    def _load(self, path: str) -> dict[str, Node]:
        prefix = f"{path}/" if path else ""
        matcher = self.matcher
        found: dict[str, Node] = {}
        try:
            with os.scandir(f"{self.folder}/{path}") as entries:
                listed = sorted([(entry.name, entry) for entry in entries], key=_by_name)
        except OSError as error:
            raise unreadable_folder(path, error) from error
        for name, entry in listed:
            hidden = matcher is not None and matcher.ignored(prefix + name)
            if hidden and not self.leads_somewhere(prefix + name, entry):
                continue
            try:
                got = entry.stat(follow_symlinks=False)
                found[name] = _node(got, entry.path)
            except FileNotFoundError:
                continue
            self._stats[entry.path] = got
        return found

    def leads_somewhere(self, path: str, entry: os.DirEntry[str]) -> bool:
        """Whether an ignored directory holds something that a later line brings back."""
        if self.matcher is None or not entry.is_dir(follow_symlinks=False):
            return False
        if not self.matcher.may_reinclude_below(path):
            return False
        self._read[path] = self._load(path)
        return bool(self._read[path])


def _by_name(item: tuple[str, os.DirEntry[str]]) -> str:
    return item[0]


_KINDS: dict[int, Literal["file", "dir", "symlink", "char", "block", "fifo", "socket"]] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


def _node(got: os.stat_result, path: str) -> Node:
    mode = got.st_mode
    kind = _KINDS[stat.S_IFMT(mode)]
    bits = mode & 0o7777
    times = got.st_mtime_ns
    if kind == "file":
        same = (got.st_dev, got.st_ino) if got.st_nlink > 1 else None
        return Node("file", bits, got.st_uid, got.st_gid, times, got.st_size, "", (0, 0), path, same)
    if kind == "symlink":
        return Node("symlink", bits, got.st_uid, got.st_gid, times, 0, os.readlink(path))
    device = (os.major(got.st_rdev), os.minor(got.st_rdev)) if kind in ("char", "block") else (0, 0)
    return Node(kind, bits, got.st_uid, got.st_gid, times, 0, "", device)


def open_context(folder: str, ignore: bytes | None, ignore_name: str = _IGNORE) -> ContextTree:
    """The build context in a folder, without what the ignore file's text excludes; messages use its name.

    Raises NotFound when there is no such folder.
    """
    absolute = os.path.realpath(folder)
    if not os.path.isdir(absolute):
        raise NotFound(
            f"the build context {folder!r} is not a folder",
            hint="give the folder that holds the files to copy, often: .",
        )
    patterns = parse_ignore(ignore, ignore_name) if ignore else ()
    rules = sha256(ignore).hexdigest() if ignore else ""
    return ContextTree(absolute, Matcher(patterns) if patterns else None, ignore_name, rules)


def find_ignore(folder: str, dockerfile_path: str) -> tuple[str, bytes] | None:
    """Name and text of the ignore file: NAME.dockerignore beside the Dockerfile, else .dockerignore.

    Raises SourceError when it is a symlink to somewhere outside: the context is
    not to be trusted with what else is on this machine.
    """
    own = f"{dockerfile_path}.dockerignore" if dockerfile_path else ""
    for path, home in ((own, os.path.dirname(dockerfile_path) or "."), (f"{folder}/{_IGNORE}", folder)):
        if not path or not os.path.lexists(path):
            continue
        real, root = os.path.realpath(path), os.path.realpath(home)
        context = os.path.realpath(folder)
        if not any(real.startswith(f"{base.rstrip('/')}/") for base in (root, context)):
            raise SourceError(
                f"{path} is a symlink that leaves the build context",
                hint="put the file itself there",
            )
        if os.path.exists(real) and not os.path.isfile(real) and not os.path.isdir(real):
            raise SourceError(f"{path} is no regular file", hint="put a file there, or remove it")
        try:
            with open(real, "rb") as stream:
                return os.path.basename(path), stream.read()
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}") from error
    return None


def unreadable_folder(path: str, error: OSError) -> SourceError:
    """The error for a folder of a build context, "" for that itself."""
    deep = error.errno == errno.ENAMETOOLONG
    return SourceError(
        f"cannot read the folder {brief(path.rstrip('/')) or '.'} of the build context: {error.strerror}",
        hint=TOO_DEEP if deep else "make it readable, or exclude it in .dockerignore",
    )
