"""Blocks of a layer's archive on their way into a blob: hashed, compressed side by side, written in order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from jettison.store.blobs import BlobWriter
from jettison.store.compress import Pack, processors
from jettison.store.pieces import Piece, PiecesBefore, piece_of

if TYPE_CHECKING:
    from concurrent.futures import Future
    from queue import Queue

Job = tuple[bytes, bytes, "Future[tuple[bytes, int]]"]
"""The mark of a block, the block, and its packed form with its checksum."""


class Packer:
    """Takes blocks one after the other and writes their packed forms to a blob.

    A block with a mark (a digest of all that it is made of; b"" is none) is taken from `before` when that
    has it. Threads are started by the second block: most layers have only one.
    """

    def __init__(self, writer: BlobWriter, pack: Pack, before: PiecesBefore | None) -> None:
        self._writer = writer
        self._pack = pack
        self._before = before
        self._diff = sha256()
        self._first: tuple[bytes, bytes] | None = None
        self._threads: _Threads | None = None
        self.pieces: list[Piece] = []
        """Where the blocks with marks are in the blob, as far as they are written."""

    def put(self, block: bytes, mark: bytes = b"") -> None:
        """Add a block. Raises what writing an earlier one raised."""
        if self._threads is None:
            if self._first is None:
                self._first = (block, mark)
                return
            self._threads = _Threads(self._packed, self._take)
            self._threads.put(*self._first)
            self._first = None
        self._threads.put(block, mark)

    def finish(self) -> str:
        """Wait until all is written, and give the digest of the blocks: the diff ID of a layer."""
        if self._threads is not None:
            self._threads.finish()
        elif self._first is not None:
            block, mark = self._first
            self._take(block, mark, *self._packed(block, mark))
        return "sha256:" + self._diff.hexdigest()

    def abort(self) -> None:
        """Give up: nothing more is written. Harmless after `finish`."""
        if self._threads is not None:
            self._threads.abort()

    def _packed(self, block: bytes, mark: bytes) -> tuple[bytes, int]:
        known = self._before.get(mark) if self._before is not None and mark else None
        return known or piece_of(self._pack(block))

    def _take(self, block: bytes, mark: bytes, packed: bytes, checksum: int) -> None:
        """Called for one block after the other, in their order."""
        self._diff.update(block)
        if mark:
            self.pieces.append(Piece(mark, self._writer.size, len(packed), checksum))
        self._writer.write(packed)


class _Threads:
    """A few threads that pack, and one that takes what they made in the order in which it was put."""

    def __init__(
        self,
        pack: Callable[[bytes, bytes], tuple[bytes, int]],
        take: Callable[[bytes, bytes, bytes, int], None],
    ) -> None:
        from concurrent.futures import ThreadPoolExecutor
        from queue import Queue

        count = processors()
        self._call, self._take = pack, take
        self._pool = ThreadPoolExecutor(count, "pack")
        self._queue: Queue[Job | None] = Queue(2 * count + 2)
        self._error: BaseException | None = None
        self._over = False
        self._thread = threading.Thread(target=self._run, name="packed", daemon=True)
        self._thread.start()

    def put(self, block: bytes, mark: bytes) -> None:
        if self._error is not None:
            raise self._error
        self._queue.put((mark, block, self._pool.submit(self._call, block, mark)))

    def finish(self) -> None:
        self._end()
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        if not self._over:
            self._error = self._error or RuntimeError("given up")
            self._end()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._queue.put(None)
            self._thread.join()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            # After an error the queue is emptied all the same: whoever puts waits for room.
            if self._error is not None:
                continue
            mark, block, packed = job
            try:
                self._take(block, mark, *packed.result())
            except BaseException as error:
                self._error = error
