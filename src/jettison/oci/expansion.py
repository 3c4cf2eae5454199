"""How far what is compressed may expand: no honest layer or archive comes near, and a bomb goes off early.

gzip makes at most 1030 bytes of one, and only of bytes that are all alike; zstd, xz and bzip2 many thousands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jettison.errors import SourceError

FREE = 4 << 30
"""Bytes that anything may expand to."""
RATIO = 500
"""So many bytes may come of one where it is more than that."""


def refuse_bomb(packed: int, unpacked: int, what: str) -> None:
    """Raise SourceError when what has `packed` bytes expands to more than is honest."""
    if unpacked > FREE and unpacked > RATIO * packed:
        raise SourceError(
            f"{what} is a decompression bomb: its {packed} bytes expand to more than {unpacked >> 30} GiB",
            hint=f"at most {FREE >> 30} GiB are unpacked, or {RATIO} times the size of what is compressed",
        )


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class Expanding:
    """A decompressing stream that is watched. `packed` tells the bytes it is made of, so far or in all."""

    def __init__(self, stream: _Stream, packed: Callable[[], int], what: str) -> None:
        self._stream, self._packed, self._what = stream, packed, what
        self._size = 0

    def read(self, size: int = -1) -> bytes:
        """As the stream's own. Raises SourceError for a bomb."""
        data = self._stream.read(size) or b""
        self._size += len(data)
        refuse_bomb(self._packed(), self._size, self._what)
        return data
