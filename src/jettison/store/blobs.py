"""The blob store: files named by their digests. A name appears by rename, once the content was verified."""

from __future__ import annotations

import os
from hashlib import sha256, sha512
from typing import BinaryIO

from jettison.digests import hex_of
from jettison.errors import StoreError
from jettison.store.faults import faults, store_error
from jettison.store.private import private
from jettison.store.temporary import Session


class Blobs:
    """The folder `blobs` of a store, laid out as in an OCI image layout."""

    def __init__(self, folder: str, session: Session) -> None:
        self.folder = folder
        self._session = session

    def path(self, digest: str) -> str:
        """Where the blob is, or would be. Raises StoreError for what is no digest."""
        try:
            return f"{self.folder}/{digest.partition(':')[0]}/{hex_of(digest)}"
        except ValueError as error:
            raise StoreError(str(error)) from error

    def has(self, digest: str) -> bool:
        """Whether the blob is here."""
        return os.path.exists(self.path(digest))

    def claim(self, digest: str) -> bool:
        """Whether the blob is here; if so, nothing removes it for as long as the store stays open."""
        try:
            os.utime(self.path(digest))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise store_error(error, f"looking for the blob {digest}", self.folder) from error
        return True

    def size(self, digest: str) -> int:
        """The size of a blob in bytes. Raises StoreError when it is not here."""
        with faults(f"looking for the blob {digest}", self.folder):
            return os.stat(self.path(digest)).st_size

    def open(self, digest: str) -> BinaryIO:
        """The blob, for reading. Raises StoreError when it is not here."""
        with faults(f"opening the blob {digest}", self.folder):
            return open(self.path(digest), "rb")

    def read(self, digest: str) -> bytes:
        """The whole of a small blob (a manifest or a configuration)."""
        with self.open(digest) as file:
            return file.read()

    def put(self, data: bytes) -> str:
        """Store some bytes, and give their digest."""
        digest = "sha256:" + sha256(data).hexdigest()
        if not self.claim(digest):
            writer = self.writer()
            try:
                writer.write(data)
                writer.commit(digest)
            finally:
                writer.abort()
        return digest

    def writer(self, algorithm: str = "sha256") -> BlobWriter:
        """For a new blob whose digest need not be known yet."""
        return BlobWriter(self, self._session.new_name("blob"), algorithm)

    def adopt(self, path: str, digest: str) -> None:
        """Rename a finished file into the store. The caller has computed the digest from what it wrote."""
        target = self.path(digest)
        with faults("storing a blob", self.folder):
            try:
                os.rename(path, target)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
                os.rename(path, target)

    def remove(self, digest: str) -> int:
        """Remove a blob, and give the bytes that this freed. One that is not here is no error."""
        path = self.path(digest)
        try:
            size = os.stat(path).st_size
            os.unlink(path)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise store_error(error, "removing a blob", self.folder) from error
        return size

    def all(self) -> list[tuple[str, int]]:
        """Every blob with its size in bytes."""
        out = []
        for algorithm in ("sha256", "sha512"):
            try:
                with os.scandir(f"{self.folder}/{algorithm}") as found:
                    out += [(f"{algorithm}:{entry.name}", entry.stat().st_size) for entry in found]
            except FileNotFoundError:
                continue
        return sorted(out)


class BlobWriter:
    """Writes a blob under a temporary name, hashing on the way."""

    def __init__(self, blobs: Blobs, path: str, algorithm: str) -> None:
        self._blobs = blobs
        self._algorithm = algorithm
        self._hash = sha512() if algorithm == "sha512" else sha256()
        self.path = path
        self.size = 0
        with faults("making a blob", blobs.folder):
            self._file = open(path, "xb", buffering=0, opener=private)  # noqa: SIM115
        self._done = False

    def write(self, data: bytes | memoryview) -> int:
        """Add to the blob. Raises StoreError when the disk is full."""
        with faults("writing a blob", self._blobs.folder):
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def commit(self, expected: str | None = None) -> tuple[str, int]:
        """Let the blob appear: its digest and size. Raises StoreError when it is not the expected one."""
        digest = f"{self._algorithm}:{self._hash.hexdigest()}"
        self._file.close()
        if expected is not None and expected != digest:
            self.abort()
            raise StoreError(
                f"the content does not match its digest: expected {expected}, got {digest}",
                hint="the transfer was cut short or its source is damaged; try again",
                temporary=True,
            )
        self._blobs.adopt(self.path, digest)
        self._done = True
        return digest, self.size

    def abort(self) -> None:
        """Forget what was written. Harmless after `commit`."""
        if not self._done:
            self._done = True
            self._file.close()
            try:
                os.unlink(self.path)
            except FileNotFoundError:
                pass
