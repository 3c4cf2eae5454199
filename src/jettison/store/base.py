"""The data that the store speaks in: entries of layers, file trees, layers.

Paths are `str` as `os.fsdecode` gives them, relative to the root of the tree,
without leading or trailing slash; the root itself is the empty string.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Literal, Protocol

from jettison.dataclass import dataclass

Kind = Literal["file", "dir", "symlink", "hardlink", "char", "block", "fifo", "whiteout", "opaque"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a layer (OCI image-spec, Image Layer Filesystem Changeset).

    `mode` holds the permission bits with setuid, setgid and sticky. `link` is
    the text of a symlink, or the path of an earlier entry for a hardlink. A
    `whiteout` stands at the path that it removes, an `opaque` at the directory
    whose lower content it hides.
    """

    path: str
    kind: Kind
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size: int = 0
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """What a file tree has at one path, as `lstat` would see it.

    `file` is the absolute name of the file on this machine that holds the
    content, or None where the layer is there only as a blob.
    `identity` is equal for two names of one file (device and inode), and None where unknown.
    """

    kind: Literal["file", "dir", "symlink", "char", "block", "fifo", "socket"]
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    link: str = ""
    device: tuple[int, int] = (0, 0)
    file: str | None = None
    identity: tuple[int, int] | None = None


class FileTree(Protocol):
    """Something that can be looked into: a build context or a stack of layers.

    No method follows symlinks; `store.resolve` does, inside the tree.
    """

    def lookup(self, path: str) -> Node | None:
        """What is at a path, or None. Ancestors must be real directories, else None."""

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, sorted by their bytes."""

    def open(self, path: str) -> BinaryIO:
        """The content of a regular file, for reading."""

    def xattrs(self, path: str) -> tuple[tuple[str, bytes], ...]:
        """The extended attributes that belong into a layer (none of overlayfs's own), sorted."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A compressed rendering of a layer, as its descriptor names it. `size` in bytes."""

    digest: str
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer in the store. A tree on disk and a blob are two renderings of it; either may be missing.

    `diff_id` is unknown ("") until a blob was made. `size` counts the bytes of its files.
    """

    id: str
    diff_id: str = ""
    blob: Blob | None = None
    size: int = 0


class LayerWriter(Protocol):
    """Takes the entries of a new layer, directories before what is in them, sorted by path."""

    def add(self, entry: Entry, content: str | bytes | BinaryIO | None = None) -> None:
        """Add one entry. For a file, `content` is the name of a file to copy from, its bytes, or a stream."""

    def commit(self) -> Layer:
        """Make the layer appear in the store, whole."""

    def abort(self) -> None:
        """Leave nothing behind. Harmless after `commit`."""


FetchBlob = Callable[[Blob, str], None]
"""Called for a blob that a layer names but the store has not: brings it from `origin` into the blob store."""
