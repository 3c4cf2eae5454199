"""The content of a file entry: the name of a file, its bytes, or a stream."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from jettison.errors import StoreError

if TYPE_CHECKING:
    from jettison.events import Told

Content = str | bytes | BinaryIO | None
_PIECE = 1 << 20
_LEAST = 1 << 12


def told_pieces(parts: Iterable[bytes | memoryview], told: Told | None) -> Iterable[bytes | memoryview]:
    """The same pieces; `told` is told of each."""
    return parts if told is None else _told_pieces(parts, told)


def _told_pieces(parts: Iterable[bytes | memoryview], told: Told) -> Iterator[bytes | memoryview]:
    for piece in parts:
        yield piece
        told(len(piece))


def pieces(content: Content) -> Iterator[bytes]:
    """The content in pieces of at most 1 MiB."""
    if content is None:
        return
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, str):
        # Not through a symlink, and no waiting for the other end of a fifo that took the file's place.
        fd = os.open(content, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            yield from _read(fd)
        finally:
            os.close(fd)
    else:
        while piece := content.read(_PIECE):
            yield piece


def _read(fd: int) -> Iterator[bytes]:
    # Room for just what comes: giving back the rest of a megabyte costs far more than reading a small file.
    left = os.fstat(fd).st_size + 1
    while piece := os.read(fd, min(max(left, _LEAST), _PIECE)):
        left -= len(piece)
        yield piece
        if left == 1:
            return


def size_of(content: Content, stated: int) -> int:
    """The bytes a content will have; for a stream what its entry states."""
    if content is None:
        return 0
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, str):
        return os.stat(content, follow_symlinks=False).st_size
    return stated


def changed(path: str, expected: int, got: int) -> StoreError:
    """The error for a file that grew or shrank while it was read."""
    return StoreError(
        f"{path!r} changed while it was being read: {expected} bytes expected, {got} found",
        hint="build again when nothing writes to it",
        temporary=True,
    )
