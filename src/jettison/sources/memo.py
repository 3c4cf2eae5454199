"""Hashes of files, remembered between builds, so that an unchanged context isn't read again.

A hash is remembered for what the kernel says of a file: device, inode, size,
mtime and ctime, the times in nanoseconds. No one can set a ctime, so changed content always
shows, with three exceptions. It may change twice within one tick of the file system's
clock: what changed shortly before a build began is used by that build alone. A program that has the
file mapped sets its times with the first write to a page only, until that page is on the disk: so it is
sent there before the file is read, or its hash not kept (`expose`). And some file systems show nothing
(`clocks`).

One memo serves one build context. It is one file of fixed-size records in the order in which they were
asked for. The next build asks in that order again, so the next record is nearly always
the one that is wanted: no table is needed, and a million files take no more room than their records.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jettison.events import Pace, Told

_MAGIC = b"jettison memo 2\n"
_KEY = struct.Struct("<QQqqq")
_SIZE = _KEY.size
_FILE = 16
"""The part of a key that stays when a file is changed in its place."""
_DIGEST = 32
_RECORD = _SIZE + _DIGEST
_RECENT_NS = 2_000_000_000
"""Coarser than the clock of any file system in use (FAT keeps times in 2 s steps)."""
_MOST_EXPOSED = 200
_CHUNK = 1 << 20
_PARALLEL_BYTES = 8 << 20
_LARGE = 1 << 16
_NEAR = 512 * _RECORD
_SEARCHES = 64
_LARGE_FILE = 16 << 20

key_of = _KEY.pack
"""The key of device, inode, size, mtime and ctime (both in nanoseconds)."""


def memo_name(folder: str) -> str:
    """The file name of a build context's memo, below a folder of the store."""
    return sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]


class Memo:
    """Content digests (SHA-256, 32 bytes) of files on this machine, by key.

    `path` is the file that it is kept in; "" keeps it in memory only. Not for several threads at a time.
    """

    def __init__(self, path: str = "") -> None:
        self.path = path
        self._body: bytes | None = None
        self._at = 0
        self._from = 0
        self._order: list[tuple[int, int] | bytearray] = []
        """What was asked for since `settle`: ranges of the body, and new records."""
        self._searched = 0
        self._asked = 0
        self._fresh = False
        self._began = time.time_ns()
        self._exposed: set[bytes] = set()
        self._sent_before = 0
        self.unsure = False
        """Whether files may have pages in memory whose next changes nothing would show."""

    def get(self, key: bytes) -> bytes | None:
        """The digest for a key, or None: then `put` it."""
        body = self._body
        if body is None:
            body = self._body = _read(self.path)
        at = self._at
        if not body.startswith(key, at):
            at = self._search(body, key, at)
            if at < 0:
                return None
            self._jump(at)
        self._at = at + _RECORD
        return body[at + _SIZE : at + _RECORD]

    def put(self, key: bytes, digest: bytes) -> None:
        """Remember the digest of content that was read after its key was made."""
        self._jump(self._at)
        records = self._order[-1] if self._order else None
        if not isinstance(records, bytearray) or len(records) >= _CHUNK:
            records = bytearray()
            self._order.append(records)
        records += key
        records += digest
        self._fresh = True

    def reader(self) -> Memo:
        """One for another thread: it knows what this one does, and learns for itself."""
        made = Memo()
        made._body = self._body if self._body is not None else _read(self.path)
        return made

    def _jump(self, at: int) -> None:
        """Close the range of records that were asked for one after the other, and go on somewhere else."""
        if self._at > self._from:
            self._order.append((self._from, self._at))
        self._at = self._from = at

    def _search(self, body: bytes, key: bytes, start: int) -> int:
        """Where a record is that is not the next one: most often a little further on. -1: nowhere."""
        if body.startswith(key[:_FILE], start):
            self._jump(start + _RECORD)
            return -1  # the file is the next one, but has changed
        at = _find(body, key, max(0, start - _NEAR), start + _NEAR)
        if at >= 0 or not body:
            return at
        # Reading a file takes less time than looking for it everywhere, unless it is large.
        self._searched += 1
        if self._searched <= _SEARCHES or _KEY.unpack(key)[2] >= _LARGE_FILE:
            return _find(body, key, 0, len(body))
        return -1

    def expose(self, handle: int, at: os.stat_result) -> None:
        """Before an open file is hashed: see that all writes to it from now on show in its times.

        The kernel itself sends changed pages to the disk after a while. Younger ones are sent here,
        if they are few: after a checkout it would take longer than to read all files again next time.
        """
        ctime = at.st_ctime_ns
        if ctime >= self._began - _RECENT_NS:
            return  # not remembered anyway
        self._sent_before = self._sent_before or self._began - unsent_ns()
        if ctime < self._sent_before:
            return
        if len(self._exposed) >= _MOST_EXPOSED:
            self.unsure = True
            return
        from jettison.kernel import write_back

        try:
            write_back(handle)
        except OSError:
            self.unsure = True
            return
        self._exposed.add(_key(at))

    def settle(self) -> None:
        """End of a pass over files: the next one may ask for the same again, in the same order."""
        self._jump(0)
        body = self._body or b""
        self._asked += sum(
            part[1] - part[0] if isinstance(part, tuple) else len(part) for part in self._order
        )
        if any(isinstance(part, bytearray) for part in self._order):
            self._body = b"".join(self._ordered(body))
            self._searched = 0
        self._order = []

    def _ordered(self, body: bytes) -> Iterator[bytes | bytearray]:
        """The records in the order of this pass, then those that it did not ask for."""
        for part in self._order:
            yield body[part[0] : part[1]] if isinstance(part, tuple) else part
        at = 0
        for start, end in sorted(part for part in self._order if isinstance(part, tuple)):
            if start > at:
                yield body[at:start]
            at = max(at, end)
        yield body[at:]

    def hashes(
        self,
        files: Sequence[str],
        stat: Callable[[str], os.stat_result] = os.lstat,
        pace: Pace | None = None,
    ) -> list[bytes]:
        """The content digest of each file. Raises OSError when one cannot be read.

        `stat` may give what was seen of a file a moment ago; `pace` tells how far the reading is.
        """
        keys = [_key(stat(file)) for file in files]
        found = [self.get(key) for key in keys]
        missing = [at for at, digest in enumerate(found) if digest is None]
        if missing:
            names = [files[at] for at in missing]
            size = sum(_KEY.unpack(keys[at])[2] for at in missing)
            if pace is not None:
                pace.total = size
            told = pace.add if pace is not None else None
            for at, digest in zip(missing, self._hash_all(names, size, told), strict=True):
                found[at] = digest
                self.put(keys[at], digest)
        self.settle()
        return [digest for digest in found if digest is not None]

    def _hash_all(self, files: Sequence[str], size: int, told: Told | None) -> Iterator[bytes]:
        def one(file: str) -> bytes:
            return hash_file(file, None, self, told)

        # Small files are opened more than they are hashed, and for that threads wait for each other.
        if len(files) < 2 or size < max(_PARALLEL_BYTES, _LARGE * len(files)):
            return map(one, files)
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            return iter(list(pool.map(one, files)))

    def save(self) -> None:
        """Keep what was learned. Raises nothing: a memo that cannot be written is only slower."""
        self.settle()
        if not self.path or not self._fresh or not self._body:
            return
        body = self._body[: 4 * self._asked + 10_000 * _RECORD]
        if next(self._doubtful(body), None) is not None:
            body = b"".join(self._certain(body))
        try:
            _replace(self.path, (_MAGIC, sha256(body).digest(), body))
        except OSError:
            return
        self._fresh = False

    def _doubtful(self, body: bytes) -> Iterator[int]:
        """Where the records of files are that may change again without a difference in their keys."""
        from jettison.store.clocks import silent_devices

        limit, began = self._began - _RECENT_NS, self._began
        silent = silent_devices({record[0] for record in _WHOLE.iter_unpack(body)})
        for number, (device, _, _, mtime, ctime, _) in enumerate(_WHOLE.iter_unpack(body)):
            at = number * _RECORD
            recent = ctime >= limit or -_RECENT_NS <= mtime - began <= _RECENT_NS
            unsent = self.unsure and ctime >= self._sent_before
            if recent or device in silent or (unsent and body[at : at + _SIZE] not in self._exposed):
                yield at

    def _certain(self, body: bytes) -> Iterator[bytes]:
        at = 0
        for start in self._doubtful(body):
            yield body[at:start]
            at = start + _RECORD
        yield body[at:]


_WHOLE = struct.Struct("<QQqqq32s")


def _key(stat: os.stat_result) -> bytes:
    return _KEY.pack(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _find(body: bytes, key: bytes, start: int, end: int) -> int:
    """Where a record with this key is between two places, or -1."""
    at = body.find(key, start, end)
    while at >= 0 and at % _RECORD:
        at = body.find(key, at + 1, end)
    return at


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            if stream.read(len(_MAGIC)) != _MAGIC:
                return b""
            digest = stream.read(_DIGEST)
            body = stream.read()
    except OSError:
        return b""
    return body if sha256(body).digest() == digest and len(body) % _RECORD == 0 else b""


def _replace(path: str, parts: Sequence[bytes]) -> None:
    from jettison.replacing import replacing

    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    with replacing(path, 0o600) as stream:
        stream.writelines(parts)


def unsent_ns() -> int:
    """How long the kernel lets changed pages wait before it sends them to the disk, with a margin."""
    total = 0
    for name in ("dirty_expire_centisecs", "dirty_writeback_centisecs"):
        try:
            with open(f"/proc/sys/vm/{name}", encoding="ascii") as file:
                total += int(file.read())
        except (OSError, ValueError):
            total += 60_00
    return total * 10_000_000 * 5 // 4


def hash_file(
    file: str, folder: int | None = None, memo: Memo | None = None, told: Told | None = None
) -> bytes:
    """The SHA-256 of a file's content. With `folder`, a descriptor, the name counts from there.

    `memo` is the one that will remember the digest; `told` hears of the bytes as they are read.
    """
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        # Room for just what comes: giving back the rest of a megabyte costs more than reading a small file.
        at = os.fstat(handle)
        size = at.st_size
        if memo is not None:
            memo.expose(handle, at)
        data = os.read(handle, min(size + 1, _CHUNK))
        total = sha256(data)
        if told is not None:
            told(len(data))
        if len(data) != size:
            while data := os.read(handle, _CHUNK):
                total.update(data)
                if told is not None:
                    told(len(data))
        return total.digest()
    finally:
        os.close(handle)
