"""Decompressing and hashing in a thread of its own, ahead of whoever uses the content."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from hashlib import sha256

from jettison.store.compress import decompressed

_SMALL = 1 << 17
_AHEAD = 8


class Content:
    """The decompressed pieces of a file, and when they were all taken, their digest.

    A context manager, so that the thread ends when its reader stops early.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._hash = sha256()
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Content:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread:
            while self._thread.is_alive():
                # The thread may be waiting for room.
                try:
                    self._queue.get(timeout=0.01)
                except queue.Empty:
                    pass

    def __iter__(self) -> Iterator[bytes]:
        if os.path.getsize(self._path) < _SMALL:
            yield from self._hashed()
            return
        self._thread = threading.Thread(target=self._fill, name="decompress", daemon=True)
        self._thread.start()
        while (piece := self._queue.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def _hashed(self) -> Iterator[bytes]:
        for piece in decompressed(self._path):
            self._hash.update(piece)
            yield piece

    def _fill(self) -> None:
        try:
            for piece in self._hashed():
                if self._stop.is_set():
                    return
                self._queue.put(piece)
            self._queue.put(None)
        except BaseException as error:
            self._queue.put(error)

    def digest(self) -> str:
        """The digest of all pieces. Only meaningful after the last one was taken."""
        return "sha256:" + self._hash.hexdigest()
