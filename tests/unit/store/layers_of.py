"""Archives and layers for the tests of this room."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from hashlib import sha256

import pytest

from jettison.store.base import Blob, Layer
from jettison.store.compress import MEDIA_TYPES
from jettison.store.store import Store

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners, devices and mounts need root")


Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, data: bytes | None = None, **fields: object) -> Member:
    """One member of an archive: a file when there is data, else what `type` says (a directory by default)."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
    info.mode = 0o755 if data is None else 0o644
    info.size = len(data or b"")
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data or b""


def archive(*members: Member) -> bytes:
    """A tar archive, as Python's own module writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def base_layer(store: Store, *members: Member) -> Layer:
    """A registered layer whose blob is in the store."""
    tar = archive(*members)
    data = gzip.compress(tar, mtime=0)
    digest = store.blobs.put(data)
    diff_id = "sha256:" + sha256(tar).hexdigest()
    return store.layers.register(diff_id, Blob(digest, len(data), MEDIA_TYPES["gzip"]), "")
