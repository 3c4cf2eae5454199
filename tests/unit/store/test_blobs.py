"""Blobs: verified when they enter, whole or not there."""

from __future__ import annotations

import os
from hashlib import sha256, sha512

import pytest

from jettison.digests import digest_of_bytes
from jettison.errors import StoreError
from jettison.store.store import Store


def test_content_is_found_by_its_digest(store: Store) -> None:
    digest = store.blobs.put(b"data")
    assert digest == digest_of_bytes(b"data") == store.blobs.put(b"data")
    assert store.blobs.has(digest) and store.blobs.read(digest) == b"data" and store.blobs.size(digest) == 4
    assert store.blobs.path(digest) == f"{store.root}/blobs/sha256/{sha256(b'data').hexdigest()}"
    assert store.blobs.all() == [(digest, 4)]
    assert store.blobs.remove(digest) == 4
    assert store.blobs.remove(digest) == 0 and not store.blobs.has(digest)


def test_the_wrong_content_never_enters(store: Store) -> None:
    writer = store.blobs.writer()
    writer.write(b"something ")
    writer.write(memoryview(b"else"))
    with pytest.raises(StoreError, match="does not match") as caught:
        writer.commit(digest_of_bytes(b"what was asked for"))
    assert caught.value.temporary
    assert store.blobs.all() == [] and not os.path.exists(writer.path)


def test_an_aborted_blob_leaves_nothing(store: Store) -> None:
    writer = store.blobs.writer()
    writer.write(b"half")
    writer.abort()
    writer.abort()
    assert not os.path.exists(writer.path) and store.blobs.all() == []


def test_abort_after_commit_is_harmless(store: Store) -> None:
    writer = store.blobs.writer()
    writer.write(b"whole")
    digest, size = writer.commit()
    writer.abort()
    assert (store.blobs.read(digest), size) == (b"whole", 5)


def test_sha512(store: Store) -> None:
    writer = store.blobs.writer("sha512")
    writer.write(b"x")
    assert writer.commit()[0] == "sha512:" + sha512(b"x").hexdigest()
    assert len(store.blobs.all()) == 1


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:../../../etc/passwd", "md5:" + "0" * 32, "sha256:" + "G" * 64]
)
def test_what_is_no_digest_is_no_path(store: Store, digest: str) -> None:
    with pytest.raises(StoreError, match="not a digest"):
        store.blobs.path(digest)


def test_a_missing_blob_is_a_store_error(store: Store) -> None:
    with pytest.raises(StoreError):
        store.blobs.open("sha256:" + "0" * 64)
