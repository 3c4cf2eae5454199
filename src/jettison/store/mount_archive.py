"""Cache mounts in archives: a tar whose first entry says which mounts it holds, each in a folder `0`, `1`, ….

Owners, modes, times, links and extended attributes are kept. Equal mounts give equal archives.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, cast

from jettison.dataclass import replace
from jettison.errors import StoreError
from jettison.store import xattrs
from jettison.store.base import Entry
from jettison.store.cache_mounts import CacheMount
from jettison.store.compress import decompressed
from jettison.store.owners import owner_of
from jettison.store.render import entries
from jettison.store.tar import END, WHITEOUT, header, padding
from jettison.store.tar_reader import TarReader
from jettison.store.tree_builder import TreeBuilder, write_all

NAME = "cache-mounts.json"
_VERSION = 1
_PIECE = 1 << 20
_LARGEST = 1 << 20
_KEPT = ("file", "dir", "symlink", "hardlink", "fifo")
_HINT = "it takes what jettison cache-mount save wrote"

Write = Callable[[bytes], object]


def write(mounts: Sequence[CacheMount], compression: str, sink: Write) -> None:
    """Write an archive of some mounts, which nobody changes meanwhile, as gzip, zstd or none.

    Raises StoreError.
    """
    packer = _packer(compression)

    def out(data: bytes) -> None:
        if packed := packer.compress(data):
            sink(packed)

    document = json.dumps({"version": _VERSION, "mounts": [mount.id for mount in mounts]}).encode("ascii")
    out(header(Entry(NAME, "file", 0o644, size=len(document))) + document + padding(len(document)))
    for number, mount in enumerate(mounts):
        at = os.stat(mount.folder)
        top = Entry(
            str(number), "dir", at.st_mode & 0o7777, *owner_of(mount.folder, at), at.st_mtime_ns,
            xattrs=xattrs.read(mount.folder),
        )  # fmt: skip
        out(header(top))
        for entry in entries(mount.folder):
            if entry.kind in _KEPT:
                _write_entry(out, mount, number, entry)
    out(END)
    sink(packer.flush())


class _Packer(Protocol):
    """The compressing objects of zlib and zstandard."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _packer(compression: str) -> _Packer:
    if compression == "gzip":
        from isal import isal_zlib

        return cast(_Packer, isal_zlib.compressobj(2, isal_zlib.DEFLATED, 31))
    if compression == "zstd":
        from zstandard import ZstdCompressor

        return cast(_Packer, ZstdCompressor(level=3, threads=2).compressobj())
    return _Plain()


def _write_entry(out: Write, mount: CacheMount, number: int, entry: Entry) -> None:
    if entry.path.rpartition("/")[2].startswith(WHITEOUT):
        raise StoreError(
            f"the cache mount {mount.id} cannot be saved: it holds {entry.path}",
            hint="in archives such names mean removed files; remove it in a RUN that mounts the cache",
        )
    link = f"{number}/{entry.link}" if entry.kind == "hardlink" else entry.link
    out(header(replace(entry, path=f"{number}/{entry.path}", link=link)))
    if entry.kind != "file":
        return
    left = entry.size
    with open(f"{mount.folder}/{entry.path}", "rb", buffering=0) as file:
        while left:
            data = file.read(min(left, _PIECE))
            if not data:
                raise StoreError(
                    f"{entry.path} of the cache mount {mount.id} became shorter while it was read"
                )
            out(data)
            left -= len(data)
    out(padding(entry.size))


def unpack(archive: str, folder: str) -> dict[str, str]:
    """Unpack an archive into an empty folder, and give the folders of the mounts in it, by id.

    Raises StoreError for what is damaged, is something else, or tries to leave the folder.
    """
    builder = TreeBuilder(folder)
    reader = TarReader(decompressed(archive))
    found: dict[str, str] = {}
    places: set[str] = set()
    first = True
    for entry in reader:
        if first:
            found = _mounts(entry, reader.content(), folder)
            places = set(found.values())
            first = False
            continue
        top = entry.path.partition("/")[0]
        if entry.kind not in _KEPT or f"{folder}/{top}" not in places:
            raise StoreError(f"{entry.path!r} of the archive is no part of a cache mount", hint=_HINT)
        if entry.path == top and entry.kind != "dir":
            raise StoreError(f"{entry.path!r} of the archive is a mount, but no folder", hint=_HINT)
        builder.add(entry, lambda fd: write_all(fd, reader.content()))
    if first:
        raise StoreError("the archive is empty", hint=_HINT)
    if builder.finish():
        raise StoreError("the archive has files without their folders", hint=_HINT)
    _check(found)
    return found


def _check(found: Mapping[str, str]) -> None:
    for mount_id, place in found.items():
        if os.path.islink(place) or not os.path.isdir(place):
            raise StoreError(f"the archive lacks the files of the cache mount {mount_id}", hint=_HINT)


def _mounts(entry: Entry, content: Iterable[bytes | memoryview], folder: str) -> dict[str, str]:
    if entry.path != NAME or entry.kind != "file" or entry.size > _LARGEST:
        raise StoreError(f"this is no archive of cache mounts: it begins with {entry.path!r}", hint=_HINT)
    try:
        document = json.loads(b"".join(content))
        version, ids = document["version"], document["mounts"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{NAME} of the archive cannot be read", hint=_HINT) from error
    if version != _VERSION:
        raise StoreError(f"the archive has the unknown version {version!r}", hint="use a newer jettison")
    good = isinstance(ids, list) and all(
        isinstance(item, str) and item.isprintable() and 0 < len(item) < 4096 for item in ids
    )
    if not good or len(set(ids)) != len(ids):
        raise StoreError(f"{NAME} of the archive names no mounts", hint=_HINT)
    return {mount_id: f"{folder}/{number}" for number, mount_id in enumerate(ids)}
