"""Hashes of files, remembered between builds, so that an unchanged context isn't read again.

A hash is remembered for what the kernel says of a file: device, inode, size,
mtime and ctime, the times in nanoseconds. No one can set a ctime, so changed content always
shows, except when it changes twice within one tick of the file system's
clock: what changed that recently is not remembered at all.

One memo serves one build context. It is one file of fixed-size records, read
whole at the first question and replaced whole at the end.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

_MAGIC = b"jettison memo 1\n"
_KEY = struct.Struct("<QQqqq")
_DIGEST = 32
_RECORD = _KEY.size + _DIGEST
_RECENT_NS = 2_000_000_000
"""Coarser than the clock of any file system in use (FAT keeps times in 2 s steps)."""
_CHUNK = 1 << 20
_PARALLEL_BYTES = 8 << 20
_MANY_FILES = 2_000


def memo_name(folder: str) -> str:
    """The file name of a build context's memo, below a folder of the store."""
    return sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]


class Memo:
    """Content digests (hexadecimal SHA-256) of files on this machine.

    `path` is the file that it is kept in; "" keeps it in memory only.
    """

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._known: dict[bytes, bytes] | None = None
        self._fresh: dict[bytes, bytes] = {}
        self._used: set[bytes] = set()

    def hashes(self, files: Sequence[str], stat: Callable[[str], os.stat_result] = os.lstat) -> list[str]:
        """The content digest of each file. Raises OSError when one cannot be read.

        `stat` may give what was seen of a file a moment ago.
        """
        known = self._known
        if known is None:
            known = self._known = _read(self._path)
        keys = [_key(stat(file)) for file in files]
        found = [known.get(key) or self._fresh.get(key) for key in keys]
        self._used.update(keys)
        missing = [at for at, digest in enumerate(found) if digest is None]
        if missing:
            now = time.time_ns()
            names = [files[at] for at in missing]
            size = sum(_KEY.unpack(keys[at])[2] for at in missing)
            for at, digest in zip(missing, _hash_all(names, size), strict=True):
                found[at] = digest
                if _settled(keys[at], now) and _key(os.lstat(files[at])) == keys[at]:
                    self._fresh[keys[at]] = digest
        return [digest.hex() for digest in found if digest is not None]

    def save(self) -> None:
        """Keep what was learned. Raises nothing: a memo that cannot be written is only slower."""
        if not self._path or not self._fresh:
            return
        known = {**(self._known or {}), **self._fresh}
        if len(known) > 4 * len(self._used) + 10_000:
            known = {key: digest for key, digest in known.items() if key in self._used}
        body = b"".join([key + digest for key, digest in known.items()])
        try:
            _replace(self._path, _MAGIC + sha256(body).digest() + body)
        except OSError:
            return
        self._known, self._fresh = known, {}


def _key(stat: os.stat_result) -> bytes:
    return _KEY.pack(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _settled(key: bytes, now: int) -> bool:
    _, _, _, mtime, ctime = _KEY.unpack(key)
    return bool(ctime < now - _RECENT_NS and abs(mtime - now) > _RECENT_NS)


def _read(path: str) -> dict[bytes, bytes]:
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError:
        return {}
    start = len(_MAGIC) + _DIGEST
    body = data[start:]
    if not data.startswith(_MAGIC) or data[len(_MAGIC) : start] != sha256(body).digest():
        return {}
    size = _KEY.size
    return {body[at : at + size]: body[at + size : at + _RECORD] for at in range(0, len(body), _RECORD)}


def _replace(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(data)
    os.replace(temporary, path)


def _hash_all(files: Sequence[str], size: int) -> Iterator[bytes]:
    if len(files) < 2 or (size < _PARALLEL_BYTES and len(files) < _MANY_FILES):
        return map(_hash, files)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        step = max(1, min(256, len(files) // 16))
        parts = [files[at : at + step] for at in range(0, len(files), step)]
        done = list(pool.map(lambda part: [_hash(file) for file in part], parts))
    return (digest for part in done for digest in part)


def _hash(file: str) -> bytes:
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        data = os.read(handle, _CHUNK)
        if len(data) < _CHUNK:
            rest = os.read(handle, _CHUNK)
            if not rest:
                return sha256(data).digest()
            data += rest
        total = sha256(data)
        while data := os.read(handle, _CHUNK):
            total.update(data)
        return total.digest()
    finally:
        os.close(handle)
